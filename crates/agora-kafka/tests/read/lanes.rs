//! Lanes on a real broker.

use std::sync::Arc;

use tokio::sync::Notify;

use super::made::{Batch, CODECS};
use super::stage::{broker, next};

fn bell() -> Arc<Notify> {
    Arc::new(Notify::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_every_codec_are_read_in_order_then_the_end_then_what_comes() {
    let (_broker, client) = broker("codecs", 1).await;
    for codec in CODECS {
        client.produce("codecs", 0, &Batch::of_values(0, &["a", "b"]).codec(codec)).await;
    }
    let mut lane = client.hub.lane("codecs", 0, 3, &bell());
    for due in ["3:b", "4:a", "5:b", "6:a", "7:b", "8:a", "9:b", "end"] {
        assert_eq!(next(&mut lane).await, due);
    }
    assert_eq!(lane.position(), 10);
    client.count("codecs", 0, [77]).await;
    assert_eq!(next(&mut lane).await, "10:77");
    assert_eq!(next(&mut lane).await, "end");
}
