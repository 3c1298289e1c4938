//! Logs: what is published is kept, and can be read again.

use std::time::Duration;

use agora_core::id::TopicName;
use agora_core::transport::{FromLog, LogStart, OutFrame, Position, TopicSpec};
use tokio::time::timeout;

use super::super::case::{Fault, Verdict, cases, ensure, same};
use super::super::node::{Node, Reader, number_of, numbered, to};
use super::super::stage::Stage;
use super::live::{check_dress, dressed};

cases! { "log":
    earliest_reads_everything [Log]
        "From the earliest, a log gives every record in order, and goes on with what comes.";
    positions_grow [Log]
        "Positions grow, and are the same for every reader, stamps included.";
    end_is_told [Log]
        "The end is told when everything was told, and again after more.";
    beginning_is_told_first [Log]
        "Where the beginning is told, it comes before the first record and on a whole log only.";
    reader_may_come_first [Log]
        "A log that is opened for reading while it is empty gives what is published later.";
    last_is_a_mark [Log]
        "From the last, a reader gets the newest record, then the end, then what comes.";
    last_of_an_empty_log [Log]
        "From the last of an empty log, a reader gets the end, then what comes.";
    at_a_position [Log]
        "From a position, a reader gets the record that stands there, and what follows.";
    behind_the_last_position [Log]
        "From behind the newest record, a reader gets what comes, and nothing old.";
    at_a_time [Log]
        "From a time, a reader gets the first record of that time or later.";
    readers_are_apart [Log]
        "Two readers each get everything, and one that is dropped ends alone.";
    writers_are_merged_once [Log]
        "Two nodes append at once: every reader sees one order, and each node's records in its order.";
    calls_keep_their_order [Log]
        "Records stand in the order of the calls, whichever future is polled first.";
    topics_are_apart [Log]
        "A log holds its own records, also where names are alike.";
    clusters_are_apart [Log]
        "A log of another cluster is another log.";
    outlives_its_writers [Log]
        "What was stored is there after every node has gone.";
    cancelled_recv_loses_nothing [Log]
        "No record is lost when the future of `recv` is dropped, however often.";
    recv_gives_at_most_what_was_asked [Log]
        "`recv` gives at most as many records as it was asked for.";
    opening_twice_is_fine [Log]
        "Opening a log that is there finds it, from every node, with the same lanes.";
    ten_thousand_records [Log]
        "Ten thousand records are read in order, each once.";
    keys_headers_time_arrive [Log]
        "Keys, headers and times are kept, where the backend carries them.";
    trimmed_is_told [Log]
        "A reader that retention has overtaken is told, and goes on with the oldest record that is left.";
    trimmed_log_has_no_beginning [Log]
        "A log whose first records are gone does not claim to begin with the oldest that is left.";
    restart_keeps_what_was_stored [Log]
        "What was stored is there after the server was restarted.";
    restarts_lose_nothing_stored [Log]
        "While ten thousand records are written, the server restarts twice: what was accepted is there, in order.";
    past_deadline_stores_nothing [Log]
        "A deadline that has passed stores nothing, and it is certain that it did not.";
}

/// A node with a log that holds these numbers.
async fn stored(stage: &Stage, topic: &str, numbers: u64) -> Result<(Node, TopicName), Fault> {
    let (node, topic) = (stage.node("a").await?, stage.topic(topic)?);
    node.open_a_log(&topic).await?;
    node.count(&topic, 1..=numbers).await?;
    Ok((node, topic))
}

async fn earliest_reads_everything(stage: Stage) -> Verdict {
    let (a, topic) = stored(&stage, "all", 10).await?;
    let b = stage.node("b").await?;
    b.open_a_log(&topic).await?;
    let mut at_b = b.read(&topic, LogStart::Earliest).await?;
    at_b.expect(1..=10).await?;
    a.count(&topic, 11..=20).await?;
    at_b.expect(11..=20).await?;
    let mut again = a.read(&topic, LogStart::Earliest).await?;
    again.expect(1..=20).await.map(drop)
}

async fn positions_grow(stage: Stage) -> Verdict {
    let (a, topic) = stored(&stage, "positions", 20).await?;
    let b = stage.node("b").await?;
    let once = a.read(&topic, LogStart::Earliest).await?.expect(1..=20).await?;
    let again = b.read(&topic, LogStart::Earliest).await?.expect(1..=20).await?;
    for pair in once.windows(2) {
        ensure!(pair[0].at < pair[1].at, "{:?} is followed by {:?}", pair[0].at, pair[1].at);
    }
    for (one, other) in once.iter().zip(&again) {
        same("position and stamp", (other.at, other.stamp), (one.at, one.stamp))?;
    }
    Ok(())
}

