//! A TCP proxy that stands between a client and a server and breaks what passes, as a network would.
//!
//! It runs in the runtime that made it. Its buffers are bounded: what it does not pass on waits in the sender's socket.
//! Dropped, it closes its port and every connection.

mod flow;
mod link;
mod pump;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use flow::{Flow, Way};
use link::{Count, Switches};

use crate::failure::{Doing, Result};
use crate::ports::free_port;

/// Clients past this many are reset: a test that comes here has lost count.
const CONNECTIONS_MAX: usize = 1000;
/// How long to wait where the system has no more sockets to give.
const BREATH: Duration = Duration::from_millis(10);
/// How long to wait for a port that is still taken.
const LISTEN_WAIT: Duration = Duration::from_secs(5);

/// A proxy on a port of loopback of its own, which stays the same for as long as it lives.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    server_port: u16,
    switches: Arc<Switches>,
    leaves: Arc<Leaves>,
    /// `None` while it refuses.
    listening: Option<JoinHandle<()>>,
}

/// What the connections that stand live under. Replaced when they are to end: what comes later has a new one. Gone
/// with the proxy.
#[derive(Debug, Default)]
struct Leaves {
    clients: Leave,
    servers: Leave,
}

#[derive(Debug, Default)]
struct Leave(Mutex<watch::Sender<()>>);

impl Leave {
    fn take(&self) -> link::Leave {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).subscribe()
    }

    /// Ends what lives under it, and waits until it has ended.
    async fn end(&self) {
        let old = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        old.send_replace(());
        old.closed().await;
    }
}

impl Proxy {
    /// One that passes everything to this port of loopback, until told otherwise. The server may be down, or be
    /// restarted: a client that comes while it is down is reset.
    ///
    /// # Errors
    /// Where no port is free.
    pub async fn to(server_port: u16) -> Result<Self> {
        let (port, switches) = (free_port()?, Arc::new(Switches::new()));
        let mut proxy = Self { port, server_port, switches, leaves: Arc::default(), listening: None };
        proxy.accept().await?;
        Ok(proxy)
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Sets what becomes of the bytes of one way, from now on, on connections that stand and on those to come.
    pub fn set(&self, way: Way, flow: Flow) {
        self.switches.flows[way as usize].send_replace(flow);
    }

    /// Sets it both ways.
    pub fn set_both(&self, flow: Flow) {
        Way::BOTH.into_iter().for_each(|way| self.set(way, flow));
    }

    /// Cuts both ways, with every connection left open: [`Flow::Held`].
    pub fn cut(&self) {
        self.set_both(Flow::Held);
    }

    /// Lets everything pass again. It does not mend what was closed, nor does it end a refusal.
    pub fn heal(&self) {
        self.set_both(Flow::Open);
    }

    /// Resets every connection that stands (RST), wherever it is in its stream, and waits until they are closed.
    ///
    /// # Cancel safety
    /// Cancelled, it has given the order all the same.
    pub async fn reset(&self) {
        self.leaves.clients.end().await;
    }

    /// Closes the server's side of every connection that stands, of which the clients never hear: what they send is
    /// taken until buffers are full, and nothing comes back. Waits until the server's side is closed. Ends with
    /// [`reset`](Proxy::reset).
    ///
    /// # Cancel safety
    /// As [`reset`](Proxy::reset).
    pub async fn half_open(&self) {
        self.leaves.servers.end().await;
    }

    /// Closes the port: who connects is refused. Connections that stand go on.
    pub async fn refuse(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
            // The socket is closed when the task has ended.
            let _ = listening.await;
        }
    }

    /// Ends a refusal.
    ///
    /// # Errors
    /// Where somebody else has taken the port meanwhile.
    pub async fn accept(&mut self) -> Result {
        if self.listening.is_none() {
            let listener = bind(self.port).await;
            let listener = listener.doing(format_args!("listen on port {}", self.port))?;
            let listen = listen(listener, self.server_port, self.switches.clone(), self.leaves.clone());
            self.listening = Some(tokio::spawn(listen));
        }
        Ok(())
    }

    /// How many connections of clients stand now.
    pub fn connections(&self) -> usize {
        *self.switches.standing.borrow()
    }

    /// Waits until at least so many connections of clients stand.
    ///
    /// # Cancel safety
    /// Cancel safe. It waits for as long as it takes: put a deadline around it.
    pub async fn connected(&self, at_least: usize) {
        let mut standing = self.switches.standing.subscribe();
        let _ = standing.wait_for(|count| *count >= at_least).await;
    }

    /// How many bytes have passed one way since the start.
    pub fn passed(&self, way: Way) -> u64 {
        *self.switches.passed[way as usize].borrow()
    }

    /// Waits until so many bytes have passed one way since the start.
    ///
    /// # Cancel safety
    /// As [`connected`](Proxy::connected).
    pub async fn passes(&self, way: Way, bytes: u64) {
        let mut passed = self.switches.passed[way as usize].subscribe();
        let _ = passed.wait_for(|passed| *passed >= bytes).await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(listening) = self.listening.take() {
            listening.abort();
        }
    }
}

/// Listens on a port that was this proxy's a moment ago. A process that is being started has a copy of the old socket until
/// it runs a program of its own.
async fn bind(port: u16) -> std::io::Result<TcpListener> {
    let by = Instant::now() + LISTEN_WAIT;
    loop {
        match TcpListener::bind(("127.0.0.1", port)).await {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && Instant::now() < by => {
                tokio::time::sleep(BREATH).await;
            }
            listener => return listener,
        }
    }
}

async fn listen(listener: TcpListener, server_port: u16, switches: Arc<Switches>, leaves: Arc<Leaves>) {
    loop {
        match listener.accept().await {
            Ok((client, _)) if *switches.standing.borrow() < CONNECTIONS_MAX => {
                let own = (Count::one_more(&switches), leaves.clients.take());
                // Outlives this task, which a refusal ends, and ends with what it lives under.
                tokio::spawn(link::serve(client, server_port, own, leaves.servers.take()));
            }
            Ok((client, _)) => drop(client.set_zero_linger()),
            Err(_) => tokio::time::sleep(BREATH).await,
        }
    }
}
