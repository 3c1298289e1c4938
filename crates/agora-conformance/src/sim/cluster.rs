//! Carries out a plan: the nodes of a run, and the network between them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, UNIX_EPOCH};

use agora_core::Result;
use agora_core::bus::{BusConfig, Clock};
use agora_core::id::{ClusterName, NodeName, TopicName};
use agora_core::memory::{Faults, GroupStyle, LinkFaults, MemoryTransport, SERVER, Space, SpaceConfig};
use agora_core::transport::{Address, Framing, OutFrame, TopicSettings, Transport};
use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::audit::Auditor;
use super::fault::{Fault, Line, Place};
use super::node::Node;
use super::plan::{Act, Plan, Sharing};
use super::recorder::Recorder;
use crate::history::{History, Life, Sub, Topic, What};

pub(super) struct Cluster<'a> {
    plan: &'a Plan,
    name: ClusterName,
    topics: Arc<Vec<TopicName>>,
    start: Instant,
    stalled: Duration,
    space: Space,
    faults: Faults,
    intruder: MemoryTransport,
    auditor: Auditor,
    /// A server that is down changes nothing in its logs.
    server_down: bool,
    recorder: Recorder,
    rng: fastrand::Rng,
    clock: Clock,
    nodes: BTreeMap<u8, Node>,
    turns: BTreeMap<u8, u8>,
    subs: u32,
    hurry: Arc<AtomicBool>,
    leaving: JoinSet<()>,
}

impl<'a> Cluster<'a> {
    pub(super) fn new(plan: &'a Plan) -> Result<Self> {
        let name = ClusterName::new("sim")?;
        let topics = (0..plan.topics + plan.logs).map(|n| TopicName::new(&format!("topic.{n}")));
        let topics = Arc::new(topics.collect::<Result<Vec<_>>>()?);
        let config = SpaceConfig {
            seed: plan.seed,
            echo_via_server: plan.server,
            failure_hints: plan.hints,
            inbox_messages_max: plan.inbox_messages_max,
            wall_clock_start: UNIX_EPOCH,
            groups: match plan.group {
                Some(Sharing { lanes: true, .. }) => GroupStyle::Lanes,
                _ => GroupStyle::Leases,
            },
            ..SpaceConfig::default()
        };
        let space = Space::new(config);
        Ok(Self {
            faults: space.faults(),
            intruder: space.connect(&name, &NodeName::new("intruder")?),
            auditor: Auditor::new(space.connect(&name, &NodeName::new("auditor")?)),
            server_down: false,
            recorder: Recorder::new(&name, &topics),
            rng: fastrand::Rng::with_seed(!plan.seed),
            clock: Clock::simulated(),
            start: Instant::now(),
            stalled: Duration::ZERO,
            nodes: BTreeMap::new(),
            turns: BTreeMap::new(),
            subs: 0,
            hurry: Arc::default(),
            leaving: JoinSet::new(),
            plan,
            name,
            topics,
            space,
        })
    }

    /// Carries out the plan, and returns what happened.
    pub(super) async fn run(mut self) -> Result<History> {
        let plan = self.plan;
        for log in plan.logs() {
            self.auditor.open(log, &self.topics[usize::from(log.0)], settings_of_logs(plan)).await?;
        }
        let mut healed = false;
        for (at, act) in &plan.acts {
            if *at > plan.heal_at && !healed {
                self.heal().await?;
                healed = true;
            }
            self.sleep_until(*at).await;
            self.act(act).await?;
        }
        if !healed {
            self.heal().await?;
        }
        self.sleep_until(plan.probe_at).await;
        self.probe()?;
        self.sleep_until(plan.end_at).await;
        self.nodes.values().for_each(Node::look);
        for log in plan.logs() {
            self.audit(log).await?;
        }
        Ok(self.recorder.end())
    }

    /// Waits for a time of the plan, which stands still while the machine does.
    async fn sleep_until(&self, at: Duration) {
        tokio::time::sleep_until(self.start + self.stalled + at).await;
    }

