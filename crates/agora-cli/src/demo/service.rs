//! What a node of the demo does for its living: a small mail service. No I/O: events in, deeds out, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use agora::builtin::{Builtin, MailboxChange, PushSubscriptionChange};

/// What one node knows and holds.
#[derive(Debug, Default)]
pub(super) struct Service {
    /// Accounts whose mail clients wait on this node.
    idle: BTreeSet<u64>,
    /// The devices of each account.
    devices: BTreeMap<u64, BTreeSet<String>>,
    /// Is the connection to the push service on this node?
    serves_push: bool,
    blocked: BTreeMap<IpAddr, String>,
    /// The serial number of the certificate that is served.
    certificate: Option<String>,
}

impl Service {
    pub(super) fn open_session(&mut self, account: u64) {
        self.idle.insert(account);
    }

    pub(super) fn serve_push(&mut self) {
        self.serves_push = true;
    }

    /// May a client come in from there?
    pub(super) fn accepts(&self, address: IpAddr) -> bool {
        !self.blocked.contains_key(&address)
    }

    /// Takes an event in, one's own too. Returns what it led to; `None` where it is nobody's concern here.
    pub(super) fn handle(&mut self, event: &Builtin) -> Option<String> {
        match event {
            Builtin::MailboxChanged(e) => {
                if !self.idle.contains(&e.account) {
                    return None;
                }
                let what = match e.change {
                    MailboxChange::Added => format!("* {} EXISTS", e.messages.last().copied().unwrap_or(0)),
                    change => format!("{change:?}"),
                };
                Some(format!("told the IDLE session of account {}: {what}", e.account))
            }
            Builtin::PushSubscriptionChanged(e) => {
                let devices = self.devices.entry(e.account).or_default();
                match e.change {
                    PushSubscriptionChange::Removed => {
                        devices.remove(&e.subscription);
                        Some(format!("forgot the device {:?} of account {}", e.subscription, e.account))
                    }
                    _ => {
                        devices.insert(e.subscription.clone());
                        Some(format!("knows the device {:?} of account {}", e.subscription, e.account))
                    }
                }
            }
            Builtin::PushDue(e) => {
                if !self.serves_push {
                    return None;
                }
                let devices = self.devices.get(&e.account)?;
                let due = |d: &&String| e.subscriptions.is_empty() || e.subscriptions.contains(d);
                let due: Vec<&str> = devices.iter().filter(due).map(String::as_str).collect();
                if due.is_empty() {
                    return None;
                }
                Some(format!("pushed state {} to {} of account {}", e.state, due.join(", "), e.account))
            }
            Builtin::AddressBlocked(e) => {
                self.blocked.insert(e.address, e.reason.clone());
                Some(format!("refuses {} ({})", e.address, e.reason))
            }
            Builtin::AddressUnblocked(e) => {
                self.blocked.remove(&e.address);
                Some(format!("no longer refuses {}", e.address))
            }
            Builtin::CertificateRenewed(e) => {
                self.certificate = Some(e.serial.clone());
                Some(format!("serves certificate {} for {}", e.serial, e.names.join(", ")))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use agora::builtin::{
        AddressBlocked, AddressUnblocked, MailboxChanged, PushDue, PushSubscriptionChanged,
    };

    use super::*;

    fn added(account: u64) -> Builtin {
        let change = MailboxChange::Added;
        Builtin::MailboxChanged(MailboxChanged { account, mailbox: 1, change, state: 2, messages: vec![12] })
    }

    #[test]
    fn only_the_node_with_the_session_tells_it() {
        let mut service = Service::default();
        assert_eq!(service.handle(&added(7)), None);
        service.open_session(7);
        assert_eq!(service.handle(&added(7)).unwrap(), "told the IDLE session of account 7: * 12 EXISTS");
        assert_eq!(service.handle(&added(8)), None);
    }

    #[test]
    fn only_the_node_with_the_connection_pushes_and_only_to_devices_that_it_was_told_of() {
        let due = Builtin::PushDue(PushDue { account: 7, subscriptions: vec![], topics: vec![], state: 3 });
        let mut service = Service::default();
        service.serve_push();
        assert_eq!(service.handle(&due), None);
        let change = |change| {
            let (account, subscription) = (7, "phone".to_owned());
            let event = PushSubscriptionChanged { account, subscription, change, expires_ms: None };
            Builtin::PushSubscriptionChanged(event)
        };
        service.handle(&change(PushSubscriptionChange::Created));
        assert_eq!(service.handle(&due).unwrap(), "pushed state 3 to phone of account 7");
        service.handle(&change(PushSubscriptionChange::Removed));
        assert_eq!(service.handle(&due), None);
    }

    #[test]
    fn a_blocked_address_is_refused_until_it_is_not() {
        let address = IpAddr::from([203, 0, 113, 9]);
        let mut service = Service::default();
        assert!(service.accepts(address));
        let reason = String::new();
        let blocked = AddressBlocked { address, prefix_bits: None, reason: reason.clone(), expires_ms: None };
        service.handle(&Builtin::AddressBlocked(blocked));
        assert!(!service.accepts(address));
        service.handle(&Builtin::AddressUnblocked(AddressUnblocked { address, prefix_bits: None, reason }));
        assert!(service.accepts(address));
    }
}
