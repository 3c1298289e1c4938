//! Scripts for the detector: what arrives when, one line each, and the transcript of what comes out.
//!
//! A line is `WHEN ACTION WHO..`; `WHEN` is a time in milliseconds, or `FROM..TO` for every full second of it, both
//! included, or `FROM..TO/STEP`. Who: a node name, with a digit behind it for another life (`b` is life 1 of node b,
//! `b2` its life 2). The node under test is `a`. Actions: `hear`, `leave`, `gone`, `seen`, `frame`, `resume`, `link
//! up`, `link down`, `retag` (a heartbeat with new tags), `end`; and `stop UNTIL`: the process does not run until
//! then, when it finds in its inbox what came meanwhile, and then its timer.
//!
//! Time passes by itself between the lines: the timer is served at the time it asked for, and, as the driver must,
//! after whatever has arrived by then. The transcript has a line `WHEN WHAT WHO..` for each output; verdicts stand in
//! parentheses.

use std::time::Duration;

use tokio::time::Instant;

use crate::id::{Incarnation, NodeId, NodeName, SourceId};
use crate::membership::{Detector, MemberEvent, MemberInfo, MembershipConfig, Output, Verdict};
use crate::transport::Hint;

/// The life of a node that `who` stands for.
pub(super) fn source(who: &str) -> SourceId {
    let name = who.trim_end_matches(|c: char| c.is_ascii_digit());
    let life = who[name.len()..].parse().unwrap_or(1);
    SourceId { node: NodeId::of(&NodeName::new(name).unwrap()), incarnation: Incarnation(life) }
}

/// What a heartbeat of `who` says.
pub(super) fn info(who: &str) -> MemberInfo {
    let name = who.trim_end_matches(|c: char| c.is_ascii_digit());
    MemberInfo {
        source: source(who),
        name: NodeName::new(name).unwrap(),
        software: "test 1".into(),
        tags: Vec::new(),
        topics: Vec::new(),
    }
}

#[derive(Clone, Debug)]
pub(super) enum Action {
    Hear(String),
    Retag(String),
    Leave(String),
    Gone(String),
    Seen(String),
    Frame(String),
    Resume(String),
    Link(bool),
    Stop(u64),
    End,
}

/// Plays `script` to a detector of node `a`, and returns what it said.
pub(super) fn play(config: MembershipConfig, echo: bool, script: &str) -> String {
    let mut run = Run::new(config, echo);
    run.play(parse(script));
    run.transcript.join("\n")
}

/// A detector, its clock and what it said.
pub(super) struct Run {
    pub(super) detector: Detector,
    zero: Instant,
    now: u64,
    /// The process does not run from the first of these times to the second.
    stopped: (u64, u64),
    pub(super) transcript: Vec<String>,
}

impl Run {
    pub(super) fn new(config: MembershipConfig, echo: bool) -> Self {
        let zero = Instant::now();
        let detector = Detector::new(config, source("a"), echo, zero);
        Self { detector, zero, now: 0, stopped: (0, 0), transcript: Vec::new() }
    }

    /// Takes actions with their times, in any order.
    pub(super) fn play(&mut self, mut actions: Vec<(u64, Action)>) {
        actions.sort_by_key(|(at, _)| *at);
        for (at, action) in actions {
            let at = self.awake(at);
            self.run_until(at);
            self.act(at, action);
        }
        let last = self.now;
        self.run_until(last + 1);
    }

    /// Serves the timer as often as it asks for a time before `until`.
    fn run_until(&mut self, until: u64) {
        loop {
            let wake = self.detector.poll_timeout().unwrap().duration_since(self.zero);
            // A timer is never early.
            let wake = u64::try_from(wake.as_nanos().div_ceil(1_000_000)).unwrap();
            let at = self.awake(wake).max(self.now);
            if at >= until {
                return;
            }
            self.now = at;
            self.detector.handle_timeout(self.instant(at));
            let before = self.transcript.len();
            self.drain();
            // Who is judged first among those of one moment depends on hashes of names; scripts read better sorted.
            self.transcript[before..].sort_by_key(|line| match line.trim_end_matches(')').rsplit_once(' ') {
                Some((what, who)) if !what.contains("isolated") => who.to_owned(),
                _ => "~".to_owned(),
            });
            let next = self.detector.poll_timeout().unwrap();
            assert!(next > self.instant(at), "the timer stands still at {at} ms");
        }
    }

