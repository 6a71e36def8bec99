//! A server: its settings, how it starts, and how it shuts down.
//!
//! ```text
//! Server ── bind ──▶ Listening ── serve: starts the first thread, runs the clock ──▶ returns
//!                        │                                                           ▲
//!                     handle ──▶ ServerHandle ── shutdown ── stops the clock ────────┘
//!
//! shutdown   stop accepting ── ask every connection to end ── wait for drain_timeout
//!            ── cut off and report what is left ── wait for AFTER_CUT ── stop the clock
//! ```

use crate::comms::process;
use crate::error::Error;
use crate::ground::limits::{Limits, LOG_FLUSH};
use crate::ground::logger::{self, log_line};
use crate::ground::peer::{canonical, Peer};
use crate::http::forwarded::Proxies;
use crate::http::headers::is_token;
use crate::http::origin::Origins;
use crate::http::target::Authority;
use crate::net::listener::{Listener, Tcp};
use crate::net::outbox::Shared;
use crate::server::acceptor::Acceptor;
use crate::server::connections::Connections;
#[cfg(feature = "deflate")]
use crate::server::deflate::Deflate;
use crate::server::request::Service;
use crate::server::route::{Handler, Router};
use crate::server::upgrade::going_away;
use crate::session::cookie::SessionCookie;
use crate::session::keys::{process_keys, SessionKeys};
use std::mem::take;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

/// The routes and settings of a server that does not listen yet.
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
#[must_use = "a server does nothing until `launch` or `bind` is called"]
pub struct Server {
    routes: Vec<Handler>,
    limits: Limits,
    keys: Option<SessionKeys>,
    secure: bool,
    cookie_name: String,
    hosts: Option<Vec<String>>,
    origins: Vec<String>,
    proxies: Proxies,
    #[cfg(unix)]
    unix_mode: u32,
    #[cfg(feature = "deflate")]
    deflate: Option<Deflate>,
}

impl Server {
    /// Returns a server with these routes and the default settings.
    pub fn new(routes: Vec<Handler>) -> Server {
        Server {
            routes,
            limits: Limits::default(),
            keys: None,
            secure: false,
            cookie_name: "sockling_session".to_string(),
            hosts: None,
            origins: Vec::new(),
            proxies: Proxies::default(),
            #[cfg(unix)]
            unix_mode: 0o600,
            #[cfg(feature = "deflate")]
            deflate: None,
        }
    }

    /// Sets the limits that the server keeps. They are taken as they are, even where they allow
    /// nothing.
    ///
    /// ```
    /// use sockling::limits::Limits;
    /// use sockling::prelude::*;
    ///
    /// let server = Server::new(vec![])
    ///     .limits(Limits::small())
    ///     .session_keys(SessionKeys::new(["a key that nobody else knows"])?)
    ///     .secure_cookies(true)
    ///     .cookie_name("chat")
    ///     .allowed_hosts(["chat.example"])
    ///     .allowed_origins(["https://www.chat.example"]);
    /// assert!(server.bind("127.0.0.1:0").is_ok());
    /// assert!(Server::new(vec![]).cookie_name("no name").bind("127.0.0.1:0").is_err());
    /// # Ok::<(), Error>(())
    /// ```
    pub fn limits(mut self, limits: Limits) -> Server {
        self.limits = limits;
        self
    }

    /// Sets the keys that sign session cookies. By default they are random, so sessions end with
    /// the process. Processes that share a [`Comms::relay`](crate::Comms::relay) need the same
    /// keys.
    pub fn session_keys(mut self, keys: SessionKeys) -> Server {
        self.keys = Some(keys);
        self
    }

