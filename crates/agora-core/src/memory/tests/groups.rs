//! Groups by lease.

use super::*;
use crate::transport::{FromGroup, GroupInbox, GroupSpec, GroupStart, OutFrame, Settle, Token, TopicSpec};

pub(super) const LEASE: Duration = Duration::from_secs(30);

pub(super) fn spec(start: GroupStart) -> GroupSpec {
    GroupSpec { name: crate::id::GroupName::new("g").unwrap(), start, lease: LEASE }
}

pub(super) async fn join(of: &MemoryTransport) -> Box<dyn GroupInbox> {
    of.join_group(&topic(), &spec(GroupStart::Earliest)).await.unwrap()
}

pub(super) async fn open_log(of: &MemoryTransport) {
    of.open(&TopicSpec::log(topic())).await.unwrap();
}

/// Publishes records; "k=v" has the key k.
pub(super) async fn publish_keyed(from: &MemoryTransport, texts: &[&str]) {
    let frames = texts.iter().map(|text| {
        let key = text.split_once('=').map(|(key, _)| Bytes::from(key.to_owned()));
        OutFrame { key, ..OutFrame::new(Bytes::from((*text).to_owned())) }
    });
    let by = Instant::now() + Duration::from_secs(1);
    from.publish(&Address { topic: topic(), lane: 0 }, frames.collect(), by).await.unwrap();
}

/// What a member is given, without waiting for more: each as text, and the tokens of the records.
pub(super) async fn given(inbox: &mut Box<dyn GroupInbox>, max: usize) -> (Vec<String>, Vec<Token>) {
    let mut into = Vec::new();
    if let Ok(result) = timeout(Duration::ZERO, inbox.recv(max, &mut into)).await {
        result.unwrap();
    }
    let mut tokens = Vec::new();
    let texts = into.iter().map(|from| told(from, &mut tokens)).collect();
    (texts, tokens)
}

pub(super) fn told(from: &FromGroup, tokens: &mut Vec<Token>) -> String {
    match from {
        FromGroup::Message { raw, token, attempt, .. } => {
            tokens.push(*token);
            let text = String::from_utf8(raw.payload.to_vec()).unwrap();
            if *attempt == 1 { text } else { format!("{text} #{attempt}") }
        }
        FromGroup::Trimmed { records, .. } => format!("trimmed {}", records.unwrap()),
        FromGroup::Assigned { lanes } => format!("assigned {lanes:?}"),
        FromGroup::Revoking { lanes, .. } => format!("revoking {lanes:?}"),
        FromGroup::Lost { lanes } => format!("lost {lanes:?}"),
        FromGroup::Interrupted => "interrupted".to_owned(),
    }
}

async fn texts(inbox: &mut Box<dyn GroupInbox>) -> Vec<String> {
    given(inbox, 100).await.0
}

async fn settle_all(inbox: &dyn GroupInbox, tokens: &[Token], how: Settle) {
    for token in tokens {
        inbox.settle(*token, how).await.unwrap();
    }
}

async fn settle_fails(inbox: &dyn GroupInbox, token: Token, how: Settle) -> ErrorKind {
    inbox.settle(token, how).await.unwrap_err().kind()
}

/// Two nodes, each with a place in the group, and a log with these records.
async fn two(records: &[&str]) -> (Space, [MemoryTransport; 2], [Box<dyn GroupInbox>; 2]) {
    let space = Space::default();
    let (a, b) = (connect(&space, "a"), connect(&space, "b"));
    open_log(&a).await;
    publish_keyed(&a, records).await;
    let inboxes = [join(&a).await, join(&b).await];
    (space, [a, b], inboxes)
}

/// Each record goes to one member, in the order of the log.
#[tokio::test(start_paused = true)]
async fn each_record_goes_to_one_member() {
    let (_space, _nodes, [mut a, mut b]) = two(&["1", "2", "3", "4"]).await;
    assert_eq!(given(&mut a, 2).await.0, ["1", "2"]);
    assert_eq!(given(&mut b, 9).await.0, ["3", "4"]);
    assert!(texts(&mut a).await.is_empty());
}

