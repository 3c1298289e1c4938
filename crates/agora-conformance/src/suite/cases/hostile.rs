//! Bytes that nobody should have sent: they crash nobody, and are taken for nothing that they are not.

use agora_core::bus::{Delivery, Start};
use agora_core::id::TopicName;
use agora_core::transport::{OutFrame, TopicSettings};
use bytes::Bytes;

use super::super::case::{Fault, Verdict, cases, ensure, same};
use super::super::node::Listener;
use super::super::stage::Stage;
use super::super::ticks::{self, Ticks};

cases! { "hostile":
    foreign_bytes_are_raw [Live]
        "What other software wrote is delivered as it is, and not as an event.";
    frame_of_another_topic_is_refused [Live]
        "A frame that is copied to another topic is not delivered there.";
    repeated_frame_is_delivered_once [Live]
        "A frame that arrives again is delivered once.";
    damaged_frames_are_refused [Live]
        "Frames that were cut short or changed are not delivered, and the bus goes on.";
    noise_on_the_control_topic [Live]
        "Noise on the control topic is dropped, and the members still see each other.";
}

/// One bus that publishes, one that listens, and a stranger who hears the frames and can send any bytes.
struct Scene {
    stage: Stage,
    topic: TopicName,
    a: agora_core::bus::Bus,
    b: agora_core::bus::Bus,
    at_b: Ticks,
    stranger: super::super::node::Node,
    frames: Listener,
}

async fn scene(stage: &Stage) -> Result<Scene, Fault> {
    let topic = stage.topic("hostile")?;
    let (a, b) = stage.two_buses(&[(&topic, TopicSettings::LIVE)]).await?;
    let stranger = stage.node("stranger").await?;
    let mut frames = stranger.listen(&topic).await?;
    // Before the subscription: beacons are foreign bytes to it.
    let other = stage.node("beacons").await?;
    other.meet(&mut frames, &topic).await?;
    let at_b = ticks::subscribe(stage, &b, &topic, Start::Live).await?;
    Ok(Scene { stage: stage.clone(), topic, a, b, at_b, stranger, frames })
}

impl Scene {
    /// Publishes a tick, and gives the frame that carries it. Heads and hellos that come in between are short.
    async fn frame(&mut self, tick: u64) -> Result<Bytes, Fault> {
        ticks::publish(&self.stage, &self.a, &self.topic, [tick]).await?;
        loop {
            let payload = self.frames.message().await?.payload;
            if payload.windows(4).any(|part| part == b"tick") {
                return Ok(payload);
            }
        }
    }

    async fn inject(&mut self, topic: &TopicName, payload: impl Into<Bytes>) -> Verdict {
        self.stranger.send(topic, vec![OutFrame::new(payload)]).await
    }

    /// Reads this tick, behind whatever foreign bytes and gaps.
    async fn expect(&mut self, due: u64) -> Verdict {
        loop {
            match self.at_b.next().await? {
                Some(Delivery::Event(event)) => {
                    let tick = event.decode::<ticks::Tick>();
                    let tick = tick.map_err(|error| Fault::broken(error.to_string()))?.0;
                    return same("the tick", tick, due);
                }
                Some(Delivery::Foreign(_)) => {}
                other => return Err(Fault::broken(format!("tick {due} was due, and this came: {other:?}"))),
            }
        }
    }
}

async fn foreign_bytes_are_raw(stage: Stage) -> Verdict {
    let mut scene = scene(&stage).await?;
    let topic = scene.topic.clone();
    let odd: [&'static [u8]; 3] = [b"{\"from\":\"elsewhere\"}", b"\xff\xfe\0", b""];
    for bytes in odd {
        scene.inject(&topic, bytes).await?;
    }
    let mut found = Vec::new();
    while found.len() < odd.len() {
        match scene.at_b.next().await? {
            Some(Delivery::Foreign(foreign)) if foreign.raw.payload.starts_with(b"\0beacon") => {}
            // Nothing is known of them by which a repetition could be told.
            Some(Delivery::Foreign(foreign)) if found.contains(&foreign.raw.payload) => {}
            Some(Delivery::Foreign(foreign)) => found.push(foreign.raw.payload),
            other => return Err(Fault::broken(format!("foreign bytes were due, and this came: {other:?}"))),
        }
    }
    same("the bytes", found, odd.map(Bytes::from_static).to_vec())
}

async fn frame_of_another_topic_is_refused(stage: Stage) -> Verdict {
    let mut scene = scene(&stage).await?;
    let frame = scene.frame(1).await?;
    scene.expect(1).await?;
    let other = stage.topic("other")?;
    let mut at_other = ticks::subscribe(&stage, &scene.b, &other, Start::Live).await?;
    scene.inject(&other, frame).await?;
    ticks::publish(&stage, &scene.a, &other, [2]).await?;
    at_other.expect([2]).await?;
    // The copy came on the same way from another node, so it may come later.
    let refused = async {
        while scene.b.stats().rejected_stream == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    stage.soon("the copy is counted as refused", refused).await?;
    at_other.expect_nothing().await
}

async fn repeated_frame_is_delivered_once(stage: Stage) -> Verdict {
    let mut scene = scene(&stage).await?;
    let topic = scene.topic.clone();
    let frame = scene.frame(1).await?;
    scene.expect(1).await?;
    for _ in 0..5 {
        scene.inject(&topic, frame.clone()).await?;
    }
    scene.frame(2).await?;
    scene.expect(2).await?;
    scene.at_b.expect_nothing().await
}

async fn damaged_frames_are_refused(stage: Stage) -> Verdict {
    let mut scene = scene(&stage).await?;
    let topic = scene.topic.clone();
    let frame = scene.frame(1).await?;
    scene.expect(1).await?;
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..50 {
        let mut damaged = frame.to_vec();
        // Behind the magic, or it would be foreign.
        let at = rng.usize(8..damaged.len());
        damaged[at] ^= 1 << rng.u8(..8);
        damaged.truncate(rng.usize(at + 1..=damaged.len()));
        scene.inject(&topic, damaged).await?;
    }
    scene.frame(2).await?;
    scene.expect(2).await?;
    ensure!(scene.b.stats().gaps == 0, "damaged frames made {} gaps", scene.b.stats().gaps);
    Ok(())
}

async fn noise_on_the_control_topic(stage: Stage) -> Verdict {
    let mut scene = scene(&stage).await?;
    let control = TopicName::control();
    let mut rng = fastrand::Rng::with_seed(2);
    for len in 0..50 {
        let noise: Vec<u8> = (0..len * 3).map(|_| rng.u8(..)).collect();
        scene.inject(&control, noise).await?;
    }
    let c = stage.bus("c", &[]).await?;
    stage.soon("c hears of the others", c.wait_for_others()).await?;
    scene.frame(1).await?;
    scene.expect(1).await
}
