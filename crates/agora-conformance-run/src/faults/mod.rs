//! The backends with servers as worlds of the fault suite: a server that can be killed, and a proxy for each node.

mod links;
mod nats;
mod redis;

pub use links::Links;
pub use nats::{NatsClusterWorld, NatsWorld};
pub use redis::{RedisClusterWorld, RedisWorld, SentinelWorld};

use agora_conformance::faults::ServerFault;
use agora_conformance::suite::{Ability, Cannot};
use agora_testbed::{Failure, Process};

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

fn cannot(failure: Failure) -> Cannot {
    Cannot(failure.to_string())
}
