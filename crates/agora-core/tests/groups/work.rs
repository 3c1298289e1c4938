//! Who handles what, how often, and what becomes of what nobody can handle.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agora_core::ErrorKind;
use agora_core::bus::{Bus, BusConfig, Failed, Missing, Start, Work};
use agora_core::event::{Event, Redriven};
use agora_core::id::{ClusterName, NodeName};
use agora_core::live::Reason;
use agora_core::memory::{PublishFault, Space, SpaceConfig};
use agora_core::transport::{Address, Framing, GroupStart, OutFrame, TopicSettings, TopicSpec, Transport};
use tokio::time::Instant;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn members_share_the_work_and_each_event_is_handled_once() {
    for framing in [Framing::Each, Framing::Batch] {
        let space = Space::default();
        let settings = TopicSettings::LOG.framing(framing);
        let (a, b) = (join_with(&space, "a", settings).await, join_with(&space, "b", settings).await);
        let handled: Arc<Mutex<BTreeMap<Order, Vec<&str>>>> = Arc::default();
        let mut members = tokio::task::JoinSet::new();
        for (bus, name) in [(a.clone(), "a"), (b.clone(), "b")] {
            let (handled, mut group) = (handled.clone(), group(&bus).await);
            members.spawn(async move {
                let handler = |job: agora_core::bus::Attempt<Order>| {
                    let handled = handled.clone();
                    async move {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        handled.lock().unwrap().entry(job.event.clone()).or_default().push(name);
                        Ok(())
                    }
                };
                group.run(4, handler).await
            });
        }
        for n in 0..200 {
            publish(&a, [Order(n % 50, n)]).await;
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        let handled = std::mem::take(&mut *handled.lock().unwrap());
        assert_eq!(handled.len(), 200, "{framing:?}");
        assert!(handled.values().all(|by| by.len() == 1));
        assert!(["a", "b"].iter().all(|name| handled.values().any(|by| by[0] == *name)));
        a.close(SOON).await.unwrap();
        b.close(SOON).await.unwrap();
        while let Some(ended) = members.join_next().await {
            ended.unwrap().unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn events_of_one_key_are_handled_one_after_the_other() {
    let space = Space::default();
    let bus = join(&space, "a").await;
    publish(&bus, (0..60).map(|n| Order(n % 3, n))).await;
    let order: Arc<Mutex<Vec<Order>>> = Arc::default();
    let mut group = group(&bus).await;
    let handler = |job: agora_core::bus::Attempt<Order>| {
        let order = order.clone();
        async move {
            let wait = 1 + (job.1 * 7) % 13;
            tokio::time::sleep(Duration::from_millis(wait)).await;
            order.lock().unwrap().push(job.received().event.clone());
            Ok(())
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(60), group.run(16, handler)).await;
    let order = order.lock().unwrap();
    for key in 0..3 {
        let of_key: Vec<u64> = order.iter().filter(|o| o.0 == key).map(|o| o.1).collect();
        assert_eq!(of_key, (0..60).filter(|n| n % 3 == key).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_and_then_lies_among_the_dead_letters() {
    let space = Space::default();
    let bus = join(&space, "a").await;
    publish(&bus, [Order(1, 10), Order(1, 11)]).await;
    let mut group = group(&bus).await;
    for attempt in 1..=3 {
        let failing = job(&mut group).await;
        assert_eq!((failing.1, failing.attempt()), (10, attempt));
        failing.retry("the printer is on fire");
    }
    let next = job(&mut group).await;
    assert_eq!(next.1, 11);
    // Stored before anything behind it of its key began.
    let letters = letters(&bus).await;
    assert_eq!(letters.len(), 1);
    let letter = &letters[0];
    assert_eq!((letter.topic.as_str(), letter.group.as_str()), (LOG, GROUP));
    assert_eq!((letter.reason.as_str(), letter.attempts), ("the printer is on fire", 3));
    assert_eq!((letter.given_up_by.as_str(), letter.kind.as_str()), ("a", "test.order"));
    assert_eq!(letter.key.as_deref(), Some(b"1".as_slice()));
    let origin = letter.origin.unwrap();
    assert_eq!((origin.node, origin.incarnation, origin.seq), (bus.me().node.0, bus.me().incarnation.0, 1));
    assert_eq!(Order::decode_body(letter.version, letter.body.as_ref().unwrap()).unwrap(), Order(1, 10));
    next.ack();
    group.leave(SOON).await.unwrap();
    let stats = bus.stats();
    assert_eq!((stats.handled, stats.retried, stats.dead_lettered), (1, 3, 1));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_event_is_not_tried_again() {
    let space = Space::default();
    let bus = join(&space, "a").await;
    publish(&bus, [Order(1, 10)]).await;
    let mut group = group(&bus).await;
    job(&mut group).await.reject("no such customer");
    idle(&mut group, Duration::from_secs(100)).await;
    let letters = letters(&bus).await;
    assert_eq!((letters.len(), letters[0].attempts, letters[0].reason.as_str()), (1, 1, "no such customer"));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_fails_panics_or_hangs_is_tried_again() {
    let space = Space::default();
    let bus = join(&space, "a").await;
    publish(&bus, (0..4).map(|n| Order(n, n))).await;
    let mut group = bus
        .group(LOG, GROUP)
        .typed::<Order>()
        .attempts(2)
        .handler_timeout(Duration::from_secs(3))
        .await
        .unwrap();
    let handler = |job: agora_core::bus::Attempt<Order>| async move {
        match job.1 {
            0 => Err(std::io::Error::other("disk"))?,
            1 => panic!("on {}", 1),
            2 => std::future::pending().await,
            _ => Err(Failed::reject("never")),
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(60), group.run(16, handler)).await;
    let mut found: Vec<(u64, u32, String)> = letters(&bus)
        .await
        .into_iter()
        .map(|letter| {
            let order = Order::decode_body(1, letter.body.as_ref().unwrap()).unwrap();
            (order.1, letter.attempts, letter.reason)
        })
        .collect();
    found.sort();
    let reasons: Vec<(u64, u32, &str)> =
        found.iter().map(|(n, tries, why)| (*n, *tries, why.as_str())).collect();
    let slow = "not settled within 3s";
    assert!(reasons[2].2 == slow || reasons[2].2 == "the handler took longer than 3s", "{reasons:?}");
    assert_eq!(reasons[0], (0, 2, "disk"));
    assert_eq!(reasons[1], (1, 2, "the handler panicked: on 1"));
    assert_eq!(reasons[2].1, 2);
    assert_eq!(reasons[3], (3, 1, "never"));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_job_goes_back_and_counts_as_no_attempt() {
    let space = Space::default();
    let (a, b) = (join(&space, "a").await, join(&space, "b").await);
    publish(&a, [Order(1, 10)]).await;
    let mut first = group(&a).await;
    drop(job(&mut first).await);
    drop(first);
    let mut second = group(&b).await;
    let again = job(&mut second).await;
    assert_eq!((again.1, again.attempt()), (10, 1));
    again.ack();
    second.leave(SOON).await.unwrap();
    let mut third = group(&a).await;
    idle(&mut third, Duration::from_secs(100)).await;
}

#[tokio::test(start_paused = true)]
async fn a_crashed_members_work_goes_to_another_with_a_higher_attempt() {
    let space = Space::default();
    let (a, b) = (join(&space, "a").await, join(&space, "b").await);
    publish(&a, [Order(1, 10), Order(1, 11)]).await;
    let mut first = group(&a).await;
    let held = job(&mut first).await;
    let mut second = group(&b).await;
    space.faults().crash("a");
    let again = job(&mut second).await;
    assert_eq!((again.1, again.attempt()), (10, 2));
    again.ack();
    let next = job(&mut second).await;
    assert_eq!(next.1, 11);
    next.ack();
    held.ack();
    second.leave(SOON).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_member_settled_it_does_not_handle_again_when_its_acknowledgement_was_lost() {
    let space = Space::default();
    let bus = join(&space, "a").await;
    publish(&bus, [Order(1, 10)]).await;
    let mut group = group(&bus).await;
    let held = job(&mut group).await;
    space.faults().server_down();
    held.ack();
    tokio::time::sleep(Duration::from_secs(5)).await;
    space.faults().server_up();
    publish(&bus, [Order(1, 11)]).await;
    let next = job(&mut group).await;
    assert_eq!(next.1, 11);
    next.ack();
    idle(&mut group, Duration::from_secs(100)).await;
    assert_eq!(bus.stats().handled, 2);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_stored_before_the_event_is_acknowledged() {
    let space = Space::default();
    let bus = join(&space, "a").await;
    publish(&bus, [Order(1, 10)]).await;
    let mut group = group(&bus).await;
    // The dead letters cannot be stored for a while.
    space.faults().fail_publishes("a", 1000, 0, PublishFault::NotStored);
    job(&mut group).await.reject("never");
    let admin = bus.admin().unwrap();
    let name = group.name().clone();
    let lag = admin.describe_group(&topic(), &name).await.unwrap().lag();
    assert_eq!(lag, 1);
    // Longer than a publish may take: the letter has failed, and is tried again.
    idle(&mut group, Duration::from_secs(100)).await;
    assert_eq!(admin.describe_group(&topic(), &name).await.unwrap().lag(), 1);
    idle(&mut group, Duration::from_secs(3000)).await;
    assert_eq!(admin.describe_group(&topic(), &name).await.unwrap().lag(), 0);
    assert!(!letters(&bus).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn redriven_letters_are_tried_anew_by_their_group_alone() {
    let space = Space::default();
    let bus = join(&space, "a").await;
    publish(&bus, [Order(1, 10), Order(2, 20)]).await;
    let mut group = group(&bus).await;
    job(&mut group).await.reject("first");
    job(&mut group).await.reject("second");
    idle(&mut group, Duration::from_secs(1)).await;
    let mut others = bus.group(LOG, "billing").typed::<Order>().await.unwrap();
    for _ in 0..2 {
        job(&mut others).await.ack();
    }
    let mut reader = bus.subscribe(LOG).include_own().start(Start::Live).await.unwrap();

    assert_eq!(bus.redrive(LOG, GROUP, Some(1)).await.unwrap(), 1);
    let again = job(&mut group).await;
    assert_eq!((again.1, again.attempt(), again.source(), again.seq()), (10, 1, bus.me(), 1));
    again.ack();
    assert_eq!(bus.redrive(LOG, GROUP, None).await.unwrap(), 1);
    let again = job(&mut group).await;
    assert_eq!(again.1, 20);
    again.ack();
    assert_eq!(bus.redrive(LOG, GROUP, None).await.unwrap(), 0);
    idle(&mut group, Duration::from_secs(100)).await;
    idle(&mut others, Duration::from_secs(100)).await;
    let next = tokio::time::timeout(Duration::from_secs(1), reader.try_next()).await;
    assert!(next.is_err(), "a subscription had it before: {next:?}");
    assert_eq!(Redriven::KIND, "agora.redriven");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_here_and_what_cannot_be_read_goes_to_the_dead_letters() {
    let space = Space::default();
    let bus = join(&space, "a").await;
    bus.publisher(LOG).unwrap().publish(&Other).await.unwrap();
    let native = space.connect(&ClusterName::new("test").unwrap(), &NodeName::new("native").unwrap());
    let to = Address { topic: topic(), lane: 0 };
    let by = Instant::now() + SOON;
    // A frame of another topic.
    let frame = {
        let other = space.connect(&ClusterName::new("test").unwrap(), &NodeName::new("x").unwrap());
        drop(other);
        let mut builder = agora_core::codec::FrameBuilder::new();
        builder.push_event(&Other).unwrap();
        let stamp = agora_core::codec::Stamp {
            source: bus.me(),
            stream: agora_core::id::StreamId(7),
            seq: 1,
            floor: 1,
            sent_us: 1,
        };
        builder.finish(&stamp, agora_core::codec::FrameType::Data)
    };
    let mut damaged = frame.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let frames = vec![OutFrame::new(frame), OutFrame::new(damaged)];
    native.publish(&to, frames, by).await.unwrap();
    let mut group = group(&bus).await;
    idle(&mut group, Duration::from_secs(60)).await;
    let mut reasons: Vec<String> = letters(&bus).await.into_iter().map(|letter| letter.reason).collect();
    reasons.sort();
    assert_eq!(
        reasons,
        [
            "it cannot be read: it is a frame of another topic, or of another cluster",
            "it cannot be read: it is damaged",
            "its kind is not known here: test.other",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn messages_of_other_software_are_work_too() {
    let space = Space::default();
    let bus = join(&space, "a").await;
    let native = space.connect(&ClusterName::new("test").unwrap(), &NodeName::new("native").unwrap());
    let to = Address { topic: topic(), lane: 0 };
    let settings = TopicSettings::LOG.framing(Framing::Each);
    native.open(&TopicSpec { name: topic(), settings }).await.unwrap();
    let frames = vec![OutFrame::new("plain"), OutFrame::new("poison")];
    native.publish(&to, frames, Instant::now() + SOON).await.unwrap();
    let mut group = group(&bus).await;
    for expected in ["plain", "poison"] {
        match work(&mut group).await {
            Work::Foreign(job) if expected == "plain" => {
                assert_eq!(job.foreign().raw.payload, expected);
                job.ack();
            }
            Work::Foreign(job) => job.reject("no"),
            other => panic!("{other:?}"),
        }
    }
    idle(&mut group, Duration::from_secs(60)).await;
    let found = letters(&bus).await;
    assert_eq!(
        (found.len(), found[0].origin, found[0].body.as_deref()),
        (1, None, Some(b"poison".as_slice()))
    );
    assert_eq!(bus.redrive(LOG, GROUP, None).await.unwrap(), 1);
    match work(&mut group).await {
        Work::Foreign(job) => assert_eq!(job.foreign().raw.payload, "poison"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_retention_takes_from_a_group_is_a_gap() {
    let space = Space::new(SpaceConfig { log_records_max: 5, ..SpaceConfig::default() });
    let bus = join(&space, "a").await;
    let mut group = group(&bus).await;
    publish(&bus, [Order(0, 0)]).await;
    let held = job(&mut group).await;
    publish(&bus, (1..100).map(|n| Order(n, n))).await;
    held.ack();
    let mut gaps = 0;
    let mut last = 0;
    while last < 99 {
        match work(&mut group).await {
            Work::Gap(gap) => {
                assert_eq!((gap.missing, gap.reason), (Missing::Log { lane: 0 }, Reason::Retention));
                gaps += 1;
            }
            Work::Job(job) => {
                last = job.1;
                job.ack();
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(gaps > 0);
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_kept_as_long_as_the_work_takes() {
    let space = Space::default();
    let (a, b) = (join(&space, "a").await, join(&space, "b").await);
    publish(&a, [Order(1, 10)]).await;
    let lease = Duration::from_secs(1);
    let mut first = a.group(LOG, GROUP).typed::<Order>().lease(lease).await.unwrap();
    let held = job(&mut first).await;
    let mut second = b.group(LOG, GROUP).typed::<Order>().lease(lease).await.unwrap();
    idle(&mut second, Duration::from_secs(30)).await;
    held.ack();
    idle(&mut second, Duration::from_secs(30)).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_group_begins_where_it_is_told_and_an_old_one_where_it_stands() {
    let space = Space::default();
    let bus = join(&space, "a").await;
    publish(&bus, [Order(1, 10)]).await;
    let mut latest = bus.group(LOG, "latest").typed::<Order>().start(GroupStart::Latest).await.unwrap();
    idle(&mut latest, Duration::from_secs(1)).await;
    latest.leave(SOON).await.unwrap();
    publish(&bus, [Order(1, 11)]).await;
    let mut again = bus.group(LOG, "latest").typed::<Order>().start(GroupStart::Latest).await.unwrap();
    assert_eq!(job(&mut again).await.1, 11);
}

#[tokio::test(start_paused = true)]
async fn leaving_waits_for_what_is_handled_and_closing_leaves() {
    let space = Space::default();
    let bus = join(&space, "a").await;
    publish(&bus, [Order(1, 10), Order(2, 20)]).await;
    let mut group = group(&bus).await;
    let held = job(&mut group).await;
    let late = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(5)).await;
        held.ack();
    });
    let before = Instant::now();
    bus.close(SOON).await.unwrap();
    assert!(before.elapsed() >= Duration::from_secs(5));
    late.await.unwrap();
    assert!(group.try_next().await.unwrap().is_none());
    let bus = join(&space, "b").await;
    let mut group = self::group(&bus).await;
    let next = job(&mut group).await;
    assert_eq!((next.1, next.attempt()), (20, 1));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_said_before_anything_is_joined() {
    let space = Space::default();
    let bus = join(&space, "a").await;
    let error = bus.group("a.live.topic", GROUP).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(
        format!("{error:#}"),
        "group: this topic is live: it keeps nothing that a group could share (topic: a.live.topic, group: shipping); \
         make it a log, on every node (`topics` of the configuration)"
    );
    let error = bus.group(LOG, "a.b").await.unwrap_err();
    assert!(format!("{error:#}").contains("the name of a group is one word"), "{error:#}");
    assert_eq!(bus.group(LOG, GROUP).attempts(0).await.unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(bus.group(LOG, GROUP).lease(Duration::ZERO).await.unwrap_err().kind(), ErrorKind::Config);
    let peers = Space::new(SpaceConfig { echo_via_server: false, ..SpaceConfig::default() });
    let config = BusConfig::new(ClusterName::new("test").unwrap(), NodeName::new("p").unwrap());
    let bus = Bus::open(peers.connect(&config.cluster, &config.node), config).unwrap();
    assert_eq!(bus.group(LOG, GROUP).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(bus.admin().unwrap_err().kind(), ErrorKind::Unsupported);
}
