//! What a bus can be made of today, and why the rest cannot.

use agora_core::bus::BusConfig;
use agora_core::config::{Backend, TopicConfig};
use agora_core::transport::{Support, TopicKind};
use agora_core::{Error, Result};

use super::loaded::Config;

/// Refuses what the settings of topics ask for and this backend, or this version, could not give. `log` and
/// `lanes` say whether the backend has logs, and several lanes of them, and `told` what each topic is in the end.
pub(crate) fn check_topics(
    config: &Config,
    told: &BusConfig,
    backend: &str,
    log: Support,
    lanes: Support,
) -> Result<()> {
    for (name, topic) in &config.model().topics {
        if let Some((key, what, instead)) = refused(topic, told.kind_of(name), backend, (log, lanes)) {
            let key = format!("topics.\"{name}\".{key}");
            let mut error = Error::unsupported(format!("`{key}` cannot be honoured: {what}"), instead);
            if let Some(origin) = config.origin(&key) {
                error = error.context("from", origin);
            }
            return Err(error.operation("connect"));
        }
    }
    Ok(())
}

/// What a topic asks for in vain: the key, why, and what to do instead.
fn refused(
    topic: &TopicConfig,
    kind: TopicKind,
    backend: &str,
    (log, lanes): (Support, Support),
) -> Option<(&'static str, String, &'static str)> {
    let out = "leave it out";
    if let (Some(TopicKind::Log), Support::No { instead }) = (topic.kind, log) {
        return Some(("kind", format!("the backend {backend} has no logs"), instead));
    }
    let nobody = format!("the backend {backend} has no such setting");
    if topic.retention.is_some() {
        if backend == Backend::Zenoh.as_str() {
            return Some(("retention", nobody, out));
        }
        if kind == TopicKind::Live {
            let live = "the topic is live: it keeps nothing".to_owned();
            return Some(("retention", live, "set `kind` to \"log\", or leave it out"));
        }
    }
    if topic.replicas.is_some() {
        let without = [Backend::Memory, Backend::Zenoh].iter().any(|other| backend == other.as_str());
        if without {
            return Some(("replicas", nobody, out));
        }
        if backend == Backend::Redis.as_str() {
            let servers = "on Redis the servers say how many replicas they have".to_owned();
            return Some(("replicas", servers, "set up replicas on the servers, and leave it out"));
        }
        if kind == TopicKind::Live {
            let live = "the topic is live: it keeps nothing".to_owned();
            return Some(("replicas", live, "set `kind` to \"log\", or leave it out"));
        }
    }
    if topic.lanes.is_some_and(|lanes| lanes > 1) {
        if kind == TopicKind::Live {
            let live = "the topic is live: it has one lane".to_owned();
            return Some(("lanes", live, "set `kind` to \"log\", or leave it out"));
        }
        if let Support::No { instead } = lanes {
            return Some(("lanes", format!("a log of the backend {backend} has one lane"), instead));
        }
    }
    None
}

/// The settings of the crate of the backend.
#[cfg(feature = "zenoh")]
pub(crate) fn zenoh(zenoh: &agora_core::config::Zenoh) -> Result<agora_zenoh::ZenohConfig> {
    use agora_core::config::{ZenohMode, ZenohMulticast};
    use agora_zenoh::{Mode, Multicast, Settings, ZenohConfig};

    if let Some(text) = &zenoh.config {
        return ZenohConfig::from_json5(text.expose());
    }
    let mut settings = Settings {
        mode: match zenoh.mode {
            Some(ZenohMode::Client) => Mode::Client,
            Some(ZenohMode::Router) => Mode::Router,
            _ => Mode::Peer,
        },
        connect: zenoh.connect.clone(),
        listen: zenoh.listen.clone(),
        multicast: match &zenoh.multicast {
            ZenohMulticast::On => Multicast::On,
            ZenohMulticast::Off => Multicast::Off,
            ZenohMulticast::Interfaces(names) => Multicast::Interface(names.clone()),
            _ => Multicast::Auto,
        },
        user: zenoh.user.clone(),
        password_file: zenoh.password_file.clone(),
        users_file: zenoh.users_file.clone(),
        ..Settings::default()
    };
    if let Some(address) = zenoh.multicast_address {
        settings.multicast_address = address;
    }
    if let Some(port) = zenoh.multicast_port {
        settings.multicast_address.set_port(port);
    }
    if let Some(lease) = zenoh.lease {
        settings.lease = lease;
    }
    ZenohConfig::new(settings)
}

