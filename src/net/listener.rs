//! Where connections come from: a listener accepts, on several threads at once, until it is closed.
//!
//! A blocked `accept` has no timeout, so it must be woken:
//!
//! ```text
//! a socket that this process has bound   shutdown(2) wakes all, where the system can (Linux)
//! one that was handed over, or any       one connection to itself for each thread that waits:
//! socket of another system               shutdown(2) would end it for every process that has it
//! ```

use crate::error::Error;
use crate::ground::peer::Peer;
use crate::ground::system::{wake, Wake};
use crate::net::stream::Stream;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::net::{TcpListener, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::Duration;

/// The longest wait for a connection to itself.
const LONGEST: Duration = Duration::from_secs(1);

/// A source of connections, for [`Server::listen`](crate::http::Server::listen). The server's
/// threads block in [`accept`](Listener::accept), several at once.
///
/// A listener around another one, which counts:
///
/// ```
/// use sockling::net::{Listener, Peer, Stream, Tcp};
/// use sockling::prelude::*;
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use std::{io, sync::Arc};
///
/// struct Counted(Tcp, Arc<AtomicUsize>);
///
/// impl Listener for Counted {
///     fn accept(&self) -> io::Result<(Box<dyn Stream>, Peer)> {
///         let accepted = self.0.accept()?;
///         self.1.fetch_add(1, Ordering::Relaxed);
///         Ok(accepted)
///     }
///     fn address(&self) -> Peer {
///         self.0.address()
///     }
///     fn close(&self) {
///         self.0.close()
///     }
///     fn is_secure(&self) -> bool {
///         self.0.is_secure()
///     }
/// }
///
/// let count = Arc::new(AtomicUsize::new(0));
/// let listener = Counted(Tcp::bind("127.0.0.1:0")?, Arc::clone(&count));
/// let listening = Server::new(vec![]).listen(listener)?;
/// let (address, handle) = (listening.address(), listening.handle());
/// let server = std::thread::spawn(move || listening.serve());
/// use std::io::{Read, Write};
/// let mut client = std::net::TcpStream::connect(address)?;
/// client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
/// client.read_to_end(&mut Vec::new())?;
/// assert_eq!(count.load(Ordering::Relaxed), 1);
/// handle.shutdown();
/// server.join().unwrap()?;
/// # Ok::<(), Error>(())
/// ```
pub trait Listener: Send + Sync {
    /// Waits for a connection, and returns it with its other end. Several threads may call this at
    /// once. It does nothing that a client could delay: a handshake belongs into [`Stream::open`].
    ///
    /// `ConnectionAborted` is a client that has gone before it was accepted; the next call follows
    /// at once. After any other error the server waits for a moment.
    fn accept(&self) -> io::Result<(Box<dyn Stream>, Peer)>;
    /// Returns the address that it listens on. A loopback address decides which hosts the server
    /// answers for by default, see
    /// [`allowed_hosts`](crate::http::Server::allowed_hosts).
    fn address(&self) -> Peer;
    /// Wakes every thread in `accept`, now and later: they get an error.
    fn close(&self);
    /// Returns whether its streams are encrypted: then
    /// [`Request::is_secure`](crate::http::Request::is_secure) is true, and cookies are `Secure`.
    /// Default false.
    fn is_secure(&self) -> bool {
        false
    }
}

/// For a listener that the application goes on to use, one whose certificates it replaces for
/// example.
impl<L: Listener + ?Sized> Listener for Arc<L> {
    fn accept(&self) -> io::Result<(Box<dyn Stream>, Peer)> {
        (**self).accept()
    }

    fn address(&self) -> Peer {
        (**self).address()
    }

    fn close(&self) {
        (**self).close()
    }

    fn is_secure(&self) -> bool {
        (**self).is_secure()
    }
}

/// A listening TCP socket.
///
/// ```
/// use sockling::net::{Listener, Tcp};
/// use sockling::prelude::*;
///
/// let own = Tcp::bind("127.0.0.1:0")?;
/// assert_eq!(own.address().ip(), Some([127, 0, 0, 1].into()));
///
/// // One that the application has already, from a service manager for example.
/// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// let listening = Server::new(vec![]).listen(Tcp::from(listener))?.also(own)?;
/// assert_eq!(listening.addresses().len(), 2);
/// # Ok::<(), Error>(())
/// ```
pub struct Tcp {
    listener: TcpListener,
    address: Peer,
    in_accept: InAccept<Tcp>,
}

impl Tcp {
    /// Listens on an address; for port 0 the system chooses a port. Errors: [`Error::Bind`];
    /// [`Error::Io`] if the system has no descriptors left.
    pub fn bind(address: impl ToSocketAddrs) -> Result<Tcp, Error> {
        let addresses: Vec<SocketAddr> = address
            .to_socket_addrs()
            .map_err(|source| Error::Bind { address: "that address".to_string(), source })?
            .collect();
        let listener = TcpListener::bind(&*addresses).map_err(|source| {
            let mut names = String::new();
            for address in &addresses {
                names += if names.is_empty() { "" } else { " or " };
                names += &address.to_string();
            }
            Error::Bind { address: names, source }
        })?;
        let (address, wake) = (listener.local_addr()?.into(), wake(&listener, connect)?);
        Ok(Tcp { listener, address, in_accept: InAccept::new(wake) })
    }
}

/// A socket that was handed over. It is made blocking.
impl From<TcpListener> for Tcp {
    fn from(listener: TcpListener) -> Tcp {
        // An error shows itself in `accept`.
        let _ = listener.set_nonblocking(false);
        let address = listener.local_addr().map_or(Peer::named("a TCP socket"), Peer::from);
        Tcp { listener, address, in_accept: InAccept::new(Wake::Connect(connect)) }
    }
}

impl Listener for Tcp {
    fn accept(&self) -> io::Result<(Box<dyn Stream>, Peer)> {
        self.in_accept.enter()?;
        let accepted = self.listener.accept();
        self.in_accept.leave()?;
        let (stream, peer) = accepted?;
        // Or a small answer would wait for a full packet. An error means that the client has gone.
        stream.set_nodelay(true).map_err(|_| ErrorKind::ConnectionAborted)?;
        Ok((Box::new(stream), peer.into()))
    }

    fn address(&self) -> Peer {
        self.address.clone()
    }

    fn close(&self) {
        self.in_accept.end(self);
    }
}

/// The threads in `accept` of a listener, and how they are woken.
pub(crate) struct InAccept<L> {
    /// Twice the number of threads, and one more once it has ended. In one number, so that a thread
    /// that is counted before the end is woken, and one after it sees the end.
    state: AtomicUsize,
    wake: Wake<L>,
}

impl<L> InAccept<L> {
    pub(crate) fn new(wake: Wake<L>) -> InAccept<L> {
        InAccept { state: AtomicUsize::new(0), wake }
    }

    /// Counts a thread before its `accept`. Error: it has ended.
    pub(crate) fn enter(&self) -> io::Result<()> {
        error_if_odd(self.state.fetch_add(2, Ordering::SeqCst))
    }

    /// Counts the thread no more. Error: it has ended, and what was accepted may be a connection of
    /// [`end`](InAccept::end).
    pub(crate) fn leave(&self) -> io::Result<()> {
        error_if_odd(self.state.fetch_sub(2, Ordering::SeqCst))
    }

    /// Wakes them all.
    pub(crate) fn end(&self, listener: &L) {
        let threads = self.state.fetch_or(1, Ordering::SeqCst) / 2;
        match &self.wake {
            // It is a listener, so there is no reason to fail.
            Wake::Shutdown(waker) => drop(waker.shutdown(Shutdown::Both)),
            Wake::Connect(connect) => (0..threads).for_each(|_| connect(listener)),
        }
    }
}

fn error_if_odd(state: usize) -> io::Result<()> {
    match state % 2 {
        0 => Ok(()),
        _ => Err(ErrorKind::NotConnected.into()),
    }
}

/// Connects to a listener: on loopback, if it listens on all addresses of the machine.
fn connect(tcp: &Tcp) {
    let own = tcp.listener.local_addr().map(|mut address| {
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        address
    });
    // An error means that nobody is left to wake.
    let _ = own.and_then(|address| TcpStream::connect_timeout(&address, LONGEST));
}