    /// Sets whether the session cookie is `Secure`, so that browsers send it over TLS only, and has
    /// the prefix `__Host-` (RFC 6265bis, 4.1.3). Default false, since the library speaks no TLS;
    /// set it behind a proxy that does.
    ///
    /// With secure cookies only the `https://` origin is the server's own, for WebSockets and for
    /// [`check_origin`](crate::http::Request::check_origin), even on a loopback address: anybody
    /// between a browser and the proxy can forge a page of an `http://` origin.
    pub fn secure_cookies(mut self, secure: bool) -> Server {
        self.secure = secure;
        self
    }

    /// Sets the name of the session cookie. Default `sockling_session`. An invalid name is reported
    /// by [`bind`](Server::bind).
    pub fn cookie_name(mut self, name: impl Into<String>) -> Server {
        self.cookie_name = name.into();
        self
    }

    /// Adds hosts that the server answers for, with or without a port. Requests for other hosts get
    /// 421 (RFC 9110, 15.5.20). By default a server on a loopback address answers for its own names
    /// alone, and any other server for every host.
    ///
    /// Always allowed are the server's own names: the address that it listens on, `localhost` and
    /// the names below it, `127.0.0.1`, and `[::1]`. An address counts in any spelling, IPv4-mapped
    /// ones such as `[::ffff:127.0.0.1]` included, and a name with or without a dot at its end.
    pub fn allowed_hosts<H: Into<String>>(mut self, hosts: impl IntoIterator<Item = H>) -> Server {
        self.hosts.get_or_insert_with(Vec::new).extend(hosts.into_iter().map(Into::into));
        self
    }

    /// Adds origins, such as `https://example.com`, whose pages may open WebSockets and pass
    /// [`check_origin`](crate::http::Request::check_origin); `*` allows all. By default only pages
    /// of the host and port that the client asks for may (RFC 6455, 10.2), with
    /// [`secure_cookies`](Server::secure_cookies) only those of `https://`. For a server on a
    /// loopback address `localhost`, `127.0.0.1` and `[::1]` are one host.
    ///
    /// Programs that are not browsers may write `ws://` or `wss://` for `http://` or `https://` of
    /// the host that they ask for, and a slash at the end of any origin.
    pub fn allowed_origins<O: Into<String>>(
        mut self,
        origins: impl IntoIterator<Item = O>,
    ) -> Server {
        self.origins.extend(origins.into_iter().map(|origin| {
            let mut origin: String = origin.into();
            if origin.ends_with('/') {
                origin.pop();
            }
            origin
        }));
        self
    }

    /// Adds a reverse proxy, by its address, whose X-Forwarded-For names the client.
    /// [`Request::peer`] and [`Limits::connections_per_address`] then mean that client.
    ///
    /// The client is the last address of the field that is not a trusted proxy; whatever a client
    /// writes into the field itself comes before that. The field is ignored in requests from other
    /// addresses. An IPv4 address and its IPv4-mapped IPv6 form (`::ffff:192.0.2.7`) are the same
    /// proxy.
    ///
    /// ```
    /// use sockling::prelude::*;
    ///
    /// let who = |request: &Request| Ok(Response::new().text(request.peer().to_string()));
    /// let server = Server::new(vec![Handler::new("/", who)]).trusted_proxy([127, 0, 0, 1]);
    /// # let listening = server.bind("127.0.0.1:0")?;
    /// # let (address, handle) = (listening.address(), listening.handle());
    /// # let server = std::thread::spawn(move || listening.serve());
    /// # use std::io::{Read, Write};
    /// # let mut proxy = std::net::TcpStream::connect(address)?;
    /// # proxy.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
    /// #     X-Forwarded-For: 192.0.2.7\r\n\r\n")?;
    /// # let mut answer = String::new();
    /// # proxy.read_to_string(&mut answer)?;
    /// # assert!(answer.ends_with("\r\n\r\n192.0.2.7"));
    /// # handle.shutdown();
    /// # server.join().unwrap()?;
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// [`Request::peer`]: crate::http::Request::peer
    pub fn trusted_proxy(mut self, address: impl Into<IpAddr>) -> Server {
        self.proxies.addresses.push(canonical(address.into()));
        self
    }