#[cfg(all(test, feature = "zenoh"))]
mod tests {
    use super::*;

    /// A URL is read here, and by the crate of the backend for those who use that alone.
    #[test]
    fn both_readers_of_zenohs_urls_agree() {
        for url in [
            "zenoh:",
            "zenoh://",
            "zenoh:///",
            "zenoh:?",
            "zenoh:?mode=peer&",
            "zenoh://a:1",
            "zenoh://a:1/",
            "zenoh://a,b-c.example:2,10.0.0.1",
            "zenoh://[::1]:7447,[fe80::1]",
            "zenoh://a?mode=client",
            "zenoh:?mode=router",
            "zenoh:?listen=0.0.0.0:0,[::]:9",
            "zenoh:?multicast=on",
            "zenoh:?multicast=off",
            "zenoh:?multicast=eth0,wg-1",
            "zenoh:?multicast=eth0%2Cwg-1",
            "zenoh:?multicast_port=9999",
            "zenoh:?multicast_address=239.1.2.3:5",
            "zenoh:?lease=500ms",
            "zenoh:?lease=1m",
            "zenoh:?user=m%26m&password_file=/run/secrets/zenoh%20pw&users_file=/etc/a+b",
            "zenoh:?cluster=prod.eu",
        ] {
            let config = Config::from_url(url).unwrap_or_else(|error| panic!("{url}: {error:#}"));
            let theirs = agora_zenoh::ZenohConfig::from_url(url).unwrap();
            assert_eq!(zenoh(&config.model().zenoh).unwrap().settings(), theirs.settings(), "{url}");
            assert_eq!(config.model().cluster.as_ref(), theirs.cluster(), "{url}");
        }
        for url in [
            "zenoh:a",
            "zenoh:/a",
            "zenoh://a/b",
            "zenoh://u:p@a",
            "zenoh://a#b",
            "zenoh://a,,b",
            "zenoh://a:",
            "zenoh://a:x",
            "zenoh://a:0",
            "zenoh://a:65536",
            "zenoh://a:1:2",
            "zenoh://::1",
            "zenoh://[::1",
            "zenoh://[::1]7",
            "zenoh://[zz]:7",
            "zenoh://a%20b:1",
            "zenoh://a%zz:1",
            "zenoh://%ff",
            "zenoh:?mode=server",
            "zenoh:?mode=",
            "zenoh:?mode",
            "zenoh:?colour=red",
            "zenoh:?Mode=peer",
            "zenoh:?=x",
            "zenoh:?mode=peer&mode=peer",
            "zenoh:?listen=a:b",
            "zenoh:?multicast=a b",
            "zenoh:?multicast=eth0,,",
            "zenoh:?multicast_port=0",
            "zenoh:?multicast_address=10.0.0.1:5",
            "zenoh:?multicast_port=5&multicast_address=224.0.0.1:6",
            "zenoh:?lease=3",
            "zenoh:?lease=1h",
            "zenoh:?lease=100ms",
            "zenoh:?user=a",
            "zenoh:?password_file=a",
            "zenoh:?password=secret",
            "zenoh:?cluster=a/b",
            "zenoh:?mode=client&multicast=off",
        ] {
            assert!(Config::from_url(url).is_err(), "{url}");
            assert!(agora_zenoh::ZenohConfig::from_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn the_defaults_that_are_documented_are_the_backends() {
        let default = |name: &str| agora_core::config::find("zenoh", name).map(|key| key.default.to_owned());
        let settings = agora_zenoh::Settings::default();
        assert_eq!(default("lease"), Some(format!("\"{}s\"", settings.lease.as_secs())));
        assert_eq!(default("multicast_address"), Some(format!("\"{}\"", settings.multicast_address)));
        assert_eq!(default("multicast_port"), Some(settings.multicast_address.port().to_string()));
        assert_eq!(default("mode").as_deref(), Some("\"peer\""));
        assert_eq!(settings.mode, agora_zenoh::Mode::Peer);
    }
}
