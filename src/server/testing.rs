//! Tests of an application without sockets: a server with its routes, settings, sessions, and limits,
//! and browsers with a cookie jar, connected in memory.
//!
//! Everything runs as on a socket: one thread for each connection, the same parser, the same
//! deadlines, and handlers that find [`Comms::here`](crate::Comms::here). There is no port, and
//! nothing sleeps: a call returns when its answer has come, or fails the test after 10 s.
//!
//! ```
//! use sockling::{prelude::*, testing};
//!
//! fn login(request: &Request) -> Result<Response, Error> {
//!     request.check_origin()?;
//!     Ok(request.login(7301).redirect("/chat"))
//! }
//!
//! fn chat(request: &Request) -> Result<Response, Error> {
//!     if let SessionId::Guest(_) = request.session_id() {
//!         return Ok(Response::unauthorized());
//!     }
//!     request.upgrade(&[], |client| {
//!         while let Some(message) = client.receive()? {
//!             Comms::websocket(client.session_id()).send(message)?;
//!         }
//!         Ok(())
//!     })
//! }
//!
//! let server = testing::Server::new(vec![Handler::post("/login", login), Handler::get("/chat", chat)]);
//! let (ada, stranger) = (server.browser(), server.browser());
//! assert_eq!(stranger.get("/chat").status(), 401);
//! assert_eq!(ada.post("/login", "").header("location"), Some("/chat"));
//!
//! let (one, other) = (ada.websocket("/chat"), ada.websocket("/chat"));
//! one.send("hello");
//! assert_eq!((one.receive(), other.receive()), ("hello".into(), "hello".into()));
//! other.receive_nothing();
//! ```
//!
//! # What fails a test
//!
//! What the server would log as an error: a handler that panics, that returns an error which means
//! 5xx or, in a WebSocket, 1011, or whose response cannot be sent. The next call that waits for the
//! server panics with that line, or else the drop of the server does. An answer that a handler
//! returns as `Ok` is no failure, whatever its status, and neither is an error that the client
//! caused. For a test of the 500 itself there is [`Server::allow_failures`].
//!
//! A call that waits in vain says what it waited for, for whom, and what had come.
//!
//! # Clients
//!
//! Each request has a connection of its own, so a connection that [`Limits`] count is a WebSocket
//! or a request that runs. A client in memory has no address, so limits per address and trusted
//! proxies apply only to a browser with [`Browser::address`]. Each direction of a connection holds
//! 256 KiB that nobody has read, as the system's buffers do; a client that takes nothing beyond that
//! meets [`Limits::overflow`].
//!
//! # Tests in parallel
//!
//! Any number of servers may run at the same time. Each has its own limits and failures, and each
//! browser its own cookies. [`Comms`](crate::Comms) is global, as in the program: user ids, topics,
//! and `notify` reach the clients of all servers of the process, [`Comms::stats`] counts them all,
//! and of the bounds of topics the largest one holds. Two tests that run at the same time, as those
//! of one file do, keep apart by users and topics of their own, which the application takes as a
//! setting:
//!
//! ```
//! use sockling::{prelude::*, testing};
//! use std::sync::atomic::{AtomicI64, Ordering};
//!
//! /// The routes of the application, whose first user has this number.
//! fn routes(first: i64) -> Vec<Handler> {
//!     let room = format!("room/{}", first);
//!     let join = move |request: &Request| {
//!         request.upgrade(&[], |client| {
//!             assert!(Comms::topic(room.as_str()).join_here());
//!             while let Some(message) = client.receive()? {
//!                 Comms::topic(room.as_str()).send(message)?;
//!             }
//!             Ok(())
//!         })
//!     };
//!     vec![Handler::new("/login", move |request: &Request| Ok(request.login(first))), Handler::new("/", join)]
//! }
//!
//! static USERS: AtomicI64 = AtomicI64::new(1000);
//! let server = testing::Server::new(routes(USERS.fetch_add(100, Ordering::Relaxed)));
//! let tab = server.browser().websocket("/");
//! tab.send("hello");
//! assert_eq!(tab.receive(), "hello".into());
//! ```
//!
//! A test that must have the process for itself, one of the statistics for example, belongs in a file
//! of its own below `tests/`, or takes a lock that all tests of its file take.
//!
//! The log is off, since `cargo test` does not capture it; `SOCKLING_LOG=info cargo test` shows it.
//!
//! [`Comms::stats`]: crate::Comms::stats
//! [`Limits`]: crate::limits::Limits
//! [`Limits::overflow`]: crate::limits::Limits::overflow

pub use crate::net::conformance::{conformance, Tearing};
pub use crate::net::memory::{Memory, MemoryListener};

