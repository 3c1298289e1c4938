use std::collections::VecDeque;

use kafka_protocol::ResponseError as Code;
use kafka_protocol::messages::fetch_response::PartitionData;
use tokio::sync::Notify;

use super::*;
use crate::read::batch::Step;
use crate::read::opened::Fetched;
use crate::read::slot::Item;
use crate::read::trip;

const LEADER: Leader = Leader { node: 1, epoch: 0 };

/// A lane that is known to be led by node 1.
fn lane(desk: &mut Desk, topic: &str, partition: i32, next: i64) -> (u64, Arc<Slot>) {
    let slot = Arc::new(Slot::new(Arc::new(Notify::new())));
    desk.add(Course::new(topic.into(), partition, next, next, Arc::clone(&slot)));
    for (lane, ..) in desk.take_lost(Instant::now()) {
        desk.lane(lane).unwrap().phase = Phase::At { leader: LEADER, has_end: false };
    }
    (desk.last_lane, slot)
}

/// What is to be fetched now: `parked 500 [0@5] ready 0 [1@0 2@0]`, each partition with its offset.
fn plan(desk: &mut Desk) -> (String, Vec<Trip>) {
    let trips = desk.plan();
    let words = trips.iter().map(|trip| {
        let way = if trip.way == Way::Parked { "parked" } else { "ready" };
        let stops = trip.stops.iter().map(|stop| format!("{}@{}", stop.partition, stop.from));
        format!("{way} {} [{}]", trip.wait.as_millis(), stops.collect::<Vec<_>>().join(" "))
    });
    (words.collect::<Vec<_>>().join(" "), trips)
}

/// A trip comes back, and brings each lane so many records.
fn back(desk: &mut Desk, trip: &Trip, records: i64, has_end: bool) {
    desk.back(trip, false);
    for lane in trip.stops.iter().flat_map(|stop| &stop.lanes) {
        let Some((course, leader)) = desk.lane_on(*lane, trip.number) else { continue };
        course.next += records;
        course.served(leader, trip.number, records > 0, has_end, Instant::now());
    }
}

fn check(desk: &mut Desk, due: &str) -> Vec<Trip> {
    let (found, trips) = plan(desk);
    assert_eq!(found, due);
    trips
}

#[test]
fn a_lane_that_begins_does_not_wait_until_a_parked_fetch_is_back() {
    let mut desk = Desk::default();
    lane(&mut desk, "t", 0, 5);
    let trips = check(&mut desk, "ready 0 [0@5]");
    back(&mut desk, &trips[0], 0, true);
    check(&mut desk, "parked 500 [0@5]");
    lane(&mut desk, "t", 1, 0);
    check(&mut desk, "ready 0 [1@0]");
    check(&mut desk, "");
}

#[test]
fn who_reaches_the_end_while_the_parked_fetch_is_away_joins_the_next_one() {
    let mut desk = Desk::default();
    lane(&mut desk, "t", 0, 5);
    let trips = check(&mut desk, "ready 0 [0@5]");
    back(&mut desk, &trips[0], 0, true);
    let parked = check(&mut desk, "parked 500 [0@5]");
    lane(&mut desk, "t", 1, 0);
    let ready = check(&mut desk, "ready 0 [1@0]");
    back(&mut desk, &ready[0], 3, true);
    let waiting = check(&mut desk, "ready 20 [1@3]");
    // Back with something new. Who waits on the ready line is waited for, which is not long.
    back(&mut desk, &parked[0], 1, true);
    check(&mut desk, "");
    back(&mut desk, &waiting[0], 0, true);
    check(&mut desk, "parked 500 [0@6 1@3]");
}

#[test]
fn who_has_more_to_come_is_fetched_at_once_and_the_others_go_on_waiting() {
    let mut desk = Desk::default();
    lane(&mut desk, "t", 0, 0);
    lane(&mut desk, "t", 1, 0);
    let trips = check(&mut desk, "ready 0 [0@0 1@0]");
    back(&mut desk, &trips[0], 0, true);
    let parked = check(&mut desk, "parked 500 [0@0 1@0]");
    desk.back(&parked[0], false);
    for (number, has_end) in [(1, false), (2, true)] {
        let (course, leader) = desk.lane_on(number, parked[0].number).unwrap();
        course.served(leader, parked[0].number, true, has_end, Instant::now());
    }
    check(&mut desk, "parked 500 [1@0] ready 0 [0@0]");
}

#[test]
fn readers_that_stand_at_one_place_share_a_fetch_and_others_take_turns() {
    let mut desk = Desk::default();
    lane(&mut desk, "t", 0, 5);
    lane(&mut desk, "t", 0, 5);
    lane(&mut desk, "t", 0, 9);
    lane(&mut desk, "u", 0, 7);
    let trips = check(&mut desk, "ready 0 [0@5 0@7]");
    assert_eq!(trips[0].stops[0].lanes, [1, 2]);
    check(&mut desk, "");
    back(&mut desk, &trips[0], 1, false);
    let trips = check(&mut desk, "ready 0 [0@9 0@8]");
    assert_eq!(trips[0].stops[0].lanes, [3]);
}

