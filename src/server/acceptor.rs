//! Threads that accept connections, and each serves the one that it accepted.
//!
//! Threads wait in `accept` on the shared socket; who accepts serves. One is started only when
//! none is left in `accept`, and after serving up to eight stay there. So a short connection
//! costs no thread start. What is rare is not inlined: the stack beneath a connection is small.

use crate::ground::limits::{LINGER_QUIET, SPARE_THREADS};
use crate::ground::logger::log_line;
use crate::ground::system::unix_seconds;
use crate::ground::system::{start_thread, waker};
use crate::http::forwarded::{canonical_socket, is_proxy};
use crate::http::response::Response;
use crate::net::reader::Socket;
use crate::net::stream::{after, write_all, Stream};
use crate::server::connection::serve;
use crate::server::connections::Connections;
use crate::server::request::Service;
use crate::server::route::Router;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a client that is refused gets to take the answer.
const REFUSAL: Duration = Duration::from_secs(1);
/// First and longest pause after a failed accept.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// The way in: the listening socket, and what whoever comes in is served with.
pub(crate) struct Acceptor {
    pub address: SocketAddr,
    pub router: Router,
    pub service: Arc<Service>,
    pub connections: Arc<Connections>,
    /// Held to count, and while a thread is started: those in `accept` must be counted before
    /// the next one looks.
    threads: Mutex<Threads>,
    changed: Condvar,
}

/// The threads.
#[derive(Default)]
struct Threads {
    /// Threads in `accept`.
    accepting: usize,
    /// Threads in all.
    total: usize,
    /// Threads that tell somebody that there is no room.
    refusing: usize,
    /// A thread waits for descriptors.
    backing_off: bool,
    /// Until the acceptor closes; it goes with the last thread that waits in `accept`.
    listener: Option<Arc<TcpListener>>,
    /// A clone of the listening socket, made while there are descriptors.
    waker: Option<TcpStream>,
}

impl Acceptor {
    /// Returns an acceptor at which nobody waits.
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

    /// Lets clients in from here on. Error: no thread can be started.
    pub fn start(self: &Arc<Acceptor>) -> io::Result<()> {
        self.start_thread(&mut self.threads())
    }

    /// Starts a thread that waits in `accept`.
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

    /// Accepts and serves until the acceptor closes, or enough others wait.
    fn accept_and_serve(self: Arc<Acceptor>) {
        let mut backoff = BACKOFF.0;
        loop {
            // Not kept while a client is served: whoever is stuck there would keep the port.
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
                    self.serve_accepted(stream, canonical_socket(peer));
                    let mut threads = self.threads();
                    if threads.backing_off {
                        self.changed.notify_all(); // here is a descriptor
                    }
                    if threads.accepting >= SPARE_THREADS {
                        break;
                    }
                    threads.accepting += 1;
                }
                // The client has gone before it was accepted.
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

    /// After a failed accept (no descriptors, most likely) one thread is left in `accept`, and
    /// tries again after a pause, or when a connection ends. Returns whether it is this one.
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
            log_line!(Error, "cannot accept connections: {}; trying again", error);
        }
        // Ends early also when the acceptor closes, which the next accept will tell.
        let waited = self.changed.wait_timeout(self.threads(), *backoff);
        waited.unwrap_or_else(PoisonError::into_inner).0.backing_off = false;
        *backoff = (*backoff * 2).min(BACKOFF.1);
        true
    }

    #[inline(never)]
    fn serve_accepted(self: &Arc<Acceptor>, stream: TcpStream, peer: SocketAddr) {
        let follower = {
            let mut threads = self.threads();
            threads.accepting -= 1;
            match threads.accepting {
                0 if threads.listener.is_some() => self.start_thread(&mut threads),
                _ => Ok(()),
            }
        };
        // A panic here would be the library's own fault; it may not cost the thread's place.
        let served = catch_unwind(AssertUnwindSafe(|| match follower {
            Ok(()) => self.serve(stream, peer),
            Err(error) => {
                log_line!(Error, "cannot start a thread: {}", error);
                self.refuse(Arc::new(stream), peer);
            }
        }));
        if served.is_err() {
            log_line!(Error, "serving {} panicked", peer);
        }
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        // A small answer must not wait for a full packet. Fails when the client has gone.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let stream: Arc<dyn Stream> = Arc::new(stream);
        let limits = &self.service.shared.limits;
        let proxy = is_proxy(peer.ip(), &self.service.proxies);
        match self.connections.admit(Arc::clone(&stream), peer, proxy) {
            Some(slot) => {
                let socket = Socket::new(stream, limits.buffer);
                serve(&self.router, &self.service, socket, &slot)
            }
            None => self.refuse(stream, peer),
        }
    }

    /// Tells a client that there is no room. Only a few are waited for while they read that, so
    /// that they cannot take all threads; the rest is dropped.
    #[inline(never)]
    fn refuse(&self, stream: Arc<dyn Stream>, peer: SocketAddr) {
        {
            let mut threads = self.threads();
            if threads.refusing >= SPARE_THREADS {
                return;
            }
            threads.refusing += 1;
        }
        log_line!(Info, "there is no room for {}; it is told 503", peer);
        self.write_refusal(&*stream);
        Socket::new(stream, 0).linger(LINGER_QUIET);
        self.threads().refusing -= 1;
    }

    #[inline(never)]
    fn write_refusal(&self, stream: &dyn Stream) {
        let full = Response::of_status(503);
        if let Ok((bytes, _)) = full.encode(false, true, unix_seconds()) {
            // Fails when the client has gone; there is nobody else to tell.
            let _ = write_all(stream, &bytes, after(REFUSAL));
        }
    }

    /// Lets nobody in any more and wakes the threads at the acceptor.
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
                // A connection to oneself wakes one; when it fails there is none to wake.
                let _ = TcpStream::connect_timeout(&reachable(self.address), REFUSAL);
            }
        }
    }

    /// Waits until the threads have ended that serve nobody, or the longest time.
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

/// Returns the address under which this machine reaches a listener: its own, or loopback for one
/// that listens on all.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(ref mut v4) if v4.ip().is_unspecified() => v4.set_ip(Ipv4Addr::LOCALHOST),
        SocketAddr::V6(ref mut v6) if v6.ip().is_unspecified() => v6.set_ip(Ipv6Addr::LOCALHOST),
        _ => {}
    }
    address
}