use crate::ground::limits::Limits;
use crate::ground::peer::Peer;
use crate::ground::system::{contained, start_thread, watch_failures, Failure};
use crate::http::chunked::Chunked;
use crate::http::head::Method;
use crate::http::headers::Headers;
use crate::net::reader::Socket;
use crate::net::stream::{after, is_timeout, write_all, Stream};
use crate::server::connection::{serve_client, write_refusal};
use crate::server::connections::Connections;
use crate::server::conversation::Next;
use crate::server::jar::Jar;
use crate::server::launch;
use crate::server::request::Service;
use crate::server::route::{Handler, Router};
use crate::websocket::close::{CloseCode, CloseFrame};
use crate::websocket::frame::{apply_mask, FrameHeader, OpCode};
use crate::websocket::message::Message;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt::{self, Arguments};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Shutdown};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// How long a client waits for anything before the test fails. Far more than a slow machine needs.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most bytes of messages that a tab reads ahead of the test, each with [`OVERHEAD`].
const AHEAD: usize = 256 * 1024;
const OVERHEAD: usize = 64;
/// The most messages that a failure shows: the last ones.
const SHOWN: usize = 5;

/// A server whose clients are in memory.
///
/// It runs until it is dropped. Then it handles what its clients have sent, tells them 1001 as by a
/// shutdown, and waits until all handlers have returned; for each of the two,
/// [`Limits::drain_timeout`](crate::limits::Limits::drain_timeout) at most. It panics if a handler
/// has not returned by then, or if one has failed and no client has said so.
///
/// ```
/// use sockling::{prelude::*, testing};
///
/// let fail = |request: &Request| -> Result<Response, Error> {
///     let number = request.query("number").ok_or("no number")?;
///     Ok(Response::new().text(format!("{}", number.parse::<u8>().expect("a small number"))))
/// };
/// let server = testing::Server::new(vec![Handler::new("/", fail)]).allow_failures();
/// assert_eq!(server.browser().get("/?number=7").text(), "7");
/// assert_eq!(server.browser().get("/").status(), 500);
/// assert_eq!(server.browser().get("/?number=700").status(), 500);
/// let failures = server.failures();
/// assert!(failures[0].ends_with("failed: \"no number\"; answered 500"));
/// assert!(failures[1].starts_with("a small number: "));
/// assert!(failures[2].ends_with("panicked; answered 500"));
/// ```
pub struct Server {
    harness: Arc<Harness>,
}

impl Server {
    /// Returns a running server with these routes and the default settings.
    ///
    /// # Panics
    ///
    /// If a route's pattern is invalid.
    #[track_caller]
    pub fn new(routes: Vec<Handler>) -> Server {
        Server::of(launch::Server::new(routes))
    }

    /// Returns a running server with the routes and settings of this one. It has the names of a
    /// server on 127.0.0.1, beside its [`allowed_hosts`](crate::http::Server::allowed_hosts).
    ///
    /// # Panics
    ///
    /// Where [`bind`](crate::http::Server::bind) would return an error for the settings.
    ///
    /// ```
    /// use sockling::limits::Limits;
    /// use sockling::{prelude::*, testing};
    ///
    /// let read = |request: &Request| Ok(Response::new().body(request.body()));
    /// let small = Limits { body: 3, ..Limits::default() };
    /// let server = testing::Server::of(Server::new(vec![Handler::new("/", read)]).limits(small));
    /// assert_eq!(server.browser().post("/", "four").status(), 413);
    /// ```
    #[track_caller]
    pub fn of(mut server: crate::http::Server) -> Server {
        #[cfg(not(feature = "log"))]
        crate::ground::log::off_by_default();
        let (router, service) =
            match server.prepare(&IpAddr::from(Ipv4Addr::LOCALHOST).into(), false) {
                Ok(prepared) => prepared,
                Err(error) => fail(format_args!("the server cannot start: {}", error)),
            };
        watch_failures(note);
        let shared = Arc::clone(&service.shared);
        thread::spawn(move || shared.clock.run());
        let connections = Connections::new(&service.shared.limits);
        let (clients, failures) = (Mutex::new(Some(Vec::new())), Mutex::default());
        let (tolerant, browsers) = Default::default();
        let harness =
            Harness { router, service, connections, clients, failures, tolerant, browsers };
        Server { harness: Arc::new(harness) }
    }

    /// Returns a client without cookies, at `http://localhost`.
    pub fn browser(&self) -> Browser {
        let name = format!("browser {}", self.harness.browsers.fetch_add(1, Ordering::Relaxed) + 1);
        let scheme = if self.harness.service.cookie.secure { "https" } else { "http" };
        Browser {
            harness: Arc::clone(&self.harness),
            peer: Peer::named(&name),
            name,
            origin: format!("{}://localhost", scheme),
            patience: PATIENCE,
            jar: Arc::default(),
        }
    }

    /// Lets handlers fail: the client gets 500, or 1011, and [`failures`](Server::failures) tells
    /// why.
    pub fn allow_failures(self) -> Server {
        self.harness.tolerant.store(true, Ordering::Relaxed);
        self
    }

