//! One connection to one server, from its beginning to its end.
//!
//! The client can reconnect by itself, and is not let: what waited in it would then be sent behind what was lost with the
//! old connection, and nobody could say what had arrived. So a connection has one life. When it is over, everything that
//! was handed to it and not answered is *outcome unknown*, its subscriptions end at an exact place, and the
//! [`keeper`](crate::keeper) makes another one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use agora_core::{Error, ErrorKind, Result};
use async_nats::client::{Request, RequestErrorKind};
use async_nats::jetstream::{self, Context};
use async_nats::{AuthError, Client, ConnectOptions, Event, ServerError, Subscriber};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::{denied, error, from_connect, lost, unauthorized};
use crate::plan::Plan;
use crate::shared::{Shared, State};

/// The oldest server, by major and minor version: 2.9 ignores filters of consumers without a word, and refuses buckets.
pub(crate) const SERVER_MIN: (u64, u64) = (2, 10);
/// How many messages may wait between the client and the task that empties a subscription. That task never waits, so
/// this is what one turn of the client can bring; memory is taken only for what is there.
const CHANNEL_MESSAGES_MAX: usize = 1 << 20;
/// How long the round trip of a subscription may take.
const SUBSCRIBE_WAIT: Duration = Duration::from_secs(10);
/// For how long a denial is believed.
const DENIED_FOR: Duration = Duration::from_secs(10);
/// What a server was asked and has denied: the last so many different sentences are kept.
const DENIED_MAX: usize = 32;

/// A connection.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) jetstream: Context,
    /// The server, as it calls itself and where it is.
    pub(crate) server: String,
    /// Other servers of its cluster, as it names them.
    pub(crate) others: Vec<String>,
    /// The largest message, headers included.
    pub(crate) bytes_max: usize,
    /// The server has JetStream, or another one of its cluster may.
    may_have_jetstream: bool,
    /// JetStream has answered some time.
    jetstream_seen: Arc<AtomicBool>,
    signals: Arc<Signals>,
    /// Ends when the client does. Never gets a message.
    canary: tokio::sync::Mutex<Subscriber>,
}

/// What is done with a subject, as the server names it in a denial.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Doing {
    Publish,
    Subscribe,
}

/// What the client tells from its own task.
struct Signals {
    /// Why it is over.
    over: watch::Sender<Option<String>>,
    /// What the server said last that was no answer.
    said: Mutex<Option<ServerError>>,
    /// What was denied, and when.
    denied: watch::Sender<Vec<(Instant, String)>>,
    leaving: watch::Sender<bool>,
    /// Who is told first: the link is down before anybody can see that something failed.
    keeper: OnceLock<Weak<Shared>>,
    ended: AtomicBool,
}

impl Signals {
    fn said(&self) -> Option<ServerError> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn end(&self, why: impl FnOnce() -> String) {
        if self.ended.swap(true, Ordering::AcqRel) {
            return;
        }
        let why = why();
        if let Some(shared) = self.keeper.get().and_then(Weak::upgrade) {
            shared.tell(State::Down(why.clone()));
        }
        self.over.send_replace(Some(why));
    }

    fn handle(&self, event: Event) {
        match event {
            Event::Disconnected => self.end(|| match self.said() {
                Some(said) => format!("the server ended the connection: {said}"),
                None => "the connection was lost".into(),
            }),
            Event::Closed | Event::ClientError(_) => self.end(|| "the connection was lost".into()),
            Event::LameDuckMode => drop(self.leaving.send_replace(true)),
            Event::ServerError(ServerError::Other(text)) if text.starts_with("Permissions Violation") => {
                self.denied.send_modify(|denied| {
                    denied.retain(|(_, said)| *said != text);
                    if denied.len() >= DENIED_MAX {
                        denied.remove(0);
                    }
                    denied.push((Instant::now(), text));
                });
            }
            Event::ServerError(said) => {
                *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(said);
            }
            Event::SlowConsumer(_) => {
                tracing::warn!("a subscription was overrun in the client: messages were lost without a mark");
            }
            Event::Connected | Event::Draining => {}
        }
    }
}

