//! A mail cluster of three nodes: one takes mail in, one holds IMAP IDLE sessions, one answers the web client. All
//! three refuse an address as soon as one of them blocks it.
//!
//! `cargo run -p agora --example mail_cluster` runs it in memory; with `--features zenoh` and the argument `zenoh:`
//! the same nodes talk through the network.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use agora::builtin::{AddressBlocked, MailboxChange, MailboxChanged};
use agora::{Bus, Delivery, Publisher, Start, Subscription};

const TOPIC: &str = "stwt.agora";

agora::events! {
    /// What every mail node listens to.
    #[derive(Debug)]
    enum MailEvent {
        Mailbox(MailboxChanged),
        Blocked(AddressBlocked),
    }
}

/// One node: what it knows, and how it learns.
struct Node {
    bus: Bus,
    publisher: Publisher,
    events: Subscription<MailEvent>,
    /// Accounts with an IMAP IDLE session on this node.
    idle: BTreeSet<u64>,
    blocked: BTreeSet<IpAddr>,
}

impl Node {
    async fn start(url: &str, name: &str) -> agora::Result<Self> {
        let bus = Bus::builder().url(url).cluster("mail-example").node(name).connect().await?;
        let publisher = bus.publisher(TOPIC)?;
        let events = bus.subscribe(TOPIC).typed::<MailEvent>().start(Start::Live).await?;
        Ok(Self { bus, publisher, events, idle: BTreeSet::new(), blocked: BTreeSet::new() })
    }

    /// Takes the next event, and says what it did.
    async fn next(&mut self) -> agora::Result<String> {
        let name = self.bus.config().node.clone();
        let Some(delivery) = self.events.try_next().await? else { return Ok(format!("{name}: closed")) };
        let event = match delivery {
            Delivery::Event(event) => event.into_event(),
            // Something was missed, and this says what. Whoever now looks at the state itself is right again.
            Delivery::Gap(gap) => return Ok(format!("{name}: {gap}; reading the mailboxes again")),
            Delivery::Foreign(_) => return Ok(format!("{name}: a message of other software")),
        };
        Ok(match event {
            MailEvent::Mailbox(change) if self.idle.contains(&change.account) => {
                format!("{name}: tells the IDLE session of account {}: {:?}", change.account, change.change)
            }
            MailEvent::Mailbox(change) => format!("{name}: no session of account {}", change.account),
            MailEvent::Blocked(block) => {
                self.blocked.insert(block.address);
                format!("{name}: refuses {} from now on ({})", block.address, block.reason)
            }
        })
    }
}

/// Plays it through over a backend, and returns what the nodes said.
pub(crate) async fn run(url: &str) -> agora::Result<Vec<String>> {
    let mut imap = Node::start(url, "imap-1").await?;
    let mut web = Node::start(url, "web-1").await?;
    let store = Node::start(url, "store-1").await?;
    imap.idle.insert(7);
    let mut said = Vec::new();

    // Mail arrives at store-1. Nobody waits for the nodes that listen.
    store
        .publisher
        .publish(&MailboxChanged {
            account: 7,
            mailbox: 1,
            change: MailboxChange::Added,
            state: 12,
            messages: vec![40],
        })
        .await?;
    said.push(imap.next().await?);
    said.push(web.next().await?);

    // A password is being guessed at web-1. Its own node knows already: one's own events are not delivered.
    let address = IpAddr::from([203, 0, 113, 9]);
    web.blocked.insert(address);
    let reason = "200 wrong passwords".to_owned();
    web.publisher.publish(&AddressBlocked { address, prefix_bits: None, reason, expires_ms: None }).await?;
    said.push(imap.next().await?);
    assert!(imap.blocked.contains(&address));

    for node in [imap, web, store] {
        node.bus.close(Duration::from_secs(2)).await?;
    }
    Ok(said)
}

#[tokio::main]
async fn main() -> agora::Result<()> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "memory:mail-example".to_owned());
    for line in run(&url).await? {
        println!("{line}");
    }
    Ok(())
}
