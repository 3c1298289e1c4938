//! The end: in an orderly way, and by being dropped.

use agora_core::ErrorKind;
use agora_core::bus::Start;
use agora_core::transport::{LogStart, TopicSettings, TopicSpec, Transport};
use tokio::time::Instant;

use super::super::case::{Fault, Verdict, cases, ensure, same};
use super::super::node::{numbered, to};
use super::super::stage::Stage;
use super::super::ticks;

cases! { "close":
    everything_says_closed [Live]
        "After `close`, every call of the transport fails with `Closed`, and the link cannot be used.";
    twice_is_fine []
        "A second `close` has nothing to do.";
    ends_a_waiting_inbox [Live]
        "A `recv` that waits ends with `Closed`.";
    ends_a_waiting_log [Log]
        "A `recv` of a log that waits ends with `Closed`.";
    ten_at_once []
        "Ten who close one transport at once all return.";
    with_no_time_left []
        "A `close` whose deadline has passed returns, and the transport is closed all the same.";
    others_go_on [Live]
        "When one node closes, the others hear each other as before.";
    dropping_is_enough [Live]
        "A transport that is dropped without `close` disturbs nobody, and its name can be used again.";
    bus_sends_what_was_queued [Live]
        "Closing a bus sends what was queued before.";
    bus_ends_its_subscriptions [Live]
        "A subscription of a bus that was closed ends, and does not fail.";
    bus_refuses_afterwards [Live]
        "A bus that was closed refuses to publish and to subscribe with `Closed`.";
    bus_ten_at_once [Live]
        "Ten who close one bus at once all return, and what was queued was sent.";
    cursors_say_closed [Cursors]
        "After `close`, cursors are neither given nor saved.";
}

fn closed<T>(what: &str, answer: Result<T, agora_core::Error>) -> Verdict {
    match answer {
        Ok(_) => Err(Fault::broken(format!("{what} succeeded after `close`"))),
        Err(error) => same(what, error.kind(), ErrorKind::Closed),
    }
}

async fn everything_says_closed(stage: Stage) -> Verdict {
    let (a, topic) = (stage.node("a").await?.share(), stage.topic("closed")?);
    a.open(&TopicSpec::live(topic.clone())).await?;
    stage.soon("closing", a.close(stage.by())).await??;
    closed("open", a.open(&TopicSpec::live(topic.clone())).await)?;
    closed("subscribe", a.subscribe(&topic).await)?;
    let answer = stage.soon("publish", a.publish(&to(&topic), vec![numbered(1)], stage.by())).await?;
    same("the outcome", answer.as_ref().err().map(|f| f.accepted), Some(0))?;
    closed("publish", answer.map_err(|failed| failed.error))?;
    let link = a.link().borrow().clone();
    ensure!(!link.is_usable(), "the link of a closed transport is {link:?}");
    Ok(())
}

async fn twice_is_fine(stage: Stage) -> Verdict {
    let a = stage.node("a").await?;
    stage.soon("closing", a.close(stage.by())).await??;
    Ok(stage.soon("closing again", a.close(stage.by())).await??)
}

async fn ends_a_waiting_inbox(stage: Stage) -> Verdict {
    let (a, topic) = (stage.node("a").await?, stage.topic("waiting")?);
    let mut at_a = a.listen(&topic).await?;
    a.meet(&mut at_a, &topic).await?;
    let waiting = tokio::spawn(async move {
        let mut into = Vec::new();
        loop {
            if let Err(error) = at_a.inbox.recv(10, &mut into).await {
                return error.kind();
            }
        }
    });
    tokio::task::yield_now().await;
    stage.soon("closing", a.close(stage.by())).await??;
    let kind = stage.soon("the end of a `recv`", waiting).await?;
    same("the end of a `recv`", kind.map_err(|error| Fault::broken(error.to_string()))?, ErrorKind::Closed)
}

async fn ends_a_waiting_log(stage: Stage) -> Verdict {
    let (a, topic) = (stage.node("a").await?, stage.topic("waiting")?);
    a.open_a_log(&topic).await?;
    let mut reader = a.read(&topic, LogStart::Earliest).await?;
    reader.caught_up().await?;
    let waiting = tokio::spawn(async move {
        let mut into = Vec::new();
        loop {
            if let Err(error) = reader.inbox.recv(10, &mut into).await {
                return error.kind();
            }
        }
    });
    tokio::task::yield_now().await;
    stage.soon("closing", a.close(stage.by())).await??;
    let kind = stage.soon("the end of a `recv`", waiting).await?;
    same("the end of a `recv`", kind.map_err(|error| Fault::broken(error.to_string()))?, ErrorKind::Closed)?;
    closed("open_log", a.share().open_log(&topic, 0, LogStart::Earliest).await)
}

