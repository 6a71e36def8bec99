//! Turns X-Forwarded-For into the address of the client behind a reverse proxy, and
//! X-Forwarded-Proto into whether that client speaks TLS.
//!
//! A proxy appends the address of its own peer to the field, after anything that the client itself
//! wrote there. So the field is read from its end, and an entry is believed only if a trusted proxy
//! wrote it.

use super::headers::{members, Headers};
use crate::ground::peer::Peer;
use std::net::{IpAddr, SocketAddr};

/// The proxies that are believed when they name their client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proxies {
    /// Canonical addresses.
    pub addresses: Vec<IpAddr>,
    /// Whether every peer on a Unix socket is one.
    pub unix: bool,
}

/// Returns the address of the client. If the connection comes from a trusted proxy, this is the
/// last address in X-Forwarded-For that is not a trusted proxy's; otherwise, it is the peer of the
/// connection. It has no port if the proxy does not give one.
pub(crate) fn client(headers: &Headers, from: &Peer, proxies: &Proxies) -> Peer {
    let mut client = from.clone();
    let mut entries = headers.get_all("x-forwarded-for").flat_map(members).rev();
    while is_proxy(&client, proxies) {
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

/// Returns whether the peer is a trusted proxy.
pub(crate) fn is_proxy(peer: &Peer, proxies: &Proxies) -> bool {
    peer.ip().map_or(proxies.unix && peer.is_unix(), |ip| proxies.addresses.contains(&ip))
}

/// Parses an address in one of the forms that proxies write: `192.0.2.1`, `192.0.2.1:4711`,
/// `2001:db8::1`, `[2001:db8::1]`, or `[2001:db8::1]:4711`.
fn address(entry: &[u8]) -> Option<Peer> {
    let text = std::str::from_utf8(entry).ok()?;
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    match bare.parse::<IpAddr>() {
        Ok(ip) => Some(ip.into()),
        Err(_) => text.parse::<SocketAddr>().ok().map(Peer::from),
    }
}
