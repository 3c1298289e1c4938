//! Batches as pure values: what a broker answers, what it should not, and what nobody should.

use std::time::{Duration, UNIX_EPOCH};

use agora_kafka::read::{Aborted, BATCH_BYTES_MAX, Codec, Fetched, HEADERS_MAX, Opened, Piece, Walk};
use proptest::prelude::*;

use super::made::{APPEND_TIME, Batch, CODECS, Made, TRANSACTIONAL, joined, old_message, value_of};

fn open(bytes: &[u8], from: i64, aborted: &[Aborted]) -> (Vec<Piece>, i64) {
    let mut walk = Walk::new(bytes, from);
    let steps = walk.by_ref().collect();
    let next = walk.next_offset();
    let fetched = Fetched { steps, aborted: aborted.to_vec(), is_end: false };
    let mut opened = Opened::new(fetched, 7, from);
    let pieces = opened.by_ref().collect();
    (pieces, next.max(opened.end()))
}

/// `offset:value`, or `from..until!` for what is passed by; then the next offset.
fn text(bytes: &[u8], from: i64, aborted: &[Aborted]) -> String {
    let (pieces, next) = open(bytes, from, aborted);
    let mut words: Vec<String> = pieces
        .iter()
        .map(|piece| match piece {
            Piece::Record(record) => {
                format!("{}:{}", record.offset, String::from_utf8_lossy(&record.raw.payload))
            }
            Piece::Unreadable { from, until, .. } => format!("{from}..{until}!"),
        })
        .collect();
    words.push(format!("then {next}"));
    words.join(" ")
}

#[test]
fn records_of_every_codec_are_the_same() {
    for codec in CODECS {
        let batch = Batch::of_values(10, &["a", "b", "c"]).codec(codec);
        assert_eq!(text(&batch.bytes(), 10, &[]), "10:a 11:b 12:c then 13", "{codec:?}");
        // A broker sends the whole batch, wherever in it one wants to begin.
        assert_eq!(text(&batch.bytes(), 12, &[]), "12:c then 13", "{codec:?}");
    }
}

#[test]
fn everything_about_a_record_is_kept() {
    let record = Made {
        time_delta: 5,
        key: Some(b"k".to_vec()),
        value: Some(b"v".to_vec()),
        headers: vec![
            ("twice".into(), Some(b"1".to_vec())),
            ("twice".into(), Some(b"2".to_vec())),
            ("null".into(), None),
        ],
        ..Made::default()
    };
    let tombstone = Made { key: Some(b"k".to_vec()), ..Made::default() };
    let (pieces, _) = open(&Batch::of(3, vec![record, tombstone]).bytes(), 0, &[]);
    let [Piece::Record(first), Piece::Record(second)] = &pieces[..] else { panic!("{pieces:?}") };
    let raw = &first.raw;
    assert_eq!((&raw.payload[..], raw.key.as_deref(), raw.lane), (&b"v"[..], Some(&b"k"[..]), 7));
    let headers: Vec<_> = raw.headers.iter().map(|(name, value)| (name.as_str(), &value[..])).collect();
    assert_eq!(headers, [("twice", &b"1"[..]), ("twice", &b"2"[..]), ("null", &b""[..])]);
    assert_eq!(raw.time, Some(UNIX_EPOCH + Duration::from_millis(1_700_000_000_005)));
    assert_eq!((second.raw.key.as_deref(), second.raw.payload.len()), (Some(&b"k"[..]), 0));
}

#[test]
fn what_stands_beside_a_frame_of_agora_is_left_out() {
    let record = |value: &[u8]| Made {
        key: Some(b"k".to_vec()),
        value: Some(value.to_vec()),
        headers: vec![("agora-kind".into(), Some(b"a.kind".to_vec()))],
        ..Made::default()
    };
    let frame = [&agora_core::codec::MAGIC[..], b"..."].concat();
    let (pieces, _) = open(&Batch::of(0, vec![record(&frame), record(b"other")]).bytes(), 0, &[]);
    let [Piece::Record(first), Piece::Record(second)] = &pieces[..] else { panic!("{pieces:?}") };
    assert_eq!((&first.raw.payload[..], &first.raw.key, first.raw.headers.len()), (&frame[..], &None, 0));
    assert_eq!((second.raw.key.as_deref(), second.raw.headers.len()), (Some(&b"k"[..]), 1));
}

#[test]
fn the_time_of_the_append_is_that_of_the_batch() {
    let mut batch = Batch::of_values(0, &["a"]);
    (batch.attributes, batch.max_time) = (APPEND_TIME, 1_800_000_000_000);
    let (pieces, _) = open(&batch.bytes(), 0, &[]);
    let [Piece::Record(record)] = &pieces[..] else { panic!("{pieces:?}") };
    assert_eq!(record.raw.time, Some(UNIX_EPOCH + Duration::from_millis(1_800_000_000_000)));
    (batch.base_time, batch.max_time) = (-1, -1);
    let (pieces, _) = open(&batch.bytes(), 0, &[]);
    assert!(matches!(&pieces[..], [Piece::Record(record)] if record.raw.time.is_none()), "{pieces:?}");
}

