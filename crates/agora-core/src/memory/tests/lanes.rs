//! Groups by lane.

use tokio::sync::oneshot;

use super::groups::{LEASE, given, join, open_log, publish_keyed, told};
use super::*;
use crate::memory::GroupStyle;
use crate::transport::{FromGroup, GroupInbox, GroupOrder, Settle, Token};

async fn texts(inbox: &mut Box<dyn GroupInbox>) -> Vec<String> {
    given(inbox, 100).await.0
}

async fn settle_fails(inbox: &dyn GroupInbox, token: Token, how: Settle) -> ErrorKind {
    inbox.settle(token, how).await.unwrap_err().kind()
}

/// What is there now, and the question for the lane, which has to be the last thing.
async fn revoking(inbox: &mut Box<dyn GroupInbox>) -> oneshot::Sender<()> {
    let mut into = Vec::new();
    inbox.recv(100, &mut into).await.unwrap();
    match into.pop() {
        Some(FromGroup::Revoking { lanes, done }) if lanes == [0] => done,
        other => panic!("the lane is not asked back: {other:?}"),
    }
}

/// A space of lanes, two nodes, and a log with these records.
async fn space(records: &[&str]) -> (Space, MemoryTransport, MemoryTransport) {
    let space = Space::new(SpaceConfig { groups: GroupStyle::Lanes, ..SpaceConfig::default() });
    let (a, b) = (connect(&space, "a"), connect(&space, "b"));
    open_log(&a).await;
    publish_keyed(&a, records).await;
    (space, a, b)
}

/// The capabilities say in which order a group gets what was published.
#[tokio::test(start_paused = true)]
async fn the_order_is_by_lane() {
    let (_space, a, _b) = space(&[]).await;
    assert_eq!(a.capabilities().group_order, GroupOrder::Lane);
    assert_eq!(connect(&Space::default(), "a").capabilities().group_order, GroupOrder::Key);
}

/// The first member is assigned the lane, and gets its records in order.
#[tokio::test(start_paused = true)]
async fn the_first_member_has_the_lane() {
    let (_space, node_a, _b) = space(&["1", "2"]).await;
    let mut a = join(&node_a).await;
    assert_eq!(texts(&mut a).await, ["assigned [0]", "1", "2"]);
    publish_keyed(&node_a, &["3"]).await;
    assert_eq!(texts(&mut a).await, ["3"]);
}

/// The lane moves to the newest member when the owner has told that it gives it up; reading goes on at the commit, and old
/// tokens are void.
#[tokio::test(start_paused = true)]
async fn a_lane_moves_by_handshake() {
    let (_space, node_a, node_b) = space(&["1", "2", "3", "4"]).await;
    let mut a = join(&node_a).await;
    let (_, tokens) = given(&mut a, 3).await;
    let mut b = join(&node_b).await;
    let done = revoking(&mut a).await;
    assert!(texts(&mut b).await.is_empty() && texts(&mut a).await.is_empty(), "nothing is begun any more");
    a.settle(tokens[0], Settle::Ack).await.unwrap();
    a.settle(tokens[2], Settle::Ack).await.unwrap();
    let mut into = Vec::new();
    let tell = async {
        tokio::task::yield_now().await;
        done.send(()).unwrap();
    };
    let (received, ()) = tokio::join!(b.recv(9, &mut into), tell);
    received.unwrap();
    let (mut told_b, mut new) = (Vec::new(), Vec::new());
    told_b.extend(into.iter().map(|from| told(from, &mut new)));
    assert_eq!(told_b, ["assigned [0]", "2 #2", "3", "4"], "3 was done behind a hole, and comes again");
    assert_eq!(settle_fails(&*a, tokens[1], Settle::Ack).await, ErrorKind::Conflict);
    assert!(texts(&mut a).await.is_empty(), "what was given up is not told as lost");
}

/// Dropping the question is an answer too, also when nobody waits for it.
#[tokio::test(start_paused = true)]
async fn a_dropped_question_gives_the_lane_up() {
    let (_space, node_a, node_b) = space(&["1"]).await;
    let mut a = join(&node_a).await;
    texts(&mut a).await;
    let mut b = join(&node_b).await;
    drop(revoking(&mut a).await);
    assert_eq!(texts(&mut b).await, ["assigned [0]", "1 #2"]);
}

/// A member that takes longer than the lease to give the lane up loses it.
#[tokio::test(start_paused = true)]
async fn who_does_not_give_up_loses() {
    let (_space, node_a, node_b) = space(&["1"]).await;
    let mut a = join(&node_a).await;
    let (_, tokens) = given(&mut a, 9).await;
    let mut b = join(&node_b).await;
    let _done = revoking(&mut a).await;
    let before = Instant::now();
    let mut into = Vec::new();
    // The owner is heard all the time, which does not help it.
    tokio::time::advance(LEASE / 2).await;
    a.settle(tokens[0], Settle::Extend).await.unwrap();
    b.recv(9, &mut into).await.unwrap();
    assert_eq!(Instant::now() - before, LEASE);
    assert_eq!(told(&into[0], &mut Vec::new()), "assigned [0]");
    assert_eq!(texts(&mut a).await, ["lost [0]"]);
    assert_eq!(settle_fails(&*a, tokens[0], Settle::Ack).await, ErrorKind::Conflict);
}

