//! The backends with servers as worlds of the fault suite: a server that can be killed, and a proxy for each node.

//!
//! | here | what |
//! |---|---|
//! | `one` | a world of one server, with a link for each node |
//! | `several` | a world of servers that serve together |
//! | `nats`, `redis` | how each is started, and how a node gets to it |
//! | `frame` | what the cases of one backend are played with |

mod frame;
mod links;
mod nats;
mod one;
mod redis;
mod several;

pub use frame::{
    LOSES, disk_full, is_refused_with, odd, overtaken, play_here, rolling, speaks_of_tls, unwritable_letters,
};
pub use links::Links;
pub use nats::{NatsClusterWorld, NatsWorld};
pub use one::{OneServer, Served};
pub use redis::{RedisClusterWorld, RedisWorld, SentinelWorld};
pub use several::{ServedTogether, Servers};

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
