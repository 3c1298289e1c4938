//! What a publish promises to its caller.

use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::bus::Start;
use agora_core::transport::{Address, Durability, OutFrame, Outcome, TopicSettings, TopicSpec};
use tokio::time::Instant;

use super::super::case::{Verdict, cases, ensure, same};
use super::super::node::{numbered, to};
use super::super::stage::Stage;
use super::super::ticks;

cases! { "publish":
    calls_keep_their_order [Live]
        "Messages go out in the order of the calls, whichever future is polled first.";
    frames_keep_their_order [Live]
        "The messages of one call arrive in their order.";
    past_deadline_sends_nothing [Live]
        "A deadline that has passed is `Timeout`, `NotStored`, and nothing is sent.";
    unknown_lane_is_refused [Live]
        "A lane that the topic has not is refused, and it is certain that nothing was sent.";
    nothing_to_send_is_fine [Live]
        "A call without messages succeeds.";
    receipt_says_what_was_reached [Live]
        "The receipt of a live topic names the durability that the backend declares.";
    receipts_count_from_one [Live]
        "The receipts of one source count its events from 1, and name the source.";
    cut_ends_by_the_deadline [Live]
        "While the node is cut off, a publish ends by its deadline and is not `Ok` where the link is down.";
    try_publish_never_waits [Live]
        "`try_publish` queues at once, and what it queued arrives.";
    flush_waits_for_all [Live]
        "After `flush`, everything that was queued before it has been sent.";
}

async fn calls_keep_their_order(stage: Stage) -> Verdict {
    let (a, b, topic) = (stage.node("a").await?, stage.node("b").await?, stage.topic("order")?);
    let mut at_b = b.listen(&topic).await?;
    a.open(&TopicSpec::live(topic.clone())).await?;
    a.meet(&mut at_b, &topic).await?;
    let by = stage.by();
    let mut calls: Vec<_> =
        (1..=100).map(|number| a.publish(&to(&topic), vec![numbered(number)], by)).collect();
    while let Some(last) = calls.pop() {
        stage.soon("a publish", last).await??;
    }
    at_b.expect(1..=100).await
}

async fn frames_keep_their_order(stage: Stage) -> Verdict {
    let (a, b, topic) = (stage.node("a").await?, stage.node("b").await?, stage.topic("order")?);
    let mut at_b = b.listen(&topic).await?;
    a.meet(&mut at_b, &topic).await?;
    for call in 0..10 {
        a.send(&topic, (1..=50).map(|number| numbered(call * 50 + number)).collect()).await?;
    }
    at_b.expect(1..=500).await
}

async fn past_deadline_sends_nothing(stage: Stage) -> Verdict {
    let (a, b, topic) = (stage.node("a").await?, stage.node("b").await?, stage.topic("late")?);
    let mut at_b = b.listen(&topic).await?;
    a.meet(&mut at_b, &topic).await?;
    let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or_else(Instant::now);
    let answer = stage.soon("the answer", a.publish(&to(&topic), vec![numbered(1)], past)).await?;
    let Err(failed) = answer else {
        return Err(super::super::Fault::broken("a publish succeeded after its deadline"));
    };
    same("the error", failed.error.kind(), ErrorKind::Timeout)?;
    same("accepted and outcome", (failed.accepted, failed.outcome), (0, Outcome::NotStored))?;
    a.count(&topic, [2]).await?;
    at_b.expect([2]).await
}