    /// Returns the failures since the last call: what handlers have panicked with, and the lines of
    /// the log.
    pub fn failures(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.harness.failures))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let shared = &self.harness.service.shared;
        if !thread::panicking() {
            // Whether it has is seen by what is stuck then.
            let _ = self.harness.wait_until_handled(after(shared.limits.drain_timeout));
        }
        lock(&self.harness.clients).take();
        let stuck = launch::end_all(&self.harness.connections, &shared.limits);
        shared.clock.stop();
        if !thread::panicking() {
            self.harness.check();
            let stuck = stuck.into_iter().find_map(|one| one.path);
            assert!(stuck.is_none(), "the handler of {:?} did not end", stuck.unwrap_or_default());
        }
    }
}

/// What serves the clients: all of a server but the acceptor.
struct Harness {
    router: Router,
    service: Arc<Service>,
    connections: Arc<Connections>,
    /// The clients' ends; `None` once the server has ended.
    clients: Mutex<Option<Vec<Weak<Memory>>>>,
    /// Errors of handlers, as the log has them.
    failures: Mutex<Vec<String>>,
    /// Whether failures do not fail the test.
    tolerant: AtomicBool,
    /// The number of browsers so far.
    browsers: AtomicUsize,
}

thread_local! {
    /// The server for which this thread serves a connection.
    static SERVED: RefCell<Option<Arc<Harness>>> = const { RefCell::new(None) };
}

/// Notes a failure for the server whose connection this thread serves.
fn note(failure: Failure) {
    let text = match failure {
        Failure::Logged(line) => line.to_string(),
        Failure::Panic(payload) => {
            let text = payload.downcast_ref::<&str>().map(ToString::to_string);
            let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
            text.unwrap_or_else(|| "a panic without a text".to_string())
        }
    };
    SERVED.with(|served| {
        let _ = served.borrow().as_ref().map(|harness| lock(&harness.failures).push(text));
    });
}

/// Fails the test, at the line of the test that has called.
#[allow(clippy::panic)] // this is what a test wants
#[track_caller]
fn fail(text: Arguments) -> ! {
    panic!("{}", text)
}

/// Locks, even after a panic: a test that fails must still end.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Harness {
    /// Connects a client, and returns its end of the stream.
    #[track_caller]
    fn connect(self: &Arc<Harness>, peer: Peer) -> Arc<Memory> {
        let (near, far) = Memory::pair();
        let near = Arc::new(near);
        match &mut *lock(&self.clients) {
            Some(clients) => {
                clients.retain(|client| client.strong_count() > 0);
                clients.push(Arc::downgrade(&near));
            }
            None => fail(format_args!(
                "{} connects to a server that was dropped: keep the Server",
                peer
            )),
        }
        let (harness, stack) = (Arc::clone(self), self.service.shared.limits.stack);
        let job = move || {
            SERVED.with(|served| *served.borrow_mut() = Some(Arc::clone(&harness)));
            contained(|| harness.serve(Arc::new(far), &peer));
            SERVED.with(|served| served.borrow_mut().take());
        };
        start_thread("sockling", stack, Box::new(job)).expect("the system has a thread for a test");
        near
    }

    fn serve(&self, stream: Arc<dyn Stream>, peer: &Peer) {
        if !serve_client(&self.router, &self.service, &self.connections, &stream, peer) {
            write_refusal(&*stream, PATIENCE, &self.service.shared.limits);
        }
    }

    /// Waits until every connection has handled what its client has sent so far. Returns false if
    /// one has not by then.
    fn wait_until_handled(&self, deadline: Instant) -> bool {
        let clients = lock(&self.clients).clone().unwrap_or_default();
        clients.iter().filter_map(Weak::upgrade).all(|client| client.wait_until_read(deadline))
    }

    /// Panics with the failures of the handlers, if there are any and the test has not asked for
    /// them.
    #[track_caller]
    fn check(&self) {
        if !self.tolerant.load(Ordering::Relaxed) {
            let failures = std::mem::take(&mut *lock(&self.failures));
            assert!(failures.is_empty(), "{}", failures.join("; and "));
        }
    }
}

/// A client of a [`Server`](Server) with a cookie jar of its own, which its clones share.
/// Several tabs of one browser are one session.
///
/// A request has the fields that a page of the server would send: Host, the cookies of its path,
/// and Origin unless the method is GET or HEAD; and `Connection: close`. It does not follow redirects.
///
/// ```
/// use sockling::{prelude::*, testing};
/// use std::time::Duration;
///
/// let login = |request: &Request| Ok(request.login(7).redirect("/"));
/// let who = |request: &Request| {
///     let address = request.peer().ip().map(|ip| ip.to_string());
///     Ok(Response::new().text(format!("{} from {:?}", request.session_id(), address)))
/// };
/// let routes = vec![Handler::new("/login", login), Handler::new("/who", who)];
/// let server = testing::Server::new(routes);
///
/// let ada: testing::Browser = server.browser();
/// let answer: testing::Answer = ada.post("/login", "name=Ada");
/// assert_eq!((answer.status(), answer.header("location")), (303, Some("/")));
/// assert!(ada.cookie("sockling_session").is_some());
/// assert_eq!(ada.get("/who").text(), "user-7 from None");
///
/// let bob = server.browser().address([192, 0, 2, 7]).patience(Duration::from_secs(2));
/// assert!(bob.get("/who").text().ends_with("from Some(\"192.0.2.7\")"));
/// ```
#[derive(Clone)]
pub struct Browser {
    harness: Arc<Harness>,
    /// Its name in the log and in failures.
    name: String,
    origin: String,
    peer: Peer,
    patience: Duration,
    jar: Arc<Mutex<Jar>>,
}

