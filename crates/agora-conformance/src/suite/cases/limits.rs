//! What is large, small or odd.

use agora_core::ErrorKind;
use agora_core::bus::{Bus, Delivery, Start};
use agora_core::codec::RecordParts;
use agora_core::event::RawBytes;
use agora_core::id::{TOPIC_NAME_BYTES_MAX, TopicName};
use agora_core::limits::{BODY_BYTES_MAX, KEY_BYTES_MAX};
use agora_core::transport::{LogStart, OutFrame, Outcome, TopicSettings};
use bytes::Bytes;

use super::super::case::{Fault, Verdict, cases, ensure, same};
use super::super::node::{number_of, numbered, to};
use super::super::stage::Stage;
use super::super::ticks::{self, Ticks};

cases! { "limits":
    largest_message_arrives [Live]
        "A message of the largest size that the backend declares arrives unchanged.";
    one_byte_more_is_refused [Live]
        "One byte more is `TooLarge` and `NotStored`, and exactly what was accepted before it arrives.";
    largest_record_is_kept [Log]
        "A record of the largest size that the backend declares is kept unchanged.";
    too_large_for_a_log_is_refused [Log]
        "One byte more is refused by a log too, and exactly what was accepted before it is kept.";
    empty_message_arrives [Live]
        "A message without a byte arrives as one.";
    empty_record_is_kept [Log]
        "A record without a byte is kept as one.";
    every_byte_arrives [Live]
        "Bytes of every value arrive, whatever text they are not.";
    sizes_keep_their_order [Live]
        "Small and large messages in turn arrive in their order.";
    longest_topic_name [Live]
        "A topic of the longest name is used like any other, and is not one that differs in its last letter.";
    largest_event_arrives [Live]
        "An event with the largest body and the largest key arrives; a larger one is `TooLarge`, and costs nothing else.";
    odd_keys_and_bodies_arrive [Live]
        "Events with empty and with non-text keys and bodies arrive as they were.";
}

/// Bytes that no compressor and no text can take for something else.
fn noise(len: usize) -> Bytes {
    let mut rng = fastrand::Rng::with_seed(len as u64);
    (0..len).map(|_| rng.u8(..)).collect::<Vec<_>>().into()
}

async fn largest_message_arrives(stage: Stage) -> Verdict {
    let (a, b, topic) = (stage.node("a").await?, stage.node("b").await?, stage.topic("largest")?);
    let mut at_b = b.listen(&topic).await?;
    a.meet(&mut at_b, &topic).await?;
    let largest = noise(a.capabilities().message_bytes_max);
    a.send(&topic, vec![OutFrame::new(largest.clone())]).await?;
    let found = at_b.message().await?.payload;
    ensure!(found == largest, "{} bytes were sent, and {} others came", largest.len(), found.len());
    Ok(())
}

/// Two that fit, and one that does not.
fn too_large(max: usize) -> Vec<OutFrame> {
    vec![numbered(1), numbered(2), OutFrame::new(noise(max + 1))]
}

/// Checks the answer. Gives how many were accepted.
fn refused(answer: Result<(), agora_core::transport::PublishFailed>, max: usize) -> Result<u64, Fault> {
    let Err(failed) = answer else {
        return Err(Fault::broken(format!("{} bytes were accepted, where {max} are the most", max + 1)));
    };
    same("the error", failed.error.kind(), ErrorKind::TooLarge)?;
    same("the outcome", failed.outcome, Outcome::NotStored)?;
    ensure!(failed.accepted <= 2, "{} of two that fit were accepted", failed.accepted);
    Ok(failed.accepted as u64)
}

async fn one_byte_more_is_refused(stage: Stage) -> Verdict {
    let (a, b, topic) = (stage.node("a").await?, stage.node("b").await?, stage.topic("larger")?);
    let mut at_b = b.listen(&topic).await?;
    a.meet(&mut at_b, &topic).await?;
    let max = a.capabilities().message_bytes_max;
    let answer = stage.soon("the answer", a.publish(&to(&topic), too_large(max), stage.by())).await?;
    let accepted = refused(answer, max)?;
    a.count(&topic, [9]).await?;
    at_b.expect((1..=accepted).chain([9])).await
}

async fn largest_record_is_kept(stage: Stage) -> Verdict {
    let (a, topic) = (stage.node("a").await?, stage.topic("largest")?);
    a.open_a_log(&topic).await?;
    let largest = noise(a.capabilities().message_bytes_max);
    a.send(&topic, vec![OutFrame::new(largest.clone())]).await?;
    let found = a.read(&topic, LogStart::Earliest).await?.record().await?.raw.payload;
    ensure!(found == largest, "{} bytes were stored, and {} others were read", largest.len(), found.len());
    Ok(())
}

async fn too_large_for_a_log_is_refused(stage: Stage) -> Verdict {
    let (a, topic) = (stage.node("a").await?, stage.topic("larger")?);
    a.open_a_log(&topic).await?;
    let max = a.capabilities().message_bytes_max;
    let answer = stage.soon("the answer", a.publish(&to(&topic), too_large(max), stage.by())).await?;
    let accepted = refused(answer, max)?;
    a.count(&topic, [9]).await?;
    let found = a.read(&topic, LogStart::Earliest).await?.caught_up().await?;
    let found: Result<Vec<_>, _> = found.iter().map(|payload| number_of(payload)).collect();
    same("the log", found?, (1..=accepted).chain([9]).collect())
}

