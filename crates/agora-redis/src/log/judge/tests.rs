use super::*;

fn id(ms: u64) -> Id {
    Id { ms, seq: 0 }
}

fn ids(numbers: impl IntoIterator<Item = u64>) -> Vec<Id> {
    numbers.into_iter().map(id).collect()
}

/// A stream to which entries 1 to `added` were appended at those places, and of which `first` and later are left.
fn stream(first: u64, added: u64) -> Look {
    let length = (added + 1).saturating_sub(first);
    let first = if length == 0 { Id::ZERO } else { id(first) };
    Look {
        life: Some(b"one".to_vec()),
        stream: Some(Counts { length, added, last: id(added), deleted: Id::ZERO, first }),
    }
}

fn none() -> Look {
    Look { life: Some(b"one".to_vec()), stream: None }
}

const FOLLOWS: Verdict = Verdict::Follows { is_end: true };
const MORE: Verdict = Verdict::Follows { is_end: false };
const TRIMMED: Verdict = Verdict::Trimmed { is_end: true };
const TRIMMED_MORE: Verdict = Verdict::Trimmed { is_end: false };

/// One that has read `1..=at` of `1..=added`.
fn read_up_to(at: u64, added: u64) -> Reading {
    let (mut reading, _) = Reading::begin(Id::ZERO, &ids(1..=at.min(added)), &stream(1, added));
    if at == 0 {
        reading = Reading::begin(Id::ZERO, &[], &stream(1, 0)).0;
    }
    reading
}

#[test]
fn what_follows_follows() {
    let mut reading = read_up_to(3, 5);
    assert_eq!(reading.judge(&ids(4..=5), &stream(1, 5)), FOLLOWS);
    assert_eq!(reading.judge(&[], &stream(1, 5)), FOLLOWS);
    assert_eq!(reading.judge(&ids(6..=7), &stream(1, 9)), MORE);
    assert_eq!(reading.judge(&ids(8..=9), &stream(1, 9)), FOLLOWS);
}

#[test]
fn retention_behind_a_reader_takes_nothing_from_it() {
    let mut reading = read_up_to(5, 5);
    assert_eq!(reading.judge(&[], &stream(6, 5)), FOLLOWS, "all of it was read");
    assert_eq!(reading.judge(&ids([6]), &stream(6, 6)), FOLLOWS);
    assert_eq!(
        reading.judge(&ids([7]), &stream(7, 8)),
        MORE,
        "the look shows that 7 is the first that is left"
    );
}

#[test]
fn retention_that_overtakes_a_reader_is_told() {
    let mut reading = read_up_to(3, 10);
    assert_eq!(reading.judge(&ids(7..=10), &stream(7, 10)), TRIMMED);
    let mut reading = read_up_to(3, 10);
    assert_eq!(reading.judge(&ids(7..=8), &stream(7, 10)), TRIMMED_MORE);
    assert_eq!(reading.judge(&ids(9..=10), &stream(7, 10)), FOLLOWS, "told once");
    let mut reading = read_up_to(3, 10);
    assert_eq!(reading.judge(&[], &stream(11, 10)), TRIMMED, "nothing is left that could show it");
    assert_eq!(reading.judge(&[], &stream(11, 10)), FOLLOWS);
    assert_eq!(reading.judge(&ids([11]), &stream(11, 11)), FOLLOWS);
}

#[test]
fn one_that_was_deleted_out_of_the_middle_is_missed_at_the_end() {
    let mut reading = read_up_to(3, 6);
    let mut look = stream(1, 6);
    look.stream = look.stream.map(|counts| Counts { length: 5, deleted: id(5), ..counts });
    assert_eq!(reading.judge(&ids([4, 6]), &look), TRIMMED);
}

#[test]
fn a_log_that_was_rewound_or_replaced_is_another_one() {
    assert_eq!(read_up_to(5, 5).judge(&[], &stream(1, 4)), Verdict::Other, "the end went backwards");
    assert_eq!(read_up_to(5, 5).judge(&[], &none()), Verdict::Other, "it is gone");
    // Made anew at later places, as the server's clock goes on.
    let anew = Look {
        stream: Some(Counts { length: 1, added: 1, last: id(9), deleted: Id::ZERO, first: id(9) }),
        ..none()
    };
    assert_eq!(read_up_to(5, 5).judge(&ids([9]), &anew), Verdict::Other, "it counts from one");
    let anew = Look {
        stream: Some(Counts { length: 9, added: 9, last: id(19), deleted: Id::ZERO, first: id(11) }),
        ..none()
    };
    assert_eq!(read_up_to(5, 5).judge(&ids(11..=13), &anew), Verdict::Other, "its first is number one");
    let other = Look { life: Some(b"two".to_vec()), ..stream(1, 5) };
    assert_eq!(read_up_to(5, 5).judge(&[], &other), Verdict::Other, "its life is another one");
}