async fn unknown_lane_is_refused(stage: Stage) -> Verdict {
    let (a, b, topic) = (stage.node("a").await?, stage.node("b").await?, stage.topic("lane")?);
    let mut at_b = b.listen(&topic).await?;
    let lanes = a.open(&TopicSpec::live(topic.clone())).await?.lanes();
    a.meet(&mut at_b, &topic).await?;
    let nowhere = Address { topic: topic.clone(), lane: lanes };
    let answer = stage.soon("the answer", a.publish(&nowhere, vec![numbered(1)], stage.by())).await?;
    let Err(failed) = answer else {
        return Err(super::super::Fault::broken(format!("lane {lanes} of {lanes} took a message")));
    };
    same("accepted and outcome", (failed.accepted, failed.outcome), (0, Outcome::NotStored))?;
    ensure!(!failed.error.is_retryable(), "to try again is no help here: {:#}", failed.error);
    a.count(&topic, [2]).await?;
    at_b.expect([2]).await
}

async fn nothing_to_send_is_fine(stage: Stage) -> Verdict {
    let (a, topic) = (stage.node("a").await?, stage.topic("nothing")?);
    let mut at_a = a.listen(&topic).await?;
    a.send(&topic, Vec::new()).await?;
    a.meet(&mut at_a, &topic).await
}

async fn receipt_says_what_was_reached(stage: Stage) -> Verdict {
    let (bus, topic) = (stage.bus("a", &[]).await?, stage.topic("receipt")?);
    let publisher = bus.publisher(topic.as_str())?;
    let receipt = stage.soon("a receipt", publisher.publish(&ticks::Tick(1))).await??;
    same("durability", receipt.durability, bus.capabilities().live_durability)?;
    ensure!(
        receipt.durability == Durability::Sent
            || bus.capabilities().log == agora_core::transport::Support::Yes,
        "a backend without logs cannot have stored a message"
    );
    Ok(bus.close(stage.patience()).await?)
}

async fn receipts_count_from_one(stage: Stage) -> Verdict {
    let (bus, topic) = (stage.bus("a", &[]).await?, stage.topic("receipts")?);
    let publisher = bus.publisher(topic.as_str())?;
    for number in 1..=20 {
        let receipt = stage.soon("a receipt", publisher.publish(&ticks::Tick(number))).await??;
        same("sequence and source", (receipt.seq, receipt.source), (number, bus.me()))?;
    }
    Ok(bus.close(stage.patience()).await?)
}

async fn cut_ends_by_the_deadline(stage: Stage) -> Verdict {
    let (a, topic) = (stage.node("a").await?, stage.topic("cut")?);
    a.open(&TopicSpec::live(topic.clone())).await?;
    let name = agora_core::id::NodeName::new("a")?;
    stage.subject().cut(&name).await?;
    let by = Instant::now() + stage.patience() / 4;
    let answer = stage.soon("the end of a publish", a.publish(&to(&topic), vec![numbered(1)], by)).await;
    let is_down = !a.link().borrow().is_usable();
    stage.subject().heal(&name).await?;
    ensure!(!(is_down && answer?.is_ok()), "a publish is `Ok`, and the link is down");
    a.usable().await?;
    a.send(&topic, vec![OutFrame::new("again")]).await
}

async fn try_publish_never_waits(stage: Stage) -> Verdict {
    let topic = stage.topic("try")?;
    let (a, b) = stage.two_buses(&[(&topic, TopicSettings::LIVE)]).await?;
    let mut at_b = ticks::subscribe(&stage, &b, &topic, Start::Live).await?;
    let publisher = a.publisher(topic.as_str())?;
    for number in 1..=100 {
        publisher.try_publish(&ticks::Tick(number))?;
    }
    at_b.expect(1..=100).await
}

async fn flush_waits_for_all(stage: Stage) -> Verdict {
    let topic = stage.topic("flush")?;
    let (a, b) = stage.two_buses(&[(&topic, TopicSettings::LIVE)]).await?;
    let mut at_b = ticks::subscribe(&stage, &b, &topic, Start::Live).await?;
    let publisher = a.publisher(topic.as_str())?;
    for number in 1..=100 {
        publisher.try_publish(&ticks::Tick(number))?;
    }
    a.flush(stage.patience()).await?;
    same("frames were sent", a.stats().frames_sent > 0, true)?;
    at_b.expect(1..=100).await
}
