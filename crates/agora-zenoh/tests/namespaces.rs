//! The transport in networks of their own: real multicast, cuts of the whole and of one way.
#![cfg(target_os = "linux")]

mod support;

use std::time::Duration;

use support::net::{Lan, Namespace};
use support::node::{Node, SOON};

/// The process that the other tests start.
#[test]
#[ignore = "started by the other tests, with an environment that makes it a node"]
fn a_node() {
    support::child::run();
}

/// A lease short enough for a test and long enough for a busy machine.
const LEASE: &str = "lease=4s";

fn joined(node: &mut Node) {
    node.subscribe("mail", Duration::ZERO);
    node.tell("announce");
    node.wait(SOON, "has announced itself", |line| line == "announced");
}

/// Waits until every node knows every other: who subscribes hears whom the others see.
fn all_known(nodes: &mut [Node]) {
    all_seen(nodes);
    nodes.iter_mut().for_each(|node| node.subscribe("known", Duration::ZERO));
}

/// Waits until every node has seen every other.
fn all_seen(nodes: &mut [Node]) {
    let names: Vec<u64> = nodes.iter().map(|node| node.name).collect();
    for node in nodes {
        let me = node.name;
        for name in names.iter().filter(|name| **name != me) {
            sees(node, *name, true);
        }
    }
}

/// Waits until the last word of a node on another is that it sees it, or that it does not.
fn sees(node: &mut Node, name: u64, seen: bool) {
    let (yes, no) = (format!("seen {name}"), format!("gone {name}"));
    let what = if seen { "saw" } else { "missed" };
    node.until(&format!("{what} {name}"), |node| {
        let last = node.log.iter().rev().find(|line| **line == yes || **line == no);
        last.is_some_and(|line| (*line == yes) == seen)
    });
}

/// Checks that frames go both ways between all of them, with numbers from `first` on.
fn all_hear(nodes: &mut [Node], first: u64) {
    for node in nodes.iter_mut() {
        node.tell(&format!("publish mail {first} 5 100 5000"));
    }
    let names: Vec<u64> = nodes.iter().map(|node| node.name).collect();
    for node in nodes {
        for name in &names {
            node.wait_frame("mail", *name, first + 4);
            node.assert_ordered("mail", *name);
        }
    }
}

#[test]
fn peers_meet_where_there_is_only_loopback_and_by_the_port_of_their_group() {
    let space = Namespace::new();
    let at = Some(space.0.as_str());
    let mut nodes: Vec<Node> =
        [1, 2, 3].map(|name| Node::start_in(at, name, "lo", "zenoh:?multicast_port=17446")).into();
    let mut stranger = Node::start_in(at, 4, "lo", "zenoh:?multicast_port=17447");
    joined(&mut stranger);
    nodes.iter_mut().for_each(joined);
    all_seen(&mut nodes);
    all_hear(&mut nodes, 1);
    // Another port is another network.
    assert!(!nodes.iter().any(|node| node.log.contains(&"seen 4".to_owned())));
    assert!(!stranger.log.iter().any(|line| line.starts_with("seen")), "{:?}", stranger.log);
}

#[test]
fn three_hosts_meet_by_multicast_and_again_after_a_cut() {
    let lan = Lan::new(3);
    let url = format!("zenoh:?{LEASE}");
    let mut nodes: Vec<Node> = [1, 2, 3].map(|n| Node::start_in(lan.host(n), n as u64, "lan", &url)).into();
    nodes.iter_mut().for_each(joined);
    all_known(&mut nodes);
    all_hear(&mut nodes, 1);

    lan.unplug(3);
    for (node, lost) in [(0, 3), (1, 3), (2, 1), (2, 2)] {
        sees(&mut nodes[node], lost, false);
    }
    for (node, expected) in [(0, "connected to 1 of 2"), (2, "connected to 0 of 2")] {
        nodes[node].wait_link(&format!("degraded: {expected} other nodes"));
    }
    // The others go on.
    nodes[0].tell("publish mail 100 5 100 5000");
    nodes[1].wait_frame("mail", 1, 104);

    lan.plug(3);
    all_known(&mut nodes);
    for node in &mut nodes {
        node.wait_link("up");
    }
    // The reader is told that it may have missed something, and did.
    assert!(nodes[2].log.contains(&"resubscribed mail".to_owned()), "{:?}", nodes[2].log);
    assert_eq!(nodes[2].count("mail", 1), 5);
    all_hear(&mut nodes, 200);
}

/// With zenoh alone, two peers that know each other by gossip stay apart for good once their connection is lost.
#[test]
fn a_hole_in_a_mesh_of_gossip_is_reported_and_mended() {
    let lan = Lan::new(3);
    let hub = format!("zenoh:?listen=10.77.0.1:7447&multicast=off&{LEASE}");
    let spoke = format!("zenoh://10.77.0.1:7447?{LEASE}");
    let mut nodes: Vec<Node> = [1, 2, 3]
        .map(|n| Node::start_in(lan.host(n), n as u64, "gossip", if n == 1 { &hub } else { &spoke }))
        .into();
    nodes.iter_mut().for_each(joined);
    all_known(&mut nodes);

    lan.mute(2, 3);
    lan.mute(3, 2);
    sees(&mut nodes[1], 3, false);
    sees(&mut nodes[2], 2, false);
    for (node, at) in [(1, "10.77.0.3"), (2, "10.77.0.2")] {
        let expected = format!("link degraded: connected to 1 of 2 other nodes: not to tcp/{at}:");
        let said = |line: &str| line.starts_with(&expected) && line.ends_with(", which others reach");
        nodes[node].wait(SOON, "says who is missing, and that others reach it", said);
    }
    lan.unmute(2, 3);
    lan.unmute(3, 2);
    all_known(&mut nodes);
    for node in &mut nodes[1..] {
        node.wait_link("up");
    }
    all_hear(&mut nodes, 1);
    // The node in the middle was connected to both all the time, and its own link never was in question.
    assert!(!nodes[0].log.iter().any(|line| line.starts_with("link degraded")), "{:?}", nodes[0].log);
}

#[test]
fn a_cut_of_one_way_is_a_cut() {
    let lan = Lan::new(3);
    let url = format!("zenoh:?{LEASE}");
    let mut nodes: Vec<Node> =
        [1, 2, 3].map(|n| Node::start_in(lan.host(n), n as u64, "oneway", &url)).into();
    nodes.iter_mut().for_each(joined);
    all_known(&mut nodes);
    // What 1 sends to 2 is lost; 2 is still heard by 1. Both must give the connection up: a half of one would leave
    // 1 believing that it is heard.
    lan.mute(1, 2);
    sees(&mut nodes[1], 1, false);
    sees(&mut nodes[0], 2, false);
    for node in &mut nodes[..2] {
        node.wait_link("degraded: connected to 1 of 2 other nodes");
    }
    // The third hears both all the time.
    for node in &mut nodes[..2] {
        node.tell("publish mail 1 5 100 5000");
    }
    nodes[2].wait_frame("mail", 1, 5);
    nodes[2].wait_frame("mail", 2, 5);
    lan.unmute(1, 2);
    all_known(&mut nodes);
    for node in &mut nodes[..2] {
        node.wait_link("up");
    }
    all_hear(&mut nodes, 100);
}