    /// Makes every peer on a Unix socket a trusted proxy, as [`trusted_proxy`](Server::trusted_proxy)
    /// does with an address: the mode of the socket's file decides who can be one. Without this,
    /// [`Request::peer`] is the socket itself, `unix:` and its path, for all clients.
    ///
    /// [`Request::peer`]: crate::http::Request::peer
    pub fn trusted_unix_proxy(mut self) -> Server {
        self.proxies.unix = true;
        self
    }

    /// Sets the mode of the file of [`bind_unix`](Server::bind_unix). Default 0600: only processes of
    /// this user, and root, can connect.
    #[cfg(unix)]
    pub fn unix_mode(mut self, mode: u32) -> Server {
        self.unix_mode = mode;
        self
    }

    /// Compresses WebSocket messages, both ways, for clients that offer it (RFC 7692). Off by default.
    /// Needs the feature `deflate`.
    ///
    /// ```
    /// use sockling::prelude::*;
    /// use sockling::websocket::Deflate;
    ///
    /// let listening = Server::new(vec![]).deflate(Deflate::default()).bind("127.0.0.1:0")?;
    /// assert!(Server::new(vec![]).deflate(Deflate::default().level(0)).bind("127.0.0.1:0").is_err());
    /// # Ok::<(), Error>(())
    /// ```
    #[cfg(feature = "deflate")]
    pub fn deflate(mut self, deflate: Deflate) -> Server {
        self.deflate = Some(deflate);
        self
    }

    /// Listens on an address; for port 0 the system chooses a port. Clients wait until
    /// [`Listening::serve`] is called.
    ///
    /// Errors: [`Error::Bind`] if the address cannot be listened on; [`Error::Setting`] for an
    /// invalid route pattern, a route that can never be reached, an invalid cookie name, and a relay
    /// without session keys; [`Error::Entropy`] if no keys can be made; [`Error::Io`] if the system
    /// has no descriptors left.
    pub fn bind(self, address: impl ToSocketAddrs) -> Result<Listening, Error> {
        self.listen(Tcp::bind(address)?)
    }

    /// Listens on a Unix socket, as a server behind a web server of the same machine does. What a
    /// process that was killed has left there is replaced, but never a socket at which somebody
    /// listens, nor anything else; the file is removed at the end. See [`net::Unix`](crate::net::Unix).
    ///
    /// No page of another site can reach it in a browser, so it answers for every host unless
    /// [`allowed_hosts`](Server::allowed_hosts) says otherwise. Pages of the host that the client
    /// asks for pass [`check_origin`](crate::http::Request::check_origin); so the web server must pass
    /// on Host. Errors: those of [`bind`](Server::bind).
    ///
    /// ```
    /// use sockling::prelude::*;
    /// use std::io::{Read, Write};
    ///
    /// # let path = std::env::temp_dir().join(format!("sockling-{}.socket", std::process::id()));
    /// let who = |request: &Request| Ok(Response::new().text(request.peer().to_string()));
    /// let server = Server::new(vec![Handler::new("/", who)]).unix_mode(0o660).trusted_unix_proxy();
    /// let listening = server.bind_unix(&path)?; // such as "/run/chat/http.socket"
    /// # let handle = listening.handle();
    /// # let server = std::thread::spawn(move || listening.serve());
    /// let mut proxy = std::os::unix::net::UnixStream::connect(&path)?;
    /// proxy.write_all(b"GET / HTTP/1.1\r\nHost: chat.example\r\nConnection: close\r\n\
    ///     X-Forwarded-For: 192.0.2.7\r\n\r\n")?;
    /// let mut answer = String::new();
    /// proxy.read_to_string(&mut answer)?;
    /// assert!(answer.ends_with("\r\n\r\n192.0.2.7"));
    /// # handle.shutdown();
    /// # server.join().unwrap()?;
    /// # Ok::<(), Error>(())
    /// ```
    #[cfg(unix)]
    pub fn bind_unix(self, path: impl AsRef<std::path::Path>) -> Result<Listening, Error> {
        let listener = crate::net::unix::Unix::bind_with_mode(path, self.unix_mode)?;
        self.listen(listener)
    }

