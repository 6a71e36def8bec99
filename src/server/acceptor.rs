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
//! *Threads.* Those of one listener block in its `accept`, and the system picks one for each
//! connection. Before that thread serves, it starts another if none is left in `accept`; afterwards
//! it accepts again, unless another one of its listener does and [`SPARE_THREADS`] of all listeners
//! do already. So a connection costs the start of a thread only when there is none to spare, and a
//! quiet server keeps a few threads.
//!
//! *The lock* guards the counts and the listeners. A thread is started and counted under one
//! lock, so it is counted before it can accept and look for others. Nothing else that may take long
//! happens inside: no `accept`, no write, no connection.
//!
//! *Waiting.* A thread waits in `accept` until a connection comes or the acceptor closes. After a
//! failed `accept` one thread waits for 5 ms, doubling to a second, and less if a connection ends,
//! since that frees a descriptor. A client that is refused has a second to take the answer, and half a
//! second to end its side; at most [`SPARE_THREADS`] threads wait for such clients, so that refusals
//! never take all threads.
//!
//! *Closing.* A thread holds its listener only while it is in `accept`. `close` takes the shared
//! reference first and then wakes those threads, so the port is free once they have looked, however
//! long a handler keeps its own thread.

use crate::ground::limits::SPARE_THREADS;
use crate::ground::logger::{log_line, Level};
use crate::ground::peer::Peer;
use crate::ground::system::{contained, start_thread};
use crate::net::listener::Listener;
use crate::net::reader::Socket;
use crate::net::stream::Stream;
use crate::server::connection::{serve_client, write_refusal};
use crate::server::connections::Connections;
use crate::server::request::Service;
use crate::server::route::Router;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
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

/// The listeners of a server, their threads, and what they serve with.
pub(crate) struct Acceptor {
    pub router: Router,
    /// That of the first listener. All have the same limits and the same clock.
    pub service: Arc<Service>,
    pub connections: Arc<Connections>,
    /// Held to count and while a thread is started, never in `accept` or while a client is served.
    threads: Mutex<Threads>,
    /// Notified when a thread ends, when a connection has ended while one backs off, and by
    /// `close`.
    changed: Condvar,
}

/// A client that was accepted.
type Client = (Arc<dyn Stream>, Peer);

/// The threads of a server.
#[derive(Default)]
struct Threads {
    sources: Vec<Source>,
    /// Threads in all.
    total: usize,
    /// Threads that refuse a client.
    refusing: usize,
}

/// A listener and its threads.
struct Source {
    address: Peer,
    /// What its clients are served with.
    service: Arc<Service>,
    /// `None` once the acceptor has closed.
    listener: Option<Arc<dyn Listener>>,
    /// Threads in its `accept`.
    accepting: usize,
    /// Whether one of them waits after a failed `accept`.
    backing_off: bool,
}

impl Threads {
    // A function, for the sake of its bounds check.
    #[inline(never)]
    fn source(&mut self, at: usize) -> &mut Source {
        &mut self.sources[at]
    }

    /// Returns the number of threads in `accept`, of all listeners.
    fn accepting(&self) -> usize {
        self.sources.iter().map(|source| source.accepting).sum()
    }
}

impl Acceptor {
    /// Returns an acceptor without listeners.
    pub fn new(router: Router, service: Arc<Service>) -> Arc<Acceptor> {
        let connections = Connections::new(&service.shared.limits);
        let (threads, changed) = Default::default();
        Arc::new(Acceptor { router, service, connections, threads, changed })
    }

    /// Adds a listener, before the start.
    pub fn add(&self, listener: Arc<dyn Listener>, service: Arc<Service>) {
        let (address, listener) = (listener.address(), Some(listener));
        let source = Source { address, service, listener, accepting: 0, backing_off: false };
        self.threads().sources.push(source);
    }

    /// Returns the address of a listener, which is counted from 0, or `None` after the last one.
    pub fn address_of(&self, at: usize) -> Option<Peer> {
        self.threads().sources.get(at).map(|source| source.address.clone())
    }

