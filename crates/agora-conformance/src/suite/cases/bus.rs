//! The promises of the bus, over this transport: each event once and in order, or a gap that says what is missing.

use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::bus::{Delivery, Missing, Start};
use agora_core::transport::{Durability, FromLog, LogStart, TopicSettings};

use super::super::case::{Fault, Verdict, cases, ensure, same};
use super::super::stage::Stage;
use super::super::ticks::{self, Ticks};

cases! { "bus":
    each_event_once_in_order [Live]
        "A live subscription gets each event once and in order.";
    own_events_are_hidden [Live]
        "A live subscription leaves out its own node's events.";
    own_events_are_shown_on_request [Live]
        "A live subscription that asks for its own node's events gets them, in order.";
    two_subscriptions_get_all [Live]
        "Two subscriptions of one bus each get every event.";
    several_topics_in_one [Live]
        "One subscription of several topics gets the events of each, in its order.";
    fifty_subscriptions [Live]
        "Fifty subscriptions of one bus, opened at once, each get every event.";
    ten_thousand_events [Live]
        "Ten thousand events arrive in order, each once, or are named as missing.";
    cancelled_next_loses_nothing [Live]
        "No delivery is lost when the future of `try_next` is dropped.";
    two_sources_in_their_orders [Live]
        "Events of two sources arrive, each source's in its order.";
    log_receipt_is_stored [Log]
        "The receipt of a log says `Stored`.";
    replay_from_earliest [Log]
        "A subscription from the earliest replays what was stored, its own node's events included, and goes on.";
    replay_from_a_cursor [Log]
        "A subscription that begins at another's cursor goes on with the next event.";
    replay_from_a_time [Log]
        "A subscription from a time begins with the first event that was stored then or later.";
    live_on_a_log_begins_now [Log]
        "A live subscription to a log gets nothing old, and leaves out its own node's events.";
    durable_goes_on [Log, Cursors]
        "A durable subscription goes on where the last one of its name stood.";
    durable_is_taken_over [Log, Cursors]
        "A second subscription of a durable name takes it over, and the first one ends with `Conflict`.";
    retention_is_a_gap [Log, Cursors]
        "What retention took before a durable subscription came back is a gap, and what is left follows.";
    live_topic_is_not_replayed [Live, Log]
        "A replay of a live topic is refused.";
}

const LIVE: TopicSettings = TopicSettings::LIVE;
const LOG: TopicSettings = TopicSettings::LOG;

async fn each_event_once_in_order(stage: Stage) -> Verdict {
    let topic = stage.topic("once")?;
    let (a, b) = stage.two_buses(&[(&topic, LIVE)]).await?;
    let mut at_b = ticks::subscribe(&stage, &b, &topic, Start::Live).await?;
    ticks::publish(&stage, &a, &topic, 1..=300).await?;
    at_b.expect(1..=300).await
}

async fn own_events_are_hidden(stage: Stage) -> Verdict {
    let topic = stage.topic("own")?;
    let (a, b) = stage.two_buses(&[(&topic, LIVE)]).await?;
    let mut at_a = ticks::subscribe(&stage, &a, &topic, Start::Live).await?;
    ticks::publish(&stage, &a, &topic, 1..=10).await?;
    ticks::publish(&stage, &b, &topic, [11]).await?;
    at_a.expect([11]).await?;
    at_a.expect_nothing().await
}

async fn own_events_are_shown_on_request(stage: Stage) -> Verdict {
    let topic = stage.topic("own")?;
    let bus = stage.bus("a", &[(&topic, LIVE)]).await?;
    let starting = bus.subscribe(&topic).include_own().start(Start::Live);
    let mut events = Ticks::new(&stage, stage.soon("a subscription", starting).await??);
    ticks::publish(&stage, &bus, &topic, 1..=10).await?;
    events.expect(1..=10).await
}

