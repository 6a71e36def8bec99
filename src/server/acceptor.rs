//! The threads that accept connections. Each serves the connection that it has accepted.
//!
//! ```text
//!     ┌────────────── fewer than eight accept: accept again ───────────────┐
//!     ▼                                                                    │
//! block in accept ── none left there? start a thread ── serve the connection ── end
//!     │    ▲
//!     └────┘ no descriptors: one thread backs off and tries again, the others end
//! ```
//!
//! # Theory of operation
//!
//! *Threads.* All of them block in `accept` on one listening socket, and the system picks one for
//! each connection. Before that thread serves, it starts another if none is left in `accept`;
//! afterwards it accepts again, unless [`SPARE_THREADS`] do already. So a connection costs the
//! start of a thread only when there is none to spare, and a quiet server keeps a few threads.
//!
//! *The lock* guards the counts and the listening socket. A thread is started and counted under one
//! lock, so it is counted before it can accept and look for others. Nothing else that may take long
//! happens inside: no `accept`, no write, no connection.
//!
//! *Waiting.* A thread waits in `accept` until a connection comes or the acceptor closes. After a
//! failed `accept` one thread waits for 5 ms, doubling to a second, and less if a connection ends,
//! since that frees a descriptor. A client that is refused has a second to take the answer, and half a
//! second to end its side; at most [`SPARE_THREADS`] threads wait for such clients, so that refusals
//! never take all threads.
//!
//! *Closing.* A thread holds the listening socket only while it is in `accept`. `close` drops the
//! shared reference first and then wakes those threads, so the port is free once they have looked,
//! however long a handler keeps its own thread.

use crate::ground::limits::SPARE_THREADS;
use crate::ground::logger::{log_line, Level};
use crate::ground::peer::Peer;
use crate::ground::system::{contained, start_thread, waker};
use crate::net::reader::Socket;
use crate::net::stream::Stream;
use crate::server::connection::{serve_client, write_refusal};
use crate::server::connections::Connections;
use crate::server::request::Service;
use crate::server::route::Router;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longest wait for a client to take the answer that refuses it.
const REFUSAL: Duration = Duration::from_secs(1);
/// Longest wait for it to end its side after that. Shorter than [`LINGER`], because few threads do
/// this, and while they wait, nobody else is told.
///
/// [`LINGER`]: crate::ground::limits::LINGER
const PARTING: Duration = Duration::from_millis(500);
/// First and longest pause after a failed `accept`.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// The listening socket of a server, its threads, and what they serve with.
pub(crate) struct Acceptor {
    pub address: SocketAddr,
    pub router: Router,
    pub service: Arc<Service>,
    pub connections: Arc<Connections>,
    /// Held to count and while a thread is started, never in `accept` or while a client is served.
    threads: Mutex<Threads>,
    /// Notified when a thread ends, when a connection has ended while one backs off, and by
    /// `close`.
    changed: Condvar,
}

/// The threads of a server.
#[derive(Default)]
struct Threads {
    /// Threads in `accept`.
    accepting: usize,
    /// Threads in all.
    total: usize,
    /// Threads that refuse a client.
    refusing: usize,
    /// Whether one of them waits after a failed `accept`.
    backing_off: bool,
    /// `None` once the acceptor has closed.
    listener: Option<Arc<TcpListener>>,
    /// What wakes the threads in `accept`; made at the start, when there are descriptors for it.
    waker: Option<TcpStream>,
}

impl Acceptor {
    /// Returns an acceptor without threads.
    pub fn new(
        listener: TcpListener,
        address: SocketAddr,
        router: Router,
        service: Arc<Service>,
    ) -> io::Result<Arc<Acceptor>> {
        let waker = waker(&listener)?;
        let threads = Threads { listener: Some(Arc::new(listener)), waker, ..Threads::default() };
        let connections = Connections::new(&service.shared.limits);
        let (threads, changed) = (Mutex::new(threads), Condvar::new());
        Ok(Arc::new(Acceptor { address, router, service, connections, threads, changed }))
    }

    /// Starts the first thread. Error: the system has none; then the port is free.
    pub fn start(self: &Arc<Acceptor>) -> io::Result<()> {
        let mut threads = self.threads();
        let started = self.start_thread(&mut threads);
        if started.is_err() {
            (threads.listener, threads.waker) = (None, None);
        }
        started
    }

    #[inline(never)]
    fn start_thread(self: &Arc<Acceptor>, threads: &mut Threads) -> io::Result<()> {
        let acceptor = Arc::clone(self);
        start_thread(
            "sockling",
            self.service.shared.limits.stack,
            Box::new(move || acceptor.accept_and_serve()),
        )?;
        threads.accepting += 1;
        threads.total += 1;
        Ok(())
    }

