//! The suite on Redis.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use agora_conformance::suite::{self, Selection};
use agora_conformance_run::RedisSubject;
use agora_testbed::Program;

#[tokio::test(flavor = "multi_thread")]
async fn redis_passes() {
    let subject = RedisSubject::start(Program::Redis).await.unwrap();
    let report = suite::run(Arc::new(subject), &Selection::all()).await;
    assert!(report.is_success(), "{report}");
}