impl Browser {
    /// Sets the origin at which the browser reaches the server: its Host, its Origin, and whether
    /// there is TLS, so that cookies with Secure are kept. By default `http://localhost`, or
    /// `https://localhost` for a server with
    /// [`secure_cookies`](crate::http::Server::secure_cookies).
    ///
    /// ```
    /// use sockling::{prelude::*, testing};
    ///
    /// let change = |request: &Request| {
    ///     request.check_origin()?;
    ///     Ok(Response::new().text(request.header("host").unwrap_or("")))
    /// };
    /// let chat = Server::new(vec![Handler::new("/", change)]).allowed_hosts(["chat.example"]);
    /// let server = testing::Server::of(chat);
    /// assert_eq!(server.browser().at("https://chat.example").post("/", "").text(), "chat.example");
    /// assert_eq!(server.browser().at("https://evil.example").post("/", "").status(), 421);
    ///
    /// let forged = server.browser().request(Method::Post, "/").header("Origin", "https://evil.example");
    /// assert_eq!(forged.body("delete=all").send().status(), 403);
    /// ```
    pub fn at(mut self, origin: &str) -> Browser {
        self.origin = origin.to_string();
        self
    }

    /// Sets the IP address that the browser connects from. By default it has none, and the limits
    /// per address and the trusted proxies do not apply to it.
    pub fn address(mut self, ip: impl Into<IpAddr>) -> Browser {
        self.peer = Peer::from(ip.into());
        self
    }

    /// Sets how long this browser and its tabs wait for the server before the test fails. Default:
    /// 10 s.
    pub fn patience(mut self, longest: Duration) -> Browser {
        self.patience = longest;
        self
    }

    /// Sends a GET request and returns the answer. The path is sent as it is written, with its
    /// query. See [`RequestBuilder::send`].
    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.request(Method::Get, path).send()
    }

    /// Sends a POST request with this body and returns the answer. The body has the type of a form,
    /// `application/x-www-form-urlencoded`, as if a page had sent one.
    #[track_caller]
    pub fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        let form = "application/x-www-form-urlencoded";
        self.request(Method::Post, path).header("Content-Type", form).body(body).send()
    }

    /// Returns a request to add fields and a body to.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let (browser, path) = (self.clone(), path.to_string());
        RequestBuilder { browser, method, path, headers: Headers::new(), body: Vec::new() }
    }

    /// Opens a WebSocket in a new tab.
    ///
    /// # Panics
    ///
    /// If the server refuses it, with the answer. See [`RequestBuilder::websocket`].
    #[track_caller]
    pub fn websocket(&self, path: &str) -> Tab {
        match self.request(Method::Get, path).websocket() {
            Ok(tab) => tab,
            Err(answer) => {
                fail(format_args!("{}: no WebSocket at {}: {:?}", self.name, path, answer))
            }
        }
    }

    /// Returns the value of the cookie of this name that the browser would send with a request for
    /// `/`.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let cookies = lock(&self.jar).cookies("/", self.tls());
        let value = |cookie: &str| Some(cookie.strip_prefix(name)?.strip_prefix('=')?.to_string());
        cookies.split("; ").find_map(value)
    }

    fn tls(&self) -> bool {
        self.origin.starts_with("https://")
    }
}

/// A request that a [`Browser`] is about to send.
///
/// ```
/// use sockling::{prelude::*, testing};
///
/// let echo = |request: &Request| match request.method() {
///     Method::Put => Ok(Response::new().body(request.body())),
///     _ => request.upgrade(&[], |client| client.send("hello")),
/// };
/// let server = testing::Server::new(vec![Handler::new("/", echo)]);
/// let browser = server.browser();
///
/// let put: testing::RequestBuilder = browser.request(Method::Put, "/").header("Accept", "*/*");
/// assert_eq!(put.body("hey").send().content(), b"hey");
///
/// assert_eq!(browser.request(Method::Get, "/").websocket().unwrap().receive(), "hello".into());
/// let foreign = browser.request(Method::Get, "/").header("Origin", "http://evil.example");
/// assert_eq!(foreign.websocket().err().unwrap().status(), 403);
/// ```
#[must_use]
pub struct RequestBuilder {
    browser: Browser,
    method: Method,
    path: String,
    headers: Headers,
    body: Vec<u8>,
}

