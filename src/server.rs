//! Listens, starts threads, and ends them.
//!
//! Threads wait in `accept` on the shared socket; who accepts serves. One is started only when
//! nobody is left at the door, and after serving up to eight stay there. So a short connection
//! costs no thread start.

use crate::connection::{serve, Site};
use crate::error::Error;
use crate::http::headers::is_token;
use crate::http::request::{unix_seconds, Settings};
use crate::http::response::Response;
use crate::keys::SessionKeys;
use crate::limits::{Limits, AT_THE_DOOR};
use crate::log;
use crate::outbox::Shared;
use crate::registry::process_keys;
use crate::roster::Roster;
use crate::router::{Handler, Router};
use crate::session::SessionCookie;
use crate::socket::{after, write_all, Socket};
use crate::websocket::conversation::going_away;
use crate::websocket::handshake::Origins;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A server that does not listen yet: its routes and settings.
///
/// ```
/// use sockling::prelude::*;
///
/// let routes = vec![route!("/" => |_: &Request| Ok(Response::new().text("hello")))];
/// let listening = Server::new(routes).bind("127.0.0.1:0")?;
/// let (address, handle) = (listening.address(), listening.handle());
/// let server = std::thread::spawn(move || listening.serve());
///
/// use std::io::{Read, Write};
/// let mut client = std::net::TcpStream::connect(address)?;
/// client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
/// let mut answer = String::new();
/// client.read_to_string(&mut answer)?;
/// assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nhello"));
///
/// handle.shutdown();
/// server.join().unwrap()?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug)]
pub struct Server {
    handlers: Vec<Handler>,
    limits: Limits,
    keys: Option<SessionKeys>,
    secure: bool,
    cookie_name: String,
    hosts: Option<Vec<String>>,
    origins: Vec<String>,
}

impl Server {
    /// Returns a server with these routes and the default settings.
    pub fn new(handlers: Vec<Handler>) -> Server {
        Server {
            handlers,
            limits: Limits::default(),
            keys: None,
            secure: false,
            cookie_name: "sockling_session".to_string(),
            hosts: None,
            origins: Vec::new(),
        }
    }

    /// Sets the bounds that the server keeps.
    pub fn limits(mut self, limits: Limits) -> Server {
        self.limits = limits;
        self
    }

    /// Sets the keys that sign session cookies. Without them the keys are random: sessions end
    /// with the process.
    pub fn session_keys(mut self, keys: SessionKeys) -> Server {
        self.keys = Some(keys);
        self
    }

    /// Says whether browsers may send the session cookie over TLS only, with the prefix
    /// `__Host-`. Default false: the library speaks no TLS itself. Set it behind a proxy that does.
    pub fn secure_cookies(mut self, secure: bool) -> Server {
        self.secure = secure;
        self
    }

    /// Sets the name of the session cookie. Default `sockling_session`.
    pub fn cookie_name(mut self, name: impl Into<String>) -> Server {
        self.cookie_name = name.into();
        self
    }

    /// Sets the hosts that the server answers for, with or without a port; requests for others
    /// get 421. Default: on a loopback address its names (`localhost`, `127.0.0.1`, `[::1]`), elsewhere
    /// any. These names stay allowed.
    pub fn allowed_hosts<H: Into<String>>(mut self, hosts: impl IntoIterator<Item = H>) -> Server {
        self.hosts.get_or_insert_with(Vec::new).extend(hosts.into_iter().map(Into::into));
        self
    }

    /// Allows pages of other origins, such as `https://example.com`, to open WebSockets; `*`
    /// allows all. Default: only pages of the host and port that the client asks for (RFC 6455,
    /// 10.2).
    pub fn allowed_origins<O: Into<String>>(
        mut self,
        origins: impl IntoIterator<Item = O>,
    ) -> Server {
        self.origins.extend(origins.into_iter().map(Into::into));
        self
    }

    /// Listens on an address; port 0 is one that the system chooses. Nobody is served before
    /// [`Listening::serve`].
    ///
    /// Errors: [`Error::Bind`], [`Error::Setting`] for a route pattern or cookie name that is not
    /// one, [`Error::Entropy`].
    pub fn bind(self, address: impl ToSocketAddrs) -> Result<Listening, Error> {
        let router = Router::new(self.handlers)?;
        if !is_token(self.cookie_name.as_bytes()) {
            return Err(Error::Setting(format!("{:?} is no cookie name", self.cookie_name)));
        }
        let listener = listen(address)?;
        let address = listener.local_addr()?;
        let loopback = address.ip().is_loopback();
        let own = ["localhost", "127.0.0.1", "[::1]"].map(str::to_string);
        let hosts = match self.hosts {
            None if !loopback => None,
            hosts => Some(hosts.unwrap_or_default().into_iter().chain(own).collect()),
        };
        let keys = self.keys.map_or_else(process_keys, Ok)?;
        let cookie = SessionCookie { name: self.cookie_name, secure: self.secure, keys };
        let settings = Settings { cookie, origins: Origins { allowed: self.origins, loopback } };
        let site =
            Site { router, settings: Arc::new(settings), shared: Shared::new(self.limits), hosts };
        let (roster, door) = (Arc::default(), Mutex::default());
        let house = House { listener, address, site, roster, door, changed: Condvar::new() };
        Ok(Listening { house: Arc::new(house) })
    }

