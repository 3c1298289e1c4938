//! Handles on single connections. A session tells who is connected, but has no way to close one of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use zenoh::internal::runtime::ZRuntime;
use zenoh::session::ZenohId;
use zenoh_transport::multicast::TransportMulticast;
use zenoh_transport::unicast::TransportUnicast;
use zenoh_transport::{
    DummyTransportMulticastEventHandler, DummyTransportPeerEventHandler, TransportEventHandler,
    TransportMulticastEventHandler, TransportPeer, TransportPeerEventHandler,
};

/// The connections that zenoh has made. It holds none of them: one that ends is swept out when the next is made.
#[derive(Default)]
pub(crate) struct Handles(Mutex<BTreeMap<ZenohId, TransportUnicast>>);

impl Handles {
    /// Closes the connection to a peer, where there is one. Blocks until it is closed.
    pub(crate) fn close(&self, peer: &ZenohId) {
        let handle = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(peer);
        let Some(handle) = handle else { return };
        if let Err(cause) = ZRuntime::Net.block_in_place(handle.close()) {
            tracing::debug!(%peer, %cause, "a connection could not be closed");
        }
    }
}

impl TransportEventHandler for Handles {
    fn new_unicast(
        &self,
        peer: TransportPeer,
        transport: TransportUnicast,
    ) -> zenoh::Result<Arc<dyn TransportPeerEventHandler>> {
        let mut handles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        handles.retain(|_, handle| handle.get_zid().is_ok());
        handles.insert(peer.zid.into(), transport);
        Ok(Arc::new(DummyTransportPeerEventHandler))
    }

    /// Peers find each other by multicast, but talk over connections.
    fn new_multicast(
        &self,
        _transport: TransportMulticast,
    ) -> zenoh::Result<Arc<dyn TransportMulticastEventHandler>> {
        Ok(Arc::new(DummyTransportMulticastEventHandler))
    }
}