impl RequestBuilder {
    /// Adds a header field, as it is written. Host, Origin, Cookie, and Content-Length replace what
    /// the browser would send. With a Content-Length that is larger than the body, the browser ends
    /// its side within it, as one that breaks off an upload.
    pub fn header(mut self, name: &str, value: &str) -> RequestBuilder {
        self.headers.push(name, value.as_bytes());
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> RequestBuilder {
        self.body = body.into();
        self
    }

    /// Sends the request, and returns the answer once all of it has come.
    ///
    /// # Panics
    ///
    /// If no whole answer comes within 10 s, or [`Browser::patience`]; and if a handler has failed,
    /// as [the page](self) says.
    #[track_caller]
    pub fn send(mut self) -> Answer {
        self.exchange(false).2
    }

    /// Opens a WebSocket in a new tab, or returns the answer that refuses it. The tab knows no
    /// extension, so a header `Sec-WebSocket-Extensions` is not sent.
    ///
    /// # Panics
    ///
    /// As [`send`](RequestBuilder::send).
    #[track_caller]
    pub fn websocket(mut self) -> Result<Tab, Answer> {
        self.headers.remove("sec-websocket-extensions");
        for (name, value) in [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            self.default(name, value);
        }
        let (stream, mut socket, answer) = self.exchange(true);
        if answer.status() != 101 {
            return Err(answer);
        }
        let (closed, inbox, changed) = Default::default();
        let (browser, path) = (self.browser, self.path);
        let wire = Arc::new(Wire { browser, path, answer, stream, closed, inbox, changed });
        let reader = Arc::clone(&wire);
        thread::spawn(move || reader.read(&mut socket));
        Ok(Tab(wire))
    }

    /// Adds a field unless the test has.
    fn default(&mut self, name: &str, value: &str) {
        if self.headers.get(name).is_none() {
            self.headers.push(name, value.as_bytes());
        }
    }

    /// Returns whether the body is as long as the head will say.
    fn sends_all(&self) -> bool {
        let length = self.headers.get_str("content-length").map(str::parse);
        self.headers.get("transfer-encoding").is_none()
            && length.map_or(true, |length| length == Ok(self.body.len()))
    }

    /// Adds what the browser would send, and returns the bytes of the request.
    fn encode(&mut self) -> Vec<u8> {
        let browser = self.browser.clone();
        let host = browser.origin.split_once("://").map_or("", |(_, host)| host);
        self.default("Host", host);
        let changes = !matches!(self.method, Method::Get | Method::Head);
        if changes || self.headers.get("upgrade").is_some() {
            self.default("Origin", &browser.origin);
        }
        if (changes || !self.body.is_empty()) && self.headers.get("transfer-encoding").is_none() {
            self.default("Content-Length", &self.body.len().to_string());
        }
        let cookies = lock(&browser.jar).cookies(&self.path, browser.tls());
        if !cookies.is_empty() {
            self.default("Cookie", &cookies);
        }
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method.as_str(), self.path).into_bytes();
        for (name, value) in self.headers.iter() {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Connects, sends the request, and reads the answer, which for an `upgrade` may be a 101.
    #[track_caller]
    fn exchange(&mut self, upgrade: bool) -> (Arc<Memory>, Box<Socket>, Answer) {
        // Nothing follows, so the server is to close after the answer. A handler that polls for the end
        // of its client would find one that closes its own side.
        let waits = !upgrade && self.headers.get("connection").is_none() && self.sends_all();
        if waits {
            self.default("Connection", "close");
        }
        let bytes = self.encode();
        let browser = &self.browser;
        let stream = browser.harness.connect(browser.peer.clone());
        // A server that ends the connection may have answered before. Whether it has is seen next.
        let _ = write_all(&*stream, &[&bytes], browser.patience, &Limits::default());
        let mut socket = Socket::new(Arc::clone(&stream) as Arc<dyn Stream>, usize::MAX);
        loop {
            let has_head = find(socket.unread(), END).is_some();
            if upgrade && has_head && socket.unread().starts_with(b"HTTP/1.1 101 ") {
                break;
            }
            if !waits && (!upgrade || has_head) {
                let _ = stream.shutdown(Shutdown::Write);
            }
            match socket.fill(after(browser.patience)) {
                Ok(0) => break,
                Ok(_) => {}
                Err(_) => self.fail("has not answered"),
            }
        }
        let (answer, used) = match read_answer(socket.unread(), self.method) {
            Some(read) => read,
            None => self.fail("has ended the connection without a whole answer"),
        };
        socket.consume(used);
        for field in answer.headers.get_all("set-cookie") {
            let field = String::from_utf8_lossy(field);
            lock(&browser.jar).take(&field, &self.path, browser.tls());
        }
        browser.harness.check();
        (stream, socket, answer)
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        self.browser.harness.check();
        let Browser { name, patience, .. } = &self.browser;
        let sent = format!("{} {}", self.method.as_str(), self.path);
        fail(format_args!("{}, {}: the server {} within {:?}", name, sent, what, patience))
    }
}

/// The end of a head.
const END: &[u8] = b"\r\n\r\n";

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Returns the answer to a request of this method, and its length, or `None` if it is not whole. The
/// body of a 101 is none: frames follow.
fn read_answer(bytes: &[u8], method: Method) -> Option<(Answer, usize)> {
    let end = find(bytes, END)?;
    let (mut used, mut headers) = (end + END.len(), Headers::new());
    let mut lines = std::str::from_utf8(&bytes[..end]).ok()?.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    lines.try_for_each(|line| headers.push_line(line.as_bytes())).ok()?;
    let mut content = Vec::new();
    if headers.has_token("transfer-encoding", "chunked") {
        let mut chunked = Chunked::default();
        let limits = Limits { body: usize::MAX, ..Limits::default() };
        used += chunked.decode(&bytes[used..], &mut content, &limits).ok()?;
        chunked.is_done().then_some(())?;
    } else if status != 101 {
        content.extend_from_slice(&bytes[used..]);
        used = bytes.len();
        let length = headers.get_str("content-length").and_then(|length| length.parse().ok());
        let bodiless = method == Method::Head || status == 304;
        (bodiless || length.map_or(true, |length| content.len() >= length)).then_some(())?;
    }
    Some((Answer { status, headers, content }, used))
}

/// The answer to a request of a [`Browser`].
///
/// ```
/// use sockling::{prelude::*, testing};
///
/// let page = |_: &Request| Ok(Response::new().html("<p>hey").header("ETag", "\"1\""));
/// let server = testing::Server::new(vec![Handler::new("/", page)]);
/// let answer = server.browser().get("/");
/// assert_eq!((answer.status(), answer.text(), answer.content()), (200, "<p>hey", &b"<p>hey"[..]));
/// assert_eq!(answer.header("etag"), Some("\"1\""));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    headers: Headers,
    content: Vec<u8>,
}

impl Answer {
    /// Returns the status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the value of the first header field of this name, or `None` if there is none or it
    /// is not UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get_str(name)
    }