    /// Listens on `$SOCKLING_ADDR`, or on 127.0.0.1:8000, and serves. Blocks until the process
    /// ends. Errors: those of [`bind`](Server::bind).
    pub fn launch(self) -> Result<(), Error> {
        let address =
            std::env::var("SOCKLING_ADDR").unwrap_or_else(|_| "127.0.0.1:8000".to_string());
        self.bind(&*address)?.serve()
    }
}

fn listen(address: impl ToSocketAddrs) -> Result<TcpListener, Error> {
    let addresses: Vec<SocketAddr> = address
        .to_socket_addrs()
        .map_err(|source| Error::Bind { address: "that address".to_string(), source })?
        .collect();
    TcpListener::bind(&*addresses).map_err(|source| {
        let names: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
        Error::Bind { address: names.join(" or "), source }
    })
}

/// A server that listens.
#[derive(Debug)]
pub struct Listening {
    house: Arc<House>,
}

impl Listening {
    /// Returns the address, with the port that the system chose.
    pub fn address(&self) -> SocketAddr {
        self.house.address
    }

    /// Returns a handle that can end the server from any thread.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle { house: Arc::clone(&self.house) }
    }

    /// Serves until [`ServerHandle::shutdown`] has ended everybody. Error: [`Error::Io`] when not
    /// even one thread can be started.
    pub fn serve(self) -> Result<(), Error> {
        self.house.start_thread(&mut self.house.door())?;
        let address = self.house.address;
        match address.ip().is_loopback() {
            true => log::info!("listening on http://localhost:{}/", address.port()),
            false => log::info!("listening on http://{}/", address),
        }
        self.house.site.shared.clock.run();
        Ok(())
    }
}

/// Ends a server. Clones end the same one.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    house: Arc<House>,
}

/// A connection that a shutdown had to cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The client.
    pub peer: SocketAddr,
    /// The path whose handler was running; `None` when none was, and the client did not take
    /// what was sent to it or did not end its side.
    pub path: Option<String>,
}

impl ServerHandle {
    /// Returns the server's address.
    pub fn address(&self) -> SocketAddr {
        self.house.address
    }

    /// Ends the server: takes nobody in any more, lets requests that are being answered finish,
    /// closes every WebSocket with 1001, and waits up to [`Limits::drain_timeout`] for all that.
    /// Whoever is left is cut off, logged and returned. A handler that does not return keeps its
    /// thread; nothing else is left behind.
    ///
    /// Called inside a handler it does not wait for that handler's own connection.
    pub fn shutdown(&self) -> Vec<Stuck> {
        self.house.close_door();
        let roster = &self.house.roster;
        roster.close(&going_away());
        let stuck = roster.wait_until_empty(after(self.house.site.shared.limits.drain_timeout));
        let stuck: Vec<Stuck> =
            stuck.into_iter().map(|(peer, path)| Stuck { peer, path }).collect();
        for Stuck { peer, path } in &stuck {
            match path {
                Some(path) => {
                    log::warn!("shutdown: the handler of {:?} for {} has not returned", path, peer)
                }
                None => log::warn!("shutdown: {} did not end in time", peer),
            }
        }
        if !stuck.is_empty() {
            roster.cut_off();
            roster.wait_until_empty(after(AFTER_CUT));
        }
        self.house.wait_for_threads();
        self.house.site.shared.clock.stop();
        stuck
    }
}

/// How long threads get to notice that their socket was shut.
const AFTER_CUT: Duration = Duration::from_millis(500);
/// How long a client that is refused gets to take the answer.
const REFUSAL: Duration = Duration::from_secs(1);
/// First and longest pause after a failed accept.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// A server as its threads see it.
struct House {
    listener: TcpListener,
    address: SocketAddr,
    site: Site,
    roster: Arc<Roster>,
    /// Held to count, and while a thread is started: who is at the door must be counted before
    /// the next one looks.
    door: Mutex<Door>,
    changed: Condvar,
}

#[derive(Default)]
struct Door {
    /// Threads in `accept`.
    waiting: usize,
    /// Threads in all.
    threads: usize,
    /// Threads that tell somebody that there is no room.
    refusing: usize,
    closing: bool,
}