async fn end_is_told(stage: Stage) -> Verdict {
    let (a, topic) = stored(&stage, "end", 5).await?;
    let mut reader = a.read(&topic, LogStart::Earliest).await?;
    same("records before the end", reader.caught_up().await?.len(), 5)?;
    stage.never("an end that was told already", reader.next()).await?;
    a.count(&topic, 6..=7).await?;
    let mut after = 0;
    while after < 2 {
        // Between two that are appended one by one the end may be reached as well.
        after += reader.caught_up().await?.len();
    }
    same("records before the next end", after, 2)
}

async fn beginning_is_told_first(stage: Stage) -> Verdict {
    let (a, topic) = stored(&stage, "beginning", 3).await?;
    let mut reader = a.read(&topic, LogStart::Earliest).await?;
    let mut records = 0;
    while records < 3 {
        match reader.soon().await? {
            FromLog::Record { .. } => records += 1,
            FromLog::Beginning => same("records before the beginning", records, 0)?,
            FromLog::CaughtUp => {}
            other => return Err(Fault::broken(format!("{other:?} on a log from which nothing was lost"))),
        }
    }
    let mut later = a.read(&topic, LogStart::Last).await?;
    let first = later.soon().await?;
    ensure!(!matches!(first, FromLog::Beginning), "the last of three is told to be the first");
    Ok(())
}

async fn reader_may_come_first(stage: Stage) -> Verdict {
    let (a, b, topic) = (stage.node("a").await?, stage.node("b").await?, stage.topic("empty")?);
    b.open_a_log(&topic).await?;
    let mut reader = b.read(&topic, LogStart::Earliest).await?;
    same("records of an empty log", reader.caught_up().await?.len(), 0)?;
    a.open_a_log(&topic).await?;
    a.count(&topic, 1..=5).await?;
    reader.expect(1..=5).await.map(drop)
}

async fn last_is_a_mark(stage: Stage) -> Verdict {
    let (a, topic) = stored(&stage, "last", 7).await?;
    let mut reader = a.read(&topic, LogStart::Last).await?;
    let before = reader.caught_up().await?;
    same("records before the end", before.len(), 1)?;
    same("the record", number_of(&before[0])?, 7)?;
    a.count(&topic, 8..=9).await?;
    reader.expect(8..=9).await.map(drop)
}

async fn last_of_an_empty_log(stage: Stage) -> Verdict {
    let (a, topic) = stored(&stage, "empty", 0).await?;
    let mut reader = a.read(&topic, LogStart::Last).await?;
    same("records before the end", reader.caught_up().await?.len(), 0)?;
    a.count(&topic, 1..=2).await?;
    reader.expect(1..=2).await.map(drop)
}

async fn at_a_position(stage: Stage) -> Verdict {
    let (a, topic) = stored(&stage, "at", 10).await?;
    let records = a.read(&topic, LogStart::Earliest).await?.expect(1..=10).await?;
    for number in [1, 4, 10] {
        let at = records[number - 1].at;
        let mut reader = a.read(&topic, LogStart::At(at)).await?;
        let found = reader.expect(number as u64..=10).await?;
        same("the position", found[0].at, at)?;
    }
    Ok(())
}

async fn behind_the_last_position(stage: Stage) -> Verdict {
    let (a, topic) = stored(&stage, "behind", 3).await?;
    let records = a.read(&topic, LogStart::Earliest).await?.expect(1..=3).await?;
    let mut reader = a.read(&topic, LogStart::At(Position(records[2].at.0 + 1))).await?;
    same("old records", reader.caught_up().await?.len(), 0)?;
    a.count(&topic, [4]).await?;
    reader.expect([4]).await.map(drop)
}

async fn at_a_time(stage: Stage) -> Verdict {
    if !stage.subject().carries().time {
        return Err(Fault::not_here("records of this backend have no time"));
    }
    let (a, topic) = stored(&stage, "time", 3).await?;
    // Far enough apart for every clock.
    tokio::time::sleep(Duration::from_millis(20)).await;
    a.count(&topic, 4..=6).await?;
    let records = a.read(&topic, LogStart::Earliest).await?.expect(1..=6).await?;
    let times: Vec<_> = records.iter().filter_map(|record| record.raw.time).collect();
    same("records with a time", times.len(), 6)?;
    ensure!(times.is_sorted(), "times run backwards: {times:?}");
    ensure!(times[2] < times[3], "20 ms later is the same time: {times:?}");
    let mut reader = a.read(&topic, LogStart::Time(times[3])).await?;
    reader.expect(4..=6).await?;
    let before = times[0] - Duration::from_secs(1);
    a.read(&topic, LogStart::Time(before)).await?.expect(1..=6).await?;
    let after = times[5] + Duration::from_millis(1);
    let mut reader = a.read(&topic, LogStart::Time(after)).await?;
    same("old records", reader.caught_up().await?.len(), 0)?;
    tokio::time::sleep(Duration::from_millis(20)).await;
    a.count(&topic, [7]).await?;
    reader.expect([7]).await.map(drop)
}

