//! The suite on the in-memory transport, as a server and as peers. Time is paused, so that waits cost nothing.

use std::sync::Arc;

use agora_conformance::suite::{self, MemorySubject, Selection};

#[tokio::test(start_paused = true)]
async fn a_space_with_a_server_passes() {
    let report = suite::run(Arc::new(MemorySubject::with_server()), &Selection::all()).await;
    assert!(report.is_success(), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_space_of_peers_passes() {
    let report = suite::run(Arc::new(MemorySubject::of_peers()), &Selection::all()).await;
    assert!(report.is_success(), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_space_that_shares_out_lanes_passes() {
    let report = suite::run(Arc::new(MemorySubject::by_lane()), &Selection::all()).await;
    assert!(report.is_success(), "{report}");
}
