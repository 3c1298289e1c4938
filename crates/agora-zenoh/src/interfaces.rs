//! Is there any network interface but loopback?

/// What zenoh asks of an interface before it looks for peers on it.
#[derive(Clone, Debug)]
struct Interface {
    name: String,
    loopback: bool,
    up: bool,
    running: bool,
    multicast: bool,
}

/// The name of the loopback interface where no other could carry multicast; `None` where one can, or where it
/// cannot be told.
///
/// Zenoh's own choice passes loopback over, so that in a container without a network two processes would never
/// meet.
pub(crate) fn loopback_if_alone() -> Option<String> {
    loopback_of(&list())
}

fn loopback_of(interfaces: &[Interface]) -> Option<String> {
    if interfaces.iter().any(|i| !i.loopback && i.up && i.running && i.multicast) {
        return None;
    }
    interfaces.iter().find(|i| i.loopback && i.up).map(|i| i.name.clone())
}

/// Every interface that has an IPv4 address: the group is an IPv4 one.
#[cfg(unix)]
fn list() -> Vec<Interface> {
    use nix::net::if_::InterfaceFlags;

    let Ok(addresses) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    addresses
        .filter(|a| a.address.as_ref().is_some_and(|address| address.as_sockaddr_in().is_some()))
        .map(|a| Interface {
            loopback: a.flags.contains(InterfaceFlags::IFF_LOOPBACK),
            up: a.flags.contains(InterfaceFlags::IFF_UP),
            running: a.flags.contains(InterfaceFlags::IFF_RUNNING),
            multicast: a.flags.contains(InterfaceFlags::IFF_MULTICAST),
            name: a.interface_name,
        })
        .collect()
}

/// Elsewhere zenoh lets the system choose, and so do we.
#[cfg(not(unix))]
fn list() -> Vec<Interface> {
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, flags: &str) -> Interface {
        Interface {
            name: name.into(),
            loopback: flags.contains('l'),
            up: flags.contains('u'),
            running: flags.contains('r'),
            multicast: flags.contains('m'),
        }
    }

    #[test]
    fn loopback_counts_only_where_it_is_alone() {
        for (list, expected) in [
            (vec![interface("lo", "lur")], Some("lo")),
            (vec![interface("lo", "lur"), interface("eth0", "urm")], None),
            (vec![interface("lo", "lur"), interface("docker0", "um")], Some("lo")),
            (vec![interface("lo", "lur"), interface("tun0", "ur")], Some("lo")),
            (vec![interface("lo", "l")], None),
            (vec![interface("eth0", "urm")], None),
            (vec![], None),
        ] {
            assert_eq!(loopback_of(&list).as_deref(), expected, "{list:?}");
        }
    }
}