    /// Returns the body, with chunks joined.
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// Returns the body as text.
    ///
    /// # Panics
    ///
    /// If it is not UTF-8.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.content).expect("the body is text in UTF-8")
    }
}

/// The status and the body, for the text of a failure.
impl fmt::Debug for Answer {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{} {:?}", self.status, String::from_utf8_lossy(&self.content))
    }
}

/// An open WebSocket of a [`Browser`](Browser). Dropping it is a client that goes without a
/// Close frame.
///
/// Pings and Close frames are answered without the test. Messages wait for
/// [`receive`](Tab::receive), up to 256 KiB of them; beyond that, the tab reads nothing more, as a
/// client that is too slow, until the test waits for the end.
///
/// ```
/// use sockling::{prelude::*, testing};
/// use std::time::Duration;
///
/// let echo = |request: &Request| {
///     request.upgrade(&["echo.v1"], |client| {
///         while let Some(message) = client.receive()? {
///             match message.as_text() {
///                 Some("bye") => return client.close(CloseCode(4000), "bye"),
///                 _ => client.send(message)?,
///             }
///         }
///         Ok(())
///     })
/// };
/// let server = testing::Server::new(vec![Handler::new("/echo", echo)]);
/// let offer = server.browser().request(Method::Get, "/echo").header("Sec-WebSocket-Protocol", "echo.v1");
/// let tab: testing::Tab = offer.websocket().unwrap();
/// assert_eq!(tab.protocol(), Some("echo.v1"));
///
/// tab.send("hello");
/// assert_eq!(tab.receive(), "hello".into());
/// tab.receive_nothing();
/// assert_eq!(tab.receive_timeout(Duration::from_millis(1)), Next::Timeout);
///
/// tab.send("bye");
/// assert_eq!(tab.closed(), CloseCode(4000));
/// assert_eq!(tab.close_frame().unwrap().reason, "bye");
///
/// let other = server.browser().websocket("/echo");
/// other.close(CloseCode::NORMAL, "");
/// ```
pub struct Tab(Arc<Wire>);

/// What the test and the reading thread share.
struct Wire {
    browser: Browser,
    path: String,
    /// The 101.
    answer: Answer,
    stream: Arc<Memory>,
    /// Whether a Close frame was sent. Held while a frame is written.
    closed: Mutex<bool>,
    inbox: Mutex<Inbox>,
    /// Notified at every change of the inbox.
    changed: Condvar,
}

