//! Kafka starts, answers, is killed and comes back with what it had.
#![allow(clippy::unwrap_used, reason = "a test")]

use agora_testbed::{KafkaBroker, KafkaVersion};

#[tokio::test]
async fn a_broker_of_either_line_keeps_its_topics_across_a_kill_and_an_orderly_end() {
    for version in [KafkaVersion::V4_1, KafkaVersion::V3_9] {
        let mut broker = KafkaBroker::of(version).await.unwrap();
        broker.create_topic("kept", 3).await.unwrap();
        broker.restart().await.unwrap();
        assert_eq!(broker.topic("kept").await.unwrap().partitions.len(), 3);
        broker.stop().await.unwrap();
        assert_eq!(broker.id(), None);
        broker.begin().await.unwrap();
        assert_eq!(broker.topic("kept").await.unwrap().partitions.len(), 3);
    }
}