/// A member that waits gets what is published.
#[tokio::test(start_paused = true)]
async fn a_waiting_member_is_woken() {
    let (_space, [a, _b], [mut inbox, _other]) = two(&[]).await;
    let mut into = Vec::new();
    let (received, ()) = tokio::join!(inbox.recv(9, &mut into), publish_keyed(&a, &["1"]));
    received.unwrap();
    assert_eq!(told(&into[0], &mut Vec::new()), "1");
}

/// A lease that has ended gives the record to whoever asks next, as the next attempt; the old token is void.
#[tokio::test(start_paused = true)]
async fn a_lease_that_has_ended_gives_the_record_to_the_next() {
    let (_space, _nodes, [mut a, mut b]) = two(&["1"]).await;
    let (_, old) = given(&mut a, 9).await;
    let before = Instant::now();
    let mut into = Vec::new();
    b.recv(9, &mut into).await.unwrap();
    assert_eq!(Instant::now() - before, LEASE, "the waiting member is woken by the end of the lease");
    let mut new = Vec::new();
    assert_eq!(told(&into[0], &mut new), "1 #2");
    assert_eq!(settle_fails(&*a, old[0], Settle::Ack).await, ErrorKind::Conflict);
    assert_eq!(settle_fails(&*a, new[0], Settle::Ack).await, ErrorKind::Conflict, "a token is its member's");
    b.settle(new[0], Settle::Ack).await.unwrap();
}

/// The same member may get it again, with another token.
#[tokio::test(start_paused = true)]
async fn the_same_member_may_get_it_again() {
    let (_space, _nodes, [mut a, _b]) = two(&["1"]).await;
    let (_, old) = given(&mut a, 9).await;
    tokio::time::advance(LEASE).await;
    assert_eq!(settle_fails(&*a, old[0], Settle::Ack).await, ErrorKind::Conflict);
    let (texts, new) = given(&mut a, 9).await;
    assert_eq!(texts, ["1 #2"]);
    assert_ne!(old, new);
}

/// `Extend` begins the lease anew, and an `Ack` behind it is final.
#[tokio::test(start_paused = true)]
async fn a_lease_can_be_extended_and_an_ack_is_final() {
    let (_space, _nodes, [mut a, mut b]) = two(&["1"]).await;
    let (_, tokens) = given(&mut a, 9).await;
    for _ in 0..3 {
        tokio::time::advance(LEASE / 2).await;
        a.settle(tokens[0], Settle::Extend).await.unwrap();
        assert!(texts(&mut b).await.is_empty());
    }
    let (extended, acked) = (a.settle(tokens[0], Settle::Extend), a.settle(tokens[0], Settle::Ack));
    acked.await.unwrap();
    extended.await.unwrap();
    tokio::time::advance(LEASE * 2).await;
    assert!(texts(&mut b).await.is_empty());
    for how in [Settle::Ack, Settle::Extend, Settle::Release] {
        assert_eq!(settle_fails(&*a, tokens[0], how).await, ErrorKind::Conflict);
    }
}

/// `Release` gives a record out again at once, before what was never given out, and is no attempt.
#[tokio::test(start_paused = true)]
async fn what_is_released_comes_first_and_counts_for_nothing() {
    let (_space, _nodes, [mut a, mut b]) = two(&["1", "2", "3"]).await;
    let (_, tokens) = given(&mut a, 2).await;
    settle_all(&*a, &[tokens[1], tokens[0]], Settle::Release).await;
    assert_eq!(texts(&mut b).await, ["1", "2", "3"]);
}

