//! The codec against what it is built on and what stands beside it, all with the same event.
//!
//! `cargo xtask bench codec` runs it and then sets the medians in relation to each other.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::hint::black_box;

use agora_core::codec::{Frame, FrameBuilder, FrameType, Parsed, Stamp, parse};
use agora_core::event::{Body, Event, Key};
use agora_core::id::{Incarnation, NodeId, SourceId, StreamId};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::{Deserialize, Serialize};

/// Events in the frame that shows what a busy publisher costs.
const BATCH: usize = 64;

/// A realistic event: a change, two numbers, three small lists, a short text. 58 bytes in the format of bodies.
#[derive(Serialize, Deserialize, bincode::Encode, bincode::Decode)]
struct Changed {
    change: Change,
    account: u64,
    state: u64,
    added: Vec<u32>,
    removed: Vec<u32>,
    flags: Vec<u8>,
    mailbox: String,
}

#[derive(Clone, Copy, Serialize, Deserialize, bincode::Encode, bincode::Decode)]
enum Change {
    Messages,
    Flags,
}

impl Event for Changed {
    const KIND: &'static str = "bench.mailbox.changed";

    fn key(&self) -> Option<Key<'_>> {
        Some(self.account.into())
    }
}

/// The same without a key: what bare bincode carries, and nothing more. What is compared with it is without a key too.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct Keyless(Changed);

impl Event for Keyless {
    const KIND: &'static str = "bench.mailbox.changed";
}

fn event() -> Changed {
    Changed {
        change: Change::Flags,
        account: 71_234,
        state: 1_234_567_890,
        added: vec![40_001, 40_002, 40_003],
        removed: vec![39_001, 7],
        flags: vec![1, 2, 3, 4, 5, 6],
        mailbox: "INBOX/Projects/2026/agora".to_owned(),
    }
}

fn stamp() -> Stamp {
    Stamp {
        source: SourceId { node: NodeId(1), incarnation: Incarnation(2) },
        stream: StreamId(3),
        seq: 1_000,
        floor: 900,
        sent_us: 1_764_000_000_000_000,
    }
}

fn frame_of<E: Event>(event: &E, events: usize) -> Bytes {
    let mut builder = FrameBuilder::new();
    for _ in 0..events {
        builder.push_event(event).unwrap();
    }
    builder.finish(&stamp(), FrameType::Data)
}

fn parsed(bytes: &Bytes) -> Frame {
    match parse(bytes.clone()) {
        Parsed::Frame(frame) => frame,
        other => unreachable!("{other:?}"),
    }
}

const BARE: bincode::config::Configuration = bincode::config::standard();

fn encode(c: &mut Criterion) {
    let mut group = c.benchmark_group("encode");
    let (event, keyless) = (event(), Keyless(event()));
    group.throughput(Throughput::Elements(1));
    let mut bytes = Vec::with_capacity(1 << 16);
    group.bench_function("bincode derive", |b| {
        b.iter(|| {
            bytes.clear();
            bincode::encode_into_std_write(black_box(&event), &mut bytes, BARE).unwrap();
            // A message is handed on: the buffer stays, the bytes go.
            Bytes::copy_from_slice(&bytes)
        });
    });
    group.bench_function("bincode serde", |b| {
        b.iter(|| {
            bytes.clear();
            bincode::serde::encode_into_std_write(black_box(&event), &mut bytes, BARE).unwrap();
            Bytes::copy_from_slice(&bytes)
        });
    });
    group.bench_function("body", |b| {
        b.iter(|| {
            bytes.clear();
            Body::new(&mut bytes).encode(black_box(&event)).unwrap();
            Bytes::copy_from_slice(&bytes)
        });
    });
    group.bench_function("postcard", |b| {
        b.iter(|| {
            bytes.clear();
            bytes = postcard::to_extend(black_box(&event), std::mem::take(&mut bytes)).unwrap();
            Bytes::copy_from_slice(&bytes)
        });
    });
    group.bench_function("serde_json", |b| {
        b.iter(|| {
            bytes.clear();
            serde_json::to_writer(&mut bytes, black_box(&event)).unwrap();
            Bytes::copy_from_slice(&bytes)
        });
    });
    let mut builder = FrameBuilder::new();
    group.bench_function("frame of 1", |b| {
        b.iter(|| {
            builder.push_event(black_box(&keyless)).unwrap();
            builder.finish(&stamp(), FrameType::Data)
        });
    });
    group.bench_function("frame of 1, with its key", |b| {
        b.iter(|| {
            builder.push_event(black_box(&event)).unwrap();
            builder.finish(&stamp(), FrameType::Data)
        });
    });
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("64 x bincode derive", |b| {
        b.iter(|| {
            bytes.clear();
            for _ in 0..BATCH {
                bincode::encode_into_std_write(black_box(&event), &mut bytes, BARE).unwrap();
            }
            Bytes::copy_from_slice(&bytes)
        });
    });
    group.bench_function("frame of 64", |b| {
        b.iter(|| {
            for _ in 0..BATCH {
                builder.push_event(black_box(&keyless)).unwrap();
            }
            builder.finish(&stamp(), FrameType::Data)
        });
    });
    group.finish();
}

