//! Who is at the other end of a connection: an IP address with a port, a Unix socket, or only a
//! text, as of a client in memory.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// The other end of a connection. It displays as the address with its port, as the address alone
/// where the port is unknown, or as a text where there is no address.
///
/// Two peers are equal if they have the same address and port, or none and the same text: all
/// clients of one Unix socket are. An IPv4 address is one in its IPv4-mapped IPv6 form, too.
///
/// ```
/// use sockling::net::Peer;
/// use std::net::SocketAddr;
///
/// let peer = Peer::from("[::ffff:192.0.2.7]:4711".parse::<SocketAddr>()?);
/// assert_eq!((peer.ip(), peer.port()), (Some([192, 0, 2, 7].into()), Some(4711)));
/// assert_eq!(peer.to_string(), "192.0.2.7:4711");
///
/// let named = Peer::named("memory");
/// assert_eq!((named.ip(), named.port(), named.to_string()), (None, None, "memory".to_string()));
/// assert_eq!(Peer::unix("/run/chat.socket").to_string(), "unix:/run/chat.socket");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Peer(End);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum End {
    /// Canonical; port 0 is an unknown one.
    Address(SocketAddr),
    /// The path of the server's socket: clients rarely bind theirs.
    Unix(Arc<str>),
    Named(Arc<str>),
}

impl Peer {
    /// Returns a peer without an address, which displays as this text.
    pub fn named(text: &str) -> Peer {
        Peer(End::Named(text.into()))
    }

    /// Returns a peer on the Unix socket with this path, which displays as `unix:` and the path.
    pub fn unix(path: impl AsRef<Path>) -> Peer {
        Peer(End::Unix(path.as_ref().to_string_lossy().into()))
    }

    /// Returns whether the connection is one over a Unix socket.
    pub(crate) fn is_unix(&self) -> bool {
        matches!(self.0, End::Unix(_))
    }

    /// Returns the address, if there is one; an unknown port is 0.
    pub(crate) fn socket(&self) -> Option<SocketAddr> {
        match &self.0 {
            End::Address(address) => Some(*address),
            End::Unix(_) | End::Named(_) => None,
        }
    }

    /// Returns the IP address, or `None` if the peer has none.
    pub fn ip(&self) -> Option<IpAddr> {
        self.socket().map(|address| address.ip())
    }

    /// Returns the port, or `None` if the peer has none or a proxy did not name it.
    pub fn port(&self) -> Option<u16> {
        self.socket().map(|address| address.port()).filter(|port| *port > 0)
    }
}

/// The address is made canonical: an IPv4-mapped one becomes the IPv4 address.
impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Peer {
        Peer(End::Address(canonical_socket(address)))
    }
}

/// A peer whose port is unknown.
impl From<IpAddr> for Peer {
    fn from(ip: IpAddr) -> Peer {
        SocketAddr::new(ip, 0).into()
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match &self.0 {
            End::Address(address) if address.port() == 0 => address.ip().fmt(out),
            End::Address(address) => address.fmt(out),
            End::Unix(path) => write!(out, "unix:{}", path),
            End::Named(text) => out.write_str(text),
        }
    }
}

/// The same text as `Display`.
impl fmt::Debug for Peer {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
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
