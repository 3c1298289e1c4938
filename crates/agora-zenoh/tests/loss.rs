//! Whole buses, each a process on a host of its own, on a network that loses packets and is cut.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // A test.

mod support;

use std::time::Duration;

use support::net::Lan;
use support::node::Node;

/// The process that the other test starts.
#[test]
#[ignore = "started by the other test, with an environment that makes it a node"]
fn a_node() {
    support::bus_child::run();
}

/// Where packets are lost several times in a row, TCP waits for many seconds.
const PATIENCE: Duration = Duration::from_secs(120);
/// Each waits until all of the one before has arrived.
const ROUNDS: usize = 6;
const EVENTS: u64 = 50;
/// So often a last event is published, until one has arrived everywhere.
const TRIES: usize = 60;

#[test]
fn three_separate_processes_at_20_percent_loss_the_books_balance() {
    let lan = Lan::new(3);
    let mut nodes: Vec<Node> =
        [1, 2, 3].map(|n| Node::start_in(lan.host(n), n as u64, "loss", "zenoh:")).into();
    let mut published = 0;
    each(&mut nodes, hears);

    lan.lose(20);
    for _ in 0..ROUNDS {
        publish(&mut nodes, EVENTS, &mut published);
        each(&mut nodes, |node, other| told(node, other, published));
    }
    // What is published in a cut that lasts, TCP cannot mend: the one side asks for it, the other names it.
    lan.unplug(3);
    for node in &mut nodes[..2] {
        becomes(node, "holds 3 dead", |node| member(node, 3) == Some("failed"));
    }
    nodes[2].wait_link("degraded: connected to 0 of 2 other nodes");
    publish(&mut nodes, EVENTS, &mut published);
    lan.plug(3);
    each(&mut nodes, |node, other| told(node, other, published));
    let lost = lan.lose_no_more();

    // The last event of each ends whatever is still open.
    each(&mut nodes, hears);
    for _ in 0..TRIES {
        if !settled(&mut nodes, published) {
            publish(&mut nodes, 1, &mut published);
        }
    }
    assert!(settled(&mut nodes, published), "the last event of somebody never arrived");
    println!("{lost:?} packets were lost, {published} events published by each");
    for node in &mut nodes {
        let mut mended = repaired(node);
        println!("{} repaired {mended}", node.name);
        for other in others(node) {
            let books = Books::of(&node.log, other);
            println!("{} was handed {} of {other}, and told of {}", node.name, books.delivered, books.named);
            assert_eq!(books.delivered + books.named, published, "{} of {other}", node.name);
            mended += books.named;
        }
        assert!(mended > 0, "{} missed nothing: this proves nothing", node.name);
    }
    assert!(lost.iter().all(|packets| *packets > 0), "no packet was lost: this proves nothing");
}

/// What a node was handed of another.
struct Books {
    delivered: u64,
    /// They lie in gaps.
    named: u64,
    /// The first that neither was delivered nor lies in a gap that has an end.
    next: u64,
    /// It lies in a gap that has none yet.
    open: bool,
}

impl Books {
    /// Adds it up, and fails on what comes twice, out of order, or after a hole that no gap names.
    fn of(log: &[String], source: u64) -> Self {
        let mut books = Self { delivered: 0, named: 0, next: 1, open: false };
        for line in log {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["event", node, seq] if node.parse() == Ok(source) => {
                    let seq = seq.parse().unwrap();
                    books.reach(seq, line);
                    books.delivered += 1;
                    books.next = seq + 1;
                }
                ["gap", node, from, to, _] if node.parse() == Ok(source) => {
                    books.reach(from.parse().unwrap_or(books.next), line);
                    match to.parse() {
                        Ok(to) => books.skip(to),
                        Err(_) => books.open = true,
                    }
                }
                _ => {}
            }
        }
        books
    }

    fn reach(&mut self, seq: u64, line: &str) {
        let due = seq == self.next || self.open && seq > self.next;
        assert!(due, "{line:?} when {} was due", self.next);
        self.skip(seq);
        self.open = false;
    }

    fn skip(&mut self, to: u64) {
        self.named += to - self.next;
        self.next = to;
    }
}

fn others(node: &Node) -> impl Iterator<Item = u64> + use<> {
    let me = node.name;
    (1..=3).filter(move |other| *other != me)
}

/// For every node and every other.
fn each(nodes: &mut [Node], mut check: impl FnMut(&mut Node, u64)) {
    for node in nodes {
        others(node).for_each(|other| check(node, other));
    }
}

fn becomes(node: &mut Node, what: &str, holds: impl FnMut(&Node) -> bool) {
    assert!(node.within(PATIENCE, holds), "{} never {what}: {:#?}", node.name, node.tail());
}

/// Every node publishes; adds the number of events to the count.
fn publish(nodes: &mut [Node], events: u64, published: &mut u64) {
    *published += events;
    nodes.iter_mut().for_each(|node| node.tell(&format!("publish {events}")));
    let expected = format!("published {published}");
    for node in nodes {
        becomes(node, "published", |node| node.last(&["published "]) == Some(&expected));
    }
}

/// The last that a node was told of another's membership.
fn member(node: &Node, other: u64) -> Option<&str> {
    let who = format!(" node-{other}");
    let mut lines = node.log.iter().rev().filter_map(|line| line.strip_prefix("member "));
    lines.find_map(|line| line.strip_suffix(&who))
}

/// Waits until the node holds the other alive.
fn hears(node: &mut Node, other: u64) {
    becomes(node, &format!("hears {other}"), |node| {
        matches!(member(node, other), Some("joined" | "returned"))
    });
}

/// Waits until it was handed the other's event of this number, or was told that it may not be.
fn told(node: &mut Node, other: u64, seq: u64) {
    becomes(node, &format!("was told of {seq} of {other}"), |node| {
        let last = node.last(&[&format!("event {other} "), &format!("gap {other} ")]);
        let words: Vec<&str> = last.unwrap_or_default().split(' ').collect();
        match words.as_slice() {
            ["event", _, at] => at.parse().is_ok_and(|at: u64| at >= seq),
            // `?`: without an end.
            ["gap", _, _, to, _] => to.parse().map_or(true, |to: u64| to > seq),
            _ => false,
        }
    });
}

/// Is the event of this number, of each, delivered to every other? Waits for it a little.
fn settled(nodes: &mut [Node], seq: u64) -> bool {
    nodes.iter_mut().all(|node| {
        others(node).all(|other| {
            let expected = format!("event {other} {seq}");
            node.within(Duration::from_millis(500), |node| node.log.contains(&expected))
        })
    })
}

fn repaired(node: &mut Node) -> u64 {
    node.tell("stats");
    becomes(node, "said what it has counted", |node| node.last(&["stats "]).is_some());
    let stats = node.last(&["stats "]).unwrap_or_default();
    stats.split(" repaired=").nth(1).and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap()
}