impl Session {
    /// Connects to one server of the plan.
    ///
    /// # Errors
    /// `Unauthorized`, `Unreachable`, and `Unsupported` for a server that is too old.
    pub(crate) async fn connect(plan: &Arc<Plan>, server: &str) -> Result<Self> {
        let signals = Arc::new(Signals {
            over: watch::Sender::new(None),
            said: Mutex::default(),
            denied: watch::Sender::default(),
            leaving: watch::Sender::new(false),
            keeper: OnceLock::new(),
            ended: AtomicBool::new(false),
        });
        let stands = Arc::new(AtomicBool::new(false));
        let options =
            plan.dress(one_life(plan, &signals, &stands))?.subscription_capacity(CHANNEL_MESSAGES_MAX);
        let client = options.connect(plan.url(server)).await.map_err(|cause| from_connect(server, &cause))?;
        // Not before: a name may stand for several addresses, of which the first may not answer.
        stands.store(true, Ordering::Release);
        let info = client.server_info();
        check_version(server, &info.version)?;
        let canary = client.subscribe(client.new_inbox()).await.map_err(|_| lost())?;
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(plan.request_timeout);
        Ok(Self {
            jetstream,
            server: format!("{server} ({})", info.server_name),
            jetstream_seen: Arc::clone(&plan.jetstream_seen),
            may_have_jetstream: info.jetstream || info.cluster.is_some(),
            others: info.connect_urls,
            bytes_max: info.max_payload,
            signals,
            canary: tokio::sync::Mutex::new(canary),
            client,
        })
    }

    /// May JetStream answer later, where it does not now?
    pub(crate) fn may_have_jetstream(&self) -> bool {
        self.may_have_jetstream || self.jetstream_seen.load(Ordering::Acquire)
    }

    /// JetStream has answered.
    pub(crate) fn jetstream_answered(&self) {
        self.jetstream_seen.store(true, Ordering::Release);
    }

    /// From here on its end is the end of the link.
    pub(crate) fn keep_for(&self, shared: &Arc<Shared>) {
        let _ = self.signals.keeper.set(Arc::downgrade(shared));
    }

    /// Is it over?
    pub(crate) fn is_over(&self) -> bool {
        self.signals.over.borrow().is_some()
    }

    /// Why it is over, once it is.
    pub(crate) fn why_over(&self) -> Option<String> {
        self.signals.over.borrow().clone()
    }

    /// Was it over because of who this node is?
    pub(crate) fn refusal(&self) -> Option<Error> {
        let said = self.signals.said()?;
        let text = said.to_string();
        let lower = text.to_lowercase();
        let is_refusal = said == ServerError::AuthorizationViolation
            || ["authentication", "authorization", "revoked", "expired"]
                .iter()
                .any(|word| lower.contains(word));
        is_refusal.then(|| unauthorized(&self.server, &text))
    }

    /// Waits until it is over.
    pub(crate) async fn over(&self) {
        let mut over = self.signals.over.subscribe();
        let _ = over.wait_for(Option::is_some).await;
    }

    /// Holds it for over, because it answers no more.
    pub(crate) fn end(&self, why: &str) {
        self.signals.end(|| why.to_owned());
    }

    /// Waits until the client itself has ended.
    pub(crate) async fn ended(&self) {
        use futures_util::StreamExt;
        let mut canary = self.canary.lock().await;
        while canary.next().await.is_some() {}
        self.signals.end(|| "the connection was lost".into());
    }

    /// The server is about to shut down.
    pub(crate) fn leaving(&self) -> watch::Receiver<bool> {
        self.signals.leaving.subscribe()
    }

    /// What the server has denied, in its own words.
    pub(crate) fn denied(&self) -> watch::Receiver<Vec<(Instant, String)>> {
        self.signals.denied.subscribe()
    }

    /// The error of a subject that this node may not use so, where that was said.
    pub(crate) fn denial_of(&self, what: Doing, subject: &str) -> Option<Error> {
        let said = self.signals.denied.borrow();
        if said.is_empty() {
            return None;
        }
        let quoted = match what {
            Doing::Publish => format!("Publish to \"{subject}\""),
            Doing::Subscribe => format!("Subscription to \"{subject}\""),
        };
        // An operator may have changed it since: after a while it is tried again.
        let found = said.iter().rev().find(|(at, text)| at.elapsed() < DENIED_FOR && text.contains(&quoted));
        found.map(|(_, text)| denied(text))
    }

