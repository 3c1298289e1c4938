//! What a broker is told in its file of properties.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{LOG, PASSWORD, USER};
use crate::process::SMALL;

/// The listener of clients and of the other brokers, in plain text.
const PLAIN: &str = "PLAINTEXT";
/// That of the controllers.
const CONTROLLER: &str = "CONTROLLER";
/// Those that ask for a password: each is named after its protocol.
const SASL: [&str; 2] = ["SASL_SSL", "SASL_PLAINTEXT"];

/// One node: a broker and a controller in one process.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// From 0.
    pub(super) id: usize,
    /// Where clients connect.
    pub(super) port: u16,
    /// Where controllers connect, for every node from the first.
    pub(super) controllers: Vec<u16>,
    /// Where clients connect that say who they are.
    pub(super) secured: Option<Secured>,
    /// For every link: where this broker listens, and what it tells clients of the link instead.
    pub(super) links: Vec<(u16, u16)>,
    /// Does it store on a file system of its own?
    pub(super) has_disk: bool,
}

impl Node {
    /// One that takes everybody, and stores beside everything else.
    pub(super) fn new(id: usize, port: u16, controllers: Vec<u16>) -> Self {
        Self { id, port, controllers, secured: None, links: Vec::new(), has_disk: false }
    }
}

/// The listeners of a node that ask for a name and a password.
#[derive(Clone, Debug)]
pub(super) struct Secured {
    /// The one with TLS.
    pub(super) tls_port: u16,
    /// The one in plain text.
    pub(super) plain_port: u16,
    /// The broker's key and certificate.
    pub(super) store: PathBuf,
    /// Who may sign clients' certificates.
    pub(super) ca: PathBuf,
}

/// How tests want a broker to be: quick to start, small, quick to notice who is gone. What is in braces depends on
/// how many nodes there are.
const OF_TESTS: [(&str, &str); 22] = [
    // Nothing is made by mistake: who wants a topic makes it.
    ("auto.create.topics.enable", "false"),
    ("num.partitions", "1"),
    ("default.replication.factor", "{n}"),
    ("min.insync.replicas", "{majority}"),
    // The topics of its own: each partition costs files on every node.
    ("offsets.topic.num.partitions", "4"),
    ("offsets.topic.replication.factor", "{n}"),
    ("transaction.state.log.num.partitions", "1"),
    ("transaction.state.log.replication.factor", "{n}"),
    ("transaction.state.log.min.isr", "{majority}"),
    // The first member of a group would wait three seconds for others.
    ("group.initial.rebalance.delay.ms", "0"),
    // After this a broker that is gone counts as gone: its leaders are replaced, and a new process may take its number,
    // which one that was killed and begun again waits for.
    ("broker.session.timeout.ms", "{session}"),
    ("broker.heartbeat.interval.ms", "250"),
    ("replica.lag.time.max.ms", "5000"),
    // 128 MB of zeros at the start otherwise.
    ("log.cleaner.dedupe.buffer.size", "2097152"),
    // Threads of each listener, of the whole, and of what happens behind.
    ("num.network.threads", "2"),
    ("num.io.threads", "4"),
    ("background.threads", "2"),
    ("process.roles", "broker,controller"),
    ("controller.listener.names", CONTROLLER),
    ("inter.broker.listener.name", PLAIN),
    // Retention looks at the logs 30 s after the start, and would take what tests write with old timestamps: not in a
    // test that happens to take longer. Whoever wants something removed removes it.
    ("log.initial.task.delay.ms", "86400000"),
    // A test that counts leaders wants them where it has put them.
    ("auto.leader.rebalance.enable", "false"),
];

