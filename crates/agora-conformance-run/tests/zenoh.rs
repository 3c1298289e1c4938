//! The suite on Zenoh.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use agora_conformance::suite::{self, Selection};
use agora_conformance_run::ZenohSubject;

#[tokio::test(flavor = "multi_thread")]
async fn zenoh_passes() {
    let subject = ZenohSubject::start().await.unwrap();
    let report = suite::run(Arc::new(subject), &Selection::all()).await;
    assert!(report.is_success(), "{report}");
}