async fn two_subscriptions_get_all(stage: Stage) -> Verdict {
    let topic = stage.topic("two")?;
    let (a, b) = stage.two_buses(&[(&topic, LIVE)]).await?;
    let mut first = ticks::subscribe(&stage, &b, &topic, Start::Live).await?;
    ticks::publish(&stage, &a, &topic, 1..=5).await?;
    // What is still on its way may come to the second one as well.
    first.expect(1..=5).await?;
    let mut second = ticks::subscribe(&stage, &b, &topic, Start::Live).await?;
    ticks::publish(&stage, &a, &topic, 6..=10).await?;
    first.expect(6..=10).await?;
    second.expect(6..=10).await
}

async fn several_topics_in_one(stage: Stage) -> Verdict {
    let (x, y) = (stage.topic("x")?, stage.topic("y")?);
    let (a, b) = stage.two_buses(&[(&x, LIVE), (&y, LIVE)]).await?;
    let starting = b.subscribe([x.as_str(), y.as_str()]).start(Start::Live);
    let mut events = Ticks::new(&stage, stage.soon("a subscription", starting).await??);
    ticks::publish(&stage, &a, &x, 1..=20).await?;
    ticks::publish(&stage, &a, &y, 101..=120).await?;
    let (mut of_x, mut of_y) = (0, 100);
    while of_x < 20 || of_y < 120 {
        let tick = events.tick().await?;
        let last = if tick > 100 { &mut of_y } else { &mut of_x };
        same("the tick", tick, *last + 1)?;
        *last = tick;
    }
    Ok(())
}

async fn fifty_subscriptions(stage: Stage) -> Verdict {
    let topic = stage.topic("fifty")?;
    let (a, b) = stage.two_buses(&[(&topic, LIVE)]).await?;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (stage, b, topic) = (stage.clone(), b.clone(), topic.clone());
        tasks.spawn(async move { ticks::subscribe(&stage, &b, &topic, Start::Live).await });
    }
    let all = tasks.join_all().await.into_iter().collect::<Result<Vec<_>, _>>()?;
    ticks::publish(&stage, &a, &topic, 1..=20).await?;
    for mut one in all {
        one.expect(1..=20).await?;
    }
    Ok(())
}

async fn ten_thousand_events(stage: Stage) -> Verdict {
    let topic = stage.topic("many")?;
    let (a, b) = stage.two_buses(&[(&topic, LIVE)]).await?;
    let mut at_b = ticks::subscribe(&stage, &b, &topic, Start::Live).await?;
    ticks::publish(&stage, &a, &topic, 1..=10_000).await?;
    let mut due = 1;
    while due <= 10_000 {
        match at_b.next().await? {
            Some(Delivery::Event(event)) => {
                ensure!(event.seq() == due, "event {due} was due, and {} came", event.seq());
                due += 1;
            }
            Some(Delivery::Gap(gap)) => match gap.missing {
                Missing::Source { from: Some(from), to: Some(to), .. } if from == due => due = to,
                _ => return Err(Fault::broken(format!("event {due} was due, and this came: {gap}"))),
            },
            other => return Err(Fault::broken(format!("event {due} was due, and this came: {other:?}"))),
        }
    }
    Ok(())
}

async fn cancelled_next_loses_nothing(stage: Stage) -> Verdict {
    let topic = stage.topic("cancel")?;
    let (a, b) = stage.two_buses(&[(&topic, LIVE)]).await?;
    let mut at_b = ticks::subscribe(&stage, &b, &topic, Start::Live).await?;
    ticks::publish(&stage, &a, &topic, 1..=200).await?;
    let mut due = 1;
    while due <= 200 {
        let polled = tokio::time::timeout(Duration::ZERO, at_b.tick()).await;
        let tick = match polled {
            Ok(tick) => tick?,
            Err(_) => at_b.tick().await?,
        };
        same("the tick", tick, due)?;
        due += 1;
    }
    Ok(())
}

