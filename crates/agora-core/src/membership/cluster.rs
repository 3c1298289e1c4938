//! Whole clusters of detectors and heartbeat schedules on a network of numbers: a hundred nodes at once.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::{
    Detector, Heartbeat, HeartbeatSchedule, MemberEvent, MemberInfo, MemberState, MembershipConfig, Output,
};
use crate::id::{Incarnation, NodeId, NodeName, SourceId};

const MS: Duration = Duration::from_millis(1);

struct Node {
    info: MemberInfo,
    detector: Detector,
    schedule: HeartbeatSchedule,
    starts: Instant,
    dies: Option<Instant>,
    told: Vec<(Instant, MemberEvent)>,
}

impl Node {
    fn runs_at(&self, now: Instant) -> bool {
        now >= self.starts && self.dies.is_none_or(|dies| now < dies)
    }
}

#[derive(Clone)]
enum Message {
    Heartbeat { from: usize, greet: bool },
    Leave { from: usize },
}

/// A network that delays each message to each receiver by up to 50 ms, loses a share of them, and repeats to the byte
/// for its seed.
struct Cluster {
    nodes: Vec<Node>,
    rng: fastrand::Rng,
    now: Instant,
    /// By time of arrival and order of sending; the receiver and what it gets.
    under_way: BTreeMap<(Instant, u64), (usize, Message)>,
    sent: u64,
    heartbeats: u64,
    loss: f64,
}

impl Cluster {
    /// Nodes that start within `starting`.
    fn new(seed: u64, count: usize, echo: bool, loss: f64, starting: Duration) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let now = Instant::now();
        let nodes = (0..count).map(|i| {
            let name = NodeName::new(&format!("node-{i}")).unwrap();
            let source = SourceId { node: NodeId::of(&name), incarnation: Incarnation(rng.u64(..)) };
            let info =
                MemberInfo { source, name, software: "test".into(), tags: Vec::new(), topics: Vec::new() };
            let starts = now + starting.mul_f64(rng.f64());
            let config = MembershipConfig::default();
            Node {
                info,
                schedule: HeartbeatSchedule::new(config.heartbeat_interval, starts, rng.fork()),
                detector: Detector::new(config, source, echo, starts),
                starts,
                dies: None,
                told: Vec::new(),
            }
        });
        let nodes = nodes.collect();
        Self { nodes, rng, now, under_way: BTreeMap::new(), sent: 0, heartbeats: 0, loss }
    }

    fn send(&mut self, message: &Message) {
        for to in 0..self.nodes.len() {
            let delay = self.rng.u32(1..=50) * MS;
            if self.rng.f64() >= self.loss {
                self.sent += 1;
                self.under_way.insert((self.now + delay, self.sent), (to, message.clone()));
            }
        }
    }

    fn run(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let arrival = self.under_way.keys().next().map(|(at, _)| *at);
            let timer = self.next_timer();
            // Inbox before timers.
            if let Some(at) = arrival.filter(|at| timer.is_none_or(|(timer, _)| *at <= timer) && *at <= until)
            {
                self.now = at;
                self.deliver();
            } else if let Some((at, i)) = timer.filter(|(at, _)| *at <= until) {
                self.now = self.now.max(at);
                self.serve_timers(i);
            } else {
                self.now = until;
                return;
            }
        }
    }

    fn next_timer(&self) -> Option<(Instant, usize)> {
        let timers = self.nodes.iter().enumerate().filter_map(|(i, node)| {
            let at = node.detector.poll_timeout().into_iter().chain(node.schedule.poll_timeout()).min()?;
            node.runs_at(at.max(self.now)).then_some((at, i))
        });
        timers.min()
    }

    fn deliver(&mut self) {
        let Some((_, (to, message))) = self.under_way.pop_first() else { return };
        let now = self.now;
        if !self.nodes[to].runs_at(now) {
            return;
        }
        match message {
            Message::Heartbeat { from, greet } => {
                let info = self.nodes[from].info.clone();
                let node = &mut self.nodes[to];
                node.detector.handle_heartbeat(now, info);
                if greet && from != to {
                    node.schedule.handle_greeting(now, node.detector.alive_count());
                }
            }
            Message::Leave { from } => {
                let source = self.nodes[from].info.source;
                self.nodes[to].detector.handle_leave(now, source);
            }
        }
        self.drain(to);
    }

    fn serve_timers(&mut self, i: usize) {
        let now = self.now;
        self.nodes[i].detector.handle_timeout(now);
        self.drain(i);
        if let Some(Heartbeat { greet }) = self.nodes[i].schedule.poll_heartbeat(now) {
            self.heartbeats += 1;
            self.send(&Message::Heartbeat { from: i, greet });
        }
    }

    fn drain(&mut self, i: usize) {
        let node = &mut self.nodes[i];
        while let Some(output) = node.detector.poll_event() {
            if let Output::Event(event) = output {
                node.told.push((self.now, event));
            }
        }
    }

    fn kill(&mut self, nodes: impl IntoIterator<Item = usize>) {
        for i in nodes {
            self.nodes[i].dies = Some(self.now);
        }
    }

    fn leave(&mut self, i: usize) {
        self.send(&Message::Leave { from: i });
        self.kill([i]);
    }

    fn running(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| node.runs_at(self.now))
    }

    /// For each running node and each event that `of` picks: who it is about and how long after `since` it was told.
    fn told(&self, since: Instant, of: fn(&MemberEvent) -> Option<&MemberInfo>) -> Vec<(SourceId, Duration)> {
        let events = self.running().flat_map(|node| &node.told);
        events.filter_map(|(at, event)| Some((of(event)?.source, *at - since))).collect()
    }
}

fn failed(event: &MemberEvent) -> Option<&MemberInfo> {
    if let MemberEvent::Failed(info) = event { Some(info) } else { None }
}