#[derive(Default)]
struct Inbox {
    messages: VecDeque<Message>,
    bytes: usize,
    /// All messages that have come, shortened.
    come: Vec<String>,
    /// The payload of the last pong: the number of its ping.
    pong: u64,
    /// How the connection has ended, with the server's Close frame if it sent one.
    end: Option<Option<CloseFrame>>,
    /// Whether the test waits for the end, or has dropped the tab: everything is read.
    ending: bool,
}

impl Tab {
    /// Sends a message. After the end of the connection it does nothing, as in a browser.
    ///
    /// # Panics
    ///
    /// If the server does not read: more than 256 KiB wait.
    #[track_caller]
    pub fn send(&self, message: impl Into<Message>) {
        let message = message.into();
        let opcode = if message.as_text().is_some() { OpCode::Text } else { OpCode::Binary };
        self.write(opcode, message.as_bytes());
    }

    /// Waits for the next message and returns it.
    ///
    /// # Panics
    ///
    /// If none comes within 10 s, or [`Browser::patience`](Browser::patience), or the
    /// connection has ended: with what was waited for, by whom, and what had come.
    #[track_caller]
    pub fn receive(&self) -> Message {
        match self.receive_timeout(self.0.browser.patience) {
            Next::Message(message) => message,
            Next::Timeout | Next::Closed => self.fail("a message"),
        }
    }

    /// Waits for the next message, but no longer than `longest`. What was sent before the end of
    /// the connection comes first; then the answer is `Closed`.
    #[track_caller]
    pub fn receive_timeout(&self, longest: Duration) -> Next {
        let next = self.0.wait(longest, |inbox| match inbox.messages.pop_front() {
            Some(message) => {
                inbox.bytes -= message.as_bytes().len() + OVERHEAD;
                Some(Next::Message(message))
            }
            None => inbox.end.as_ref().map(|_| Next::Closed),
        });
        self.0.changed.notify_all(); // there is room
        self.0.browser.harness.check();
        next.unwrap_or(Next::Timeout)
    }

    /// Checks that no message has come, and that none is on its way: waits until the server has
    /// handled what all of its clients have sent so far, and then for the pong to a ping, behind
    /// which no earlier message can be. What another thread of the application sends later is not
    /// waited for.
    ///
    /// # Panics
    ///
    /// If there is a message, if the server has closed and the test does not know that from
    /// [`closed`](Tab::closed), or if a handler is still running after the time of
    /// [`receive`](Tab::receive).
    #[track_caller]
    pub fn receive_nothing(&self) {
        let wire = &self.0;
        if !wire.browser.harness.wait_until_handled(after(wire.browser.patience)) {
            self.fail("every handler of the server to return");
        }
        let ping = lock(&wire.inbox).pong + 1;
        self.write(OpCode::Ping, &ping.to_be_bytes());
        let silent = wire.wait(wire.browser.patience, |inbox| {
            let over = inbox.pong >= ping || inbox.end.is_some() || !inbox.messages.is_empty();
            let known = inbox.end.is_none() || inbox.ending;
            over.then_some(inbox.messages.is_empty() && known)
        });
        wire.browser.harness.check();
        match silent {
            Some(true) => {}
            Some(false) => self.fail("nothing"),
            None => self.fail("the pong to its ping"),
        }
    }

    /// Closes the connection with this code, and waits for the server's Close frame.
    ///
    /// # Panics
    ///
    /// If the code must not be sent (RFC 6455, 7.4.1), or the server does not answer within the
    /// time of [`receive`](Tab::receive).
    #[track_caller]
    pub fn close(&self, code: CloseCode, reason: &str) {
        let close = CloseFrame::new(code, reason).expect("a code that may be sent");
        self.write(OpCode::Close, &close.payload());
        self.end();
    }

    /// Waits until the server has closed the connection, and returns the code of its Close frame.
    /// Messages that came before it can still be received.
    ///
    /// # Panics
    ///
    /// If the server has not closed within the time of [`receive`](Tab::receive), or ended the
    /// connection without a Close frame.
    #[track_caller]
    pub fn closed(&self) -> CloseCode {
        match self.end() {
            Some(close) => close.code,
            None => self.fail("a Close frame"),
        }
    }

    #[track_caller]
    fn end(&self) -> Option<CloseFrame> {
        self.0.change(|inbox| inbox.ending = true);
        let end = self.0.wait(self.0.browser.patience, |inbox| inbox.end.clone());
        self.0.browser.harness.check();
        end.unwrap_or_else(|| self.fail("the end of the connection"))
    }

    /// Returns the server's Close frame if it has come, and `None` otherwise.
    pub fn close_frame(&self) -> Option<CloseFrame> {
        lock(&self.0.inbox).end.clone().flatten()
    }

    /// Returns the subprotocol that the server has chosen, or `None`.
    pub fn protocol(&self) -> Option<&str> {
        self.0.answer.header("sec-websocket-protocol")
    }

    #[track_caller]
    fn write(&self, opcode: OpCode, payload: &[u8]) {
        match self.0.write(opcode, payload) {
            Err(error) if is_timeout(&error) => self.fail("the server to read"),
            // Otherwise the server has gone.
            _ => {}
        }
    }

