//! Groups: leases that differ, members that are counted, connections that break.

use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::id::GroupName;
use agora_core::transport::{FromGroup, GroupInbox, GroupSpec, GroupStart, Settle, Token, Transport};
use agora_nats::NatsTransport;
use agora_testbed::NatsServer;
use tokio::time::timeout;

use crate::support::{config, connect, number_of, numbered, open_log, publish, soon, topic, up};

fn spec(lease: Duration) -> GroupSpec {
    GroupSpec { name: GroupName::new("workers").unwrap(), start: GroupStart::Earliest, lease }
}

async fn join(transport: &NatsTransport, lease: Duration) -> Box<dyn GroupInbox> {
    transport.join_group(&topic("log"), &spec(lease)).await.unwrap()
}

/// The next record: its number, its token, and how often it was given out.
async fn job(member: &mut dyn GroupInbox) -> (u64, Token, u32) {
    let mut into = Vec::new();
    soon("a record", member.recv(1, &mut into)).await.unwrap();
    match into.remove(0) {
        FromGroup::Message { raw, token, attempt, .. } => (number_of(&raw.payload), token, attempt),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_was_promised_outlasts_the_groups() {
    let server = NatsServer::start().await.unwrap();
    let transport = connect(&config(server.port())).await;
    let log = open_log(&transport, "log").await;
    publish(&transport, &log, (1..=2).map(numbered).collect()).await.unwrap();
    // The first member decides for the server; it holds its record, so the second one cannot change that.
    let mut short = join(&transport, Duration::from_secs(3)).await;
    assert_eq!(job(&mut *short).await.0, 1);
    let mut long = join(&transport, Duration::from_secs(60)).await;
    let (number, token, _) = job(&mut *long).await;
    assert_eq!(number, 2);
    // Two leases later the first record has come again twice, and the second not at all.
    for attempt in 2..=3 {
        let (number, _, found) = job(&mut *short).await;
        assert_eq!((number, found), (1, attempt));
    }
    long.settle(token, Settle::Ack).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_member_is_kept_alive() {
    let server = NatsServer::start().await.unwrap();
    let transport = connect(&config(server.port())).await;
    let log = open_log(&transport, "log").await;
    let lease = Duration::from_secs(2);
    let mut member = join(&transport, lease).await;
    let mut into = Vec::new();
    // Ten are asked for, and then one is enough.
    assert!(timeout(lease / 20, member.recv(10, &mut into)).await.is_err());
    publish(&transport, &log, (1..=10).map(numbered).collect()).await.unwrap();
    let (number, token, _) = job(&mut *member).await;
    assert_eq!(number, 1);
    member.settle(token, Settle::Ack).await.unwrap();
    // For two leases it has enough to do.
    assert!(timeout(lease * 2, member.recv(0, &mut into)).await.is_err());
    while into.len() < 9 {
        soon("what waited", member.recv(9, &mut into)).await.unwrap();
    }
    for (due, one) in (2..=10).zip(into) {
        let FromGroup::Message { raw, token, attempt, .. } = one else { panic!("{one:?}") };
        assert_eq!((number_of(&raw.payload), attempt), (due, 1));
        member.settle(token, Settle::Ack).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_is_told_also_behind_records_that_were_given_out_again() {
    let server = NatsServer::start().await.unwrap();
    let transport = connect(&config(server.port())).await;
    let log = open_log(&transport, "log").await;
    publish(&transport, &log, (1..=10).map(numbered).collect()).await.unwrap();
    let mut member = join(&transport, Duration::from_secs(1)).await;
    // As many deliveries as records that will be gone.
    for _ in 0..6 {
        let (_, token, _) = job(&mut *member).await;
        member.settle(token, Settle::Release).await.unwrap();
    }
    let client = async_nats::connect(server.url()).await.unwrap();
    let stream = agora_nats::stream_name("agora", &crate::support::cluster(), &log).unwrap();
    let stream = async_nats::jetstream::new(client).get_stream(stream).await.unwrap();
    stream.purge().keep(4_u64).await.unwrap();
    let mut into = Vec::new();
    while !into.iter().any(|one| matches!(one, FromGroup::Trimmed { .. })) {
        soon("the word of what is gone", member.recv(0, &mut into)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_no_group_is_refused() {
    let server = NatsServer::start().await.unwrap();
    let transport = connect(&config(server.port())).await;
    let log = open_log(&transport, "log").await;
    let client = async_nats::connect(server.url()).await.unwrap();
    let stream = agora_nats::stream_name("agora", &crate::support::cluster(), &log).unwrap();
    let stream = async_nats::jetstream::new(client).get_stream(stream).await.unwrap();
    let made = async_nats::jetstream::consumer::pull::Config {
        durable_name: Some("workers".into()),
        max_deliver: 3,
        ..Default::default()
    };
    stream.create_consumer(made).await.unwrap();
    let refused = transport.join_group(&log, &spec(Duration::from_secs(1))).await.err().unwrap();
    assert_eq!(refused.kind(), ErrorKind::Conflict);
    assert!(refused.to_string().contains("deliveries"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_voids_every_token() {
    let mut server = NatsServer::start().await.unwrap();
    let transport = connect(&config(server.port())).await;
    let log = open_log(&transport, "log").await;
    publish(&transport, &log, vec![numbered(1)]).await.unwrap();
    let mut member = join(&transport, Duration::from_secs(2)).await;
    let (_, token, attempt) = job(&mut *member).await;
    assert_eq!(attempt, 1);
    // In an orderly way: a server that is killed may forget how often it has just given a record out.
    server.stop().await.unwrap();
    server.begin().await.unwrap();
    let mut into = Vec::new();
    // With enough to do, a member hears it all the same.
    soon("the interruption", member.recv(0, &mut into)).await.unwrap();
    assert!(matches!(into[..], [FromGroup::Interrupted]), "{into:?}");
    assert_eq!(member.settle(token, Settle::Ack).await.unwrap_err().kind(), ErrorKind::Conflict);
    up(&transport).await;
    let mut member = join(&transport, Duration::from_secs(2)).await;
    let (number, token, attempt) = job(&mut *member).await;
    assert_eq!((number, attempt), (1, 2), "it was given out before");
    member.settle(token, Settle::Ack).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_counted_across_connections_and_the_dead_are_not() {
    let server = NatsServer::start().await.unwrap();
    let (a, b) = (connect(&config(server.port())).await, connect(&config(server.port())).await);
    let log = open_log(&a, "log").await;
    publish(&a, &log, (1..=3).map(numbered).collect()).await.unwrap();
    let (mut one, two) = (join(&a, Duration::from_secs(60)).await, join(&b, Duration::from_secs(60)).await);
    job(&mut *one).await;
    let group = spec(Duration::ZERO).name;
    // A member that is asked while it is busy may answer too late to be counted.
    let admin = a.admin().unwrap();
    let counted = async {
        loop {
            let found = admin.describe_group(&log, &group).await.unwrap();
            if found.members.len() == 2 {
                return found;
            }
        }
    };
    let mut found = soon("both are counted", counted).await;
    found.members.sort_by_key(|member| member.pending);
    let pending: Vec<_> = found.members.iter().map(|member| member.pending).collect();
    assert_eq!((pending, found.lag(), found.pending()), (vec![0, 1], 3, 1));
    // As a crash: nobody says goodbye.
    drop(b);
    let refused = admin.delete_group(&log, &group).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Conflict, "one is still there");
    one.leave().await.unwrap();
    // What is left of the other connection may answer for a moment still.
    let deleted = async {
        while let Err(refused) = admin.delete_group(&log, &group).await {
            assert_eq!(refused.kind(), ErrorKind::Conflict);
        }
    };
    soon("the group is deleted", deleted).await;
    drop(two);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_whose_headers_are_none_is_work_like_any_other() {
    let server = NatsServer::start().await.unwrap();
    let (working, other) = (connect(&config(server.port())).await, connect(&config(server.port())).await);
    let log = open_log(&other, "log").await;
    let subject = agora_nats::log_subject(&crate::support::cluster(), &log);
    publish(&other, &log, vec![numbered(1)]).await.unwrap();
    server.publish_raw(&subject, b"no header block", b"2").await.unwrap();
    publish(&other, &log, vec![numbered(3)]).await.unwrap();
    let (mut done, mut interruptions) = (std::collections::BTreeSet::new(), 0);
    while done.len() < 3 {
        up(&working).await;
        let Ok(mut member) = working.join_group(&log, &spec(Duration::from_secs(2))).await else { continue };
        'joined: while done.len() < 3 {
            let mut into = Vec::new();
            soon("something of a group", member.recv(1, &mut into)).await.unwrap();
            for one in into {
                match one {
                    FromGroup::Message { raw, token, .. } => {
                        if soon("an ack", member.settle(token, Settle::Ack)).await.is_ok() {
                            done.insert(number_of(&raw.payload));
                        }
                    }
                    FromGroup::Interrupted => {
                        interruptions += 1;
                        assert!(interruptions < 50, "it comes again and again");
                        break 'joined;
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    assert!(interruptions > 0, "the client takes it now: fetching by hand is of no use any more");
    let admin = other.admin().unwrap();
    let name = GroupName::new("workers").unwrap();
    let settled = async {
        while admin.describe_group(&log, &name).await.unwrap().lanes[0].lag > 0 {
            tokio::task::yield_now().await;
        }
    };
    soon("the server has heard of all three", settled).await;
}