/// Records of one key are with one member at a time; the others go on.
#[tokio::test(start_paused = true)]
async fn a_key_is_with_one_member_at_a_time() {
    let (_space, _nodes, [mut a, mut b]) = two(&["k=1", "k=2", "j=1", "k=3", "4"]).await;
    let (_, first) = given(&mut a, 1).await;
    assert_eq!(texts(&mut b).await, ["j=1", "4"], "no record of k");
    let (texts_a, more) = given(&mut a, 1).await;
    assert_eq!(texts_a, ["k=2"], "the member that has the key may have more of it");
    a.settle(first[0], Settle::Ack).await.unwrap();
    assert!(texts(&mut b).await.is_empty(), "k=2 is still with the other");
    a.settle(more[0], Settle::Ack).await.unwrap();
    assert_eq!(texts(&mut b).await, ["k=3"]);
}

/// A record that is given back does not go past a later one of its key that is with another member.
#[tokio::test(start_paused = true)]
async fn a_key_does_not_split_by_a_release() {
    let (_space, _nodes, [mut a, mut b]) = two(&["k=1", "k=2"]).await;
    let (_, tokens) = given(&mut a, 9).await;
    a.settle(tokens[0], Settle::Release).await.unwrap();
    assert!(texts(&mut b).await.is_empty());
    assert_eq!(texts(&mut a).await, ["k=1"]);
}

/// A group remembers where it stands when nobody is there.
#[tokio::test(start_paused = true)]
async fn a_group_remembers_where_it_stands() {
    let (_space, [node_a, _b], [mut a, b]) = two(&["1", "2", "3"]).await;
    let (_, tokens) = given(&mut a, 2).await;
    settle_all(&*a, &tokens[1..], Settle::Ack).await;
    a.leave().await.unwrap();
    b.leave().await.unwrap();
    // Where a known group would begin if it were new does not matter.
    let mut again = node_a.join_group(&topic(), &spec(GroupStart::Latest)).await.unwrap();
    assert_eq!(texts(&mut again).await, ["1", "3"], "leaving is no attempt");
}

/// A new group that begins with the latest gets what comes from then on.
#[tokio::test(start_paused = true)]
async fn a_new_group_can_begin_at_the_end() {
    let space = Space::default();
    let a = connect(&space, "a");
    open_log(&a).await;
    publish_keyed(&a, &["1"]).await;
    let mut inbox = a.join_group(&topic(), &spec(GroupStart::Latest)).await.unwrap();
    publish_keyed(&a, &["2"]).await;
    assert_eq!(texts(&mut inbox).await, ["2"]);
}

