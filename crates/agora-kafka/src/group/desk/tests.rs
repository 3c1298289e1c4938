use agora_core::transport::Raw;
use bytes::Bytes;

use super::*;

fn record(at: u64) -> Found {
    let raw = Raw { payload: Bytes::new(), lane: 0, key: None, headers: Vec::new(), time: None };
    Found::Record { at, raw }
}

/// A member with these lanes, each with so many records.
fn desk(lanes: &[u32], records: u64) -> Desk {
    let mut desk = Desk::default();
    assign(&mut desk, lanes, records);
    desk
}

fn assign(desk: &mut Desk, lanes: &[u32], records: u64) {
    let new = |lane: &u32| Assigned { lane: *lane, committed: 0, notes: Notes::default(), is_new: false };
    for (lane, serial, _) in desk.assign(lanes.iter().map(new).collect()) {
        (0..records).for_each(|at| desk.find(lane, serial, record(at)));
    }
}

fn give(desk: &mut Desk, records_max: usize) -> Vec<FromGroup> {
    let mut into = Vec::new();
    desk.give(Instant::now(), records_max, &mut into).unwrap();
    into
}

fn commit(desk: &mut Desk) {
    for standing in desk.standings() {
        desk.saved(&standing);
    }
}

/// The tokens of the records that are given out, behind everything else.
fn tokens(desk: &mut Desk, records_max: usize) -> Vec<Token> {
    give(desk, records_max);
    commit(desk);
    let tokens = |one| if let FromGroup::Message { token, .. } = one { Some(token) } else { None };
    give(desk, records_max).into_iter().filter_map(tokens).collect()
}

/// What came of settling one record.
enum Settled {
    At(Result<()>),
    Later(oneshot::Receiver<Result<()>>),
}

fn settle(desk: &mut Desk, token: Token, how: Settle) -> Settled {
    let mut settling = desk.settle(Instant::now(), &[(token, how)]);
    match settling.answers.pop().unwrap() {
        Answer::At(result) => Settled::At(result),
        Answer::Committed(lane) => Settled::Later(settling.commits.remove(&lane).unwrap()),
    }
}

fn is_void(settled: Settled) -> bool {
    matches!(settled, Settled::At(Err(error)) if error.kind() == ErrorKind::Conflict)
}

#[test]
fn an_ack_is_answered_when_it_is_committed_and_may_be_repeated_until_then() {
    let mut desk = desk(&[0], 2);
    let token = tokens(&mut desk, 1)[0];
    let (Settled::Later(mut first), Settled::Later(mut again)) =
        (settle(&mut desk, token, Settle::Ack), settle(&mut desk, token, Settle::Ack))
    else {
        panic!("an ack waits")
    };
    assert!(first.try_recv().is_err() && is_void(settle(&mut desk, token, Settle::Release)));
    commit(&mut desk);
    assert!(first.try_recv().unwrap().is_ok() && again.try_recv().unwrap().is_ok());
    assert!(is_void(settle(&mut desk, token, Settle::Ack)));
}

#[test]
fn a_commit_of_an_earlier_time_of_a_lane_answers_nothing() {
    let mut desk = desk(&[0], 2);
    let old = desk.standings();
    let token = tokens(&mut desk, 1)[0];
    let Settled::Later(mut ack) = settle(&mut desk, token, Settle::Ack) else { panic!("an ack waits") };
    let late = desk.standings();
    desk.lose();
    assert_eq!(ack.try_recv().unwrap().unwrap_err().kind(), ErrorKind::Conflict);
    assign(&mut desk, &[0], 1);
    give(&mut desk, 1);
    old.iter().chain(&late).for_each(|standing| desk.saved(standing));
    assert!(give(&mut desk, 1).is_empty(), "its first record is not noted yet");
    assert!(desk.is_unsaved());
}

#[test]
fn lanes_that_nobody_has_heard_of_go_without_a_question() {
    let mut desk = desk(&[0, 1], 1);
    assert!(desk.revoke().is_none());
    desk.give_back();
    desk.returned();
    assert!(give(&mut desk, 9).is_empty());

    assign(&mut desk, &[2], 1);
    desk.lose();
    assert!(give(&mut desk, 9).is_empty());
}

