//! The events that the nodes of a clustered service need: mailboxes, push, blocked addresses, certificates,
//! configuration, caches and queues.
//!
//! Times are milliseconds since 1970, in UTC.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Event, Key, Unknown};

/// Something in a mailbox changed, so the node that holds a session on it must say so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxChanged {
    /// The account.
    pub account: u64,
    /// The mailbox in the account.
    pub mailbox: u64,
    /// What happened.
    pub change: MailboxChange,
    /// The state of the mailbox after the change: higher is later.
    pub state: u64,
    /// The messages concerned, where there are few; empty: look for yourself.
    pub messages: Vec<u32>,
}

/// What happened to a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MailboxChange {
    /// Messages came.
    Added,
    /// Messages went.
    Removed,
    /// Flags of messages changed.
    Flags,
    /// The mailbox was created.
    Created,
    /// The mailbox was renamed or its settings changed.
    Renamed,
    /// The mailbox was deleted.
    Deleted,
}

impl Event for MailboxChanged {
    const KIND: &'static str = "agora.mailbox.changed";

    fn key(&self) -> Option<Key<'_>> {
        Some(self.account.into())
    }
}

/// A device was registered for push, changed or removed, so the node that serves it must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushSubscriptionChanged {
    /// The account.
    pub account: u64,
    /// The subscription in the account.
    pub subscription: String,
    /// What happened.
    pub change: PushSubscriptionChange,
    /// When it ends by itself.
    pub expires_ms: Option<u64>,
}

/// What happened to a push subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PushSubscriptionChange {
    /// It was created.
    Created,
    /// It was changed.
    Updated,
    /// It was removed.
    Removed,
}

impl Event for PushSubscriptionChanged {
    const KIND: &'static str = "agora.push.subscription.changed";
    const UNKNOWN: Unknown = Unknown::Resync;

    fn key(&self) -> Option<Key<'_>> {
        Some(self.account.into())
    }
}

/// A device must be pushed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushDue {
    /// The account.
    pub account: u64,
    /// The subscriptions concerned; empty: all of the account.
    pub subscriptions: Vec<String>,
    /// What changed, in the words of the service.
    pub topics: Vec<String>,
    /// The state to tell the device.
    pub state: u64,
}

impl Event for PushDue {
    const KIND: &'static str = "agora.push.due";

    fn key(&self) -> Option<Key<'_>> {
        Some(self.account.into())
    }
}

/// An address, or a network, must be refused by all nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressBlocked {
    /// The address.
    pub address: IpAddr,
    /// With a network: the length of its prefix in bits.
    pub prefix_bits: Option<u8>,
    /// Why.
    pub reason: String,
    /// When it ends; `None`: not by itself.
    pub expires_ms: Option<u64>,
}

impl Event for AddressBlocked {
    const KIND: &'static str = "agora.address.blocked";
    const UNKNOWN: Unknown = Unknown::Resync;

    fn key(&self) -> Option<Key<'_>> {
        Some(self.address.to_string().into())
    }
}

/// An address, or a network, is no longer refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressUnblocked {
    /// The address.
    pub address: IpAddr,
    /// With a network: the length of its prefix in bits.
    pub prefix_bits: Option<u8>,
    /// Why.
    pub reason: String,
}

impl Event for AddressUnblocked {
    const KIND: &'static str = "agora.address.unblocked";
    const UNKNOWN: Unknown = Unknown::Resync;

    fn key(&self) -> Option<Key<'_>> {
        Some(self.address.to_string().into())
    }
}

/// A new certificate was issued, and lies where all nodes can load it. It names the certificate and never carries
/// a private key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRenewed {
    /// The host names for which it holds.
    pub names: Vec<String>,
    /// Its serial number, in hex.
    pub serial: String,
    /// The SHA-256 of its DER form, in hex: to check what was loaded.
    pub fingerprint: String,
    /// When it ends.
    pub not_after_ms: u64,
}

impl Event for CertificateRenewed {
    const KIND: &'static str = "agora.certificate.renewed";
    const UNKNOWN: Unknown = Unknown::Resync;

    fn key(&self) -> Option<Key<'_>> {
        self.names.first().map(Key::from)
    }
}

/// The configuration changed, and must be read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationReloaded {
    /// The sections or keys that changed; empty: everything.
    pub sections: Vec<String>,
    /// The revision that must be reached.
    pub revision: u64,
}

impl Event for ConfigurationReloaded {
    const KIND: &'static str = "agora.configuration.reloaded";
    const UNKNOWN: Unknown = Unknown::Resync;
}

/// Entries of a cache are stale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheInvalidated {
    /// The cache.
    pub cache: String,
    /// Its entries; empty: all.
    pub entries: Vec<String>,
}

impl Event for CacheInvalidated {
    const KIND: &'static str = "agora.cache.invalidated";
    const UNKNOWN: Unknown = Unknown::Resync;

    fn key(&self) -> Option<Key<'_>> {
        Some((&self.cache).into())
    }
}

/// A queue takes no more work out until it is resumed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuePaused {
    /// The queue.
    pub queue: String,
    /// Why.
    pub reason: String,
    /// When it resumes by itself.
    pub until_ms: Option<u64>,
}

impl Event for QueuePaused {
    const KIND: &'static str = "agora.queue.paused";
    const UNKNOWN: Unknown = Unknown::Resync;

    fn key(&self) -> Option<Key<'_>> {
        Some((&self.queue).into())
    }
}

/// A queue works again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueResumed {
    /// The queue.
    pub queue: String,
}

impl Event for QueueResumed {
    const KIND: &'static str = "agora.queue.resumed";
    const UNKNOWN: Unknown = Unknown::Resync;

    fn key(&self) -> Option<Key<'_>> {
        Some((&self.queue).into())
    }
}

crate::events! {
    /// Any built-in event.
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum Builtin {
        /// See [`MailboxChanged`].
        MailboxChanged(MailboxChanged),
        /// See [`PushSubscriptionChanged`].
        PushSubscriptionChanged(PushSubscriptionChanged),
        /// See [`PushDue`].
        PushDue(PushDue),
        /// See [`AddressBlocked`].
        AddressBlocked(AddressBlocked),
        /// See [`AddressUnblocked`].
        AddressUnblocked(AddressUnblocked),
        /// See [`CertificateRenewed`].
        CertificateRenewed(CertificateRenewed),
        /// See [`ConfigurationReloaded`].
        ConfigurationReloaded(ConfigurationReloaded),
        /// See [`CacheInvalidated`].
        CacheInvalidated(CacheInvalidated),
        /// See [`QueuePaused`].
        QueuePaused(QueuePaused),
        /// See [`QueueResumed`].
        QueueResumed(QueueResumed),
    }
}

/// Calls a macro with the list of all built-in event types, so that a tool can handle each by its `KIND`.
///
/// ```
/// use agora_core::event::Event;
///
/// macro_rules! kinds {
///     ($($event:ident),+) => { [$(agora_core::event::builtin::$event::KIND),+] };
/// }
/// let kinds = agora_core::for_each_builtin!(kinds);
/// assert!(kinds.contains(&"agora.mailbox.changed"));
/// ```
#[macro_export]
macro_rules! for_each_builtin {
    ($callback:ident) => {
        $callback!(
            MailboxChanged,
            PushSubscriptionChanged,
            PushDue,
            AddressBlocked,
            AddressUnblocked,
            CertificateRenewed,
            ConfigurationReloaded,
            CacheInvalidated,
            QueuePaused,
            QueueResumed
        )
    };
}