/// A dropped place, a crash and a closed transport give back at once what was held; as nobody knows what became of it, it
/// counts.
#[tokio::test(start_paused = true)]
async fn who_goes_without_a_word_gives_back_at_once() {
    let (space, [node_a, _node_b], [mut a, mut b]) = two(&["1"]).await;
    given(&mut a, 9).await;
    drop(a);
    assert_eq!(given(&mut b, 9).await.0, ["1 #2"]);
    let mut a = join(&node_a).await;
    space.faults().crash("b");
    assert_eq!(b.recv(9, &mut Vec::new()).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(given(&mut a, 9).await.0, ["1 #3"]);
    let c = connect(&space, "c");
    let mut inbox = join(&c).await;
    drop(node_a);
    assert_eq!(given(&mut inbox, 9).await.0, ["1 #4"]);
    assert_eq!(settle_fails(&*a, Token(1), Settle::Ack).await, ErrorKind::Closed);
}

/// A cut link interrupts: tokens are void, and the leases run on, since the server cannot know.
#[tokio::test(start_paused = true)]
async fn a_cut_link_interrupts_and_its_leases_run_on() {
    let (space, [node_a, _node_b], [mut a, mut b]) = two(&["1"]).await;
    let (_, tokens) = given(&mut a, 9).await;
    space.faults().isolate("a");
    assert_eq!(texts(&mut a).await, ["interrupted"]);
    assert_eq!(settle_fails(&*a, tokens[0], Settle::Ack).await, ErrorKind::Unreachable);
    let again = node_a.join_group(&topic(), &spec(GroupStart::Earliest)).await;
    assert_eq!(again.err().unwrap().kind(), ErrorKind::Unreachable);
    space.faults().rejoin("a");
    assert_eq!(settle_fails(&*a, tokens[0], Settle::Ack).await, ErrorKind::Conflict);
    let mut again = join(&node_a).await;
    assert!(texts(&mut again).await.is_empty() && texts(&mut b).await.is_empty());
    tokio::time::advance(LEASE).await;
    assert_eq!(texts(&mut b).await, ["1 #2"]);
}

/// A cut that was healed before anybody looked interrupts all the same; so does a server that was down.
#[tokio::test(start_paused = true)]
async fn an_interruption_that_is_over_is_told() {
    let (space, _nodes, [mut a, mut b]) = two(&["1"]).await;
    space.faults().isolate("a");
    space.faults().rejoin("a");
    assert_eq!(texts(&mut a).await, ["interrupted"]);
    space.faults().server_down();
    space.faults().server_up();
    assert_eq!(texts(&mut b).await, ["interrupted"]);
}

/// A paused node gets nothing, and what it settles arrives when it is resumed: after the lease, in vain.
#[tokio::test(start_paused = true)]
async fn the_leases_of_a_paused_node_run_out() {
    let (space, _nodes, [mut a, mut b]) = two(&["1", "2"]).await;
    let (_, tokens) = given(&mut a, 1).await;
    space.faults().pause("a");
    assert!(texts(&mut a).await.is_empty());
    let acked = tokio::spawn(a.settle(tokens[0], Settle::Ack));
    assert_eq!(given(&mut b, 1).await.0, ["2"]);
    tokio::time::advance(LEASE).await;
    assert_eq!(given(&mut b, 1).await.0, ["1 #2"]);
    assert!(!acked.is_finished());
    space.faults().resume("a");
    assert_eq!(acked.await.unwrap().unwrap_err().kind(), ErrorKind::Conflict);
}

/// A pause that is shorter than the lease costs nothing.
#[tokio::test(start_paused = true)]
async fn what_a_paused_node_settles_in_time_counts() {
    let (space, _nodes, [mut a, mut b]) = two(&["1"]).await;
    let (_, tokens) = given(&mut a, 1).await;
    space.faults().pause("a");
    let acked = tokio::spawn(a.settle(tokens[0], Settle::Ack));
    tokio::time::advance(LEASE / 2).await;
    space.faults().resume("a");
    acked.await.unwrap().unwrap();
    tokio::time::advance(LEASE).await;
    assert!(texts(&mut b).await.is_empty());
}

/// What retention took before anybody had it is told once, to one member. What a member holds it may finish.
#[tokio::test(start_paused = true)]
async fn what_retention_took_is_told_once() {
    let (space, _nodes, [mut a, mut b]) = two(&["1", "2", "3", "4", "5", "6"]).await;
    let (_, tokens) = given(&mut a, 2).await;
    space.faults().trim_log(TOPIC, 1);
    assert_eq!(texts(&mut b).await, ["trimmed 3", "6"]);
    assert!(texts(&mut a).await.is_empty());
    a.settle(tokens[0], Settle::Ack).await.unwrap();
    a.settle(tokens[1], Settle::Release).await.unwrap();
    assert_eq!(texts(&mut a).await, ["trimmed 1"]);
    assert!(texts(&mut b).await.is_empty());
}

/// A log that was rewound ends every lease and interrupts. What was done stays done, and what is published in the place of
/// what has vanished is given out.
#[tokio::test(start_paused = true)]
async fn a_rewound_log_interrupts_and_keeps_what_was_done() {
    let (space, [node_a, _b], [mut a, mut b]) = two(&["1", "2", "3", "4"]).await;
    let (_, tokens) = given(&mut a, 4).await;
    settle_all(&*a, &[tokens[0], tokens[3]], Settle::Ack).await;
    space.faults().rewind_log(TOPIC, 2);
    publish_keyed(&node_a, &["3'", "4'"]).await;
    assert_eq!(settle_fails(&*a, tokens[1], Settle::Ack).await, ErrorKind::Conflict);
    assert_eq!(
        (texts(&mut a).await, texts(&mut b).await),
        (vec!["interrupted".into()], vec!["interrupted".into()])
    );
    assert_eq!(texts(&mut join(&node_a).await).await, ["2 #2", "3'", "4'"]);
}

/// In a log that was replaced a group begins anew.
#[tokio::test(start_paused = true)]
async fn in_a_replaced_log_a_group_begins_anew() {
    let (space, [node_a, _b], [mut a, _inbox]) = two(&["1", "2"]).await;
    let (_, tokens) = given(&mut a, 2).await;
    settle_all(&*a, &tokens, Settle::Ack).await;
    space.faults().replace_log(TOPIC);
    publish_keyed(&node_a, &["1'", "2'", "3'"]).await;
    assert_eq!(texts(&mut join(&node_a).await).await, ["1'", "2'", "3'"]);
}

/// A group holds no more at once than a log keeps.
#[tokio::test(start_paused = true)]
async fn what_is_held_is_bounded() {
    let space = Space::new(SpaceConfig { log_records_max: 2, ..SpaceConfig::default() });
    let a = connect(&space, "a");
    open_log(&a).await;
    let mut inbox = join(&a).await;
    publish_keyed(&a, &["1", "2"]).await;
    let (_, tokens) = given(&mut inbox, 9).await;
    publish_keyed(&a, &["3", "4"]).await;
    assert!(texts(&mut inbox).await.is_empty());
    inbox.settle(tokens[0], Settle::Ack).await.unwrap();
    assert_eq!(texts(&mut inbox).await, ["3"]);
}

/// A member that is cancelled while it waits has taken nothing.
#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_takes_nothing() {
    let (_space, [node_a, _b], [mut a, mut b]) = two(&[]).await;
    assert!(texts(&mut a).await.is_empty());
    publish_keyed(&node_a, &["1"]).await;
    assert_eq!(texts(&mut b).await, ["1"]);
}

