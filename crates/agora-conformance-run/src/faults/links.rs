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
    /// Where more of them lead to. `None`: no more can be made.
    server_port: Option<u16>,
    proxies: Mutex<Proxies>,
}

#[derive(Debug, Default)]
struct Proxies {
    all: Vec<Proxy>,
    /// Which each node has.
    of: BTreeMap<String, usize>,
}

impl Links {
    /// Links to the server on this port of loopback, made as nodes come.
    pub fn to(server_port: u16) -> Self {
        Self { server_port: Some(server_port), proxies: Mutex::default() }
    }

    /// Links over these proxies, at least one: some servers must know them before they start. A node takes the next one as
    /// it comes, and all that come later share the last.
    pub fn over(all: Vec<Proxy>) -> Self {
        Self { server_port: None, proxies: Mutex::new(Proxies { all, of: BTreeMap::new() }) }
    }

    /// Where a node finds its link.
    ///
    /// # Errors
    /// Where no port is free.
    pub async fn port_of(&self, node: &NodeName) -> Result<u16> {
        let mut proxies = self.proxies.lock().await;
        let number = self.number_of(&mut proxies, node).await?;
        Ok(proxies.all[number].port())
    }

    async fn number_of(&self, proxies: &mut Proxies, node: &NodeName) -> Result<usize> {
        if let Some(number) = proxies.of.get(node.as_str()) {
            return Ok(*number);
        }
        if let Some(server_port) = self.server_port {
            proxies.all.push(Proxy::to(server_port).await?);
        }
        let number = proxies.of.len().min(proxies.all.len() - 1);
        proxies.of.insert(node.as_str().to_owned(), number);
        Ok(number)
    }

    /// Does something to the link of a node.
    ///
    /// # Errors
    /// Where there is no link.
    pub async fn set(&self, node: &NodeName, what: LinkFault) -> Ability {
        let mut proxies = self.proxies.lock().await;
        let number = self.number_of(&mut proxies, node).await.map_err(cannot)?;
        set(&mut proxies.all[number], what).await
    }

    /// Lets everything pass again on all of them.
    ///
    /// # Errors
    /// Where a port that was closed is somebody else's by now.
    pub async fn mend(&self) -> Ability {
        for proxy in &mut self.proxies.lock().await.all {
            set(proxy, LinkFault::Heal).await?;
            set(proxy, LinkFault::Accept).await?;
        }
        Ok(())
    }
}

async fn set(proxy: &mut Proxy, what: LinkFault) -> Ability {
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
