//! A proxy for each node, in front of one server.

use std::collections::BTreeMap;

use agora_conformance::faults::LinkFault;
use agora_conformance::suite::Ability;
use agora_core::id::NodeName;
use agora_testbed::{Flow, Proxy, Result, Way};
use tokio::sync::Mutex;

use super::cannot;

/// The links of all nodes to one server.
#[derive(Debug)]
pub struct Links {
    server_port: u16,
    proxies: Mutex<BTreeMap<String, Proxy>>,
}

impl Links {
    /// Links to the server on this port of loopback.
    pub fn to(server_port: u16) -> Self {
        Self { server_port, proxies: Mutex::default() }
    }

    /// Where a node finds its link.
    ///
    /// # Errors
    /// Where no port is free.
    pub async fn port_of(&self, node: &NodeName) -> Result<u16> {
        let mut proxies = self.proxies.lock().await;
        if let Some(proxy) = proxies.get(node.as_str()) {
            return Ok(proxy.port());
        }
        let proxy = Proxy::to(self.server_port).await?;
        let port = proxy.port();
        proxies.insert(node.as_str().to_owned(), proxy);
        Ok(port)
    }

    /// Does something to the link of a node.
    ///
    /// # Errors
    /// Where there is no link.
    pub async fn set(&self, node: &NodeName, what: LinkFault) -> Ability {
        self.port_of(node).await.map_err(cannot)?;
        let mut proxies = self.proxies.lock().await;
        let Some(proxy) = proxies.get_mut(node.as_str()) else { return Ok(()) };
        match what {
            LinkFault::Heal => proxy.heal(),
            LinkFault::Cut => proxy.cut(),
            LinkFault::CutToServer => proxy.set(Way::ToServer, Flow::Held),
            LinkFault::CutToClient => proxy.set(Way::ToClient, Flow::Held),
            LinkFault::Reset => proxy.reset().await,
            LinkFault::HalfOpen => proxy.half_open().await,
            LinkFault::Refuse => proxy.refuse().await,
            LinkFault::Accept => proxy.accept().await.map_err(cannot)?,
            LinkFault::Late(by) => proxy.set_both(Flow::Late(by)),
            LinkFault::Slow(rate) => proxy.set_both(Flow::Slow(rate)),
            LinkFault::Sliced(bytes) => proxy.set_both(Flow::Sliced(bytes)),
            LinkFault::ResetAfter(bytes) => proxy.set(Way::ToServer, Flow::ResetAfter(bytes)),
        }
        Ok(())
    }
}
