//! What a bus can be made of today, and why the rest cannot.

use agora_core::config::{Backend, Framing, Model, TopicConfig, Wire};
use agora_core::transport::TopicKind;
use agora_core::{Error, Result};

use super::loaded::Config;

/// The error of a backend that this version does not have.
pub(crate) fn refuse_backend(backend: Backend) -> Error {
    Error::unsupported(
        format!("this version has no backend {backend}: its configuration is understood, and nothing can be connected"),
        "the backends of this version are zenoh (with the feature `zenoh`) and memory: `url = \"zenoh:\"`",
    )
    .operation("connect")
}

/// Refuses what the settings of topics ask for and nothing in this version could give.
pub(crate) fn check_topics(config: &Config) -> Result<()> {
    let Model { topics, .. } = config.model();
    for (name, topic) in topics {
        if let Some((key, what, instead)) = refused(topic) {
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
fn refused(topic: &TopicConfig) -> Option<(&'static str, &'static str, &'static str)> {
    if topic.kind == Some(TopicKind::Log) {
        return Some(("kind", "this version has live topics only", "set it to \"live\", or leave it out"));
    }
    if topic.framing == Some(Framing::Each) {
        let what = "this version sends many events a message";
        return Some(("framing", what, "set it to \"batch\", or leave it out"));
    }
    if topic.retention.is_some() {
        return Some(("retention", "this version has live topics only, which keep nothing", "leave it out"));
    }
    if topic.replicas.is_some() {
        return Some(("replicas", "this version has live topics only, which keep nothing", "leave it out"));
    }
    if topic.lanes.is_some_and(|lanes| lanes > 1) {
        return Some(("lanes", "a topic of this version has one lane", "set it to 1, or leave it out"));
    }
    if topic.wire == Some(Wire::Plain) {
        return Some(("wire", "this version sends frames only", "set it to \"frame\", or leave it out"));
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