async fn readers_are_apart(stage: Stage) -> Verdict {
    let (a, topic) = stored(&stage, "readers", 5).await?;
    let mut first = a.read(&topic, LogStart::Earliest).await?;
    let mut second = a.read(&topic, LogStart::Earliest).await?;
    first.expect(1..=5).await?;
    drop(first);
    a.count(&topic, 6..=10).await?;
    second.expect(1..=10).await.map(drop)
}

async fn writers_are_merged_once(stage: Stage) -> Verdict {
    let (a, topic) = stored(&stage, "writers", 0).await?;
    let b = stage.node("b").await?;
    b.open_a_log(&topic).await?;
    let (of_a, of_b) = tokio::join!(a.count(&topic, 1..=50), b.count(&topic, 1001..=1050));
    of_a?;
    of_b?;
    let mut orders = Vec::new();
    for node in [&a, &b] {
        let payloads = node.read(&topic, LogStart::Earliest).await?.caught_up().await?;
        let numbers: Result<Vec<_>, _> = payloads.iter().map(|payload| number_of(payload)).collect();
        orders.push(numbers?);
    }
    same("records", orders[0].len(), 100)?;
    ensure!(orders[0] == orders[1], "two readers see two orders");
    for (name, of_one) in [("a", 0..=1000_u64), ("b", 1001..=2000)] {
        let mine: Vec<_> = orders[0].iter().filter(|number| of_one.contains(*number)).collect();
        ensure!(mine.is_sorted() && mine.len() == 50, "the records of {name} are out of order: {mine:?}");
    }
    Ok(())
}

async fn calls_keep_their_order(stage: Stage) -> Verdict {
    let (a, topic) = stored(&stage, "calls", 0).await?;
    let by = stage.by();
    let mut calls: Vec<_> =
        (1..=100).map(|number| a.publish(&to(&topic), vec![numbered(number)], by)).collect();
    while let Some(last) = calls.pop() {
        stage.soon("a publish", last).await??;
    }
    a.read(&topic, LogStart::Earliest).await?.expect(1..=100).await.map(drop)
}

async fn topics_are_apart(stage: Stage) -> Verdict {
    let a = stage.node("a").await?;
    let mut topics = Vec::new();
    for (number, name) in (1..).zip(["x", "x.y", "x_y", "x-y", "X", "xy"]) {
        let topic = stage.topic(name)?;
        let open: Vec<_> = topics.iter().map(|(_, topic)| TopicName::clone(topic)).collect();
        if stage.is_refused(&a, &TopicSpec::log(topic.clone()), &open).await? {
            continue;
        }
        a.open_a_log(&topic).await?;
        a.count(&topic, [number, 100 + number]).await?;
        topics.push((number, topic));
    }
    for (number, topic) in &topics {
        let found = a.read(topic, LogStart::Earliest).await?.caught_up().await?;
        let found: Result<Vec<_>, _> = found.iter().map(|payload| number_of(payload)).collect();
        same(topic.as_str(), found?, vec![*number, 100 + number])?;
    }
    Ok(())
}

async fn clusters_are_apart(stage: Stage) -> Verdict {
    let (a, topic) = stored(&stage, "shared", 3).await?;
    let x = stage.stranger("x").await?;
    x.open_a_log(&topic).await?;
    let mut at_x = x.read(&topic, LogStart::Earliest).await?;
    same("records of another cluster", at_x.caught_up().await?.len(), 0)?;
    x.count(&topic, [100]).await?;
    at_x.expect([100]).await?;
    a.count(&topic, [4]).await?;
    a.read(&topic, LogStart::Earliest).await?.expect(1..=4).await.map(drop)
}

async fn outlives_its_writers(stage: Stage) -> Verdict {
    let (a, topic) = stored(&stage, "outlives", 5).await?;
    a.close(stage.by()).await?;
    drop(a);
    let b = stage.node("b").await?;
    b.open_a_log(&topic).await?;
    b.read(&topic, LogStart::Earliest).await?.expect(1..=5).await.map(drop)
}

