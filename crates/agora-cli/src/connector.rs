//! How a bus that a command has described becomes one.

use std::fmt;
use std::future::ready;
use std::sync::Arc;

use agora::core::transport::{BoxFuture, Transport};
use agora::{Builder, Bus, ClusterName, NodeName, Result};

type Connect = dyn Fn(Builder, &ClusterName, &NodeName) -> BoxFuture<Result<Bus>> + Send + Sync;

/// Where the commands of a run get their bus: from the backend that the configuration names, or from a transport that
/// is given to them.
#[derive(Clone)]
pub struct Connector(Arc<Connect>);

impl Connector {
    /// The backend that the configuration names: what the program does.
    pub fn by_url() -> Self {
        Self(Arc::new(|builder, _, _| Box::pin(builder.connect())))
    }

    /// A transport that is made for each bus, such as one of a [`Space`](agora::memory::Space): for the tests of a
    /// cluster in one process, and for backends of one's own. What the configuration says of a backend has no meaning
    /// then.
    pub fn over<T: Transport>(
        transport: impl Fn(&ClusterName, &NodeName) -> T + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move |builder, cluster, node| Box::pin(ready(builder.open(transport(cluster, node))))))
    }

    pub(crate) async fn connect(
        &self,
        builder: Builder,
        cluster: &ClusterName,
        node: &NodeName,
    ) -> Result<Bus> {
        (self.0)(builder, cluster, node).await
    }
}

impl Default for Connector {
    fn default() -> Self {
        Self::by_url()
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}