#[test]
fn who_got_nothing_comes_first_and_rests_when_that_goes_on() {
    let mut desk = Desk::default();
    lane(&mut desk, "t", 0, 0);
    lane(&mut desk, "t", 1, 0);
    for round in 0..STUCK_MAX {
        let (_, trips) = plan(&mut desk);
        assert_eq!(trips[0].stops.len(), 2);
        assert_eq!(trips[0].stops[0].partition, i32::from(round > 0), "{:?}", trips[0].stops);
        desk.back(&trips[0], false);
        for (lane, has_progress) in [(1, true), (2, false)] {
            let (course, leader) = desk.lane_on(lane, trips[0].number).unwrap();
            course.served(leader, trips[0].number, has_progress, false, Instant::now());
        }
    }
    check(&mut desk, "ready 0 [0@0]");
    assert!(desk.wakes_at().is_some());
    assert_eq!(desk.take_lost(Instant::now() + REST.1).len(), 1);
}

#[test]
fn a_lane_begins_with_one_batch_and_whoever_reads_gets_more_at_once() {
    let mut desk = Desk::default();
    let (_, slot) = lane(&mut desk, "t", 0, 0);
    let batch = Step::Unreadable { until: 1, why: "" };
    let fetched =
        || Item::Fetched(Fetched { steps: VecDeque::from(vec![batch.clone(); 100]), ..Fetched::default() });
    for room in [1, 2, 4] {
        let trips = check(&mut desk, "ready 0 [0@0]");
        assert_eq!(trips[0].stops[0].bytes_max, room);
        back(&mut desk, &trips[0], 0, true);
        slot.push(fetched());
        // Marks of what cannot be read take room too.
        check(&mut desk, "");
        assert!(slot.pop().1, "there is room again");
        desk.lane(1).unwrap().phase = Phase::At { leader: LEADER, has_end: false };
    }
    assert!(!slot.pop().1, "nobody waits for that");
}

#[test]
fn many_lanes_share_the_room_and_each_has_some() {
    let mut desk = Desk::default();
    for partition in 0..10_000 {
        lane(&mut desk, "t", partition, 0);
    }
    let (_, trips) = plan(&mut desk);
    assert!(trips[0].stops.iter().skip(1).all(|stop| stop.bytes_max == LANE_BYTES_MIN));
}

#[test]
fn a_broker_whose_answers_come_late_is_asked_for_less() {
    let mut desk = Desk::default();
    lane(&mut desk, "t", 0, 0);
    let mut sizes = Vec::new();
    for is_late in [true, true, false, false, false] {
        let (_, trips) = plan(&mut desk);
        sizes.push(trips[0].bytes_max >> 20);
        desk.back(&trips[0], is_late);
        desk.lane(1).unwrap().phase = Phase::At { leader: LEADER, has_end: false };
    }
    assert_eq!(sizes, [8, 4, 2, 4, 8]);
}

#[test]
fn a_lane_that_another_broker_leads_is_taken_off_its_way() {
    let mut desk = Desk::default();
    let (number, slot) = lane(&mut desk, "t", 0, 0);
    let trips = check(&mut desk, "ready 0 [0@0]");
    assert_eq!(desk.moved(&View::default()), [0_u64; 0], "nothing is known");
    let known = |leader: i32, leader_epoch: i32| {
        let partition = crate::brokers::Partition {
            leader: Some(leader),
            leader_epoch,
            replicas: Vec::new(),
            in_sync: Vec::new(),
        };
        let topic = crate::brokers::Topic {
            asked: Instant::now(),
            id: None,
            partitions: Ok(BTreeMap::from([(0, partition)])),
        };
        View { topics: BTreeMap::from([("t".to_owned(), topic)]), ..View::default() }
    };
    assert_eq!(desk.moved(&known(1, 0)), [0_u64; 0]);
    assert_eq!(desk.moved(&known(2, -1)), [number], "an old cluster names no epochs");
    desk.lane(number).unwrap().phase = Phase::At { leader: LEADER, has_end: false };
    assert_eq!(desk.moved(&known(2, 1)), [number]);
    assert!(desk.lane_on(number, trips[0].number).is_none(), "its answer comes too late");
    slot.abandon();
    desk.sweep();
    assert!(desk.is_empty());
}

/// A lane is told this by its broker, as soon as it is asked. Returns where it stands then.
fn told(desk: &mut Desk, lane: u64, answer: &PartitionData) -> i64 {
    let mut trips = desk.plan();
    if trips.is_empty() {
        // It rests.
        desk.take_lost(desk.wakes_at().unwrap());
        desk.lane(lane).unwrap().phase = Phase::At { leader: LEADER, has_end: false };
        trips = desk.plan();
    }
    desk.back(&trips[0], false);
    let course = desk.lane(lane).unwrap();
    trip::serve(course, LEADER, trips[0].number, answer, Instant::now());
    course.next
}

#[test]
fn what_a_broker_cannot_read_is_asked_for_again_and_then_passed_by_and_told() {
    let mut desk = Desk::default();
    let (number, slot) = lane(&mut desk, "t", 0, 7);
    let corrupt = PartitionData::default().with_error_code(Code::CorruptMessage.code());
    for _ in 0..2 * STUCK_MAX {
        assert_eq!(told(&mut desk, number, &corrupt), 7);
    }
    // From here on without a pause.
    for passed in 8..=10 {
        assert_eq!(told(&mut desk, number, &corrupt), passed);
        assert!(matches!(desk.lane(number).unwrap().phase, Phase::At { .. }));
        let Some(Item::Fetched(mut fetched)) = slot.pop().0 else { panic!("nothing was told") };
        assert!(matches!(fetched.steps.pop_front(), Some(Step::Unreadable { until, .. }) if until == passed));
    }
    let end = PartitionData::default().with_high_watermark(10).with_last_stable_offset(10);
    assert_eq!(told(&mut desk, number, &end), 10);
    assert_eq!(told(&mut desk, number, &corrupt), 10, "another trouble begins anew");
}