#[test]
fn a_question_is_asked_once_and_what_is_held_is_settled_before_it_is_answered() {
    let mut desk = desk(&[0, 1], 2);
    let tokens = tokens(&mut desk, 3);
    assert_eq!(tokens.len(), 3);
    let mut told = desk.revoke().unwrap();
    let asked = give(&mut desk, 9);
    assert!(matches!(&asked[..], [FromGroup::Revoking { lanes, .. }] if lanes[..] == [0, 1]), "{asked:?}");
    assert!(matches!(settle(&mut desk, tokens[0], Settle::Ack), Settled::Later(_)));
    drop(asked);
    assert!(told.try_recv().is_err_and(|gone| gone == oneshot::error::TryRecvError::Closed));
    desk.give_back();
    assert!(is_void(settle(&mut desk, tokens[1], Settle::Ack)));
    commit(&mut desk);
    assert!(!desk.is_unsaved());
}

#[test]
fn a_loss_takes_the_place_of_a_question_that_nobody_has_heard() {
    let mut desk = desk(&[0], 1);
    let token = tokens(&mut desk, 1)[0];
    let _told = desk.revoke();
    desk.lose();
    assert!(matches!(&give(&mut desk, 9)[..], [FromGroup::Lost { lanes }] if lanes[..] == [0]));
    assert!(is_void(settle(&mut desk, token, Settle::Extend)));
}

#[test]
fn no_lane_waits_for_ever_behind_a_busy_one() {
    let mut desk = desk(&[0, 1, 2], 9);
    tokens(&mut desk, 27);
    for lane in [0, 1, 2] {
        let serial = desk.lanes[&lane].serial();
        (9..20).for_each(|at| desk.find(lane, serial, record(at)));
    }
    let mut lanes: Vec<u32> = Vec::new();
    for _ in 0..6 {
        let given = give(&mut desk, 1);
        let Some(FromGroup::Message { token, .. }) = given.first() else { panic!("{given:?}") };
        lanes.push(desk.tokens[token].0);
    }
    assert_eq!((lanes[0..3].iter().max(), lanes[0..3].iter().min()), (Some(&2), Some(&0)), "{lanes:?}");
    assert_eq!(lanes[0..3], lanes[3..6]);
}

#[test]
fn what_was_given_out_is_committed_within_a_moment_and_what_is_done_at_once() {
    let mut desk = desk(&[0], 3);
    let token = tokens(&mut desk, 1)[0];
    commit(&mut desk);
    let now = Instant::now();
    assert_eq!(desk.commit_due(now), None);
    desk.give(now, 1, &mut Vec::new()).unwrap();
    assert_eq!(desk.commit_due(now), Some(now + NOTED_WITHIN));
    settle(&mut desk, token, Settle::Ack);
    assert_eq!(desk.commit_due(now), Some(now));
}

#[test]
fn at_the_end_everybody_is_told_why() {
    let mut desk = desk(&[0], 1);
    let token = tokens(&mut desk, 1)[0];
    let Settled::Later(mut ack) = settle(&mut desk, token, Settle::Ack) else { panic!("an ack waits") };
    desk.end(crate::error::closed());
    assert_eq!(ack.try_recv().unwrap().unwrap_err().kind(), ErrorKind::Closed);
    let error = desk.give(Instant::now(), 1, &mut Vec::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Closed);
    assert!(
        matches!(settle(&mut desk, token, Settle::Ack), Settled::At(Err(error)) if error.kind() == ErrorKind::Closed)
    );
}

#[test]
fn records_that_are_settled_together_wait_for_one_commit_of_their_lane() {
    let mut desk = desk(&[0, 1], 3);
    let mut words: Vec<_> = tokens(&mut desk, 6).into_iter().map(|token| (token, Settle::Ack)).collect();
    words.push((Token(99), Settle::Ack));
    let mut settling = desk.settle(Instant::now(), &words);
    let lanes: Vec<Option<u32>> = settling
        .answers
        .iter()
        .map(|answer| if let Answer::Committed(lane) = answer { Some(*lane) } else { None })
        .collect();
    assert_eq!(lanes, [Some(0), Some(0), Some(0), Some(1), Some(1), Some(1), None]);
    assert!(is_void(settle(&mut desk, Token(99), Settle::Ack)));
    let standings = desk.standings();
    assert_eq!(standings.iter().map(|standing| standing.offset).collect::<Vec<_>>(), [3, 3]);
    desk.saved(&standings[1]);
    let told = |settling: &mut Settling, lane| settling.commits.get_mut(&lane).unwrap().try_recv();
    assert!(told(&mut settling, 0).is_err() && told(&mut settling, 1).unwrap().is_ok());
    desk.saved(&standings[0]);
    assert!(told(&mut settling, 0).unwrap().is_ok());
}