    /// Listens with a listener of any kind: one that the application has already, from a service
    /// manager for example, or one with a transport of its own. [`Listening::also`] adds others.
    /// Errors: those of [`bind`](Server::bind), but for [`Error::Bind`].
    ///
    /// ```
    /// use sockling::{net, prelude::*};
    ///
    /// let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    /// let address = listener.local_addr()?;
    /// let listening = Server::new(vec![]).listen(net::Tcp::from(listener))?;
    /// assert_eq!(listening.address(), address);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn listen(self, listener: impl Listener + 'static) -> Result<Listening, Error> {
        self.listen_with(Arc::new(listener))
    }

    fn listen_with(mut self, listener: Arc<dyn Listener>) -> Result<Listening, Error> {
        // Before anything is logged: a stderr that nobody reads must not hold this thread.
        logger::start();
        let (router, service) = self.prepare(&listener.address(), listener.is_secure())?;
        let acceptor = Acceptor::new(router, Arc::clone(&service));
        acceptor.add(listener, service);
        Ok(Listening { acceptor, hosts: self.hosts, secure: self.secure })
    }

    /// Returns the routes of a server at this address, and what it answers requests with.
    pub(crate) fn prepare(
        &mut self,
        address: &Peer,
        encrypted: bool,
    ) -> Result<(Router, Arc<Service>), Error> {
        let router = Router::new(take(&mut self.routes))?;
        if !is_token(self.cookie_name.as_bytes()) {
            return Err(Error::Setting(format!("{:?} is not a cookie name", self.cookie_name)));
        }
        process::bind(self.keys.is_some(), &self.limits)?;
        let keys = self.keys.take().map_or_else(process_keys, Ok)?;
        let cookie = SessionCookie { name: take(&mut self.cookie_name), secure: false, keys };
        let origins = Origins { allowed: take(&mut self.origins), ..Origins::default() };
        let (limits, proxies) = (take(&mut self.limits), take(&mut self.proxies));
        #[cfg(not(feature = "deflate"))]
        let shared = Shared::new(limits);
        #[cfg(feature = "deflate")]
        let compressors = self.deflate.as_ref().map(Deflate::start).transpose()?;
        #[cfg(feature = "deflate")]
        let shared = Shared::compressing(limits, compressors);
        let mut service = Service {
            shared,
            cookie,
            origins,
            hosts: None,
            proxies,
            encrypted: false,
            #[cfg(feature = "deflate")]
            agree: self.deflate.take().map(Deflate::into_agree),
        };
        fit(&mut service, address, encrypted, &self.hosts, self.secure);
        Ok((router, Arc::new(service)))
    }

    /// Listens on `$SOCKLING_ADDR`, or on 127.0.0.1:8000 by default, and serves until the process
    /// ends. `$SOCKLING_LOG` sets the level of the log (see [`log`](crate::log)). To shut a server
    /// down, start it with [`bind`](Server::bind). Errors: those of `bind` and of
    /// [`Listening::serve`].
    ///
    /// ```no_run
    /// use sockling::prelude::*;
    ///
    /// let hello = |_: &Request| Ok(Response::new().text("hello"));
    /// Server::new(vec![Handler::new("/", hello)]).launch()?;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn launch(self) -> Result<(), Error> {
        let address =
            std::env::var("SOCKLING_ADDR").unwrap_or_else(|_| "127.0.0.1:8000".to_string());
        let listening = self.bind(&*address).map_err(|error| match error {
            Error::Bind { source, .. } => {
                Error::Bind { address: format!("{} ($SOCKLING_ADDR)", address), source }
            }
            other => other,
        });
        listening?.serve()
    }
}

