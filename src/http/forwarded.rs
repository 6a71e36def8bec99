//! Tells who speaks through a reverse proxy.
//!
//! A proxy appends the address that it sees to X-Forwarded-For, behind what the client wrote there
//! itself. So the field is read from its end, and only as far as those who wrote it are trusted.

use super::headers::{trim, Headers};
use std::net::{IpAddr, SocketAddr};

/// Returns the address of the client: the last in X-Forwarded-For that is not a proxy's, when the
/// connection comes from a proxy; else where the connection comes from. The port is 0 when the proxy
/// does not tell it.
pub(crate) fn client(headers: &Headers, from: SocketAddr, proxies: &[IpAddr]) -> SocketAddr {
    let mut client = from;
    let mut lines: Vec<&[u8]> = headers.get_all("x-forwarded-for").collect();
    let mut line = lines.pop();
    while is_proxy(client.ip(), proxies) {
        let (rest, entry) = match line {
            None => break,
            Some(text) => match text.iter().rposition(|&byte| byte == b',') {
                Some(comma) => (Some(&text[..comma]), &text[comma + 1..]),
                None => (lines.pop(), text),
            },
        };
        line = rest;
        match address(trim(entry)) {
            Some(address) => client = address,
            // A proxy that is trusted writes no such thing; what is before it was not written by it.
            None => break,
        }
    }
    client
}

/// Returns whether the address is a proxy's; one of IPv4 may come as one of IPv6.
pub(crate) fn is_proxy(ip: IpAddr, proxies: &[IpAddr]) -> bool {
    proxies.iter().any(|proxy| as_v4(*proxy) == as_v4(ip))
}

fn as_v4(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        v4 => v4,
    }
}

/// Returns an address as proxies write it: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`,
/// `[2001:db8::1]` or `[2001:db8::1]:4711`.
fn address(entry: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match bare.parse() {
        Ok(ip) => Some(SocketAddr::new(ip, 0)),
        Err(_) => text.parse().ok(),
    }
}