impl House {
    /// Starts a thread that waits at the door.
    fn start_thread(self: &Arc<House>, door: &mut Door) -> io::Result<()> {
        let house = Arc::clone(self);
        thread::Builder::new()
            .name("sockling".to_string())
            .stack_size(self.site.shared.limits.stack)
            .spawn(move || house.attend())?;
        door.waiting += 1;
        door.threads += 1;
        Ok(())
    }

    /// Accepts and serves until the door closes, or enough others wait at it.
    fn attend(self: Arc<House>) {
        let mut pause = PAUSE.0;
        loop {
            match self.listener.accept() {
                Ok((stream, peer)) => {
                    pause = PAUSE.0;
                    self.leave_door_and_serve(stream, peer);
                    let mut door = self.door();
                    if door.closing || door.waiting >= AT_THE_DOOR {
                        break;
                    }
                    door.waiting += 1;
                }
                // The client has gone before it was accepted.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    if !self.stay_after(&error, &mut pause) {
                        break;
                    }
                }
            }
        }
        self.door().threads -= 1;
        self.changed.notify_all();
    }

    /// After a failed accept (no descriptors, most likely) one thread is left at the door, and
    /// tries again after a pause. Returns whether it is this one.
    fn stay_after(&self, error: &io::Error, pause: &mut Duration) -> bool {
        let mut door = self.door();
        if door.closing || door.waiting > 1 {
            door.waiting -= 1;
            return false;
        }
        if *pause == PAUSE.0 {
            log::error!("cannot accept connections: {}; trying again", error);
        }
        let (_door, _) =
            self.changed.wait_timeout(door, *pause).unwrap_or_else(PoisonError::into_inner);
        *pause = (*pause * 2).min(PAUSE.1);
        true
    }

    fn leave_door_and_serve(self: &Arc<House>, stream: TcpStream, peer: SocketAddr) {
        let follower = {
            let mut door = self.door();
            door.waiting -= 1;
            match door.waiting {
                0 if !door.closing => self.start_thread(&mut door),
                _ => Ok(()),
            }
        };
        // A panic here would be the library's own fault; it may not cost the thread's place.
        let served = catch_unwind(AssertUnwindSafe(|| match follower {
            Ok(()) => self.serve(stream, peer),
            Err(error) => {
                log::error!("cannot start a thread: {}; {} is told 503", error, peer);
                self.refuse(&stream);
            }
        }));
        if served.is_err() {
            log::error!("serving {} panicked", peer);
        }
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr) {
        // A small answer must not wait for a full packet. Fails when the client has gone.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let stream = Arc::new(stream);
        let limits = &self.site.shared.limits;
        match self.roster.admit(Arc::clone(&stream), peer, limits) {
            Some(place) => serve(&self.site, Socket::new(stream), &place.entry),
            None => self.turn_away(stream),
        }
    }

    /// Tells a client that there is no room. Only a few are waited for while they read that, so
    /// that they cannot take all threads; the rest is dropped.
    fn turn_away(&self, stream: Arc<TcpStream>) {
        {
            let mut door = self.door();
            if door.refusing >= AT_THE_DOOR {
                return;
            }
            door.refusing += 1;
        }
        self.refuse(&stream);
        Socket::new(stream).linger();
        self.door().refusing -= 1;
    }

    fn refuse(&self, stream: &TcpStream) {
        let response = Response::of_status(503).header("Retry-After", "1");
        if let Ok(bytes) = response.encode(false, true, unix_seconds()) {
            // Fails when the client has gone; there is nobody else to tell.
            let _ = write_all(stream, &bytes, after(REFUSAL));
        }
    }

    /// Lets nobody in any more and wakes the threads at the door.
    fn close_door(&self) {
        let waiting = {
            let mut door = self.door();
            door.closing = true;
            door.waiting
        };
        self.changed.notify_all();
        if !shut_listener(&self.listener) {
            for _ in 0..waiting {
                // A connection to oneself wakes one; when it fails there is none to wake.
                let _ = TcpStream::connect_timeout(&reachable(self.address), REFUSAL);
            }
        }
    }

    /// Waits until the threads have ended that serve nobody.
    fn wait_for_threads(&self) {
        let deadline = after(AFTER_CUT);
        let mut door = self.door();
        while door.threads > self.roster.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            door = self.changed.wait_timeout(door, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn door(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for House {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(out, "server on {}", self.address)
    }
}

/// Wakes all threads that are blocked in `accept` at once, where the system can: on Linux a
/// listening socket can be shut like a connected one.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn shut_listener(listener: &TcpListener) -> bool {
    use std::os::unix::io::OwnedFd;
    let shut = |clone| TcpStream::from(OwnedFd::from(clone)).shutdown(std::net::Shutdown::Both);
    listener.try_clone().and_then(shut).is_ok()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn shut_listener(_: &TcpListener) -> bool {
    false
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