#[test]
fn another_append_has_another_stamp() {
    let stamp = |change: &dyn Fn(&mut Batch)| {
        let mut batch = Batch::of_values(5, &["a", "b"]).within(9, 2, 30);
        change(&mut batch);
        let (pieces, _) = open(&batch.bytes(), 5, &[]);
        pieces
            .iter()
            .map(|piece| match piece {
                Piece::Record(record) => record.stamp,
                Piece::Unreadable { .. } => panic!("{piece:?}"),
            })
            .collect::<Vec<_>>()
    };
    let plain = stamp(&|_| {});
    assert_ne!(plain[0], plain[1]);
    for change in [
        (|batch| batch.leader_epoch += 1) as fn(&mut Batch),
        |batch| batch.base_time += 1,
        |batch| batch.producer += 1,
        |batch| batch.producer_epoch += 1,
        |batch| batch.sequence += 1,
    ] {
        let other = stamp(&change);
        assert!(other.iter().zip(&plain).all(|(other, plain)| other != plain));
    }
    // Compaction takes a record out, and moves the time that the others are relative to.
    let compacted = stamp(&|batch| {
        batch.records.remove(0);
        (batch.count, batch.base_time) = (1, batch.base_time - 1000);
        batch.records[0].time_delta = 1000;
    });
    assert_eq!(compacted, plain[1..]);
}

#[test]
fn what_is_cut_off_at_the_end_is_left_for_the_next_fetch() {
    let (first, second) = (Batch::of_values(0, &["a", "b"]).bytes(), Batch::of_values(2, &["c"]).bytes());
    let all = [first.clone(), second].concat();
    for cut in first.len()..all.len() {
        assert_eq!(text(&all[..cut], 0, &[]), "0:a 1:b then 2");
    }
    for cut in 0..first.len() {
        assert_eq!(text(&all[..cut], 0, &[]), "then 0");
    }
}

#[test]
fn a_damaged_batch_is_passed_by_and_nothing_else() {
    let (first, second) = (Batch::of_values(0, &["a", "b"]).bytes(), Batch::of_values(2, &["c"]).bytes());
    let mut damaged = first.clone();
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(text(&joined(&[damaged, second.clone()]), 0, &[]), "0..2! 2:c then 3");
    let mut of_the_future = first.clone();
    of_the_future[16] = 3;
    assert_eq!(text(&joined(&[of_the_future, second.clone()]), 0, &[]), "0..2! 2:c then 3");
    let mut no_length = first.clone();
    no_length[8..12].copy_from_slice(&(-1_i32).to_be_bytes());
    assert_eq!(text(&joined(&[no_length, second.clone()]), 0, &[]), "0..1! then 1");
    let unknown_codec = Batch { codec: 6, ..Batch::of_values(0, &["a", "b"]) };
    assert_eq!(text(&joined(&[unknown_codec.bytes(), second.clone()]), 0, &[]), "0..2! 2:c then 3");
    let not_compressed = Batch { codec: 4, ..Batch::of_values(0, &["a", "b"]) }.bytes_of(b"no zstd");
    assert_eq!(text(&joined(&[not_compressed, second.clone()]), 0, &[]), "0..2! 2:c then 3");
    let more_than_there_are = Batch { count: i32::MAX, ..Batch::of_values(0, &["a", "b"]) };
    assert_eq!(text(&joined(&[more_than_there_are.bytes(), second]), 0, &[]), "0:a 1:b 2:c then 3");
}

#[test]
fn a_record_that_cannot_be_read_ends_its_batch() {
    let mut body = Vec::new();
    for byte in [2, 40] {
        // The first says that it is one byte long, the second that it is 20; none of it is there.
        body.push(byte);
    }
    let batch = Batch { count: 2, last_delta: 1, ..Batch::of_values(4, &[]) };
    assert_eq!(text(&batch.bytes_of(&body), 4, &[]), "4..6! then 6");
    let mut many = value_of("x");
    many.headers = vec![(String::new(), None); HEADERS_MAX + 1];
    assert_eq!(text(&Batch::of(0, vec![value_of("a"), many]).bytes(), 0, &[]), "0:a 1..2! then 2");
}

#[test]
fn formats_from_before_0_11_are_told_and_passed_by() {
    let old = [old_message(0, 0, b"x"), old_message(1, 1, b"y"), Batch::of_values(2, &["z"]).bytes()];
    assert_eq!(text(&joined(&old), 0, &[]), "0..1! 1..2! 2:z then 3");
    assert_eq!(text(&joined(&old), 2, &[]), "2:z then 3");
}