async fn two_sources_in_their_orders(stage: Stage) -> Verdict {
    let topic = stage.topic("sources")?;
    let (a, b) = stage.two_buses(&[(&topic, LIVE)]).await?;
    let c = stage.bus("c", &[(&topic, LIVE)]).await?;
    stage.soon("c hears of the others", c.wait_for_others()).await?;
    let mut at_c = ticks::subscribe(&stage, &c, &topic, Start::Live).await?;
    let (of_a, of_b) = tokio::join!(
        ticks::publish(&stage, &a, &topic, 1..=100),
        ticks::publish(&stage, &b, &topic, 1001..=1100)
    );
    of_a?;
    of_b?;
    let (mut of_a, mut of_b) = (0, 1000);
    while of_a < 100 || of_b < 1100 {
        let tick = at_c.tick().await?;
        let last = if tick > 1000 { &mut of_b } else { &mut of_a };
        same("the tick", tick, *last + 1)?;
        *last = tick;
    }
    Ok(())
}

async fn log_receipt_is_stored(stage: Stage) -> Verdict {
    let topic = stage.topic("receipt")?;
    let bus = stage.bus("a", &[(&topic, LOG)]).await?;
    let publisher = bus.publisher(topic.as_str())?;
    let receipt = stage.soon("a receipt", publisher.publish(&ticks::Tick(1))).await??;
    same("durability and sequence", (receipt.durability, receipt.seq), (Durability::Stored, 1))
}

async fn replay_from_earliest(stage: Stage) -> Verdict {
    let topic = stage.topic("earliest")?;
    let (a, b) = stage.two_buses(&[(&topic, LOG)]).await?;
    ticks::publish(&stage, &a, &topic, 1..=50).await?;
    let mut at_b = ticks::subscribe(&stage, &b, &topic, Start::Earliest).await?;
    let mut at_a = ticks::subscribe(&stage, &a, &topic, Start::Earliest).await?;
    ticks::publish(&stage, &a, &topic, 51..=60).await?;
    at_b.expect(1..=60).await?;
    at_a.expect(1..=60).await
}

async fn replay_from_a_cursor(stage: Stage) -> Verdict {
    let topic = stage.topic("cursor")?;
    let (a, b) = stage.two_buses(&[(&topic, LOG)]).await?;
    ticks::publish(&stage, &a, &topic, 1..=20).await?;
    let mut first = ticks::subscribe(&stage, &b, &topic, Start::Earliest).await?;
    first.expect(1..=7).await?;
    let cursor = first.events.cursor();
    drop(first);
    let mut second = ticks::subscribe(&stage, &b, &topic, Start::Cursor(cursor)).await?;
    second.expect(8..=20).await
}

async fn replay_from_a_time(stage: Stage) -> Verdict {
    if !stage.subject().carries().time {
        return Err(Fault::not_here("records of this backend have no time"));
    }
    let topic = stage.topic("time")?;
    // One lane: the reader that looks at the times reads no other.
    let mut log = LOG;
    log.lanes = Some(1);
    let (a, b) = stage.two_buses(&[(&topic, log)]).await?;
    ticks::publish(&stage, &a, &topic, 1..=5).await?;
    tokio::time::sleep(Duration::from_millis(20)).await;
    ticks::publish(&stage, &a, &topic, 6..=9).await?;
    // The time of the record is what counts, which is the backend's.
    let reader = stage.node("reader").await?;
    let mut records = reader.read(&topic, LogStart::Earliest).await?;
    let mut time = None;
    while let Ok(FromLog::Record { raw, .. }) = skip_marks(&mut records).await {
        time = raw.time.max(time);
    }
    let Some(time) = time else { return Err(Fault::broken("records without a time")) };
    let mut at_b = ticks::subscribe(&stage, &b, &topic, Start::Time(time)).await?;
    let first = at_b.tick().await?;
    ensure!((6..=9).contains(&first), "tick {first} is older than what was asked for");
    at_b.expect(first + 1..=9).await
}

