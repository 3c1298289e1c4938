//! The transport between separate processes on 127.0.0.1.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::time::{Duration, Instant};

use agora_testbed::free_port;
use nix::sys::signal::Signal;
use support::node::{LONG_LEASE, Node, SOON};

/// The process that the other tests start.
#[test]
#[ignore = "started by the other tests, with an environment that makes it a node"]
fn a_node() {
    support::child::run();
}

const NO_PAUSE: Duration = Duration::ZERO;

/// A node that others can connect to, and the URL with which they do. Multicast is off: an endpoint is named.
fn first(cluster: &str, more: &str) -> (Node, String) {
    let port = free_port().unwrap();
    let node = Node::start(1, cluster, &format!("zenoh:?listen=127.0.0.1:{port}&multicast=off{more}"));
    (node, format!("zenoh://127.0.0.1:{port}?listen=127.0.0.1:0{more}"))
}

fn pair(cluster: &str) -> (Node, Node) {
    let (a, url) = first(cluster, "");
    let b = Node::start(2, cluster, &url);
    (a, b)
}

#[test]
fn frames_go_from_process_to_process_in_order() {
    let (mut a, mut b) = pair("order");
    // When `subscribe` has returned, what is published from then on arrives: there is no other wait here.
    b.subscribe("mail", NO_PAUSE);
    a.subscribe("mail", NO_PAUSE);
    // Sizes on both sides of what fits one batch of zenoh: fragments must not change the order.
    a.tell("publish mail 1 2000 100 10000");
    a.wait(SOON, "has published", |line| line.starts_with("published mail 2000 "));
    a.tell("publish mail 2001 40 200000 10000");
    b.tell("publish mail 1 1000 100 10000");
    for node in [&mut a, &mut b] {
        // One's own come back too: the engine decides whom they are for.
        node.wait_frame("mail", 1, 2040);
        node.wait_frame("mail", 2, 1000);
        for (other, count) in [(1, 2040), (2, 1000)] {
            assert_eq!(node.count("mail", other), count);
            node.assert_ordered("mail", other);
        }
    }
}

#[test]
fn topics_and_clusters_do_not_mix() {
    let (mut a, url) = first("red", "");
    let mut b = Node::start(2, "red", &url);
    let mut c = Node::start(3, "blue", &url);
    for node in [&mut b, &mut c] {
        node.subscribe("mail", NO_PAUSE);
        node.tell("announce");
        node.wait(SOON, "has announced itself", |line| line == "announced");
    }
    c.subscribe("other", NO_PAUSE);
    a.tell("announce");
    b.wait(SOON, "has seen 1", |line| line == "seen 1");
    a.tell("publish other 1 10 100 5000");
    a.tell("publish mail 1 10 100 5000");
    b.wait_frame("mail", 1, 10);
    // The blue one is connected and hears its own cluster; by then it would have heard the red one as well.
    let mut d = Node::start(4, "blue", &url);
    meet(&mut d, &mut c, "mail");
    assert_eq!((b.count("mail", 1), b.count("other", 1)), (10, 0));
    assert_eq!((c.count("mail", 1), c.count("other", 1)), (0, 0));
    assert!(!c.log.iter().any(|line| line.starts_with("seen")), "{:?}", c.log);
}

#[test]
fn a_killed_process_and_one_that_leaves_are_told() {
    // The end of the connection tells, not its lease.
    let (mut a, url) = first("hints", LONG_LEASE);
    a.tell("announce");
    let mut others: Vec<Node> = [2, 3].map(|name| Node::start(name, "hints", &url)).into();
    for node in &mut others {
        node.tell("announce");
        node.wait(SOON, "has seen 1, who was there before", |line| line == "seen 1");
        let expected = format!("seen {}", node.name);
        a.wait(SOON, "has seen a newcomer", |line| line == expected);
    }
    others[0].signal(Signal::SIGKILL);
    a.wait(SOON, "has missed the killed one", |line| line == "gone 2");
    others[1].tell("close 20000");
    others[1].wait(SOON, "has closed", |line| line.starts_with("closed ok"));
    a.wait(SOON, "has missed the one that left", |line| line == "gone 3");
    // The others have gone, and their hosts say so: nothing is wrong with the mesh.
    assert!(!a.log.iter().any(|line| line.starts_with("link degraded")), "{:?}", a.log);
}