async fn cancelled_recv_loses_nothing(stage: Stage) -> Verdict {
    let (a, topic) = stored(&stage, "cancel", 0).await?;
    let mut reader = a.read(&topic, LogStart::Earliest).await?;
    let mut got: Vec<FromLog> = Vec::new();
    for number in 1..=200 {
        let _ = timeout(Duration::ZERO, reader.inbox.recv(1, &mut got)).await;
        a.count(&topic, [number]).await?;
        let _ = timeout(Duration::ZERO, reader.inbox.recv(1, &mut got)).await;
    }
    let (mut due, mut taken) = (1, 0);
    while due <= 200 {
        if taken == got.len() {
            stage.soon("the records that are left", reader.inbox.recv(10, &mut got)).await??;
            continue;
        }
        if let FromLog::Record { raw, .. } = &got[taken] {
            same("the record", number_of(&raw.payload)?, due)?;
            due += 1;
        }
        taken += 1;
    }
    Ok(())
}

async fn recv_gives_at_most_what_was_asked(stage: Stage) -> Verdict {
    let (a, topic) = stored(&stage, "budget", 50).await?;
    let mut reader = a.read(&topic, LogStart::Earliest).await?;
    let (mut got, mut records) = (Vec::new(), 0);
    while records < 50 {
        got.clear();
        stage.soon("records", reader.inbox.recv(7, &mut got)).await??;
        let found = got.iter().filter(|one| matches!(one, FromLog::Record { .. })).count();
        ensure!(!got.is_empty(), "`recv` returned, and there was nothing");
        ensure!(found <= 7, "`recv` gave {found} records where 7 were asked for");
        records += found;
    }
    same("records", records, 50)
}

async fn opening_twice_is_fine(stage: Stage) -> Verdict {
    let (a, topic) = stored(&stage, "twice", 2).await?;
    let b = stage.node("b").await?;
    let spec = TopicSpec::log(topic.clone());
    let lanes = [a.open(&spec).await?.lanes(), b.open(&spec).await?.lanes(), a.open(&spec).await?.lanes()];
    ensure!(lanes[0] == lanes[1] && lanes[1] == lanes[2], "one log has so many lanes at once: {lanes:?}");
    b.read(&topic, LogStart::Earliest).await?.expect(1..=2).await.map(drop)
}

async fn ten_thousand_records(stage: Stage) -> Verdict {
    let (a, topic) = stored(&stage, "many", 0).await?;
    for call in 0..100 {
        a.send(&topic, (1..=100).map(|number| numbered(call * 100 + number)).collect()).await?;
    }
    let records = a.read(&topic, LogStart::Earliest).await?.expect(1..=10_000).await?;
    ensure!(records.is_sorted_by(|a, b| a.at < b.at), "positions do not grow");
    Ok(())
}

async fn keys_headers_time_arrive(stage: Stage) -> Verdict {
    let (a, topic) = stored(&stage, "headers", 0).await?;
    let b = stage.node("b").await?;
    a.send(&topic, vec![dressed(), OutFrame::new("bare")]).await?;
    let mut reader = b.read(&topic, LogStart::Earliest).await?;
    let record = reader.record().await?;
    check_dress(&stage, &record.raw)?;
    ensure!(record.raw.time.is_some() || !stage.subject().carries().time, "a record without a time");
    let bare = reader.record().await?.raw;
    ensure!(
        bare.key.is_none() && bare.headers.is_empty(),
        "a record without key and headers has some: {bare:?}"
    );
    Ok(())
}

async fn trimmed_is_told(stage: Stage) -> Verdict {
    let (a, topic) = stored(&stage, "trimmed", 10).await?;
    let records = a.read(&topic, LogStart::Earliest).await?.expect(1..=10).await?;
    let mut reader = a.read(&topic, LogStart::At(records[1].at)).await?;
    let mut got = Vec::new();
    stage.soon("a record", reader.inbox.recv(1, &mut got)).await??;
    ensure!(matches!(&got[..], [FromLog::Record { .. }]), "one record was due: {got:?}");
    stage.subject().trim(stage.cluster(), &topic, 4).await?;
    overtaken(&mut reader).await?;
    // Whoever comes afterwards has read nothing ahead.
    let mut late = a.read(&topic, LogStart::At(records[1].at)).await?;
    let first = loop {
        match late.soon().await? {
            FromLog::Record { raw, .. } => break number_of(&raw.payload)?,
            FromLog::Trimmed => {}
            other => return Err(Fault::broken(format!("the first record that is left was due: {other:?}"))),
        }
    };
    same("the first that is left", first, 7)?;
    late.expect(8..=10).await?;
    // Emptied: whoever has read the last one, and opens the log there, must not take it for another log.
    stage.subject().trim(stage.cluster(), &topic, 0).await?;
    let mut reader = a.read(&topic, LogStart::At(records[9].at)).await?;
    let first = reader.soon().await?;
    ensure!(matches!(first, FromLog::Trimmed), "nothing is left of the log, and it begins with {first:?}");
    same("records of a log that was emptied", reader.caught_up().await?.len(), 0)
}