    /// Returns the addresses of all listeners.
    pub fn addresses(&self) -> impl Iterator<Item = Peer> + '_ {
        (0..).map_while(|at| self.address_of(at))
    }

    /// Returns whether the streams of a listener are encrypted.
    pub fn is_encrypted(&self, at: usize) -> bool {
        self.threads().sources.get(at).map_or(false, |source| source.service.encrypted)
    }

    /// Returns the first address that is one of the internet protocol, or else the unspecified one.
    pub fn address(&self) -> SocketAddr {
        let first = self.addresses().find_map(|address| address.socket());
        first.unwrap_or_else(|| (Ipv4Addr::UNSPECIFIED, 0).into())
    }

    /// Starts the first thread of each listener. Error: the system has none; then the ports are free.
    pub fn start(self: &Arc<Acceptor>) -> io::Result<()> {
        let mut threads = self.threads();
        let count = threads.sources.len();
        let started = (0..count).try_for_each(|at| self.start_thread(&mut threads, at));
        if started.is_err() {
            let open = threads.sources.iter_mut().filter_map(|source| source.listener.take());
            open.for_each(|listener| listener.close());
        }
        started
    }

    #[inline(never)]
    fn start_thread(self: &Arc<Acceptor>, threads: &mut Threads, at: usize) -> io::Result<()> {
        let acceptor = Arc::clone(self);
        start_thread(
            "sockling",
            self.service.shared.limits.stack,
            Box::new(move || acceptor.accept_and_serve(at)),
        )?;
        threads.source(at).accepting += 1;
        threads.total += 1;
        Ok(())
    }

    /// Accepts from one listener and serves, until the acceptor closes or enough other threads
    /// accept. What a client's whole life stands on is kept small: the steps are functions apart.
    fn accept_and_serve(self: Arc<Acceptor>, at: usize) {
        let mut backoff = BACKOFF.0;
        while let Some(client) = self.accept(at, &mut backoff) {
            self.serve_accepted(at, &client);
            drop(client);
            if !self.accepts_again(at) {
                break;
            }
        }
        self.threads().total -= 1;
        self.changed.notify_all();
    }

    /// Waits for a client. Returns `None` when this thread ends.
    #[inline(never)]
    fn accept(&self, at: usize, backoff: &mut Duration) -> Option<Box<Client>> {
        loop {
            // Dropped before a client is served: a handler that is stuck must not keep the port.
            let listener = self.threads().source(at).listener.clone();
            let accepted = match listener {
                Some(listener) => listener.accept(),
                None => {
                    self.threads().source(at).accepting -= 1;
                    return None;
                }
            };
            match accepted {
                Ok((stream, peer)) => {
                    *backoff = BACKOFF.0;
                    return Some(Box::new((stream.into(), peer)));
                }
                // The client went away before it was accepted.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if !self.back_off(at, &error, backoff) {
                        return None;
                    }
                }
            }
        }
    }

    /// Returns whether this thread, whose client has gone, is needed to accept another one.
    #[inline(never)]
    fn accepts_again(&self, at: usize) -> bool {
        let mut threads = self.threads();
        if threads.sources.iter().any(|source| source.backing_off) {
            self.changed.notify_all(); // a descriptor is free
        }
        let again = threads.source(at).accepting == 0 || threads.accepting() < SPARE_THREADS;
        threads.source(at).accepting += usize::from(again);
        again
    }

    /// Waits after a failed `accept`, most likely for a descriptor, so that the server neither ends
    /// nor spins. Returns false when another thread does so, or the acceptor has closed: this one
    /// ends.
    #[inline(never)]
    fn back_off(&self, at: usize, error: &io::Error, backoff: &mut Duration) -> bool {
        let address = {
            let mut threads = self.threads();
            let source = threads.source(at);
            if source.listener.is_none() || source.accepting > 1 {
                source.accepting -= 1;
                return false;
            }
            source.backing_off = true;
            source.address.clone()
        };
        if *backoff == BACKOFF.0 {
            log_line!(Error, "cannot accept on {}: {}; trying again", address, error);
        }
        // Closing ends this wait too; the loop then finds no listener.
        let waited = self.changed.wait_timeout(self.threads(), *backoff);
        waited.unwrap_or_else(PoisonError::into_inner).0.source(at).backing_off = false;
        *backoff = (*backoff * 2).min(BACKOFF.1);
        true
    }

    #[inline(never)]
    fn serve_accepted(self: &Arc<Acceptor>, at: usize, client: &Client) {
        let (follower, service) = self.follow(at);
        let (stream, peer) = client;
        // A panic here is a fault of the library's own. The thread must survive it to be counted.
        let served = contained(|| match follower {
            Ok(()) => {
                if !serve_client(&self.router, &service, &self.connections, stream, peer) {
                    self.refuse(client, Level::Info, "full (Limits::connections)");
                }
            }
            Err(error) => self.refuse_without_thread(client, error),
        });
        if served.is_none() {
            log_panic(peer);
        }
    }

    /// Lets another thread accept in the place of this one, a new one if none waits. Returns whether
    /// one does, and what the listener's requests are answered with.
    #[inline(never)]
    fn follow(self: &Arc<Acceptor>, at: usize) -> (io::Result<()>, Arc<Service>) {
        let mut threads = self.threads();
        threads.source(at).accepting -= 1;
        let follower = match threads.source(at) {
            source if source.accepting > 0 || source.listener.is_none() => Ok(()),
            _ => self.start_thread(&mut threads, at),
        };
        (follower, Arc::clone(&threads.source(at).service))
    }

    #[inline(never)]
    fn refuse_without_thread(&self, client: &Client, error: io::Error) {
        let why = format!("no thread can be started: {}", error);
        self.refuse(client, Level::Error, &why);
    }

    /// Answers 503 and waits until the client has read it. While [`SPARE_THREADS`] threads do so,
    /// further clients are disconnected without an answer.
    #[inline(never)]
    fn refuse(&self, (stream, peer): &Client, level: Level, why: &str) {
        {
            let mut threads = self.threads();
            if threads.refusing >= SPARE_THREADS {
                return;
            }
            threads.refusing += 1;
        }
        log_line!(level, "refused {} with 503: {}", peer, why);
        write_refusal(&**stream, REFUSAL, &self.service.shared.limits);
        Socket::new(Arc::clone(stream), 0).linger(PARTING);
        self.threads().refusing -= 1;
    }

    /// Stops accepting, and wakes the threads in `accept`, which then end.
    pub fn close(&self) {
        loop {
            let open = self.threads().sources.iter_mut().find_map(|source| source.listener.take());
            self.changed.notify_all();
            match open {
                Some(listener) => listener.close(),
                None => break,
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
        write!(out, "server on {:?}", self.address_of(0))
    }
}

#[inline(never)]
fn log_panic(peer: &Peer) {
    log_line!(Error, "serving {} panicked", peer);
}
