//! The suite on Valkey.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use agora_conformance::suite::{self, Selection};
use agora_conformance_run::RedisSubject;
use agora_testbed::Program;

#[tokio::test(flavor = "multi_thread")]
async fn valkey_passes() {
    let subject = RedisSubject::start(Program::Valkey).await.unwrap();
    let report = suite::run(Arc::new(subject), &Selection::all()).await;
    assert!(report.is_success(), "{report}");
}
