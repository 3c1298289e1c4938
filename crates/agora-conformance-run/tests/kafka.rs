//! The suite on Kafka: a broker of each of the two series that are supported, and three brokers that are one cluster.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::sync::Arc;

use agora_conformance::suite::{self, Selection};
use agora_conformance_run::KafkaSubject;
use agora_testbed::KafkaVersion;

// Side by side: most of their time is waiting for brokers.
#[tokio::test(flavor = "multi_thread")]
async fn one_broker_of_each_series_and_three_brokers_pass() {
    let judge = async |subject: KafkaSubject| suite::run(Arc::new(subject), &Selection::all()).await;
    let (one, former, three) = tokio::join!(
        async { judge(KafkaSubject::start(KafkaVersion::V4_1).await.unwrap()).await },
        async { judge(KafkaSubject::start(KafkaVersion::V3_9).await.unwrap()).await },
        async { judge(KafkaSubject::start_cluster().await.unwrap()).await },
    );
    let all_pass = one.is_success() && former.is_success() && three.is_success();
    assert!(all_pass, "{one}\n{former}\n{three}");
}
