//! Free ports on loopback.

use std::net::{Ipv4Addr, TcpListener};

use crate::failure::{Failure, Result};

/// Below those that the system gives to outgoing connections: a server that is down keeps its port free.
const RANGE: std::ops::Range<u16> = 10_000..32_000;

/// A port on 127.0.0.1 that nobody listens on now, and that no outgoing connection is given.
///
/// # Errors
/// Where none of many is free.
pub fn free_port() -> Result<u16> {
    let tries = std::iter::repeat_with(|| fastrand::u16(RANGE)).take(1000);
    tries
        .into_iter()
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .ok_or_else(|| Failure::new("no port of loopback is free"))
}
