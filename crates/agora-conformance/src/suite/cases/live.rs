//! Live topics: for those who listen now.

use agora_core::transport::{Inbound, OutFrame, TopicSpec};
use bytes::Bytes;
use tokio::time::timeout;

use super::super::case::{Fault, Verdict, cases, ensure, same};
use super::super::node::{number_of, numbered};
use super::super::stage::Stage;

cases! { "live":
    everyone_hears [Live]
        "Every subscription of every node gets every message, in order.";
    two_subscriptions_of_one_node_hear [Live]
        "Two subscriptions of one node each get every message.";
    topics_are_apart [Live]
        "A topic is heard by those who listen to it, and names that are alike are different topics.";
    clusters_are_apart [Live]
        "Nodes of another cluster hear nothing.";
    nothing_from_before [Live]
        "What was published before the subscription does not arrive.";
    dropped_subscription_ends_alone [Live]
        "A subscription that is dropped ends, and the others go on.";
    cancelled_recv_loses_nothing [Live]
        "No message is lost when the future of `recv` is dropped, however often.";
    recv_gives_at_most_what_was_asked [Live]
        "`recv` appends at most as many as it was asked for, behind what was there.";
    fifty_subscriptions_hear [Live]
        "Fifty subscriptions of one topic each get every message, in order.";
    twenty_topics_at_once [Live]
        "Twenty topics are used at once, and nothing crosses over.";
    slow_reader_is_told [Live]
        "Nobody waits for a slow reader: what it loses stands as `Dropped` where it would have stood.";
    keys_headers_arrive [Live]
        "Keys and headers arrive as they were given, where the backend carries them.";
    two_publishers_keep_their_orders [Live]
        "Two nodes publish at once, and the messages of each arrive in its order.";
}

async fn everyone_hears(stage: Stage) -> Verdict {
    let topic = stage.topic("all")?;
    let (a, b, c) = (stage.node("a").await?, stage.node("b").await?, stage.node("c").await?);
    let (mut at_b, mut at_c) = (b.listen(&topic).await?, c.listen(&topic).await?);
    a.meet(&mut at_b, &topic).await?;
    a.meet(&mut at_c, &topic).await?;
    a.count(&topic, 1..=100).await?;
    at_b.expect(1..=100).await?;
    at_c.expect(1..=100).await
}

async fn two_subscriptions_of_one_node_hear(stage: Stage) -> Verdict {
    let (a, b, topic) = (stage.node("a").await?, stage.node("b").await?, stage.topic("twice")?);
    let (mut first, mut second) = (b.listen(&topic).await?, b.listen(&topic).await?);
    a.meet(&mut first, &topic).await?;
    a.meet(&mut second, &topic).await?;
    a.count(&topic, 1..=50).await?;
    first.expect(1..=50).await?;
    second.expect(1..=50).await
}

async fn topics_are_apart(stage: Stage) -> Verdict {
    let (a, b) = (stage.node("a").await?, stage.node("b").await?);
    // In the order of the names: prefixes, children, cases, and what a backend may take for a separator.
    let names = ["x", "x.y", "x.y.z", "x_y", "x-y", "X", "xy"];
    let (mut topics, mut listeners) = (Vec::new(), Vec::new());
    for name in names {
        let topic = stage.topic(name)?;
        if stage.is_refused(&a, &TopicSpec::live(topic.clone()), &topics).await? {
            continue;
        }
        let mut listener = b.listen(&topic).await?;
        a.meet(&mut listener, &topic).await?;
        topics.push(topic);
        listeners.push(listener);
    }
    for round in 0..3 {
        for (number, topic) in (1..).zip(&topics) {
            a.count(topic, [round * 100 + number]).await?;
        }
    }
    for (number, (topic, listener)) in (1..).zip(topics.iter().zip(&mut listeners)) {
        for round in 0..3 {
            let found = number_of(&listener.message().await?.payload)?;
            ensure!(found == round * 100 + number, "{found} came on {topic}, which is of another topic");
        }
    }
    Ok(())
}

async fn clusters_are_apart(stage: Stage) -> Verdict {
    let topic = stage.topic("shared")?;
    let (a, b) = (stage.node("a").await?, stage.node("b").await?);
    let (x, y) = (stage.stranger("x").await?, stage.stranger("y").await?);
    let (mut at_b, mut at_y) = (b.listen(&topic).await?, y.listen(&topic).await?);
    a.meet(&mut at_b, &topic).await?;
    x.meet(&mut at_y, &topic).await?;
    a.count(&topic, 1..=20).await?;
    x.count(&topic, 101..=120).await?;
    at_b.expect(1..=20).await?;
    at_y.expect(101..=120).await?;
    a.count(&topic, [21]).await?;
    at_b.expect([21]).await
}

