//! What a real NATS server, and the network before it, can do to a bus.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

use agora_conformance_run::faults::NatsWorld;

agora_conformance::fault_tests! { NatsWorld::start() }
