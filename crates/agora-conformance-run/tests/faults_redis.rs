//! What a real Redis server, and the network before it, can do to a bus.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use agora_conformance_run::faults::RedisWorld;
use agora_testbed::Program;

agora_conformance::fault_tests! { RedisWorld::start(Program::Redis) }