/// A member that joins while the lane is asked back gets it instead; if it leaves, the oldest one does.
#[tokio::test(start_paused = true)]
async fn the_newest_gets_the_lane_also_while_it_is_asked_back() {
    let (_space, node_a, node_b) = space(&["1"]).await;
    let mut a = join(&node_a).await;
    texts(&mut a).await;
    let (mut b, mut c, d) = (join(&node_b).await, join(&node_b).await, join(&node_b).await);
    d.leave().await.unwrap();
    drop(revoking(&mut a).await);
    assert_eq!(texts(&mut c).await, Vec::<String>::new());
    assert_eq!(texts(&mut b).await, Vec::<String>::new());
    assert_eq!(texts(&mut a).await, ["assigned [0]", "1 #2"], "the oldest that is left");
}

/// A leave moves the lane to the oldest remaining member, and is no attempt; a drop is one.
#[tokio::test(start_paused = true)]
async fn a_leave_moves_the_lane_to_the_oldest() {
    let (_space, node_a, node_b) = space(&["1"]).await;
    let (mut a, mut b, mut c) = (join(&node_a).await, join(&node_b).await, join(&node_b).await);
    assert_eq!(texts(&mut c).await, ["assigned [0]", "1"], "nobody had begun");
    c.leave().await.unwrap();
    assert_eq!(texts(&mut b).await, Vec::<String>::new());
    assert_eq!(texts(&mut a).await, ["assigned [0]", "1"]);
    drop(a);
    assert_eq!(texts(&mut b).await, ["assigned [0]", "1 #2"]);
}

/// A paused owner loses the lane after its lease, and is told when it is back.
#[tokio::test(start_paused = true)]
async fn a_silent_owner_loses_the_lane() {
    let (space, node_a, node_b) = space(&["1"]).await;
    let mut b = join(&node_b).await;
    let mut a = join(&node_a).await;
    let (_, tokens) = given(&mut a, 9).await;
    space.faults().pause("a");
    let before = Instant::now();
    let mut into = Vec::new();
    b.recv(9, &mut into).await.unwrap();
    assert_eq!(Instant::now() - before, LEASE);
    assert_eq!(into.len(), 2);
    assert!(texts(&mut a).await.is_empty());
    space.faults().resume("a");
    assert_eq!(settle_fails(&*a, tokens[0], Settle::Ack).await, ErrorKind::Conflict);
    assert_eq!(texts(&mut a).await, ["lost [0]"]);
}

/// An owner that waits is there. One that has something and is not heard loses the lane, which those who wait learn in time.
#[tokio::test(start_paused = true)]
async fn an_owner_that_waits_is_there_and_one_that_hangs_is_not() {
    let (_space, node_a, node_b) = space(&[]).await;
    let mut b = join(&node_b).await;
    let mut a = join(&node_a).await;
    assert_eq!(texts(&mut a).await, ["assigned [0]"]);
    let waiting_b = tokio::spawn(async move {
        let mut into = Vec::new();
        b.recv(9, &mut into).await.unwrap();
        (b, into.len(), Instant::now())
    });
    let mut into = Vec::new();
    let later = async {
        tokio::time::sleep(LEASE * 3).await;
        publish_keyed(&node_a, &["1"]).await;
    };
    let (received, ()) = tokio::join!(a.recv(9, &mut into), later);
    received.unwrap();
    assert_eq!(told(&into[0], &mut Vec::new()), "1", "three leases of waiting cost nothing");
    let hangs_since = Instant::now();
    let (_b, told_b, when) = waiting_b.await.unwrap();
    assert_eq!((told_b, when - hangs_since), (2, LEASE));
    assert_eq!(texts(&mut a).await, ["lost [0]"]);
}

/// A silent owner that is alone is told that it lost the lane, and has it again when it asks.
#[tokio::test(start_paused = true)]
async fn a_lone_owner_that_was_silent_begins_anew() {
    let (_space, node_a, _b) = space(&["1"]).await;
    let mut a = join(&node_a).await;
    let (_, tokens) = given(&mut a, 9).await;
    tokio::time::advance(LEASE).await;
    assert_eq!(settle_fails(&*a, tokens[0], Settle::Ack).await, ErrorKind::Conflict);
    assert_eq!(texts(&mut a).await, ["lost [0]", "assigned [0]", "1 #2"]);
}

/// `Extend` and `Ack` are heard as well as a look for more.
#[tokio::test(start_paused = true)]
async fn an_owner_that_extends_keeps_the_lane() {
    let (_space, node_a, node_b) = space(&["1"]).await;
    let mut b = join(&node_b).await;
    let mut a = join(&node_a).await;
    let (_, tokens) = given(&mut a, 9).await;
    for _ in 0..4 {
        tokio::time::advance(LEASE / 2).await;
        a.settle(tokens[0], Settle::Extend).await.unwrap();
        assert!(texts(&mut b).await.is_empty());
    }
    a.settle(tokens[0], Settle::Ack).await.unwrap();
}