    async fn heal(&mut self) -> Result<()> {
        self.sleep_until(self.plan.heal_at).await;
        self.fault(&Fault::HealAll).await?;
        self.hurry.store(true, Relaxed);
        self.recorder.record(What::Healed);
        Ok(())
    }

    /// Every node publishes once more on every topic, so that whoever is deaf to it shows.
    fn probe(&mut self) -> Result<()> {
        self.recorder.record(What::Probing);
        for node in self.nodes.values_mut() {
            for topic in (0..self.plan.topics + self.plan.logs).map(Topic) {
                node.publish(topic, 1, 0, true)?;
            }
        }
        Ok(())
    }

    async fn act(&mut self, act: &Act) -> Result<()> {
        match act {
            Act::Start(node) => return self.start(*node),
            Act::Fault(fault) => return self.fault(fault).await,
            Act::Crash(node) => {
                if let Some(node) = self.nodes.remove(node) {
                    self.faults.crash(&name_of(node.life.node));
                    node.crash().await;
                }
                return Ok(());
            }
            Act::Leave(node) => {
                if let Some(node) = self.nodes.remove(node) {
                    self.leaving.spawn(node.leave());
                }
                return Ok(());
            }
            _ => {}
        }
        let (Act::Publish { node, .. }
        | Act::Flush(node)
        | Act::Subscribe { node, .. }
        | Act::Read { node, .. }
        | Act::Join(node)
        | Act::Quit(node)
        | Act::Unsubscribe(node)) = act
        else {
            return Ok(());
        };
        let Some(node) = self.nodes.get_mut(node) else { return Ok(()) };
        match act {
            Act::Publish { topic, count, bytes, waits, .. } => {
                node.publish(*topic, *count, *bytes, *waits)?
            }
            Act::Flush(_) => node.flush(),
            Act::Subscribe { topics, own, pace, .. } => {
                node.subscribe(Sub(self.subs), topics.clone(), *own, *pace);
                self.subs += 1;
            }
            Act::Read { topic, from, durable, saves, pace, .. } => {
                node.read(Sub(self.subs), *topic, *from, *durable, *saves, *pace);
                self.subs += 1;
            }
            Act::Join(_) => {
                let joins = node.join(Sub(self.subs), Topic(self.plan.topics), self.rng.fork());
                self.subs += u32::from(joins);
            }
            Act::Quit(_) => node.quit(),
            Act::Unsubscribe(_) => node.unsubscribe(),
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, node: u8) -> Result<()> {
        let turn = self.turns.entry(node).or_default();
        *turn += 1;
        let life = Life { node, turn: *turn };
        let name = NodeName::new(&name_of(node))?;
        let mut config = BusConfig::new(self.name.clone(), name.clone());
        config.clock = self.clock;
        config.seed = Some(self.rng.u64(..));
        config.limits.memory_bytes = self.plan.memory_bytes;
        for log in self.plan.logs() {
            let name = self.topics[usize::from(log.0)].clone();
            config.topics.insert(name, settings_of_logs(self.plan));
        }
        config.limits.publish_timeout = self.plan.publish_timeout;
        let transport = self.space.connect(&self.name, &name);
        let rng = self.rng.fork();
        let (recorder, topics, hurry) = (self.recorder.clone(), self.topics.clone(), self.hurry.clone());
        self.nodes.insert(node, Node::start(life, transport, config, recorder, topics, hurry, rng)?);
        Ok(())
    }

    async fn fault(&mut self, fault: &Fault) -> Result<()> {
        if let Fault::Trim(log, _) | Fault::Rewind(log, _) | Fault::Replace(log) = fault {
            if self.server_down {
                return Ok(());
            }
            self.audit(*log).await?;
        }
        self.recorder.record(What::Fault(fault.clone()));
        let faults = &self.faults;
        match fault {
            Fault::Everywhere(line) => faults.everywhere(link_faults(*line)),
            Fault::Cut(from, to) => faults.cut_one_way(&place(*from), &place(*to)),
            Fault::Heal(a, b) => faults.heal(&place(*a), &place(*b)),
            Fault::Isolate(node) => faults.isolate(&name_of(*node)),
            Fault::Rejoin(node) => faults.rejoin(&name_of(*node)),
            Fault::Pause(node) => faults.pause(&name_of(*node)),
            Fault::Resume(node) => faults.resume(&name_of(*node)),
            Fault::ServerDown => {
                self.server_down = true;
                faults.server_down();
            }
            Fault::ServerUp => {
                self.server_down = false;
                faults.server_up();
            }
            Fault::Trim(log, keep) => faults.trim_log(self.name_of(*log), (*keep).into()),
            Fault::Rewind(log, lost) => {
                faults.rewind_log(self.name_of(*log), (*lost).into());
                self.auditor.rewound(*log, (*lost).into());
            }
            Fault::Replace(log) => {
                faults.replace_log(self.name_of(*log));
                self.auditor.replaced(*log);
            }
            Fault::Refuse(node, permille, how) => self.recorder.set_refusal(*node, *permille, *how),
            Fault::SlowAnswer(node, ms) => {
                let most = Duration::from_millis((*ms).into());
                faults.slow_results(&name_of(*node), Duration::ZERO..=most);
            }
            Fault::Damage(node, permille, how) => self.recorder.set_damage(*node, *permille, *how),
            Fault::Replay(from, onto, count) => self.replay(*from, *onto, *count).await,
            Fault::Foreign(topic) => self.intrude(*topic, vec![Bytes::from_static(b"hello")]).await,
            Fault::Stall(length) => {
                self.stalled += *length;
                tokio::time::advance(*length).await;
            }
            Fault::EndLeases(log) => faults.end_leases(self.name_of(*log)),
            Fault::Rebalance(log) => faults.rebalance(self.name_of(*log)),
            Fault::LoseAnswers(node, times) => {
                faults.lose_settle_answers(&name_of(*node), (*times).into());
            }
            Fault::HealAll => {
                self.server_down = false;
                faults.clear();
                self.recorder.clear_faults();
            }
        }
        Ok(())
    }

    /// Writes down what stands in a log.
    async fn audit(&mut self, log: Topic) -> Result<()> {
        self.auditor.look(log, &self.topics[usize::from(log.0)], &self.recorder).await
    }

    fn name_of(&self, topic: Topic) -> &str {
        self.topics[usize::from(topic.0)].as_str()
    }

    /// Sends frames again that were sent on `from`, in any order.
    async fn replay(&mut self, from: Topic, onto: Topic, count: u16) {
        let mut frames = self.recorder.frames(from);
        self.rng.shuffle(&mut frames);
        frames.truncate(count.into());
        self.intrude(onto, frames).await;
    }

    async fn intrude(&mut self, topic: Topic, payloads: Vec<Bytes>) {
        let to = Address { topic: self.topics[usize::from(topic.0)].clone(), lane: 0 };
        let frames = payloads.into_iter().map(OutFrame::new).collect();
        // A network that is down keeps intruders out, too.
        let _ = self.intruder.publish(&to, frames, Instant::now() + Duration::from_secs(1)).await;
    }
}

fn settings_of_logs(plan: &Plan) -> TopicSettings {
    let each = plan.group.is_some_and(|group| group.each);
    TopicSettings::LOG.framing(if each { Framing::Each } else { Framing::Batch })
}

fn name_of(node: u8) -> String {
    format!("n{node}")
}

fn place(place: Place) -> String {
    match place {
        Place::Node(node) => name_of(node),
        Place::Server => SERVER.to_owned(),
    }
}

fn link_faults(line: Line) -> LinkFaults {
    let ms = |ms: u16| Duration::from_millis(ms.into());
    LinkFaults::none()
        .loss(f64::from(line.loss) / 1000.0)
        .duplication(f64::from(line.duplication) / 1000.0)
        .delay(ms(line.delay.0)..=ms(line.delay.1))
}
