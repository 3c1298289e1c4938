//! The suite on NATS.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use agora_conformance::suite::{self, Selection};
use agora_conformance_run::NatsSubject;

#[tokio::test(flavor = "multi_thread")]
async fn nats_passes() {
    let subject = NatsSubject::start().await.unwrap();
    let report = suite::run(Arc::new(subject), &Selection::all()).await;
    assert!(report.is_success(), "{report}");
}