async fn nothing_from_before(stage: Stage) -> Verdict {
    let (a, b, topic) = (stage.node("a").await?, stage.node("b").await?, stage.topic("before")?);
    let mut early = b.listen(&topic).await?;
    a.meet(&mut early, &topic).await?;
    a.count(&topic, 1..=10).await?;
    early.expect(1..=10).await?;
    let mut late = b.listen(&topic).await?;
    a.meet(&mut late, &topic).await?;
    a.count(&topic, [11]).await?;
    late.expect([11]).await?;
    early.expect([11]).await
}

async fn dropped_subscription_ends_alone(stage: Stage) -> Verdict {
    let (a, b, topic) = (stage.node("a").await?, stage.node("b").await?, stage.topic("dropped")?);
    let mut kept = b.listen(&topic).await?;
    let mut dropped = b.listen(&topic).await?;
    a.meet(&mut kept, &topic).await?;
    a.meet(&mut dropped, &topic).await?;
    a.count(&topic, 1..=5).await?;
    drop(dropped);
    a.count(&topic, 6..=10).await?;
    kept.expect(1..=10).await
}

async fn cancelled_recv_loses_nothing(stage: Stage) -> Verdict {
    let (a, b, topic) = (stage.node("a").await?, stage.node("b").await?, stage.topic("cancel")?);
    let mut at_b = b.listen(&topic).await?;
    a.meet(&mut at_b, &topic).await?;
    let mut got: Vec<Inbound> = Vec::new();
    for number in 1..=200 {
        // A future that was polled and dropped while it waits, then one while something may be there.
        let _ = timeout(std::time::Duration::ZERO, at_b.inbox.recv(1, &mut got)).await;
        a.count(&topic, [number]).await?;
        let _ = timeout(std::time::Duration::ZERO, at_b.inbox.recv(1, &mut got)).await;
    }
    // What nobody gets was lost: a last one shows that all the others are through.
    a.count(&topic, [201]).await?;
    let mut due = 1;
    let mut taken = 0;
    while due <= 201 {
        if taken == got.len() {
            stage.soon("the messages that are left", at_b.inbox.recv(10, &mut got)).await??;
            continue;
        }
        match &got[taken] {
            Inbound::Message(raw) if raw.payload.starts_with(b"\0") => {}
            Inbound::Message(raw) => {
                let found = number_of(&raw.payload)?;
                ensure!(found <= due, "number {due} was lost: {found} came");
                due += u64::from(found == due);
            }
            // On a busy machine a connection may be made anew; the numbers tell what became of them.
            Inbound::Resubscribed => {}
            other => return Err(Fault::broken(format!("a message was due, and this came: {other:?}"))),
        }
        taken += 1;
    }
    Ok(())
}

async fn recv_gives_at_most_what_was_asked(stage: Stage) -> Verdict {
    let (a, b, topic) = (stage.node("a").await?, stage.node("b").await?, stage.topic("budget")?);
    let mut at_b = b.listen(&topic).await?;
    a.meet(&mut at_b, &topic).await?;
    a.send(&topic, (1..=50).map(numbered).collect()).await?;
    let mut got = vec![Inbound::Dropped(Some(77))];
    while got.len() < 51 {
        let before = got.len();
        stage.soon("messages", at_b.inbox.recv(7, &mut got)).await??;
        ensure!(got.len() > before, "`recv` returned, and there was nothing");
        ensure!(got.len() - before <= 7, "`recv` gave {} where 7 were asked for", got.len() - before);
        // Beacons of the beginning do not count, nor that a connection was made anew.
        got.retain(|one| match one {
            Inbound::Message(raw) => !raw.payload.starts_with(b"\0"),
            other => !matches!(other, Inbound::Resubscribed),
        });
    }
    ensure!(matches!(got[0], Inbound::Dropped(Some(77))), "`recv` changed what was there before");
    Ok(())
}

async fn fifty_subscriptions_hear(stage: Stage) -> Verdict {
    let (a, b, topic) = (stage.node("a").await?, stage.node("b").await?, stage.topic("fifty")?);
    let mut listeners = Vec::new();
    for _ in 0..50 {
        listeners.push(b.listen(&topic).await?);
    }
    for listener in &mut listeners {
        a.meet(listener, &topic).await?;
    }
    a.count(&topic, 1..=20).await?;
    for listener in &mut listeners {
        listener.expect(1..=20).await?;
    }
    Ok(())
}