/// A cut owner is interrupted; its lane moves when its lease has ended.
#[tokio::test(start_paused = true)]
async fn the_lane_of_a_cut_owner_moves_after_its_lease() {
    let (space, node_a, node_b) = space(&["1"]).await;
    let mut b = join(&node_b).await;
    let mut a = join(&node_a).await;
    texts(&mut a).await;
    space.faults().isolate("a");
    assert_eq!(texts(&mut a).await, ["interrupted"]);
    let before = Instant::now();
    let mut into = Vec::new();
    b.recv(9, &mut into).await.unwrap();
    assert_eq!((Instant::now() - before, into.len()), (LEASE, 2));
}

/// A crash moves the lane at once.
#[tokio::test(start_paused = true)]
async fn a_crash_moves_the_lane_at_once() {
    let (space, node_a, node_b) = space(&["1"]).await;
    let mut b = join(&node_b).await;
    let mut a = join(&node_a).await;
    texts(&mut a).await;
    space.faults().crash("a");
    assert_eq!(texts(&mut b).await, ["assigned [0]", "1 #2"]);
}

/// A released record comes to the owner again, before what is new, and counts for nothing.
#[tokio::test(start_paused = true)]
async fn what_is_released_comes_first() {
    let (_space, node_a, _b) = space(&["1", "2", "3"]).await;
    let mut a = join(&node_a).await;
    let (_, tokens) = given(&mut a, 2).await;
    a.settle(tokens[1], Settle::Release).await.unwrap();
    a.settle(tokens[0], Settle::Release).await.unwrap();
    assert_eq!(settle_fails(&*a, tokens[0], Settle::Ack).await, ErrorKind::Conflict);
    assert_eq!(texts(&mut a).await, ["1", "2", "3"]);
}

/// What retention took is told once, also when the lane has moved between.
#[tokio::test(start_paused = true)]
async fn what_retention_took_is_told_once() {
    let (space, node_a, node_b) = space(&["1", "2", "3", "4", "5", "6"]).await;
    let mut a = join(&node_a).await;
    let (_, tokens) = given(&mut a, 2).await;
    space.faults().trim_log(TOPIC, 1);
    assert_eq!(texts(&mut a).await, ["trimmed 3", "6"]);
    a.settle(tokens[0], Settle::Ack).await.unwrap();
    drop(a);
    let mut b = join(&node_b).await;
    assert_eq!(texts(&mut b).await, ["assigned [0]", "trimmed 1", "6 #2"], "the one that nobody finished");
    drop(b);
    assert_eq!(texts(&mut join(&node_a).await).await, ["assigned [0]", "6 #3"]);
}

/// No more is given beyond what is not done than a log keeps, however much is done behind it.
#[tokio::test(start_paused = true)]
async fn what_is_given_beyond_a_hole_is_bounded() {
    let config = SpaceConfig { groups: GroupStyle::Lanes, log_records_max: 2, ..SpaceConfig::default() };
    let space = Space::new(config);
    let node = connect(&space, "a");
    open_log(&node).await;
    let mut a = join(&node).await;
    publish_keyed(&node, &["1", "2"]).await;
    let (_, tokens) = given(&mut a, 9).await;
    a.settle(tokens[1], Settle::Ack).await.unwrap();
    publish_keyed(&node, &["3"]).await;
    assert!(texts(&mut a).await.is_empty());
    a.settle(tokens[0], Settle::Ack).await.unwrap();
    assert_eq!(texts(&mut a).await, ["3"]);
}

/// A rewound log interrupts; the commit is clamped to what is there.
#[tokio::test(start_paused = true)]
async fn a_rewound_log_interrupts() {
    let (space, node_a, _b) = space(&["1", "2", "3"]).await;
    let mut a = join(&node_a).await;
    let (_, tokens) = given(&mut a, 9).await;
    for token in tokens {
        a.settle(token, Settle::Ack).await.unwrap();
    }
    space.faults().rewind_log(TOPIC, 1);
    publish_keyed(&node_a, &["3'"]).await;
    assert_eq!(texts(&mut a).await, ["interrupted"]);
    assert_eq!(texts(&mut join(&node_a).await).await, ["assigned [0]", "3'"]);
}

/// A test can ask the lane back, and take it away.
#[tokio::test(start_paused = true)]
async fn a_test_can_move_the_lane() {
    let (space, node_a, node_b) = space(&["1"]).await;
    let (mut a, mut b) = (join(&node_a).await, join(&node_b).await);
    assert_eq!(texts(&mut b).await, ["assigned [0]", "1"]);
    space.faults().rebalance(TOPIC);
    drop(revoking(&mut b).await);
    assert_eq!(texts(&mut a).await, ["assigned [0]", "1 #2"]);
    space.faults().end_leases(TOPIC);
    assert_eq!(texts(&mut a).await, ["lost [0]"]);
    assert_eq!(texts(&mut b).await, ["assigned [0]", "1 #3"]);
}