    fn act(&mut self, at: u64, action: Action) {
        self.now = at;
        let now = self.instant(at);
        let detector = &mut self.detector;
        match action {
            Action::Hear(who) => detector.handle_heartbeat(now, info(&who)),
            Action::Retag(who) => {
                let tags = vec![("at".to_owned(), at.to_string())];
                detector.handle_heartbeat(now, MemberInfo { tags, ..info(&who) });
            }
            Action::Leave(who) => detector.handle_leave(now, source(&who)),
            Action::Gone(who) => detector.handle_hint(now, Hint::Gone(source(&who))),
            Action::Seen(who) => detector.handle_hint(now, Hint::Seen(source(&who))),
            Action::Frame(who) => detector.observe(now, source(&who)),
            Action::Resume(who) => detector.observe_resumed(now, source(&who)),
            Action::Link(up) => detector.handle_link(now, up),
            Action::Stop(until) => self.stopped = (at, until),
            Action::End => {}
        }
        self.drain();
    }

    fn awake(&self, at: u64) -> u64 {
        let (from, to) = self.stopped;
        if (from..to).contains(&at) { to } else { at }
    }

    pub(super) fn instant(&self, at: u64) -> Instant {
        self.zero + Duration::from_millis(at)
    }

    fn drain(&mut self) {
        while let Some(output) = self.detector.poll_event() {
            self.transcript.push(format!("{} {}", self.now, line(&output)));
        }
    }
}

fn line(output: &Output) -> String {
    let names = ["a", "b", "c", "d", "e", "f"];
    let id = |id: SourceId| {
        let name = names.iter().find(|name| source(name).node == id.node);
        let life = if id.incarnation.0 == 1 { String::new() } else { id.incarnation.0.to_string() };
        name.map_or_else(|| id.to_string(), |name| format!("{name}{life}"))
    };
    match output {
        Output::Verdict(Verdict::Failed(source)) => format!("(failed {})", id(*source)),
        Output::Verdict(Verdict::Left(source)) => format!("(left {})", id(*source)),
        Output::Verdict(Verdict::Returned(source)) => format!("(returned {})", id(*source)),
        Output::Event(event) => match event {
            MemberEvent::Joined(info) => format!("joined {}", id(info.source)),
            MemberEvent::Suspected(info) => format!("suspected {}", id(info.source)),
            MemberEvent::Recovered(info) => format!("recovered {}", id(info.source)),
            MemberEvent::Failed(info) => format!("failed {}", id(info.source)),
            MemberEvent::Left(info) => format!("left {}", id(info.source)),
            MemberEvent::Returned(info) => format!("returned {}", id(info.source)),
            MemberEvent::Changed(info) => format!("changed {}", id(info.source)),
            MemberEvent::Isolated { silent, of } => {
                let mut silent: Vec<_> = silent.iter().map(|info| id(info.source)).collect();
                silent.sort();
                format!("isolated from {} of {of}", silent.join(" "))
            }
            MemberEvent::Reunited => "reunited".into(),
            MemberEvent::Conflict { name, incarnations } => {
                let mut lives = incarnations.map(|life| life.0);
                lives.sort_unstable();
                format!("conflict {name} {} {}", lives[0], lives[1])
            }
        },
    }
}

fn parse(script: &str) -> Vec<(u64, Action)> {
    let mut actions = Vec::new();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |word: &str| word.parse::<u64>().unwrap_or_else(|_| panic!("not a time: {line}"));
        let times: Vec<u64> = match words[0].split_once("..") {
            None => vec![number(words[0])],
            Some((from, to)) => {
                let (to, step) = to.split_once('/').unwrap_or((to, "1000"));
                (number(from)..=number(to)).step_by(usize::try_from(number(step)).unwrap()).collect()
            }
        };
        for at in times {
            let who = words[2..].iter().map(|who| (*who).to_owned());
            let every = |action: fn(String) -> Action| who.clone().map(move |who| (at, action(who)));
            match words[1] {
                "hear" => actions.extend(every(Action::Hear)),
                "retag" => actions.extend(every(Action::Retag)),
                "leave" => actions.extend(every(Action::Leave)),
                "gone" => actions.extend(every(Action::Gone)),
                "seen" => actions.extend(every(Action::Seen)),
                "frame" => actions.extend(every(Action::Frame)),
                "resume" => actions.extend(every(Action::Resume)),
                "link" => actions.push((at, Action::Link(words[2] == "up"))),
                "stop" => actions.push((at, Action::Stop(number(words[2])))),
                "end" => actions.push((at, Action::End)),
                _ => panic!("no such action: {line}"),
            }
        }
    }
    actions
}
