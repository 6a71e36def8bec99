//! The transports that the tests run over, and a client's end of a connection.
//!
//! The transport of a test is that of its thread: [`over`] sets it, and `bind` looks at it. A server
//! that is not at an address of TCP has one that stands for it, so that no test needs to know.

use super::{quiet, PATIENCE};
use sockling::http::{Listening, Server};
use sockling::net::{Listener, Peer, Stream};
use sockling::testing::{Memory, MemoryListener};
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a package brings that runs these tests over a transport of its own, in place of TCP.
#[cfg(feature = "transport")]
#[path = "../../src/tls/tests/loopback/transport.rs"]
mod transport;
#[cfg(not(feature = "transport"))]
mod transport {
    use super::*;
    use std::net::TcpStream;

    pub fn bind(server: Server, address: SocketAddr) -> Result<Listening, sockling::Error> {
        server.bind(address)
    }

    pub fn connect(address: SocketAddr) -> io::Result<(Arc<dyn Stream>, Peer)> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let peer = stream.local_addr()?.into();
        Ok((Arc::new(stream), peer))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp,
    #[cfg(unix)]
    Unix,
    Memory,
}

thread_local! {
    static TRANSPORT: Cell<Transport> = const { Cell::new(Transport::Tcp) };
}

/// Runs a test over a transport.
pub fn over(transport: Transport, test: fn()) {
    TRANSPORT.with(|current| current.set(transport));
    test();
}

/// Declares tests of this file for the transports beside TCP, over which they run anyway:
///
/// ```text
/// transports! {
///     all { these run over each }
///     not over memory: "why not" { these do not run in memory }
///     not over Unix: "why not" { these do not run over a Unix socket }
///     only over TCP: "why only there" { these do not run over the others }
/// }
/// ```
///
/// `tests/transports.rs` finds a test that is not listed.
#[allow(unused_macros)]
macro_rules! transports {
    (
        all { $($all:ident)* }
        $(not over memory: $no_memory:literal { $($socket:ident)* })*
        $(not over Unix: $no_unix:literal { $($no_socket:ident)* })*
        $(only over TCP: $only:literal { $($tcp:ident)* })*
    ) => {
        #[cfg(unix)]
        mod unix {
            crate::loopback::wire::tests_over! { Unix: $($all)* $($($socket)*)* }
        }
        mod memory {
            crate::loopback::wire::tests_over! { Memory: $($all)* $($($no_socket)*)* }
        }
        // Whatever is named exists.
        $($(const _: fn() = $tcp;)*)*
    };
}
#[allow(unused_imports)]
pub(crate) use transports;

#[cfg(feature = "transport")]
macro_rules! tests_over {
    ($($any:tt)*) => {};
}
#[cfg(not(feature = "transport"))]
#[allow(unused_macros)]
macro_rules! tests_over {
    ($transport:ident: $($test:ident)*) => {$(
        #[test]
        fn $test() {
            use crate::loopback::wire::{over, Transport};
            over(Transport::$transport, super::$test);
        }
    )*};
}
#[allow(unused_imports)]
pub(crate) use tests_over;

thread_local! {
    static ALONE: RefCell<Option<MutexGuard<'static, ()>>> = const { RefCell::new(None) };
}

/// Keeps a test from running over two transports at once, from here to the end of its thread: what it
/// has in the process, such as the number of a user, is its own.
pub fn alone() {
    static TESTS: Mutex<Vec<(String, &'static Mutex<()>)>> = Mutex::new(Vec::new());
    let thread = std::thread::current();
    let name = thread.name().filter(|name| !name.starts_with("sockling"));
    let name = name.and_then(|name| name.rsplit("::").next());
    ALONE.with(|alone| {
        let is_first = alone.borrow().is_none();
        if let Some(name) = name.filter(|_| is_first) {
            let mut tests = TESTS.lock().unwrap_or_else(PoisonError::into_inner);
            if !tests.iter().any(|(test, _)| test == name) {
                tests.push((name.to_string(), Box::leak(Box::default())));
            }
            let test = tests.iter().find(|(test, _)| test == name).map(|(_, test)| *test);
            drop(tests);
            let test = test.expect("it is there");
            let guard = test.lock().unwrap_or_else(PoisonError::into_inner);
            *alone.borrow_mut() = Some(guard);
        }
    });
}

/// Makes the clients of these tests trusted proxies.
pub fn trusting(server: Server) -> Server {
    match TRANSPORT.with(Cell::get) {
        Transport::Tcp => server.trusted_proxy([127, 0, 0, 1]),
        _ => server.trusted_unix_proxy(),
    }
}

/// Servers that are not at an address of TCP. The number of one is the port of the address that stands
/// for it, which nobody can have.
static OTHERS: Mutex<Vec<Other>> = Mutex::new(Vec::new());

struct Other {
    address: Peer,
    memory: Option<Arc<MemoryListener>>,
}

fn others() -> MutexGuard<'static, Vec<Other>> {
    OTHERS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stand_in(number: usize) -> SocketAddr {
    ([240, 0, 0, 1], u16::try_from(number + 1).expect("few servers")).into()
}

/// Binds a server to a free address of the thread's transport.
pub fn bind(server: Server) -> Result<Listening, sockling::Error> {
    quiet();
    let transport = TRANSPORT.with(Cell::get);
    if transport == Transport::Tcp {
        return transport::bind(server, ([127, 0, 0, 1], 0).into());
    }
    let number = others().len();
    others().push(Other { address: Peer::named("not yet"), memory: None });
    let (listening, memory) = match transport {
        #[cfg(unix)]
        Transport::Unix => (server.bind_unix(path(number))?, None),
        _ => {
            let memory = Arc::new(MemoryListener::new(&format!("memory {}", number)));
            (server.listen(Arc::clone(&memory))?, Some(memory))
        }
    };
    others()[number] = Other { address: listening.addresses().remove(0), memory };
    Ok(listening)
}

#[cfg(unix)]
fn path(number: usize) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("sockling-{}-{}.socket", std::process::id(), number))
}