    #[track_caller]
    fn fail(&self, what: &str) -> ! {
        let (Wire { browser, path, .. }, inbox) = (&*self.0, lock(&self.0.inbox));
        let (count, unread) = (inbox.come.len(), inbox.messages.len());
        let last = inbox.come[count.saturating_sub(SHOWN)..].join(", ");
        let end = match &inbox.end {
            None => "open".to_string(),
            Some(None) => "over, without a Close frame".to_string(),
            Some(Some(close)) => format!("closed with {}: {:?}", close.code, close.reason),
        };
        fail(format_args!(
            "{}, WebSocket {}: waited for {}, {:?} at most. It has received {} messages, {} of \
             them unread: {}. The connection is {}",
            browser.name, path, what, browser.patience, count, unread, last, end
        ))
    }
}

impl Wire {
    /// Waits until there is something to return, but no longer than that.
    fn wait<T>(
        &self,
        longest: Duration,
        mut look: impl FnMut(&mut Inbox) -> Option<T>,
    ) -> Option<T> {
        let mut found = None;
        let nothing = |inbox: &mut Inbox| {
            found = look(inbox);
            found.is_none()
        };
        drop(self.changed.wait_timeout_while(lock(&self.inbox), longest, nothing));
        found
    }

    fn change(&self, change: impl FnOnce(&mut Inbox)) {
        change(&mut lock(&self.inbox));
        self.changed.notify_all();
    }

    /// Writes one masked frame (RFC 6455, 5.3); after a Close frame, none.
    fn write(&self, opcode: OpCode, payload: &[u8]) -> io::Result<()> {
        let mut closed = lock(&self.closed);
        if *closed {
            return Ok(());
        }
        *closed = opcode == OpCode::Close;
        // Any key will do where nobody stands between the two.
        let key = [0x37, 0xfa, 0x21, 0x3d];
        let mut frame = Vec::new();
        let mut header = FrameHeader::new(opcode, payload.len() as u64);
        header.masking_key = Some(key);
        header.write(&mut frame);
        let at = frame.len();
        frame.extend_from_slice(payload);
        apply_mask(&mut frame[at..], key);
        write_all(&*self.stream, &[&frame], self.browser.patience, &Default::default())
    }

    /// Reads frames until the connection ends.
    fn read(&self, socket: &mut Socket) {
        while let Some((opcode, payload)) = next_frame(socket) {
            match opcode {
                OpCode::Text => {
                    self.take(Message::Text(String::from_utf8_lossy(&payload).into_owned()));
                }
                OpCode::Binary => self.take(Message::Binary(payload)),
                OpCode::Pong => self.change(|inbox| {
                    inbox.pong = payload.try_into().map_or(0, u64::from_be_bytes);
                }),
                // An error means that the server has gone, or does not read: the test will see.
                OpCode::Ping => drop(self.write(OpCode::Pong, &payload)),
                OpCode::Close => {
                    drop(self.write(OpCode::Close, &payload));
                    let close = CloseFrame::parse(&payload).ok();
                    self.change(|inbox| inbox.end = Some(close));
                }
                OpCode::Continuation => break, // the server sends no fragments
            }
        }
        // It cannot fail.
        let _ = self.stream.shutdown(Shutdown::Both);
        self.change(|inbox| inbox.end = inbox.end.take().or(Some(None)));
    }

    /// Keeps a message for the test, once there is room.
    fn take(&self, message: Message) {
        let weight = message.as_bytes().len() + OVERHEAD;
        let come = match &message {
            Message::Text(text) => format!("{:?}", text.chars().take(100).collect::<String>()),
            Message::Binary(bytes) => format!("{} bytes", bytes.len()),
        };
        let room = |inbox: &mut Inbox| inbox.bytes == 0 || inbox.bytes + weight <= AHEAD;
        self.wait(Duration::MAX, |inbox| (room(inbox) || inbox.ending).then_some(()));
        self.change(|inbox| {
            inbox.come.push(come);
            inbox.bytes += weight;
            inbox.messages.push_back(message);
        });
    }
}

/// Returns the next frame of the server, or `None` at the end.
fn next_frame(socket: &mut Socket) -> Option<(OpCode, Vec<u8>)> {
    loop {
        let unread = socket.unread();
        if let Some((header, used)) = FrameHeader::parse(unread).ok()? {
            let end = used + header.length as usize;
            if let Some(payload) = unread.get(used..end) {
                let frame = (header.opcode, payload.to_vec());
                socket.consume(end);
                return Some(frame);
            }
        }
        if socket.fill(after(Duration::MAX)).ok()? == 0 {
            return None;
        }
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        // It cannot fail.
        let _ = self.0.stream.shutdown(Shutdown::Both);
        self.0.change(|inbox| inbox.ending = true);
    }
}