#[test]
fn marks_are_no_records_and_what_was_given_up_is_left_out() {
    let of = |base, values: &[&str], producer| Batch::of_values(base, values).within(producer, 0, 0).bytes();
    let log = joined(&[
        of(0, &["a"], 1),
        of(1, &["b"], 2),
        Batch::of_values(2, &["plain"]).bytes(),
        of(3, &["c"], 1),
        Batch::mark(4, 1, false).bytes(),
        Batch::mark(5, 2, true).bytes(),
        of(6, &["d"], 1),
        Batch::mark(7, 1, true).bytes(),
    ]);
    let aborted = [Aborted { producer: 1, first: 0 }];
    assert_eq!(text(&log, 0, &aborted), "1:b 2:plain 6:d then 8");
    assert_eq!(text(&log, 0, &[]), "0:a 1:b 2:plain 3:c 6:d then 8");
    // From the middle of what was given up, and a second one by the same producer.
    let log = joined(&[
        of(3, &["c"], 1),
        Batch::mark(4, 1, false).bytes(),
        of(5, &["d"], 1),
        Batch::mark(6, 1, false).bytes(),
    ]);
    let aborted = [Aborted { producer: 1, first: 5 }, Aborted { producer: 1, first: 0 }];
    assert_eq!(text(&log, 3, &aborted), "then 7");
    // What belongs to no transaction is nobody's to give up.
    let mut plain = Batch::of_values(3, &["c"]).within(1, 0, 0);
    plain.attributes &= !TRANSACTIONAL;
    assert_eq!(text(&plain.bytes(), 3, &aborted), "3:c then 4");
}

#[test]
fn holes_that_compaction_made_are_gone_over() {
    let mut batch = Batch::of_values(10, &["a", "b"]);
    (batch.records[0].offset_delta, batch.records[1].offset_delta, batch.last_delta) = (1, 4, 9);
    let nothing_left = Batch { count: 0, last_delta: 9, ..Batch::of_values(20, &[]) };
    let log = joined(&[batch.bytes(), nothing_left.bytes(), Batch::of_values(40, &["c"]).bytes()]);
    assert_eq!(text(&log, 0, &[]), "11:a 14:b 40:c then 41");
}

#[test]
fn a_bomb_is_passed_by() {
    for codec in CODECS.into_iter().filter(|codec| *codec != Codec::Plain) {
        let batch = Batch::of_values(0, &["a"]).codec(codec);
        let bomb = super::made::compress(batch.codec, &vec![0; BATCH_BYTES_MAX + 1]);
        assert_eq!(text(&batch.bytes_of(&bomb), 0, &[]), "0..1! then 1", "{codec:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_was_written_is_read(
        values in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..40),
        codec in 0..5_i16,
        base in 0..1_i64 << 40,
    ) {
        let records = values.iter().map(|value| Made {
            key: (value.len() % 3 == 0).then(|| value.clone()), value: Some(value.clone()), ..Made::default()
        });
        let batch = Batch { codec, ..Batch::of(base, records.collect()) };
        let (pieces, next) = open(&batch.bytes(), 0, &[]);
        prop_assert_eq!(next, base + values.len() as i64);
        prop_assert_eq!(pieces.len(), values.len());
        for ((piece, value), offset) in pieces.iter().zip(&values).zip(base..) {
            let Piece::Record(record) = piece else { panic!("{piece:?}") };
            prop_assert_eq!(record.offset, offset);
            prop_assert_eq!(&record.raw.payload[..], &value[..]);
        }
    }

    #[test]
    fn damage_makes_no_panic_and_never_goes_back(
        codec in 0..5_i16,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        fix_crc in any::<bool>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let values = ["one", "two", "three"];
        let mut log: Vec<Vec<u8>> = (0..3).map(|n| {
            Batch { codec, ..Batch::of_values(n * 3, &values) }.bytes()
        }).collect();
        for (place, byte) in damage {
            let batch = place.index(3);
            let at = place.index(log[batch].len());
            log[batch][at] = byte;
        }
        if fix_crc {
            for batch in &mut log {
                let crc = crc32c::crc32c(&batch[21..]);
                batch[17..21].copy_from_slice(&crc.to_be_bytes());
            }
        }
        let log = log.concat();
        let (pieces, next) = open(&log[..cut.index(log.len() + 1)], 1, &[]);
        let mut due = 1;
        for piece in &pieces {
            match piece {
                Piece::Record(record) => {
                    prop_assert!(record.offset >= due);
                    due = record.offset + 1;
                }
                Piece::Unreadable { from, until, .. } => {
                    prop_assert!(*from >= due && until > from);
                    due = *until;
                }
            }
        }
        prop_assert!(next >= due);
    }

    #[test]
    fn any_bytes_are_borne(bytes in prop::collection::vec(any::<u8>(), 0..600), magic in any::<bool>()) {
        let mut bytes = bytes;
        if magic && bytes.len() > 40 {
            let length = bytes.len() as i32 - 12;
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes[16] = 2;
            let crc = crc32c::crc32c(&bytes[21..]);
            bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        }
        let (_, next) = open(&bytes, 0, &[]);
        prop_assert!(next >= 0);
    }
}