/// Binds another server to the address of one that has ended.
pub fn bind_again(server: Server, address: SocketAddr) -> Listening {
    match other(address) {
        None => transport::bind(server, address).expect("the port is free"),
        #[cfg(unix)]
        Some((number, None)) => server.bind_unix(path(number)).expect("the path is free"),
        Some(_) => bind(server).expect("there is memory"),
    }
}

/// Returns the number of the server for which this address stands, and where it listens in memory.
fn other(address: SocketAddr) -> Option<(usize, Option<Arc<MemoryListener>>)> {
    let others = others();
    let number = (0..others.len()).find(|number| stand_in(*number) == address)?;
    Some((number, others[number].memory.clone()))
}

/// Returns the address of a server, or the one that stands for it.
pub fn address(listening: &Listening) -> SocketAddr {
    let first = listening.addresses().remove(0);
    let same = |other: &Other| other.address == first;
    // The newest, where a path was taken again.
    others().iter().rposition(same).map_or(listening.address(), stand_in)
}

/// A client's end of a connection.
#[derive(Clone)]
pub struct Wire {
    stream: Arc<dyn Stream>,
    /// As the server sees this client.
    peer: Peer,
    /// What was read to look at it.
    ahead: Arc<Mutex<Option<u8>>>,
}

impl Wire {
    pub fn connect(address: SocketAddr) -> io::Result<Wire> {
        let (stream, peer): (Arc<dyn Stream>, Peer) = match other(address) {
            None => transport::connect(address)?,
            Some((_, Some(memory))) => (Arc::<Memory>::new(memory.connect()?), memory.address()),
            #[cfg(unix)]
            Some((number, None)) => {
                let stream = std::os::unix::net::UnixStream::connect(path(number))?;
                (Arc::new(stream), Peer::unix(path(number)))
            }
            #[cfg(not(unix))]
            Some((_, None)) => unreachable!("there are no Unix sockets"),
        };
        stream.set_read_timeout(PATIENCE)?;
        Ok(Wire { stream, peer, ahead: Arc::default() })
    }

    /// Returns this client as the server sees it.
    pub fn peer(&self) -> Peer {
        self.peer.clone()
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let (ip, port) = self.peer.ip().zip(self.peer.port()).ok_or(ErrorKind::Unsupported)?;
        Ok(SocketAddr::new(ip, port))
    }

    pub fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.stream.shutdown(how)
    }

    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout.unwrap_or(Duration::MAX))
    }

    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_write_timeout(timeout.unwrap_or(Duration::MAX))
    }

    /// Makes reads return at once, or wait again.
    pub fn set_nonblocking(&self, so: bool) -> io::Result<()> {
        self.stream.set_read_timeout(if so { Duration::ZERO } else { PATIENCE })
    }

    /// Looks at one byte.
    pub fn peek(&self, buffer: &mut [u8; 1]) -> io::Result<usize> {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        if ahead.is_none() {
            if self.stream.read(buffer)? == 0 {
                return Ok(0);
            }
            *ahead = Some(buffer[0]);
        }
        Ok(1)
    }

    pub fn try_clone(&self) -> io::Result<Wire> {
        Ok(self.clone())
    }
}

impl Read for &Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (ahead, buffer.first_mut()) {
            (Some(byte), Some(first)) => {
                *first = byte;
                Ok(1)
            }
            _ => self.stream.read(buffer),
        }
    }
}

impl Write for &Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&mut &*self).read(buffer)
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&mut &*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