    /// Asks the server for an answer, which nothing that was handed over before can come behind. Nobody subscribes to
    /// the subject: that there is nobody is the answer.
    ///
    /// # Errors
    /// `OutcomeUnknown` when there is none.
    pub(crate) async fn probe(&self, subject: &str, wait: Duration) -> Result<()> {
        let request = Request::new().timeout(Some(wait));
        match self.client.send_request(subject.to_owned(), request).await {
            Ok(_) => Ok(()),
            Err(cause) if cause.kind() == RequestErrorKind::NoResponders => Ok(()),
            Err(_) => Err(self.denial_of(Doing::Publish, subject).unwrap_or_else(lost)),
        }
    }

    /// Subscribes, and waits until the server knows of it.
    ///
    /// # Errors
    /// `Unauthorized` where the server does not allow it, as far as it has said so; `OutcomeUnknown`.
    pub(crate) async fn subscribe(&self, subject: &str, probe: &str) -> Result<Subscriber> {
        let subscriber = self.client.subscribe(subject.to_owned()).await.map_err(|_| lost())?;
        self.probe(probe, SUBSCRIBE_WAIT).await?;
        match self.denial_of(Doing::Subscribe, subject) {
            Some(denial) => Err(denial),
            None => Ok(subscriber),
        }
    }

    /// Ends the connection: what was handed over before goes out first.
    pub(crate) async fn close(&self) {
        let _ = self.client.drain().await;
    }
}

/// Options that answer servers until the connection stands: the client, which would connect again by itself, then gives
/// up.
fn one_life(plan: &Arc<Plan>, signals: &Arc<Signals>, stands: &Arc<AtomicBool>) -> ConnectOptions {
    let (plan, stands) = (Arc::clone(plan), Arc::clone(stands));
    let options = ConnectOptions::with_auth_callback(move |nonce| {
        let answer = if stands.load(Ordering::Acquire) {
            Err(AuthError::new("the connection is over, and another one takes its place"))
        } else {
            plan.credentials.answer(&nonce).map_err(AuthError::new)
        };
        async move { answer }
    });
    let signals = Arc::clone(signals);
    options.max_reconnects(1).reconnect_delay_callback(|_| Duration::ZERO).event_callback(move |event| {
        signals.handle(event);
        async {}
    })
}

fn check_version(server: &str, version: &str) -> Result<()> {
    let mut numbers = version.split('.').map(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u64>().unwrap_or(0)
    });
    let found = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if found >= SERVER_MIN {
        return Ok(());
    }
    let (major, minor) = SERVER_MIN;
    Err(error(ErrorKind::Unsupported, "the server is too old")
        .context("server", server)
        .context("version", version)
        .context("at least", format!("{major}.{minor}"))
        .help("update nats-server: older ones ignore what agora asks of them without a word"))
}

#[cfg(test)]
mod tests {
    use agora_core::config::Nats;
    use agora_testbed::{NatsServer, Proxy};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_client_of_a_connection_that_broke_ends_and_does_not_connect_again() {
        let server = NatsServer::start().await.unwrap();
        let proxy = Proxy::to(server.port()).await.unwrap();
        let address = format!("127.0.0.1:{}", proxy.port());
        let mut config = Nats::default();
        config.addresses = vec![address.clone()];
        let session = Session::connect(&Arc::new(Plan::new(&config).unwrap()), &address).await.unwrap();
        proxy.reset().await;
        // The way is open: if it wanted to, it could.
        tokio::time::timeout(SUBSCRIBE_WAIT, session.ended()).await.expect("it lives on");
        assert!(session.is_over());
    }

    #[test]
    fn old_servers_are_refused() {
        for version in ["2.10.0", "2.10.27-RC.1", "2.15.1", "3.0.0"] {
            assert!(check_version("a:1", version).is_ok(), "{version}");
        }
        for version in ["2.9.25", "1.4.0", "", "x"] {
            let refused = check_version("a:1", version).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Unsupported, "{version}");
            assert!(refused.to_string().contains("at least: 2.10"), "{refused}");
        }
    }
}