fn decode(c: &mut Criterion) {
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(1));
    let event = event();
    let bare = bincode::encode_to_vec(&event, BARE).unwrap();
    group.bench_function("bincode derive", |b| {
        b.iter(|| bincode::decode_from_slice::<Changed, _>(black_box(&bare), BARE).unwrap().0);
    });
    group.bench_function("bincode serde", |b| {
        b.iter(|| bincode::serde::decode_from_slice::<Changed, _>(black_box(&bare), BARE).unwrap().0);
    });
    let compact = postcard::to_stdvec(&event).unwrap();
    group.bench_function("postcard", |b| {
        b.iter(|| postcard::from_bytes::<Changed>(black_box(&compact)).unwrap());
    });
    let text = serde_json::to_vec(&event).unwrap();
    group.bench_function("serde_json", |b| {
        b.iter(|| serde_json::from_slice::<Changed>(black_box(&text)).unwrap());
    });
    let one = parsed(&frame_of(&Keyless(self::event()), 1));
    group.bench_function("owned", |b| {
        b.iter(|| black_box(&one).records().next().unwrap().decode::<Keyless>().unwrap());
    });
    let wire = frame_of(&Keyless(self::event()), 1);
    group.bench_function("frame of 1, parsed and owned", |b| {
        b.iter(|| parsed(black_box(&wire)).records().next().unwrap().decode::<Keyless>().unwrap());
    });
    group.throughput(Throughput::Elements(BATCH as u64));
    let many = frame_of(&Keyless(self::event()), BATCH);
    group.bench_function("frame of 64, parsed and owned", |b| {
        b.iter(|| {
            for record in parsed(black_box(&many)).records() {
                black_box(record.decode::<Keyless>().unwrap());
            }
        });
    });
    group.bench_function("64 x bincode derive", |b| {
        b.iter(|| {
            for _ in 0..BATCH {
                black_box(bincode::decode_from_slice::<Changed, _>(black_box(&bare), BARE).unwrap().0);
            }
        });
    });
    group.finish();
}

/// What it costs to find out what a message is, without its bodies: kind, key and sequence of each event.
fn route(c: &mut Criterion) {
    let mut group = c.benchmark_group("route");
    for events in [1, BATCH] {
        let wire = frame_of(&event(), events);
        group.throughput(Throughput::Elements(events as u64));
        group.bench_function(format!("frame of {events}"), |b| {
            b.iter(|| {
                for record in parsed(black_box(&wire)).records() {
                    black_box((record.kind_bytes().len(), record.key(), record.seq()));
                }
            });
        });
    }
    group.finish();
}

/// The sizes, which no clock can tell: bytes on the wire for each event.
fn sizes(_: &mut Criterion) {
    let bare = bincode::encode_to_vec(event(), BARE).unwrap().len();
    #[allow(clippy::print_stdout, reason = "it is part of the result")]
    for events in [1, BATCH] {
        let bytes = frame_of(&Keyless(event()), events).len() as f64 / events as f64;
        let ratio = bytes / bare as f64;
        println!(
            "size of a frame of {events}: {bytes:.1} bytes an event, {ratio:.2}x the {bare} of bare bincode"
        );
    }
}

criterion_group!(benches, sizes, encode, decode, route);
criterion_main!(benches);