/// Sets what depends on a listener: its address, and whether its streams are encrypted.
fn fit(
    service: &mut Service,
    address: &Peer,
    encrypted: bool,
    allowed: &Option<Vec<String>>,
    secure: bool,
) {
    (service.origins.loopback, service.hosts) = own_names(address, allowed);
    service.encrypted = encrypted;
    service.cookie.secure = secure || encrypted;
    service.origins.https_only = secure || encrypted;
}

/// Returns whether an address is one of loopback, and the hosts that a listener there answers for,
/// where these are allowed; `None` is any.
fn own_names(address: &Peer, allowed: &Option<Vec<String>>) -> (bool, Option<Vec<Authority>>) {
    let loopback = address.ip().map_or(false, |ip| ip.is_loopback());
    if !loopback && allowed.is_none() {
        return (false, None);
    }
    let mut hosts = Vec::new();
    let mut add = |host: &str| hosts.extend(Authority::parse(host));
    allowed.iter().flatten().for_each(|host| add(host));
    ["localhost", "127.0.0.1", "[::1]"].iter().for_each(|host| add(host));
    match address.ip() {
        Some(IpAddr::V4(ip)) => add(&ip.to_string()),
        Some(IpAddr::V6(ip)) => add(&format!("[{}]", ip)),
        None => {}
    }
    (loopback, Some(hosts))
}

/// How long a shutdown waits for threads whose sockets were shut to notice that.
const AFTER_CUT: Duration = Duration::from_millis(500);

/// A server that listens, and does not accept yet.
#[derive(Debug)]
pub struct Listening {
    acceptor: Arc<Acceptor>,
    /// The settings that depend on a listener, for those that are added.
    hosts: Option<Vec<String>>,
    secure: bool,
}

impl Listening {
    /// Adds a listener: its clients share the limits, the connections, and the shutdown of the
    /// server. Which hosts it answers for by default, and whether cookies are `Secure`, depends on
    /// each listener.
    ///
    /// ```
    /// use sockling::{net, prelude::*};
    ///
    /// let listening = Server::new(vec![]).bind("127.0.0.1:0")?.also(net::Tcp::bind("127.0.0.1:0")?)?;
    /// for address in listening.addresses() {
    ///     println!("listening on {}", address);
    /// }
    /// # Ok::<(), Error>(())
    /// ```
    pub fn also(self, listener: impl Listener + 'static) -> Result<Listening, Error> {
        self.add(Arc::new(listener));
        Ok(self)
    }

    fn add(&self, listener: Arc<dyn Listener>) {
        let (address, encrypted) = (listener.address(), listener.is_secure());
        let mut service = Service::clone(&self.acceptor.service);
        fit(&mut service, &address, encrypted, &self.hosts, self.secure);
        self.acceptor.add(listener, Arc::new(service));
    }

    /// Returns the address that the server listens on, with the port that the system chose. Of
    /// several listeners it is the first that has one; if none has, as on a Unix socket, it is
    /// `0.0.0.0:0`.
    pub fn address(&self) -> SocketAddr {
        self.acceptor.address()
    }

    /// Returns the addresses of all listeners, as they display in the log.
    pub fn addresses(&self) -> Vec<Peer> {
        self.acceptor.addresses().collect()
    }

    /// Returns a handle that can shut the server down from any thread.
    pub fn handle(&self) -> ServerHandle {
        ServerHandle { acceptor: Arc::clone(&self.acceptor) }
    }

    /// Accepts and serves connections, and blocks until [`ServerHandle::shutdown`] has ended them
    /// all. If a handler called that, this waits for the handler's own connection too, for
    /// [`Limits::drain_timeout`] at most. Error: [`Error::Io`] if not even one thread can be
    /// started.
    pub fn serve(self) -> Result<(), Error> {
        self.acceptor.start()?;
        for (at, address) in self.acceptor.addresses().enumerate() {
            log_address(&address, self.acceptor.is_encrypted(at));
        }
        let shared = &self.acceptor.service.shared;
        shared.clock.run();
        self.acceptor.connections.wait_for_the_rest(shared.limits.drain_timeout);
        logger::flush(LOG_FLUSH);
        Ok(())
    }
}