#[test]
fn a_slow_reader_is_told_what_it_missed_and_stalls_nobody() {
    let (mut a, url) = first("slow", "");
    let mut fast = Node::start(2, "slow", &url);
    let mut slow = Node::start(3, "slow", &url);
    fast.subscribe("mail", NO_PAUSE);
    slow.subscribe("mail", Duration::from_millis(5));
    // 40 MB, five times what an inbox holds, at the pace of the fast one: half an inbox at a time.
    for first in (1..4000).step_by(400) {
        a.tell(&format!("publish mail {first} 400 10000 10000"));
        a.wait(SOON, "has published", |line| line.starts_with("published mail 400 "));
        fast.wait_frame("mail", 1, first + 399);
    }
    assert_eq!(fast.count("mail", 1), 4000);
    assert!(fast.dropped.is_empty());
    slow.wait(SOON, "has missed something", |line| line.starts_with("dropped"));
    a.tell("publish mail 4001 1 100 10000");
    let deadline = Instant::now() + SOON;
    let books = |node: &Node| node.count("mail", 1) + node.dropped.get("mail").copied().unwrap_or(0);
    while books(&slow) < 4001 {
        assert!(slow.next(deadline).is_some(), "{} of 4001 are accounted for", books(&slow));
    }
    assert_eq!(books(&slow), 4001);
    slow.assert_ordered("mail", 1);
    // Whoever holds a publisher up for a second loses its connection.
    assert_eq!(slow.last(&["resubscribed"]), None, "the slow reader held the publisher up");
    // The mark stands where the frames would have stood.
    let mark = slow.log.iter().position(|line| line.starts_with("dropped")).unwrap();
    let last = |lines: &[String]| {
        let runs = lines.iter().filter_map(|line| line.strip_prefix("got mail 1 "));
        runs.filter_map(|run| run.split(' ').nth(1)?.parse::<u64>().ok()).max()
    };
    let before = last(&slow.log[..mark]).unwrap();
    let dropped: u64 = slow.log[mark].rsplit(' ').next().unwrap().parse().unwrap();
    let next = slow.log[mark..]
        .iter()
        .find_map(|line| line.strip_prefix("got mail 1 ")?.split(' ').next()?.parse().ok());
    assert_eq!(next, Some(before + dropped + 1));
}

#[test]
fn a_stopped_reader_stalls_nobody_for_long_and_hears_again() {
    let (mut a, url) = first("stopped", "&lease=2s");
    let mut healthy = Node::start(2, "stopped", &url);
    let mut stopped = Node::start(3, "stopped", &url);
    healthy.subscribe("mail", NO_PAUSE);
    stopped.subscribe("mail", NO_PAUSE);
    stopped.signal(Signal::SIGSTOP);
    // More than any socket buffer takes, at the pace of the healthy one. A put waits a second, once, and then gives the
    // connection up: did every one of the 40 in a call wait, the call would fail.
    for first in (1..400).step_by(40) {
        a.tell(&format!("publish mail {first} 40 100000 10000"));
        a.wait(SOON, "has published", |line| line.starts_with("published mail 40 "));
        healthy.wait_frame("mail", 1, first + 39);
    }
    assert_eq!(healthy.count("mail", 1), 400);
    stopped.signal(Signal::SIGCONT);
    stopped.wait(SOON, "has noticed that it was away", |line| line == "resubscribed mail");
    // Not all has arrived, which the engine sees by the numbers; what is sent from now on does.
    assert!(stopped.count("mail", 1) < 400);
    stopped.assert_ordered("mail", 1);
    meet(&mut a, &mut stopped, "mail");
}

