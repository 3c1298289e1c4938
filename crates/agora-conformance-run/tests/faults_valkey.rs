//! What a real Valkey server can do to a bus, where it could be another than Redis: how it dies, stores and leads groups.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::sync::Arc;

use agora_conformance::faults::{self, On};
use agora_conformance_run::faults::RedisWorld;
use agora_testbed::Program;
use tokio::task::JoinSet;

const CASES: [(&str, On); 10] = [
    ("down_at_start", On::Live),
    ("killed_many_times", On::Live),
    ("killed_many_times", On::Log),
    ("ack_lost", On::Log),
    ("reset_often", On::Log),
    ("half_open", On::Live),
    ("undecodable_and_foreign", On::Live),
    ("poison_goes_to_the_dead_letters", On::Each),
    ("crash_between_handling_and_ack", On::Each),
    ("group_outlives_restarts", On::Log),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn valkey_does_as_redis_does() {
    let mut playing = JoinSet::new();
    for (name, on) in CASES {
        playing.spawn(async move {
            let world = RedisWorld::start(Program::Valkey).await.map_err(|failure| failure.to_string())?;
            let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults");
            faults::play_named(Arc::new(world), name, on, &directory).await
        });
    }
    let failed: Vec<String> = playing.join_all().await.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}