    /// Accepts and serves until the acceptor closes or enough other threads accept.
    fn accept_and_serve(self: Arc<Acceptor>) {
        let mut backoff = BACKOFF.0;
        loop {
            // Dropped before a client is served: a handler that is stuck must not keep the port.
            let listener = self.threads().listener.clone();
            let accepted = match listener {
                Some(listener) => listener.accept(),
                None => {
                    self.threads().accepting -= 1;
                    break;
                }
            };
            match accepted {
                Ok((stream, peer)) => {
                    backoff = BACKOFF.0;
                    self.serve_accepted(stream, peer.into());
                    let mut threads = self.threads();
                    if threads.backing_off {
                        self.changed.notify_all(); // a descriptor is free
                    }
                    if threads.accepting >= SPARE_THREADS {
                        break;
                    }
                    threads.accepting += 1;
                }
                // The client went away before it was accepted.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if !self.back_off(&error, &mut backoff) {
                        break;
                    }
                }
            }
        }
        self.threads().total -= 1;
        self.changed.notify_all();
    }

    /// Waits after a failed `accept`, most likely for a descriptor, so that the server neither ends
    /// nor spins. Returns false when another thread does so, or the acceptor has closed: this one
    /// ends.
    #[inline(never)]
    fn back_off(&self, error: &io::Error, backoff: &mut Duration) -> bool {
        {
            let mut threads = self.threads();
            if threads.listener.is_none() || threads.accepting > 1 {
                threads.accepting -= 1;
                return false;
            }
            threads.backing_off = true;
        }
        if *backoff == BACKOFF.0 {
            log_line!(Error, "cannot accept on {}: {}; trying again", self.address, error);
        }
        // Closing ends this wait too; the loop then finds no listener.
        let waited = self.changed.wait_timeout(self.threads(), *backoff);
        waited.unwrap_or_else(PoisonError::into_inner).0.backing_off = false;
        *backoff = (*backoff * 2).min(BACKOFF.1);
        true
    }

    #[inline(never)]
    fn serve_accepted(self: &Arc<Acceptor>, stream: TcpStream, peer: Peer) {
        let follower = {
            let mut threads = self.threads();
            threads.accepting -= 1;
            match threads.accepting {
                0 if threads.listener.is_some() => self.start_thread(&mut threads),
                _ => Ok(()),
            }
        };
        // A panic here is a fault of the library's own. The thread must survive it to be counted.
        let served = contained(|| match follower {
            Ok(()) => self.serve(stream, &peer),
            Err(error) => {
                let why = format!("no thread can be started: {}", error);
                self.refuse(Arc::new(stream), &peer, Level::Error, &why);
            }
        });
        if served.is_none() {
            log_line!(Error, "serving {} panicked", peer);
        }
    }

    fn serve(&self, stream: TcpStream, peer: &Peer) {
        // Or a small answer would wait for a full packet. An error means that the client has gone.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let stream: Arc<dyn Stream> = Arc::new(stream);
        if !serve_client(&self.router, &self.service, &self.connections, &stream, peer) {
            self.refuse(stream, peer, Level::Info, "full (Limits::connections)");
        }
    }

    /// Answers 503 and waits until the client has read it. While [`SPARE_THREADS`] threads do so,
    /// further clients are disconnected without an answer.
    #[inline(never)]
    fn refuse(&self, stream: Arc<dyn Stream>, peer: &Peer, level: Level, why: &str) {
        {
            let mut threads = self.threads();
            if threads.refusing >= SPARE_THREADS {
                return;
            }
            threads.refusing += 1;
        }
        log_line!(level, "refused {} with 503: {}", peer, why);
        write_refusal(&*stream, REFUSAL, &self.service.shared.limits);
        Socket::new(stream, 0).linger(PARTING);
        self.threads().refusing -= 1;
    }

    /// Stops accepting, and wakes the threads in `accept`, which then end.
    pub fn close(&self) {
        let (accepting, waker) = {
            let mut threads = self.threads();
            threads.listener = None;
            (threads.accepting, threads.waker.take())
        };
        self.changed.notify_all();
        let woken = waker.map(|waker| waker.shutdown(Shutdown::Both));
        if !matches!(woken, Some(Ok(()))) {
            for _ in 0..accepting {
                // Each connection wakes one thread. An error means that none is left to wake.
                let _ = TcpStream::connect_timeout(&reachable(self.address), REFUSAL);
            }
        }
    }

    /// Waits until all threads without a connection have ended, for so long at most.
    pub fn wait_for_threads(&self, longest: Duration) {
        let busy = |threads: &mut Threads| threads.total > self.connections.len();
        drop(self.changed.wait_timeout_while(self.threads(), longest, busy));
    }

    fn threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Acceptor {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(out, "server on {}", self.address)
    }
}

/// Returns the address at which this machine reaches a listener: loopback for one that listens on
/// all of the machine's addresses.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(ref mut v4) if v4.ip().is_unspecified() => v4.set_ip(Ipv4Addr::LOCALHOST),
        SocketAddr::V6(ref mut v6) if v6.ip().is_unspecified() => v6.set_ip(Ipv6Addr::LOCALHOST),
        _ => {}
    }
    address
}