#[test]
fn a_stopped_publisher_is_given_up_and_found_again() {
    let (mut a, url) = first("paused", "&lease=1s");
    let mut b = Node::start(2, "paused", &url);
    let mut c = Node::start(3, "paused", &url);
    a.tell("announce");
    for node in [&mut b, &mut c] {
        node.subscribe("mail", NO_PAUSE);
        node.tell("announce");
        node.wait(SOON, "has seen 1", |line| line == "seen 1");
    }
    // Who subscribes hears whom the others see, and where: it knows whom it will miss.
    a.subscribe("known", NO_PAUSE);
    b.signal(Signal::SIGSTOP);
    a.wait(SOON, "has missed the stopped one", |line| line == "gone 2");
    // Its host accepts connections for it, so it is not known to have ended.
    a.wait_link("degraded: connected to 1 of 2 other nodes");
    meet(&mut a, &mut c, "mail");
    b.signal(Signal::SIGCONT);
    a.wait(SOON, "has seen it again", |line| line == "seen 2");
    a.wait_link("up");
    meet(&mut b, &mut c, "mail");
}

#[test]
fn close_ends_in_time_whatever_the_others_do() {
    // The stopped one is waited for until `close` is done with it: no lease ends that.
    let (mut a, url) = first("close", LONG_LEASE);
    let mut b = Node::start(2, "close", &url);
    b.subscribe("mail", NO_PAUSE);
    a.subscribe("mail", NO_PAUSE);
    b.signal(Signal::SIGSTOP);
    // Fills every buffer towards the stopped one; the publish fails at its deadline, or later when all is closed.
    a.tell("publish mail 1 400 100000 300");
    a.wait(SOON, "has begun to wait", |line| line.starts_with("failed-publish outcome_unknown Unknown"));
    a.tell("close 700");
    a.wait(SOON, "has closed", |line| line.starts_with("closed"));
    assert!(a.log.contains(&"end mail closed".to_owned()), "{:?}", a.log);
    a.tell("publish mail 1 1 100 1000");
    a.wait(SOON, "publishes no more", |line| line.starts_with("failed-publish closed NotStored"));
    a.wait(SOON, "says that it is closed", |line| line.starts_with("published"));
    assert!(a.log.iter().any(|line| line == "link down: the transport was closed"), "{:?}", a.log);
}

#[test]
fn nothing_is_left_behind_by_one_that_is_dropped() {
    let (mut a, url) = first("dropped", "");
    let mut b = Node::start(2, "dropped", &url);
    a.tell("announce");
    b.subscribe("mail", NO_PAUSE);
    b.tell("announce");
    a.wait(SOON, "has seen 2", |line| line == "seen 2");
    b.tell("threads");
    let line = b.wait(SOON, "counts its threads", |line| line.starts_with("threads"));
    assert_ne!(line, "threads 0", "the count must be able to fail");
    b.tell("drop");
    b.wait(SOON, "has ended its subscription", |line| line == "end mail closed");
    a.wait(SOON, "has missed it", |line| line == "gone 2");
    let deadline = Instant::now() + SOON;
    loop {
        assert!(Instant::now() < deadline, "threads remain: {:?}", b.log.last());
        b.tell("threads");
        if b.wait(SOON, "counts its threads", |line| line.starts_with("threads")) == "threads 0" {
            return;
        }
    }
}