/// The next record; an error at the end of what is there.
async fn skip_marks(reader: &mut super::super::node::Reader) -> Result<FromLog, Fault> {
    loop {
        match reader.soon().await? {
            FromLog::Beginning => {}
            FromLog::CaughtUp => return Err(Fault::not_here("the end")),
            other => return Ok(other),
        }
    }
}

async fn live_on_a_log_begins_now(stage: Stage) -> Verdict {
    let topic = stage.topic("live")?;
    let (a, b) = stage.two_buses(&[(&topic, LOG)]).await?;
    ticks::publish(&stage, &a, &topic, 1..=5).await?;
    let mut at_b = ticks::subscribe(&stage, &b, &topic, Start::Live).await?;
    ticks::publish(&stage, &b, &topic, 101..=105).await?;
    ticks::publish(&stage, &a, &topic, 6..=8).await?;
    at_b.expect(6..=8).await?;
    at_b.expect_nothing().await
}

async fn durable(
    stage: &Stage,
    bus: &agora_core::bus::Bus,
    topic: &agora_core::id::TopicName,
) -> Result<Ticks, Fault> {
    let starting = bus.subscribe(topic).durable("projector").start(Start::Earliest);
    Ok(Ticks::new(stage, stage.soon("a durable subscription", starting).await??))
}

async fn durable_goes_on(stage: Stage) -> Verdict {
    let topic = stage.topic("durable")?;
    let (a, b) = stage.two_buses(&[(&topic, LOG)]).await?;
    ticks::publish(&stage, &a, &topic, 1..=10).await?;
    let mut first = durable(&stage, &b, &topic).await?;
    first.expect(1..=4).await?;
    first.events.close().await?;
    let mut second = durable(&stage, &a, &topic).await?;
    second.expect(5..=7).await?;
    second.events.save().await?;
    drop(second);
    durable(&stage, &b, &topic).await?.expect(8..=10).await
}

async fn durable_is_taken_over(stage: Stage) -> Verdict {
    let topic = stage.topic("taken")?;
    let (a, b) = stage.two_buses(&[(&topic, LOG)]).await?;
    ticks::publish(&stage, &a, &topic, 1..=3).await?;
    let mut first = durable(&stage, &a, &topic).await?;
    first.expect(1..=2).await?;
    first.events.save().await?;
    first.expect([3]).await?;
    let mut second = durable(&stage, &b, &topic).await?;
    second.expect([3]).await?;
    let late = first.events.save().await;
    same("the error", late.err().map(|error| error.kind()), Some(ErrorKind::Conflict))?;
    second.events.save().await?;
    ticks::publish(&stage, &a, &topic, [4]).await?;
    second.expect([4]).await
}

async fn retention_is_a_gap(stage: Stage) -> Verdict {
    let topic = stage.topic("retention")?;
    let (a, b) = stage.two_buses(&[(&topic, LOG)]).await?;
    for number in 1..=10 {
        ticks::publish(&stage, &a, &topic, [number]).await?;
    }
    let mut first = durable(&stage, &b, &topic).await?;
    first.expect(1..=2).await?;
    first.events.close().await?;
    stage.subject().trim(stage.cluster(), &topic, 3).await?;
    let mut second = durable(&stage, &b, &topic).await?;
    let mut is_told = false;
    loop {
        match second.next().await? {
            Some(Delivery::Gap(_)) => is_told = true,
            Some(Delivery::Event(event)) => {
                ensure!(is_told, "events 3 to 7 are gone, and nothing was said before {}", event.seq());
                same("the first that is left", event.seq(), 8)?;
                return second.expect(9..=10).await;
            }
            other => return Err(Fault::broken(format!("a gap was due, and this came: {other:?}"))),
        }
    }
}

async fn live_topic_is_not_replayed(stage: Stage) -> Verdict {
    let topic = stage.topic("live")?;
    let bus = stage.bus("a", &[(&topic, LIVE)]).await?;
    let answer = bus.subscribe(&topic).start(Start::Earliest).await;
    same("the error", answer.err().map(|error| error.kind()), Some(ErrorKind::Config))
}
