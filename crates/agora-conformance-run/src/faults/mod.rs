//! The backends with servers as worlds of the fault suite: a server that can be killed, and a proxy for each node.

//!
//! | here | what |
//! |---|---|
//! | `one` | a world of one server, with a link for each node |
//! | `several` | a world of servers that serve together |
//! | `nats`, `redis`, `kafka` | how each is started, and how a node gets to it |
//! | `frame` | what the cases of one backend are played with |
//! | `round` | many cases on few servers |

mod frame;
mod kafka;
mod links;
mod nats;
mod one;
mod redis;
mod round;
mod several;

pub use frame::{
    LOSES, disk_full, is_refused_with, odd, overtaken, play_here, rolling, speaks_of_tls, unwritable_letters,
};
pub use kafka::{KafkaClusterWorld, KafkaWorld};
pub use links::Links;
pub use nats::{NatsClusterWorld, NatsWorld};
pub use one::{OneServer, Served};
pub use redis::{RedisClusterWorld, RedisWorld, SentinelWorld};
pub use round::{Mended, Outcome, Round};
pub use several::{InTurn, ServedTogether, Servers};

use agora_conformance::faults::ServerFault;
use agora_conformance::suite::{Ability, Cannot};
use agora_core::Result;
use agora_core::id::ClusterName;
use agora_core::transport::Transport;
use agora_testbed::{Failure, Process};
use async_trait::async_trait;

/// What a node is told of a backend.
#[async_trait]
pub trait Told: Send + 'static {
    /// Connects.
    ///
    /// # Errors
    /// What the backend says. A server that is down is none.
    async fn connect(self, cluster: &ClusterName) -> Result<Box<dyn Transport>>;
}

/// Does it to a process.
async fn to_process(server: &mut Process, what: ServerFault) -> Ability {
    let done = match what {
        ServerFault::Kill => server.kill(),
        ServerFault::Begin => server.begin().await,
        ServerFault::Pause => server.pause(),
        ServerFault::Resume => server.resume(),
    };
    done.map_err(cannot)
}

/// Whatever was done to it, it runs and goes on; it may have to be waited for.
fn mend(server: &mut Process) -> Ability {
    let done = if server.runs() { server.resume() } else { server.spawn() };
    done.map_err(cannot)
}

fn cannot(failure: Failure) -> Cannot {
    Cannot(failure.to_string())
}
