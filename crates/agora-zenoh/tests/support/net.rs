//! Networks of their own: namespaces with a bridge between them, which can be cut.

use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs `ip`, and fails with what to do where it cannot. Returns what it printed.
fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split_whitespace()).output().unwrap_or_else(|cause| {
        panic!("this test needs `ip`: install the package iproute2 ({cause})");
    });
    assert!(
        output.status.success(),
        "`ip {arguments}` failed: {}\nthis test makes network namespaces: run it as root, or in `unshare -Urnm`, with \
         the packages iproute2 and nftables",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

static COUNT: AtomicUsize = AtomicUsize::new(0);

/// A namespace. Dropped, it is deleted, and what is in it.
pub struct Namespace(pub String);

impl Namespace {
    /// One in which there is a loopback interface and nothing else.
    pub fn new() -> Self {
        let name = format!("agz{}x{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        ip(&format!("netns add {name}"));
        let namespace = Self(name);
        namespace.ip("link set lo up");
        namespace
    }

    fn ip(&self, arguments: &str) {
        ip(&format!("-n {} {arguments}", self.0));
    }

    /// Speaks to the packet filter.
    fn nft(&self, arguments: &str) -> String {
        ip(&format!("netns exec {} nft {arguments}", self.0))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A failure here must not hide the one that is being unwound.
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

/// Hosts 1 to n on one switch, with the addresses 10.77.0.1 and so on.
pub struct Lan {
    pub hosts: Vec<Namespace>,
    switch: Namespace,
}

impl Lan {
    pub fn new(hosts: usize) -> Self {
        let switch = Namespace::new();
        switch.ip("link add br0 type bridge mcast_snooping 0");
        switch.ip("link set br0 up");
        let lan = Self { hosts: (0..hosts).map(|_| Namespace::new()).collect(), switch };
        for (i, host) in lan.hosts.iter().enumerate() {
            let number = i + 1;
            lan.switch.ip(&format!("link add port{number} type veth peer name eth0 netns {}", host.0));
            lan.switch.ip(&format!("link set port{number} up"));
            host.ip(&format!("addr add 10.77.0.{number}/24 dev eth0"));
            host.ip("link set eth0 up");
            lan.plug(number);
        }
        lan
    }

    /// The namespace of a host, from 1.
    pub fn host(&self, number: usize) -> Option<&str> {
        Some(&self.hosts[number - 1].0)
    }

    /// Takes the host off the switch. Nobody is told: its interface stays up, and packets vanish.
    pub fn unplug(&self, number: usize) {
        self.switch.ip(&format!("link set port{number} nomaster"));
    }

    pub fn plug(&self, number: usize) {
        self.switch.ip(&format!("link set port{number} master br0"));
    }

    /// Cuts one way: what one host sends to the other, but for multicast, goes to an address that nobody has.
    pub fn mute(&self, from: usize, to: usize) {
        let nobody = "lladdr 02:00:00:00:00:99 dev eth0 nud permanent";
        self.hosts[from - 1].ip(&format!("neigh replace 10.77.0.{to} {nobody}"));
    }

    pub fn unmute(&self, from: usize, to: usize) {
        self.hosts[from - 1].ip(&format!("neigh del 10.77.0.{to} dev eth0"));
    }

    /// From now on every host loses so many of a hundred packets that reach it, at random.
    pub fn lose(&self, percent: u32) {
        for host in &self.hosts {
            host.nft("add table inet loss");
            host.nft("add chain inet loss input { type filter hook input priority 0 ; }");
            let one = format!("iifname eth0 numgen random mod 100 < {percent} counter drop");
            host.nft(&format!("add rule inet loss input {one}"));
        }
    }

    /// Ends the loss, and returns how many packets each host has lost, by the count of the kernel.
    pub fn lose_no_more(&self) -> Vec<u64> {
        let end = |host: &Namespace| {
            let rule = host.nft("list chain inet loss input");
            host.nft("delete table inet loss");
            let count =
                rule.split_once("packets ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
            count.unwrap_or_else(|| panic!("no count of packets in {rule:?}"))
        };
        self.hosts.iter().map(end).collect()
    }
}