fn left(event: &MemberEvent) -> Option<&MemberInfo> {
    if let MemberEvent::Left(info) = event { Some(info) } else { None }
}

#[test]
fn a_hundred_nodes_that_start_at_once_know_each_other_in_half_a_second() {
    for (seed, echo) in [(1, false), (2, true)] {
        let mut cluster = Cluster::new(seed, 100, echo, 0.0, Duration::ZERO);
        cluster.run(500 * MS);
        for node in cluster.running() {
            assert_eq!(node.detector.alive_count(), 99, "{}", node.info.name);
        }
        assert!(cluster.heartbeats <= 500, "a storm of answers: {} heartbeats", cluster.heartbeats);
    }
}

#[test]
fn a_newcomer_knows_a_hundred_nodes_in_a_quarter_of_a_second() {
    let mut cluster = Cluster::new(3, 101, false, 0.0, Duration::ZERO);
    let late = cluster.now + Duration::from_secs(20);
    cluster.nodes[100].starts = late;
    cluster.nodes[100].schedule =
        HeartbeatSchedule::new(Duration::from_secs(1), late, fastrand::Rng::with_seed(9));
    cluster.nodes[100].detector =
        Detector::new(MembershipConfig::default(), cluster.nodes[100].info.source, false, late);
    cluster.run(Duration::from_millis(20_250));
    // The greeting and the answer travel 50 ms each at most; the answers are spread over 100 ms.
    assert_eq!(cluster.nodes[100].detector.alive_count(), 100);
}

#[test]
fn among_a_hundred_nodes_each_survivor_is_told_of_each_crash_in_time() {
    for (seed, echo) in [(4, false), (5, true)] {
        let mut cluster = Cluster::new(seed, 100, echo, 0.0, Duration::from_secs(1));
        cluster.run(Duration::from_secs(10));
        let crash = cluster.now;
        cluster.kill(0..40);
        cluster.run(Duration::from_secs(30));
        let mut told = cluster.told(crash, failed);
        let (soonest, latest) =
            (told.iter().map(|t| t.1).min().unwrap(), told.iter().map(|t| t.1).max().unwrap());
        assert!(soonest >= 4000 * MS && latest <= 5050 * MS, "{soonest:?} to {latest:?}");
        told.sort();
        told.dedup_by_key(|(source, _)| *source);
        assert_eq!(told.len(), 40, "who died, and nobody else");
        for node in cluster.running() {
            let members = node.detector.members();
            assert_eq!(members.iter().filter(|member| member.state == MemberState::Failed).count(), 40);
            assert_eq!(node.detector.alive_count(), 59);
        }
    }
}

#[test]
fn among_a_hundred_nodes_each_is_told_of_a_leave_at_once_and_of_no_failure() {
    let mut cluster = Cluster::new(6, 100, false, 0.0, Duration::from_secs(1));
    cluster.run(Duration::from_secs(5));
    let leave = cluster.now;
    (0..60).for_each(|i| cluster.leave(i));
    cluster.run(Duration::from_secs(15));
    let told = cluster.told(leave, left);
    assert_eq!(told.len(), 60 * 40);
    assert!(told.iter().all(|(_, after)| *after <= 50 * MS));
    assert_eq!(cluster.told(leave, failed), []);
}

#[test]
fn a_quiet_day_of_a_hundred_nodes_says_nothing() {
    let mut cluster = Cluster::new(7, 100, false, 0.0, Duration::from_secs(1));
    cluster.run(Duration::from_secs(60));
    for node in cluster.running() {
        let joined = |event: &MemberEvent| matches!(event, MemberEvent::Joined(_));
        assert!(node.told.iter().all(|(_, event)| joined(event)), "{:?}", node.told);
        assert_eq!(node.told.len(), 99);
    }
    // 950 ms apart on average, and the answers to greetings at the start.
    assert!((100 * 60..100 * 70).contains(&cluster.heartbeats), "{}", cluster.heartbeats);
}

#[test]
fn at_a_loss_of_half_of_all_messages_crashes_are_still_told_in_time() {
    // Wrong verdicts are many then (3% per heartbeat), and each is taken back by the next heartbeat.
    let mut cluster = Cluster::new(8, 30, false, 0.5, Duration::from_secs(1));
    cluster.run(Duration::from_secs(20));
    let crash = cluster.now;
    let dead: Vec<SourceId> = (0..3).map(|i| cluster.nodes[i].info.source).collect();
    cluster.kill(0..3);
    cluster.run(Duration::from_secs(15));
    for node in cluster.running() {
        for source in &dead {
            let last =
                node.told.iter().rfind(|(_, event)| failed(event).is_some_and(|i| i.source == *source));
            let (at, _) = last.unwrap_or_else(|| panic!("{} was not told of {source}", node.info.name));
            assert!(*at <= crash + Duration::from_secs(15));
        }
    }
    // 26 live peers each, of whom one is missing wrongly at most times.
    for node in cluster.running() {
        assert!(node.detector.alive_count() > 18, "{}: {}", node.info.name, node.detector.alive_count());
    }
}

#[test]
fn a_seed_repeats_itself() {
    let story = |seed| {
        let mut cluster = Cluster::new(seed, 12, false, 0.3, Duration::from_secs(1));
        let zero = cluster.now;
        cluster.run(Duration::from_secs(10));
        cluster.kill([3, 7]);
        cluster.run(Duration::from_secs(20));
        let told = cluster.nodes.iter().flat_map(|node| &node.told);
        told.map(|(at, event)| format!("{:?} {event:?}", *at - zero)).collect::<Vec<_>>()
    };
    assert_eq!(story(11), story(11));
    assert_ne!(story(11), story(12));
}