#[test]
fn a_client_needs_its_router() {
    let port = free_port().unwrap();
    let client = format!("zenoh://127.0.0.1:{port}?mode=client");
    let mut alone = Node::spawn_in(None, 1, "client", &client);
    alone.wait(SOON, "fails", |line| line == "failed unreachable");

    let router_url = format!("zenoh:?mode=router&listen=127.0.0.1:{port}&multicast=off");
    let router = Node::start(9, "client", &router_url);
    let mut a = Node::start(1, "client", &client);
    let mut b = Node::start(2, "client", &client);
    b.subscribe("mail", NO_PAUSE);
    a.tell("publish mail 1 10 100 5000");
    b.wait_frame("mail", 1, 10);
    drop(router);
    a.wait_link("down: not connected to any router");
    // Every frame is refused, none is taken for sent.
    a.tell("publish mail 11 3 100 2000");
    a.wait(SOON, "refuses", |line| line.starts_with("failed-publish unreachable NotStored"));
    a.wait(SOON, "has sent none", |line| line.starts_with("published mail 0 "));
    let _router = Node::start(9, "client", &router_url);
    a.wait_link("up");
    // The router is a new one: whether the other client is back as well, its own frames tell.
    b.wait_link("up");
    meet(&mut a, &mut b, "mail");
}

/// Waits until frames of one on a topic reach the other, by sending until one arrives.
fn meet(from: &mut Node, to: &mut Node, topic: &str) {
    let deadline = Instant::now() + SOON;
    let expected = format!("got {topic} {} 9999 9999", from.name);
    loop {
        assert!(Instant::now() < deadline, "frames of {} never reach {}", from.name, to.name);
        from.tell(&format!("publish {topic} 9999 1 16 1000"));
        from.wait(SOON, "has published", |line| line.starts_with("published"));
        while let Some(line) = to.next(Instant::now() + Duration::from_millis(50)) {
            if line == expected {
                return;
            }
        }
    }
}

#[test]
fn zenohs_own_configuration_works_as_it_is() {
    let (mut a, url) = first("json5", "");
    let at = url.strip_prefix("zenoh://").unwrap().split('?').next().unwrap();
    let json5 = format!(
        "{{ mode: 'client', connect: {{ endpoints: ['tcp/{at}'] }}, // a comment, and a comma too many:\n }}"
    );
    let mut b = Node::start(2, "json5", &json5);
    b.subscribe("mail", NO_PAUSE);
    a.tell("publish mail 1 10 100 5000");
    b.wait_frame("mail", 1, 10);
    drop(a);
    b.wait_link("down: not connected to any router");
}

#[test]
fn endpoints_that_nobody_answers_degrade_a_peer_until_one_does() {
    let port = free_port().unwrap();
    let mut b = Node::start(2, "late", &format!("zenoh://127.0.0.1:{port},127.0.0.1:9?listen=127.0.0.1:0"));
    assert!(
        b.log.iter().any(|l| l == "link degraded: connected to none of the 2 endpoints configured"),
        "{:?}",
        b.log
    );
    let _a = Node::start(1, "late", &format!("zenoh:?listen=127.0.0.1:{port}&multicast=off"));
    b.wait_link("up");
}

#[test]
fn a_port_that_is_taken_is_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("zenoh:?multicast=off&listen={}", taken.local_addr().unwrap());
    let mut node = Node::spawn_in(None, 1, "taken", &url);
    node.wait(SOON, "fails", |line| line == "failed config");
}

#[test]
fn passwords_keep_strangers_out() {
    let dir = std::env::temp_dir().join(format!("agora-zenoh-users-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let users = file("users", "mail:right\n");
    let (right, wrong) = (file("right", "right\n"), file("wrong", "guess\n"));
    let (mut a, url) = first("users", &format!("&user=mail&password_file={right}&users_file={users}"));
    let mut b = Node::start(2, "users", &url);
    b.subscribe("mail", NO_PAUSE);
    let client = url.replace("listen=127.0.0.1:0", "mode=client");
    for stranger in [client.replace(&right, &wrong), client.split("&user").next().unwrap().to_owned()] {
        let mut c = Node::spawn_in(None, 3, "users", &stranger);
        c.wait(SOON, "is kept out", |line| line.starts_with("failed unreachable"));
    }
    a.tell("publish mail 1 10 100 5000");
    b.wait_frame("mail", 1, 10);
    std::fs::remove_dir_all(&dir).unwrap();
}