/// Peers without a server have nobody to share out.
#[tokio::test(start_paused = true)]
async fn a_space_of_peers_has_no_groups() {
    let a = connect(&with_server(false), "a");
    let error = a.join_group(&topic(), &spec(GroupStart::Earliest)).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(format!("{error:#}").contains("echo_via_server"), "{error:#}");
}

/// A settlement without an answer has its effect all the same.
#[tokio::test(start_paused = true)]
async fn an_answer_can_be_lost() {
    let (space, _nodes, [mut a, mut b]) = two(&["1"]).await;
    let (_, tokens) = given(&mut a, 9).await;
    space.faults().lose_settle_answers("a", 1);
    assert_eq!(settle_fails(&*a, tokens[0], Settle::Ack).await, ErrorKind::OutcomeUnknown);
    tokio::time::advance(LEASE).await;
    assert!(texts(&mut b).await.is_empty());
    assert_eq!(settle_fails(&*a, tokens[0], Settle::Ack).await, ErrorKind::Conflict);
}

/// A test can end leases before their time, which wakes who waits.
#[tokio::test(start_paused = true)]
async fn leases_can_be_ended_at_once() {
    let (space, _nodes, [mut a, mut b]) = two(&["1"]).await;
    let (_, tokens) = given(&mut a, 9).await;
    let mut into = Vec::new();
    let end = async {
        tokio::task::yield_now().await;
        space.faults().end_leases(TOPIC);
    };
    let (received, ()) = tokio::join!(b.recv(9, &mut into), end);
    received.unwrap();
    assert_eq!(told(&into[0], &mut Vec::new()), "1 #2");
    assert_eq!(settle_fails(&*a, tokens[0], Settle::Ack).await, ErrorKind::Conflict);
}