/// Reads from 3 to 10, of which 3 to 6 are trimmed away. What was read ahead may come all the same; where something does
/// not come, it is told in front of what follows.
async fn overtaken(reader: &mut Reader) -> Verdict {
    let (mut due, mut is_told) = (3, false);
    while due <= 10 {
        match reader.soon().await? {
            FromLog::Trimmed => is_told = true,
            FromLog::CaughtUp => {}
            FromLog::Record { raw, .. } => {
                let number = number_of(&raw.payload)?;
                let comes_after_gap = is_told && number == 7;
                ensure!(number == due || comes_after_gap, "{due} was due or told to be gone before {number}");
                (due, is_told) = (number + 1, false);
            }
            other => {
                return Err(Fault::broken(format!(
                    "a record or `Trimmed` was due, and this came: {other:?}"
                )));
            }
        }
    }
    Ok(())
}

async fn trimmed_log_has_no_beginning(stage: Stage) -> Verdict {
    let (a, topic) = stored(&stage, "trimmed", 10).await?;
    stage.subject().trim(stage.cluster(), &topic, 4).await?;
    let mut reader = a.read(&topic, LogStart::Earliest).await?;
    let mut due = 7;
    while due <= 10 {
        match reader.soon().await? {
            FromLog::Record { raw, .. } => {
                same("the record", number_of(&raw.payload)?, due)?;
                due += 1;
            }
            FromLog::Beginning => {
                return Err(Fault::broken("the oldest record that is left is told to be the first ever"));
            }
            FromLog::Trimmed | FromLog::CaughtUp => {}
            FromLog::Rewritten | FromLog::Interrupted => {
                return Err(Fault::broken("an interruption that nobody caused"));
            }
        }
    }
    Ok(())
}

async fn restart_keeps_what_was_stored(stage: Stage) -> Verdict {
    let (a, topic) = stored(&stage, "restart", 5).await?;
    stage.subject().restart_server().await?;
    a.usable().await?;
    a.open_a_log(&topic).await?;
    a.count(&topic, 6..=8).await?;
    a.read(&topic, LogStart::Earliest).await?.expect(1..=8).await.map(drop)
}

async fn restarts_lose_nothing_stored(stage: Stage) -> Verdict {
    let (a, topic) = stored(&stage, "restarts", 0).await?;
    for call in 0..100_u64 {
        if call == 33 || call == 50 {
            stage.subject().restart_server().await?;
        }
        // Until it is accepted: an attempt whose outcome is not known may have been stored as well.
        let accepted = async {
            loop {
                let frames = (1..=100).map(|number| numbered(call * 100 + number)).collect();
                match a.publish(&to(&topic), frames, stage.by()).await {
                    Ok(()) => return Ok(()),
                    Err(failed) if failed.error.is_retryable() => a.usable().await?,
                    Err(failed) => return Err(Fault::from(failed)),
                }
            }
        };
        stage.soon("a publish is accepted", accepted).await??;
    }
    let mut reader = a.read(&topic, LogStart::Earliest).await?;
    let mut due = 1;
    while due <= 10_000 {
        let found = number_of(&reader.record().await?.raw.payload)?;
        ensure!(found <= due, "record {due} was accepted, and is not there: {found} came");
        due += u64::from(found == due);
    }
    Ok(())
}

async fn past_deadline_stores_nothing(stage: Stage) -> Verdict {
    let (a, topic) = stored(&stage, "late", 1).await?;
    let past = tokio::time::Instant::now().checked_sub(Duration::from_secs(1));
    let by = past.unwrap_or_else(tokio::time::Instant::now);
    let answer = stage.soon("the answer", a.publish(&to(&topic), vec![numbered(2)], by)).await?;
    let Err(failed) = answer else { return Err(Fault::broken("a publish succeeded after its deadline")) };
    same("the outcome", failed.outcome, agora_core::transport::Outcome::NotStored)?;
    a.count(&topic, [3]).await?;
    let found = a.read(&topic, LogStart::Earliest).await?.caught_up().await?;
    same("records", found.len(), 2)?;
    same("the second", number_of(&found[1])?, 3)
}