/// The whole file. What `more` says wins, `listeners` and what goes with them included.
pub(super) fn properties(node: &Node, data: &Path, more: &BTreeMap<String, String>) -> String {
    let nodes = node.controllers.len();
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for (key, value) in OF_TESTS {
        let value = match value {
            "{n}" => nodes.min(3).to_string(),
            "{majority}" => if nodes < 3 { "1" } else { "2" }.to_owned(),
            // Nodes of a cluster take the processors from each other.
            "{session}" => if nodes == 1 { "2000" } else { "3000" }.to_owned(),
            value => value.to_owned(),
        };
        all.insert(key.into(), value);
    }
    let listeners = Listeners::of(node);
    let voters = node.controllers.iter().enumerate();
    let voters = voters.map(|(at, port)| format!("{at}@127.0.0.1:{port}")).collect::<Vec<_>>();
    let own = data.join(LOG);
    let stored = if node.has_disk { data.join(SMALL).join(LOG) } else { own.clone() };
    for (key, value) in [
        ("node.id", node.id.to_string()),
        ("log.dirs", stored.display().to_string()),
        ("metadata.log.dir", own.display().to_string()),
        ("controller.quorum.voters", voters.join(",")),
        ("listeners", listeners.open.join(",")),
        ("advertised.listeners", listeners.told.join(",")),
        ("listener.security.protocol.map", listeners.protocols.join(",")),
    ] {
        all.insert(key.into(), value);
    }
    if let Some(secured) = &node.secured {
        all.extend(access(secured));
    }
    all.extend(more.iter().map(|(key, value)| (key.clone(), value.clone())));
    all.iter().fold(String::new(), |mut text, (key, value)| {
        // A backslash would begin an escape.
        let _ = writeln!(text, "{key}={}", value.replace('\\', "\\\\"));
        text
    })
}

/// How the listeners that ask for a password know whom to let in. The passwords for SCRAM came with formatting.
fn access(secured: &Secured) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, String> = [
        ("sasl.enabled.mechanisms", "SCRAM-SHA-256,SCRAM-SHA-512,PLAIN".to_owned()),
        ("ssl.keystore.type", "PEM".to_owned()),
        ("ssl.keystore.location", secured.store.display().to_string()),
        ("ssl.truststore.type", "PEM".to_owned()),
        ("ssl.truststore.location", secured.ca.display().to_string()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    let module = "org.apache.kafka.common.security";
    for listener in SASL.map(str::to_lowercase) {
        for scram in ["scram-sha-256", "scram-sha-512"] {
            all.insert(
                format!("listener.name.{listener}.{scram}.sasl.jaas.config"),
                format!("{module}.scram.ScramLoginModule required;"),
            );
        }
        all.insert(
            format!("listener.name.{listener}.plain.sasl.jaas.config"),
            format!("{module}.plain.PlainLoginModule required user_{USER}=\"{PASSWORD}\";"),
        );
    }
    all
}

#[derive(Default)]
struct Listeners {
    open: Vec<String>,
    told: Vec<String>,
    protocols: Vec<String>,
}

impl Listeners {
    fn of(node: &Node) -> Self {
        let mut all = Self::default();
        all.add(PLAIN, PLAIN, node.port, Some(node.port));
        // Controllers are no business of clients.
        all.add(CONTROLLER, PLAIN, node.controllers[node.id], None);
        for (number, (port, told)) in node.links.iter().enumerate() {
            all.add(&format!("LINK{number}"), PLAIN, *port, Some(*told));
        }
        if let Some(secured) = &node.secured {
            for (name, port) in [(SASL[0], secured.tls_port), (SASL[1], secured.plain_port)] {
                all.add(name, name, port, Some(port));
            }
        }
        all
    }

    fn add(&mut self, name: &str, protocol: &str, port: u16, told: Option<u16>) {
        self.open.push(format!("{name}://127.0.0.1:{port}"));
        self.told.extend(told.map(|port| format!("{name}://127.0.0.1:{port}")));
        self.protocols.push(format!("{name}:{protocol}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(of: &Node, more: &[(&str, &str)]) -> Vec<String> {
        let more = more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        properties(of, Path::new("/data"), &more).lines().map(str::to_owned).collect()
    }

    #[test]
    fn clients_of_a_link_are_told_the_proxy_and_not_the_broker() {
        let node = Node { links: vec![(30, 40)], ..Node::new(1, 10, vec![20, 21, 22]) };
        let lines = lines(&node, &[]);
        let has = |line: &str| assert!(lines.iter().any(|found| found == line), "{line}: {lines:#?}");
        has("listeners=PLAINTEXT://127.0.0.1:10,CONTROLLER://127.0.0.1:21,LINK0://127.0.0.1:30");
        has("advertised.listeners=PLAINTEXT://127.0.0.1:10,LINK0://127.0.0.1:40");
        has("controller.quorum.voters=0@127.0.0.1:20,1@127.0.0.1:21,2@127.0.0.1:22");
        has("min.insync.replicas=2");
        has("default.replication.factor=3");
    }

    #[test]
    fn what_a_test_asks_for_wins() {
        let node = Node::new(0, 10, vec![20]);
        let lines = lines(&node, &[("min.insync.replicas", "7")]);
        let set = lines.iter().filter(|line| line.starts_with("min.insync.replicas="));
        assert_eq!(set.collect::<Vec<_>>(), ["min.insync.replicas=7"]);
    }
}
