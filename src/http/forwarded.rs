//! Tells who speaks through a reverse proxy.
//!
//! A proxy appends the address that it sees to X-Forwarded-For, behind what the client wrote there
//! itself. So the field is read from its end, and only as far as those who wrote it are trusted.

use super::headers::{members, Headers};
use std::net::{IpAddr, SocketAddr};

/// Returns the address of the client: the last in X-Forwarded-For that is not a proxy's, when the
/// connection comes from a proxy; else where the connection comes from. The port is 0 when the proxy
/// does not tell it. All addresses are canonical.
pub(crate) fn client(headers: &Headers, from: SocketAddr, proxies: &[IpAddr]) -> SocketAddr {
    let mut client = from;
    let mut entries = headers.get_all("x-forwarded-for").flat_map(members).rev();
    while is_proxy(client.ip(), proxies) {
        match entries.next().and_then(address) {
            Some(address) => client = address,
            // The list ends, or has an entry that no trusted proxy wrote, nor anything before it.
            None => break,
        }
    }
    client
}

/// Returns whether the address is a proxy's. Both are canonical.
pub(crate) fn is_proxy(ip: IpAddr, proxies: &[IpAddr]) -> bool {
    proxies.contains(&ip)
}

/// Returns the IPv4 address that an IPv4-mapped IPv6 address (`::ffff:a.b.c.d`) stands for (RFC
/// 4291, 2.5.5.2), and any other address unchanged. A listener on `[::]` sees its IPv4 clients
/// under mapped addresses, and a comparison with the IPv4 address, or a handler's list of those,
/// would miss them. So every address is made canonical where it enters the server.
///
/// The deprecated form `::a.b.c.d` is not converted: `::1` would be `0.0.0.1`. Neither is
/// `64:ff9b::a.b.c.d`: the connection comes from a translator.
pub(crate) fn canonical(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        v4 => v4,
    }
}

/// Returns the socket address with its IP address made [`canonical`]. A link-local IPv6 address
/// keeps its scope.
pub(crate) fn canonical_socket(address: SocketAddr) -> SocketAddr {
    match canonical(address.ip()) {
        IpAddr::V6(_) => address,
        v4 => SocketAddr::new(v4, address.port()),
    }
}

/// Returns an address as proxies write it: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`,
/// `[2001:db8::1]` or `[2001:db8::1]:4711`.
fn address(entry: &[u8]) -> Option<SocketAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = match bare.parse() {
        Ok(ip) => SocketAddr::new(ip, 0),
        Err(_) => text.parse().ok()?,
    };
    Some(canonical_socket(address))
}