#[test]
fn one_that_began_in_the_middle_knows_another_log_by_its_untouched_beginning() {
    let (mut reading, _) = Reading::begin(id(4), &ids([4]), &stream(1, 10));
    let anew = |first| Look {
        stream: Some(Counts { length: 20, added: 20, last: id(39), deleted: Id::ZERO, first: id(first) }),
        ..none()
    };
    assert_eq!(reading.clone().judge(&ids(20..=22), &anew(20)), Verdict::Other);
    assert_eq!(reading.judge(&ids(5..=6), &anew(1)), MORE);
}

#[test]
fn one_that_began_in_the_middle_knows_a_log_that_ends_before_its_place_for_another() {
    let (mut reading, is_end) = Reading::begin(id(4), &ids([4]), &stream(2, 10));
    assert!(!is_end);
    assert_eq!(reading.judge(&[], &stream(2, 3)), Verdict::Other);
}

#[test]
fn what_lacks_at_a_place_is_told_where_it_can_be_known() {
    let at = |read: Option<u64>, look: &Look| lack(id(5), read.map(id), look);
    let counts = |length, added, last, deleted, first| Look {
        stream: Some(Counts { length, added, last: id(last), deleted: id(deleted), first: id(first) }),
        ..none()
    };
    for (what, read, look, due) in [
        ("it is there", Some(5), stream(1, 9), None),
        ("rewound: the end says so", None, stream(1, 4), None),
        ("nothing was ever there", None, stream(1, 0), None),
        ("there is no log", None, none(), None),
        ("retention has taken all", None, stream(10, 9), Some(Lack::Trimmed)),
        ("retention has taken some", Some(8), stream(8, 9), None),
        ("rewound, and appended to", Some(8), counts(4, 4, 8, 0, 1), Some(Lack::Rewritten)),
        ("the same, after retention", Some(8), counts(2, 4, 8, 0, 3), Some(Lack::Rewritten)),
        ("made anew", Some(8), counts(2, 2, 9, 0, 8), Some(Lack::Rewritten)),
        ("made anew, and trimmed since: not to be told apart", Some(8), counts(1, 2, 8, 0, 8), None),
        ("deleted by itself", Some(6), counts(8, 9, 9, 5, 1), None),
        ("rewound, and an older one deleted", Some(8), counts(3, 4, 8, 2, 1), Some(Lack::Rewritten)),
    ] {
        assert_eq!(at(read, &look), due, "{what}");
    }
}

#[test]
fn a_log_that_is_made_after_its_reader_is_no_other_one() {
    let (mut reading, is_end) = Reading::begin(Id::ZERO, &[], &Look { life: None, stream: None });
    assert!(is_end);
    assert_eq!(reading.judge(&[], &Look { life: None, stream: None }), FOLLOWS);
    assert_eq!(reading.judge(&ids(1..=2), &stream(1, 2)), FOLLOWS);
    let (mut reading, _) = Reading::begin(Id::ZERO, &[], &Look { life: None, stream: None });
    assert_eq!(reading.judge(&ids([3]), &stream(3, 3)), TRIMMED, "the first two came and went");
}

#[test]
fn a_reading_that_begins_behind_the_end_waits_for_what_comes() {
    let (mut reading, is_end) = Reading::begin(id(100), &[], &stream(1, 5));
    assert!(is_end);
    assert_eq!(reading.at, id(5));
    assert_eq!(reading.judge(&ids([6]), &stream(1, 6)), FOLLOWS);
}

#[test]
fn one_that_began_in_the_middle_errs_on_the_side_of_a_gap() {
    let (mut reading, is_end) = Reading::begin(id(4), &ids([4]), &stream(2, 10));
    assert!(!is_end);
    assert_eq!(reading.clone().judge(&ids(7..=10), &stream(7, 10)), TRIMMED);
    assert_eq!(reading.judge(&ids([5]), &stream(2, 10)), MORE);
    assert_eq!(reading.judge(&ids(6..=10), &stream(3, 10)), FOLLOWS);
    assert_eq!(reading.judge(&[], &stream(11, 10)), FOLLOWS, "from the end on, the numbers are exact");
}
