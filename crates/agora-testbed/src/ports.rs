//! Free ports on loopback.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, PoisonError};

use tokio::net::TcpSocket;

use crate::failure::{Failure, Result};

/// Below those that the system gives to outgoing connections: a server that is down keeps its port free.
const RANGE: std::ops::Range<u16> = 10_000..32_000;

/// What this process was given: several ports are asked for before the first of them is used.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port on 127.0.0.1 that nobody listens on now, that no outgoing connection is given, and that this process was
/// not given before.
///
/// # Errors
/// Where none of many is free.
pub fn free_port() -> Result<u16> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let tries = std::iter::repeat_with(|| fastrand::u16(RANGE)).take(1000);
    let found = tries.into_iter().find(|port| !given.contains(port) && is_free(*port));
    let port = found.ok_or_else(|| Failure::new("no port of loopback is free"))?;
    given.insert(port);
    Ok(port)
}

/// Does nobody listen there? Looked at by a socket that does not listen itself: a process that is being started at this
/// moment has a copy of it until it runs a program of its own, and would keep the port taken.
fn is_free(port: u16) -> bool {
    let bound = TcpSocket::new_v4().and_then(|socket| {
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    });
    bound.is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_port_is_free_until_somebody_listens() {
        let port = free_port().unwrap();
        assert!(is_free(port));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        assert!(!is_free(port));
        drop(listener);
        assert_ne!(free_port().unwrap(), port, "it was given before");
    }
}