async fn empty_message_arrives(stage: Stage) -> Verdict {
    let (a, b, topic) = (stage.node("a").await?, stage.node("b").await?, stage.topic("empty")?);
    let mut at_b = b.listen(&topic).await?;
    a.meet(&mut at_b, &topic).await?;
    a.send(&topic, vec![OutFrame::new(""), numbered(1)]).await?;
    same("the message", at_b.message().await?.payload, Bytes::new())?;
    at_b.expect([1]).await
}

async fn empty_record_is_kept(stage: Stage) -> Verdict {
    let (a, topic) = (stage.node("a").await?, stage.topic("empty")?);
    a.open_a_log(&topic).await?;
    a.send(&topic, vec![OutFrame::new(""), numbered(1)]).await?;
    let mut reader = a.read(&topic, LogStart::Earliest).await?;
    same("the record", reader.record().await?.raw.payload, Bytes::new())?;
    reader.expect([1]).await.map(drop)
}

async fn every_byte_arrives(stage: Stage) -> Verdict {
    let (a, b, topic) = (stage.node("a").await?, stage.node("b").await?, stage.topic("bytes")?);
    let mut at_b = b.listen(&topic).await?;
    a.meet(&mut at_b, &topic).await?;
    let every: Bytes = (0..=255).collect::<Vec<u8>>().into();
    a.send(&topic, vec![OutFrame::new(every.clone())]).await?;
    same("the message", at_b.message().await?.payload, every)
}

async fn sizes_keep_their_order(stage: Stage) -> Verdict {
    let (a, b, topic) = (stage.node("a").await?, stage.node("b").await?, stage.topic("sizes")?);
    let mut at_b = b.listen(&topic).await?;
    a.meet(&mut at_b, &topic).await?;
    let sizes: Vec<usize> = (1..=20).flat_map(|n| [n * 7919 % 200_000, n]).collect();
    for size in &sizes {
        a.send(&topic, vec![OutFrame::new(noise(*size))]).await?;
    }
    for size in sizes {
        let found = at_b.message().await?.payload;
        ensure!(found == noise(size), "a message of {size} bytes was due, and one of {} came", found.len());
    }
    Ok(())
}

async fn longest_topic_name(stage: Stage) -> Verdict {
    let (a, b) = (stage.node("a").await?, stage.node("b").await?);
    let start = stage.topic("x")?;
    let rest = "n".repeat(TOPIC_NAME_BYTES_MAX - start.as_str().len() - 1);
    let (mut topics, mut listeners) = (Vec::new(), Vec::new());
    for last in ["1", "2"] {
        let topic = TopicName::new(&format!("{start}{rest}{last}"))?;
        let mut listener = b.listen(&topic).await?;
        a.meet(&mut listener, &topic).await?;
        topics.push(topic);
        listeners.push(listener);
    }
    a.count(&topics[0], 1..=3).await?;
    a.count(&topics[1], 11..=13).await?;
    listeners[0].expect(1..=3).await?;
    listeners[1].expect(11..=13).await
}

async fn largest_event_arrives(stage: Stage) -> Verdict {
    let topic = stage.topic("event")?;
    let (a, b) = stage.two_buses(&[(&topic, TopicSettings::LIVE)]).await?;
    let mut at_b = ticks::subscribe(&stage, &b, &topic, Start::Live).await?;
    let publisher = a.publisher(topic.as_str())?;
    let larger = stage.soon("the answer", publisher.publish(&RawBytes(vec![7; BODY_BYTES_MAX + 1]))).await?;
    same("the error of a body", larger.err().map(|error| error.kind()), Some(ErrorKind::TooLarge))?;
    let (body, key) = (noise(BODY_BYTES_MAX), noise(KEY_BYTES_MAX + 1));
    let larger = stage.soon("the answer", publisher.publish_record(&record(&body, Some(&key)))).await?;
    same("the error of a key", larger.err().map(|error| error.kind()), Some(ErrorKind::TooLarge))?;
    let key = &key[..KEY_BYTES_MAX];
    stage.soon("a receipt", publisher.publish_record(&record(&body, Some(key)))).await??;
    expect_record(&mut at_b, &body, Some(key)).await
}

async fn odd_keys_and_bodies_arrive(stage: Stage) -> Verdict {
    let topic = stage.topic("odd")?;
    let (a, b): (Bus, Bus) = stage.two_buses(&[(&topic, TopicSettings::LIVE)]).await?;
    let mut at_b = ticks::subscribe(&stage, &b, &topic, Start::Live).await?;
    let publisher = a.publisher(topic.as_str())?;
    let odd: [(&[u8], Option<&[u8]>); 5] = [
        (b"", None),
        (b"", Some(b"")),
        (b"\xff\xfe\0\xc3\x28", Some(b"\0\xff")),
        (b"{\"a\":1}\r\n", Some(b"a/b c\r\n")),
        (b"\0", Some("schl\u{fc}ssel \u{1f511}".as_bytes())),
    ];
    for (body, key) in odd {
        stage.soon("a receipt", publisher.publish_record(&record(body, key))).await??;
    }
    for (body, key) in odd {
        expect_record(&mut at_b, body, key).await?;
    }
    Ok(())
}

fn record<'a>(body: &'a [u8], key: Option<&'a [u8]>) -> RecordParts<'a> {
    let kind = "conformance.odd";
    RecordParts { kind, version: 1, resync: false, key, body, id: None, correlation: None }
}

async fn expect_record(ticks: &mut Ticks, body: &[u8], key: Option<&[u8]>) -> Verdict {
    match ticks.next().await? {
        Some(Delivery::Event(event)) => {
            ensure!(event.record().body() == body, "a body of {} bytes was changed", body.len());
            same("the key", event.record().key(), key)
        }
        other => Err(Fault::broken(format!("an event was due, and this came: {other:?}"))),
    }
}
