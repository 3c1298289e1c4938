//! What the author of a backend gives to the fault suite: a server that can be killed, and networks that can be cut.

use std::time::Duration;

use agora_core::Result;
use agora_core::id::{ClusterName, NodeName};
use agora_core::transport::Transport;
use async_trait::async_trait;

use crate::suite::Ability;

/// A real backend, and power over it. Each case has a world of its own.
#[async_trait]
pub trait World: Send + Sync + 'static {
    /// What histories and failures call it.
    fn name(&self) -> &str;

    /// Connects a node through a link of its own, which later calls of that name find as it is then.
    ///
    /// # Errors
    /// What the backend says. A server that is down is none.
    async fn connect(&self, cluster: &ClusterName, node: &NodeName) -> Result<Box<dyn Transport>>;

    /// Does something to the link of a node.
    ///
    /// # Errors
    /// Where this world cannot.
    async fn link(&self, node: &NodeName, what: LinkFault) -> Ability;

    /// Does something to the server, or to all servers.
    ///
    /// # Errors
    /// Where this world cannot, or it went wrong.
    async fn server(&self, what: ServerFault) -> Ability;

    /// How long to wait for what is to come once everything is healed. Default: 90 s, for a hundred
    /// nodes in one process on a busy machine.
    fn patience(&self) -> Duration {
        Duration::from_secs(90)
    }
}

/// What a link does from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkFault {
    /// Everything passes.
    Heal,
    /// Nothing passes, either way; connections stay open.
    Cut,
    /// Nothing passes to the server.
    CutToServer,
    /// Nothing passes from the server.
    CutToClient,
    /// Every connection is reset.
    Reset,
    /// The server's side of every connection is closed, and the client does not hear of it.
    HalfOpen,
    /// New connections are refused.
    Refuse,
    /// New connections are accepted again.
    Accept,
    /// Bytes come this much later.
    Late(Duration),
    /// So many bytes pass in a second.
    Slow(u32),
    /// Bytes pass in portions of so many.
    Sliced(usize),
    /// Every connection is reset when so many more bytes have passed to the server.
    ResetAfter(u64),
}

/// What becomes of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerFault {
    /// It is killed, as by a crash.
    Kill,
    /// It is started with the data that it had, and answers.
    Begin,
    /// It stands still, with its connections open.
    Pause,
    /// It goes on.
    Resume,
}