async fn twenty_topics_at_once(stage: Stage) -> Verdict {
    let (a, b) = (stage.node("a").await?, stage.node("b").await?);
    let (mut topics, mut listeners) = (Vec::new(), Vec::new());
    for number in 0..20 {
        let topic = stage.topic(&format!("t{number}"))?;
        let mut listener = b.listen(&topic).await?;
        a.meet(&mut listener, &topic).await?;
        topics.push(topic);
        listeners.push(listener);
    }
    for round in 0..10 {
        for (number, topic) in (0..).zip(&topics) {
            a.count(topic, [number * 1000 + round]).await?;
        }
    }
    for (number, listener) in (0..).zip(&mut listeners) {
        listener.expect((0..10).map(|round| number * 1000 + round)).await?;
    }
    Ok(())
}

/// More than an inbox may hold anywhere: it must be bounded.
const FLOOD: u64 = 80_000;

async fn slow_reader_is_told(stage: Stage) -> Verdict {
    let (a, b, topic) = (stage.node("a").await?, stage.node("b").await?, stage.topic("slow")?);
    let mut at_b = b.listen(&topic).await?;
    a.meet(&mut at_b, &topic).await?;
    for call in 0..FLOOD / 1000 {
        a.send(&topic, (1..=1000).map(|number| numbered(call * 1000 + number)).collect()).await?;
    }
    let (mut last, mut told) = (0, false);
    // Further ones, until one is heard: what is dropped at the end shows only when the reader has made room.
    let mut number = FLOOD;
    while last < number {
        let next = timeout(stage.subject().quiet(), at_b.next()).await;
        match next {
            Ok(Ok(Inbound::Message(raw))) => {
                let found = number_of(&raw.payload)?;
                if found > last {
                    ensure!(
                        found == last + 1 || told,
                        "{} to {} vanished without a word",
                        last + 1,
                        found - 1
                    );
                    (last, told) = (found, false);
                }
            }
            Ok(Ok(Inbound::Dropped(_) | Inbound::Resubscribed)) => told = true,
            Ok(Err(fault)) => return Err(fault),
            Err(_) if number < FLOOD + 20 => {
                number += 1;
                a.count(&topic, [number]).await?;
            }
            Err(_) => return Err(Fault::broken("nothing more arrives after a flood")),
        }
    }
    Ok(())
}

async fn keys_headers_arrive(stage: Stage) -> Verdict {
    let (a, b, topic) = (stage.node("a").await?, stage.node("b").await?, stage.topic("headers")?);
    let carries = stage.subject().carries();
    if !carries.keys && !carries.headers {
        return Err(Fault::not_here("live messages of this backend are bytes alone"));
    }
    let mut at_b = b.listen(&topic).await?;
    a.meet(&mut at_b, &topic).await?;
    a.send(&topic, vec![dressed(), OutFrame::new("bare")]).await?;
    let raw = at_b.message().await?;
    check_dress(&stage, &raw)?;
    let raw = at_b.message().await?;
    ensure!(
        raw.key.is_none() && raw.headers.is_empty(),
        "a message without key and headers has some: {raw:?}"
    );
    Ok(())
}

/// A message with a key and headers in which there are bytes of every kind.
pub(super) fn dressed() -> OutFrame {
    OutFrame {
        payload: Bytes::from_static(b"dressed"),
        key: Some(Bytes::from_static(b"\xff\0key \xc3\x28")),
        headers: vec![("agora-kind", "a.kind".into()), ("agora-seq", Bytes::from_static(b"\x01\xfe"))],
    }
}

/// Is the message that arrived the one of [`dressed`]?
pub(super) fn check_dress(stage: &Stage, raw: &agora_core::transport::Raw) -> Verdict {
    let (carries, sent) = (stage.subject().carries(), dressed());
    same("the payload", &raw.payload, &sent.payload)?;
    if carries.keys {
        same("the key", &raw.key, &sent.key)?;
    }
    if carries.headers {
        for (name, value) in &sent.headers {
            let found = raw.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value);
            ensure!(found == Some(value), "the header {name}: found {found:?}, promised {value:?}");
        }
    }
    Ok(())
}

async fn two_publishers_keep_their_orders(stage: Stage) -> Verdict {
    let topic = stage.topic("two")?;
    let (a, b, c) = (stage.node("a").await?, stage.node("b").await?, stage.node("c").await?);
    let mut at_c = c.listen(&topic).await?;
    a.meet(&mut at_c, &topic).await?;
    b.meet(&mut at_c, &topic).await?;
    for number in 1..=50 {
        a.count(&topic, [number]).await?;
        b.count(&topic, [1000 + number]).await?;
    }
    let (mut of_a, mut of_b) = (0, 1000);
    while of_a < 50 || of_b < 1050 {
        let found = number_of(&at_c.message().await?.payload)?;
        let last = if found > 1000 { &mut of_b } else { &mut of_a };
        ensure!(found <= *last + 1, "after {last}, {found} came");
        *last = found.max(*last);
    }
    Ok(())
}