async fn ten_at_once(stage: Stage) -> Verdict {
    let a = stage.node("a").await?;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (node, by) = (a.share(), stage.by());
        tasks.spawn(async move { node.close(by).await });
    }
    let all = stage.soon("ten who close", tasks.join_all()).await?;
    for one in all {
        one?;
    }
    Ok(())
}

async fn with_no_time_left(stage: Stage) -> Verdict {
    let (a, topic) = (stage.node("a").await?, stage.topic("hurry")?);
    let ended = stage.soon("closing", a.close(Instant::now())).await?;
    if let Err(error) = ended {
        same("the error", error.kind(), ErrorKind::Timeout)?;
    }
    closed("open", a.open(&TopicSpec::live(topic)).await)
}

async fn others_go_on(stage: Stage) -> Verdict {
    let topic = stage.topic("others")?;
    let (a, b, c) = (stage.node("a").await?, stage.node("b").await?, stage.node("c").await?);
    let mut at_b = b.listen(&topic).await?;
    let _at_c = c.listen(&topic).await?;
    a.meet(&mut at_b, &topic).await?;
    a.count(&topic, 1..=10).await?;
    stage.soon("closing", c.close(stage.by())).await??;
    a.count(&topic, 11..=20).await?;
    at_b.expect(1..=20).await
}

async fn dropping_is_enough(stage: Stage) -> Verdict {
    let topic = stage.topic("dropped")?;
    let (a, b) = (stage.node("a").await?, stage.node("b").await?);
    let mut at_b = b.listen(&topic).await?;
    a.meet(&mut at_b, &topic).await?;
    drop(a);
    let again = stage.node("a").await?;
    again.meet(&mut at_b, &topic).await?;
    again.count(&topic, 1..=5).await?;
    at_b.expect(1..=5).await
}

async fn bus_sends_what_was_queued(stage: Stage) -> Verdict {
    let topic = stage.topic("queued")?;
    let (a, b) = stage.two_buses(&[(&topic, TopicSettings::LIVE)]).await?;
    let mut at_b = ticks::subscribe(&stage, &b, &topic, Start::Live).await?;
    let publisher = a.publisher(topic.as_str())?;
    for number in 1..=500 {
        publisher.try_publish(&ticks::Tick(number))?;
    }
    a.close(stage.patience()).await?;
    at_b.expect(1..=500).await
}

async fn bus_ends_its_subscriptions(stage: Stage) -> Verdict {
    let (bus, topic) = (stage.bus("a", &[]).await?, stage.topic("ends")?);
    let mut ticks = ticks::subscribe(&stage, &bus, &topic, Start::Live).await?;
    bus.close(stage.patience()).await?;
    ensure!(ticks.next().await?.is_none(), "a delivery came after the bus was closed");
    Ok(())
}

async fn bus_refuses_afterwards(stage: Stage) -> Verdict {
    let (bus, topic) = (stage.bus("a", &[]).await?, stage.topic("refuses")?);
    let publisher = bus.publisher(topic.as_str())?;
    bus.close(stage.patience()).await?;
    closed("publish", stage.soon("the answer", publisher.publish(&ticks::Tick(1))).await?)?;
    closed("try_publish", publisher.try_publish(&ticks::Tick(1)))?;
    closed("publisher", bus.publisher(topic.as_str()))?;
    closed("subscribe", stage.soon("the answer", bus.subscribe(&topic).start(Start::Live)).await?)
}

async fn bus_ten_at_once(stage: Stage) -> Verdict {
    let topic = stage.topic("race")?;
    let (a, b) = stage.two_buses(&[(&topic, TopicSettings::LIVE)]).await?;
    let mut at_b = ticks::subscribe(&stage, &b, &topic, Start::Live).await?;
    let publisher = a.publisher(topic.as_str())?;
    for number in 1..=100 {
        publisher.try_publish(&ticks::Tick(number))?;
    }
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (bus, within) = (a.clone(), stage.patience());
        tasks.spawn(async move { bus.close(within).await });
    }
    stage.soon("ten who close", tasks.join_all()).await?;
    at_b.expect(1..=100).await
}

async fn cursors_say_closed(stage: Stage) -> Verdict {
    let (a, topic) = (stage.node("a").await?, stage.topic("closed")?);
    a.open_a_log(&topic).await?;
    let gone = || Fault::broken("`cursors` is said to be there, and gives nothing");
    let (fence, _) = a.cursors().ok_or_else(gone)?.take(&topic, "reader").await?;
    stage.soon("closing", a.close(stage.by())).await??;
    // A closed transport may also give no store at all.
    let Some(store) = a.cursors() else { return Ok(()) };
    closed("take", store.take(&topic, "reader").await)?;
    closed("save", store.save(&topic, "reader", fence, b"x", &[]).await)
}
