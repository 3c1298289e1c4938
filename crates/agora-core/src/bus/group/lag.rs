//! Measures how far a group is behind, as long as somebody is in it.

use std::sync::Arc;
use std::time::Duration;

use super::hub::Hub;

/// How often the backend is asked, and how long it is given to answer.
const INTERVAL: Duration = Duration::from_secs(10);

/// Asks until the group was left or lost. Where the backend cannot tell, at once no more.
pub(super) async fn follow(hub: Arc<Hub>) {
    let shared = hub.shared.clone();
    let Some(admin) = shared.transport.admin() else { return };
    let asking = async {
        let mut reading = None;
        loop {
            let asked = admin.describe_group(&hub.topic, &hub.name);
            match tokio::time::timeout(INTERVAL, asked).await {
                Ok(Ok(group)) => {
                    let reading = reading.get_or_insert_with(|| shared.meter.lag(&hub.topic, &hub.name));
                    reading.set(group.lag());
                }
                Ok(Err(error)) => {
                    tracing::debug!(topic = %hub.topic, group = %hub.name, %error, "the lag is not known");
                }
                Err(_) => tracing::debug!(topic = %hub.topic, group = %hub.name, "the lag is not known yet"),
            }
            tokio::time::sleep(INTERVAL).await;
        }
    };
    tokio::select! {
        biased;
        _ = hub.wait_ended() => {}
        () = asking => {}
    }
}
