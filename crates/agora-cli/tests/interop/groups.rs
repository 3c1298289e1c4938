//! Groups with members of several clients.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use agora_testbed::KafkaBroker;
use agora_testbed::clients::Client;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::scripts::{Other, parts};
use crate::{SOON, agora, told};

const LANES: usize = 4;

/// How a member is to end.
#[derive(Clone, Copy, Debug)]
enum End {
    /// In its orderly way: it leaves.
    Stop,
    /// As in a crash.
    Kill,
}

/// A member at work: what it prints goes to the books.
struct Member {
    ends: mpsc::Sender<End>,
    task: JoinHandle<()>,
}

impl Member {
    async fn end(self, how: End) {
        self.ends.send(how).await.unwrap();
        self.task.await.unwrap();
    }
}

/// What was printed: by whom, in which lane, which number.
struct Books {
    send: mpsc::UnboundedSender<(&'static str, u32, u64)>,
    heard: mpsc::UnboundedReceiver<(&'static str, u32, u64)>,
    numbers: BTreeSet<u64>,
    lanes: BTreeMap<&'static str, BTreeSet<u32>>,
}

impl Books {
    fn new() -> Self {
        let (send, heard) = mpsc::unbounded_channel();
        Self { send, heard, numbers: BTreeSet::new(), lanes: BTreeMap::new() }
    }

    fn employ(&self, name: &'static str, command: Command, read: fn(&str) -> (u32, u64)) -> Member {
        let (ends, mut end) = mpsc::channel(1);
        let mut client = Client::start(command).unwrap();
        let send = self.send.clone();
        let task = tokio::spawn(async move {
            loop {
                tokio::select! {
                    biased;
                    Some(how) = end.recv() => match how {
                        End::Stop => client.stop().unwrap(),
                        End::Kill => client.kill().unwrap(),
                    },
                    line = client.line(SOON * 4) => match line.unwrap() {
                        Some(line) => {
                            let (lane, number) = read(&line);
                            send.send((name, lane, number)).unwrap();
                        }
                        None => return,
                    },
                }
            }
        });
        Member { ends, task }
    }

    /// Waits until all of these are printed, and each of these members printed something that was new; forgets who did
    /// what before.
    async fn all_of(&mut self, numbers: std::ops::Range<u64>, members: &[&'static str]) {
        self.lanes.clear();
        let first = numbers.start;
        let waiting = async {
            while !numbers.clone().all(|number| self.numbers.contains(&number))
                || !members.iter().all(|member| self.lanes.contains_key(member))
            {
                let (who, lane, number) = self.heard.recv().await.unwrap();
                self.numbers.insert(number);
                if number >= first {
                    self.lanes.entry(who).or_default().insert(lane);
                }
            }
        };
        let in_time = tokio::time::timeout(SOON, waiting).await;
        let missing: Vec<_> = numbers.filter(|number| !self.numbers.contains(number)).collect();
        assert!(in_time.is_ok(), "missing: {missing:?}; who read: {:?}, due: {members:?}", self.lanes);
    }
}

fn of_agora(line: &str) -> (u32, u64) {
    let record: Value = serde_json::from_str(line).unwrap();
    assert_eq!(record["type"], "foreign", "{line}");
    (record["lane"].as_u64().unwrap().try_into().unwrap(), record["text"].as_str().unwrap().parse().unwrap())
}

fn of_other(line: &str) -> (u32, u64) {
    let (lane, _, value) = parts(line);
    (lane, value.parse().unwrap())
}

/// How the group stands: its members and their lanes.
async fn members(url: &str, topic: &str, group: &str) -> Vec<BTreeSet<u64>> {
    let described = &told(url, &["groups", "describe", topic, group], "").await[0];
    let lanes = |member: &Value| {
        member["lanes"].as_array().unwrap().iter().map(|lane| lane.as_u64().unwrap()).collect()
    };
    described["members"].as_array().unwrap().iter().map(lanes).collect()
}

/// Waits until the lanes are shared out among so many. There is no event to wait for: it is another program's doing.
async fn shared_by(url: &str, topic: &str, group: &str, count: usize) {
    let waiting = async {
        loop {
            let lanes = members(url, topic, group).await;
            let all: usize = lanes.iter().map(BTreeSet::len).sum();
            if lanes.len() == count && all == LANES && lanes.iter().all(|lanes| lanes.len() == LANES / count)
            {
                assert_eq!(
                    lanes.iter().flatten().collect::<BTreeSet<_>>().len(),
                    LANES,
                    "no lane has two members"
                );
                return;
            }
        }
    };
    tokio::time::timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("{topic} is not shared by {count}"));
}

/// Numbers with keys that are in every lane.
async fn publish(url: &str, topic: &str, numbers: std::ops::Range<u64>) {
    let line = |number: u64| format!("{{\"key\":\"{number}\",\"text\":\"{number}\"}}\n");
    told(url, &["publish", topic, "--raw", "--ndjson"], &numbers.map(line).collect::<String>()).await;
}

async fn shares(broker: &KafkaBroker, other: Other, topic: &'static str) {
    let (url, address) = (&broker.url(), &broker.address());
    told(url, &["topics", "create", topic, "--lanes", &LANES.to_string()], "").await;
    let group = topic;
    let mut books = Books::new();
    let ours = || agora(url, &["subscribe", topic, "--raw", "--group", group]);
    let theirs = || other.reader(address, topic, group, usize::MAX >> 33);

    let first = books.employ("ours", ours(), of_agora);
    publish(url, topic, 0..40).await;
    books.all_of(0..40, &["ours"]).await;
    // Another one joins while there is work.
    let second = books.employ("theirs", theirs(), of_other);
    publish(url, topic, 40..200).await;
    shared_by(url, topic, group, 2).await;
    publish(url, topic, 200..400).await;
    books.all_of(0..400, &["ours", "theirs"]).await;
    // It crashes in the midst of work, and the first one does what it leaves behind.
    publish(url, topic, 400..500).await;
    second.end(End::Kill).await;
    publish(url, topic, 500..600).await;
    shared_by(url, topic, group, 1).await;
    books.all_of(0..600, &["ours"]).await;
    // It comes again, and the first one leaves.
    let third = books.employ("theirs", theirs(), of_other);
    shared_by(url, topic, group, 2).await;
    publish(url, topic, 600..700).await;
    first.end(End::Stop).await;
    publish(url, topic, 700..800).await;
    books.all_of(0..800, &["theirs"]).await;
    // Where it leads now, agora follows.
    let fourth = books.employ("ours", ours(), of_agora);
    shared_by(url, topic, group, 2).await;
    publish(url, topic, 800..900).await;
    books.all_of(0..900, &["ours", "theirs"]).await;
    third.end(End::Kill).await;
    fourth.end(End::Stop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_other_clients_share_the_work_and_nothing_is_lost_when_they_come_crash_and_leave() {
    let broker = KafkaBroker::start().await.unwrap();
    tokio::join!(
        shares(&broker, Other::Java, "with-java"),
        shares(&broker, Other::Python, "with-python"),
        shares(&broker, Other::Node, "with-node"),
    );
}