/// Logs an address that works: `localhost` is 127.0.0.1 and need not be any other address of
/// loopback, and not every client can connect to `0.0.0.0`.
fn log_address(address: &Peer, encrypted: bool) {
    let (socket, ip) = match address.socket() {
        Some(socket) => (socket, socket.ip()),
        None => return log_line!(Info, "listening on {}", address),
    };
    let all = if ip.is_unspecified() { " and all other addresses" } else { "" };
    let http = if encrypted { "https" } else { "http" };
    match ip == Ipv4Addr::LOCALHOST || ip.is_unspecified() {
        true => log_line!(Info, "listening on {}://localhost:{}/{}", http, socket.port(), all),
        false => log_line!(Info, "listening on {}://{}/", http, socket),
    }
}

/// Shuts a server down. All clones belong to the same server.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    acceptor: Arc<Acceptor>,
}

/// A connection that did not end in time and was cut off by a shutdown.
///
/// ```
/// use sockling::http::{Listening, ServerHandle, Stuck};
/// use sockling::prelude::*;
///
/// let listening: Listening = Server::new(vec![]).bind("127.0.0.1:0")?;
/// let handle: ServerHandle = listening.handle();
/// assert_eq!(handle.address(), listening.address());
/// let server = std::thread::spawn(move || listening.serve());
/// let stuck: Vec<Stuck> = handle.shutdown();
/// assert!(stuck.is_empty());
/// server.join().unwrap()?;
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// The client.
    pub peer: Peer,
    /// The path whose handler was running. `None` if none was: the client did not read what was
    /// sent to it, or did not end its side of the connection.
    pub path: Option<String>,
}

impl ServerHandle {
    /// Returns the server's address, as [`Listening::address`] does.
    pub fn address(&self) -> SocketAddr {
        self.acceptor.address()
    }

    /// Shuts the server down gracefully, and returns the connections that had to be cut off.
    ///
    /// The server stops accepting, finishes the requests that it is answering, and closes every
    /// WebSocket with 1001. This blocks until that is done, for [`Limits::drain_timeout`] and a
    /// second at most; the connections that are left after the timeout are cut off, logged and
    /// returned. A handler that does not return keeps its thread; nothing else is left behind.
    ///
    /// A handler may call this. It does not wait for that handler's own connection.
    pub fn shutdown(&self) -> Vec<Stuck> {
        self.acceptor.close();
        let stuck = end_all(&self.acceptor.connections, &self.acceptor.service.shared.limits);
        self.acceptor.wait_for_threads(AFTER_CUT);
        self.acceptor.service.shared.clock.stop();
        logger::flush(LOG_FLUSH);
        stuck
    }
}

/// Ends all connections, and returns those that had to be cut off.
pub(crate) fn end_all(connections: &Connections, limits: &Limits) -> Vec<Stuck> {
    connections.close(&going_away());
    let stuck = connections.wait_until_empty(limits.drain_timeout);
    for (peer, path, session) in &stuck {
        let client = session.map_or(peer.to_string(), |id| format!("{} ({})", id, peer));
        match path {
            Some(path) => log_line!(Warn, "shutdown: cut off {}; {:?} still runs", client, path),
            None => log_line!(Info, "shutdown: cut off {}; it did not end in time", client),
        }
    }
    let stuck: Vec<Stuck> = stuck.into_iter().map(|(peer, path, _)| Stuck { peer, path }).collect();
    if !stuck.is_empty() {
        connections.cut_off();
        connections.wait_until_empty(AFTER_CUT);
        connections.abandon();
    }
    stuck
}
