//! Turns X-Forwarded-For into the address of the client behind a reverse proxy, and
//! X-Forwarded-Proto into whether that client speaks TLS.
//!
//! A proxy appends the address of its own peer to the field, after anything that the client itself
//! wrote there. So the field is read from its end, and an entry is believed only if a trusted proxy
//! wrote it.

use super::headers::{members, Headers};
use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// Returns the address of the client. If the connection comes from a trusted proxy, this is the
/// last address in X-Forwarded-For that is not a trusted proxy's; otherwise, it is the peer of the
/// connection. The port is 0 if the proxy does not give one. All addresses are [canonical].
pub(crate) fn client(headers: &Headers, from: SocketAddr, proxies: &[IpAddr]) -> SocketAddr {
    let mut client = from;
    let mut entries = headers.get_all("x-forwarded-for").flat_map(members).rev();
    while is_proxy(client.ip(), proxies) {
        match entries.next().and_then(address) {
            Some(address) => client = address,
            // The list ends here, or no trusted proxy wrote this entry, and so none before it.
            None => break,
        }
    }
    client
}

/// Returns whether the last value in X-Forwarded-Proto is that of a protocol over TLS; `wss` is what
/// some proxies say of a WebSocket.
pub(crate) fn is_secure(headers: &Headers) -> bool {
    let last = headers.get_all("x-forwarded-proto").flat_map(members).next_back().unwrap_or(b"");
    last.eq_ignore_ascii_case(b"https") || last.eq_ignore_ascii_case(b"wss")
}

/// Displays the address of a client, without its port where a proxy gave none.
pub(crate) struct Shown(pub SocketAddr);

impl fmt::Display for Shown {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self.0.port() {
            0 => self.0.ip().fmt(out),
            _ => self.0.fmt(out),
        }
    }
}

/// Returns whether the address is that of a trusted proxy. All of them are canonical.
pub(crate) fn is_proxy(ip: IpAddr, proxies: &[IpAddr]) -> bool {
    proxies.contains(&ip)
}

/// Returns the IPv4 address in an IPv4-mapped IPv6 address, `::ffff:a.b.c.d` (RFC 4291, 2.5.5.2),
/// and any other address unchanged. A listener on `[::]` sees its IPv4 clients under mapped
/// addresses, which equal no IPv4 address that a setting or a handler compares them with. So every
/// address is made canonical where it enters the server.
///
/// The deprecated form `::a.b.c.d` is not converted, since `::1` would become `0.0.0.1`. Neither is
/// `64:ff9b::a.b.c.d`, under which the connection comes from a translator.
pub(crate) fn canonical(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        v4 => v4,
    }
}

/// Returns the socket address with its IP address made [`canonical`]. An IPv6 address keeps its
/// scope.
pub(crate) fn canonical_socket(address: SocketAddr) -> SocketAddr {
    match canonical(address.ip()) {
        IpAddr::V6(_) => address,
        v4 => SocketAddr::new(v4, address.port()),
    }
}

/// Parses an address in one of the forms that proxies write: `192.0.2.1`, `192.0.2.1:4711`,
/// `2001:db8::1`, `[2001:db8::1]`, or `[2001:db8::1]:4711`.
fn address(entry: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = match bare.parse() {
        Ok(ip) => SocketAddr::new(ip, 0),
        Err(_) => text.parse().ok()?,
    };
    Some(canonical_socket(address))
}
