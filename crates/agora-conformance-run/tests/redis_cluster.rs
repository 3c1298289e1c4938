//! The suite on a Redis cluster.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use agora_conformance::suite::{self, Selection};
use agora_conformance_run::RedisClusterSubject;
use agora_testbed::Program;

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_cluster_passes() {
    let subject = RedisClusterSubject::start(Program::Redis).await.unwrap();
    let report = suite::run(Arc::new(subject), &Selection::all()).await;
    assert!(report.is_success(), "{report}");
}
