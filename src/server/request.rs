//! A request as a handler sees it: head, body, session, and the socket that it came over.
//!
//! The request owns the socket while its handler runs. A handler that opens a WebSocket takes the
//! socket out for good; otherwise the connection takes it back and goes on with the next request. In
//! between, a handler may read a body from it that streams, and write an answer that does.

use crate::comms::dispatch::{end_login, To};
use crate::error::Error;
use crate::ground::limits::Limits;
use crate::ground::logger::Level;
use crate::ground::peer::Peer;
use crate::ground::system::unix_seconds;
use crate::http::body::BodyError;
use crate::http::cookie::cookies;
use crate::http::forwarded::{self, Proxies};
use crate::http::head::{BodyLength, Head, HeadParser, Method};
use crate::http::headers::{trim, Headers};
use crate::http::origin::Origins;
use crate::http::response::Response;
use crate::http::target::{Authority, Pairs};
use crate::net::outbox::Shared;
use crate::net::reader::Socket;
use crate::server::connections::Slot;
use crate::server::incoming::Incoming;
use crate::session::cookie::{Session, SessionCookie};
use crate::session::id::SessionId;
use crate::session::keys::SessionKeys;
use crate::session::revoked::{self, Ended};
use crate::websocket::handshake::{asks_upgrade, Refusal};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

/// An HTTP request.
///
/// ```
/// use sockling::prelude::*;
///
/// let request = Request::get("/rooms?name=two%20words").with_header("Cookie", "theme=dark");
/// assert_eq!((request.method(), request.path()), (Method::Get, "/rooms"));
/// assert_eq!(request.query("name").as_deref(), Some("two words"));
/// assert_eq!(request.cookie("theme"), Some("dark"));
/// assert_eq!(request.query_string(), "name=two%20words");
/// for (name, value) in request.query_pairs() {
///     assert_eq!((&*name, &*value), ("name", "two words"));
/// }
/// assert_eq!(request.header("cookie"), Some("theme=dark"));
/// assert_eq!(request.headers().len(), 2); // Host is the other one
/// assert_eq!((request.peer().ip(), request.peer().port()), (Some([127, 0, 0, 1].into()), None));
/// assert!(!request.upgrade_websocket());
///
/// let request = Request::post("/rooms/7", "hey").with_parameter("room", "7");
/// assert_eq!((request.body(), request.parameter("room")?), (&b"hey"[..], "7"));
/// # Ok::<(), Error>(())
/// ```
pub struct Request {
    pub(crate) head: Head,
    /// The whole body; empty if it streams.
    pub(crate) body: Vec<u8>,
    peer: Peer,
    parameters: Vec<(String, String)>,
    pub(crate) service: Arc<Service>,
    /// The session, once the handler has asked for it, and whether its cookie must be sent.
    session: Mutex<Option<(Session, bool)>>,
    /// The slot of the connection; `None` in a request that no client sent.
    pub(crate) slot: Option<Arc<Slot>>,
    wire: Mutex<Wire>,
    /// Locked before the wire, never after it.
    outcome: Mutex<Outcome>,
}

/// The connection while the handler runs.
#[derive(Default)]
pub(crate) struct Wire {
    /// The socket, until an upgrade takes it; `None` in a request that no client sent.
    pub socket: Option<Box<Socket>>,
    /// The body that was not read before the handler ran; `None` if there is none.
    pub incoming: Option<Box<Incoming>>,
    /// Whether a [`BodyReader`](crate::http::BodyReader) is reading the body.
    pub reading: bool,
    /// How much of a body that is in memory has been read.
    pub position: usize,
    /// Whether the connection ends after this request, whatever the answer is.
    pub last: bool,
}

/// What has become of the request. Apart from the wire, which a thread that reads a body holds.
#[derive(Default)]
pub(crate) struct Outcome {
    /// Whether the client was gone when an answer streamed, or has not taken it in time.
    pub lost: bool,
    /// What has become of an answer that streams, once its head is out.
    pub sent: Option<Sent>,
}

/// An answer whose head is out, so that nothing else can be answered.
#[derive(Clone, Copy)]
pub(crate) struct Sent {
    pub status: u16,
    /// Whether the body is out, to its end.
    pub whole: bool,
    /// Whether the head says that the connection ends.
    pub close: bool,
    /// Logs what the handler's answer says of it; a program that streams nothing does not carry it.
    pub log: fn(&Request, Option<Result<Response, Error>>),
}

/// What all requests to one listener of a server are answered with, beside its routes.
#[derive(Clone)]
pub(crate) struct Service {
    /// The state that all outboxes share, and the limits.
    pub shared: Arc<Shared>,
    pub cookie: SessionCookie,
    pub origins: Origins,
    /// The hosts that the server answers for; `None` is any.
    pub hosts: Option<Vec<Authority>>,
    pub proxies: Proxies,
    /// Whether the transport itself encrypts.
    pub encrypted: bool,
    /// Agrees with a client about compression, if there is any.
    #[cfg(feature = "deflate")]
    pub agree: Option<Arc<Agree>>,
}

/// Adds what is agreed with a client about compression to the 101. Returns the bits of its window, or
/// 0 if it gets none.
#[cfg(feature = "deflate")]
pub(crate) type Agree = dyn Fn(&Request, &mut Response) -> u8 + Send + Sync;

impl Request {
    pub(crate) fn new(
        head: Head,
        body: Vec<u8>,
        peer: Peer,
        service: &Arc<Service>,
        slot: &Arc<Slot>,
        wire: Wire,
    ) -> Request {
        Request {
            head,
            body,
            peer,
            parameters: Vec::new(),
            service: Arc::clone(service),
            session: Mutex::new(None),
            slot: Some(Arc::clone(slot)),
            wire: Mutex::new(wire),
            outcome: Mutex::default(),
        }
    }

    /// Returns a GET request to test a handler with. The target is as in a request line, such as
    /// `/rooms?name=Ada`; one that no client could send becomes `/`.
    ///
    /// ```
    /// use sockling::prelude::*;
    ///
    /// let hello = |request: &Request| Ok(Response::new().text(format!("hello {}", request.path())));
    /// assert_eq!(hello.handle(&Request::get("/you"))?.content(), b"hello /you");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn get(target: &str) -> Request {
        Request::detached(Method::Get, target)
    }

    /// Returns a POST request with this body to test a handler with; see [`get`](Request::get).
    pub fn post(target: &str, body: impl Into<Vec<u8>>) -> Request {
        Request { body: body.into(), ..Request::detached(Method::Post, target) }
    }

    fn detached(method: Method, target: &str) -> Request {
        let parse = |target: &str| {
            let text =
                format!("{} {} HTTP/1.1\r\nHost: localhost\r\n\r\n", method.as_str(), target);
            HeadParser::default().advance(text.as_bytes(), &Default::default()).ok().flatten()
        };
        let head = parse(target).or_else(|| parse("/")).map(|(head, _)| head);
        let keys = SessionKeys::for_tests();
        let cookie = SessionCookie { name: "sockling_session".to_string(), secure: false, keys };
        Request {
            head: head.expect("a GET or POST of / is a valid head"),
            body: Vec::new(),
            peer: IpAddr::from([127, 0, 0, 1]).into(),
            parameters: Vec::new(),
            service: Arc::new(Service {
                shared: Shared::new(Limits::default()),
                cookie,
                origins: Origins::default(),
                hosts: None,
                proxies: Proxies::default(),
                encrypted: false,
                #[cfg(feature = "deflate")]
                agree: None,
            }),
            session: Mutex::new(None),
            slot: None,
            wire: Mutex::default(),
            outcome: Mutex::default(),
        }
    }

    /// Adds a header field to a request made by [`get`](Request::get) or [`post`](Request::post).
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Request {
        self.head.headers.push(name, value.as_bytes());
        self
    }

    /// Sets a parameter of the route's pattern in a request made by [`get`](Request::get) or
    /// [`post`](Request::post).
    #[must_use]
    pub fn with_parameter(mut self, name: &str, value: &str) -> Request {
        self.parameters.push((name.to_string(), value.to_string()));
        self
    }

    pub(crate) fn set_parameters(&mut self, parameters: Vec<(String, String)>) {
        self.parameters = parameters;
    }

    /// Returns the method (RFC 9110, 9).
    pub fn method(&self) -> Method {
        self.head.method
    }

    /// Returns the decoded path, such as `/rooms/7`.
    ///
    /// The path begins with exactly one slash. No segment is `.` or `..`, none contains a backslash
    /// or an ASCII control character, and only the last may be empty. So
    /// `root.join(&request.path()[1..])` stays below `root` (on Windows see
    /// [`parameter`](Request::parameter)), and `redirect(&format!("{}/", request.path()))` stays on
    /// this host. A request whose path contains `%2F` or `%5C` is answered with 400: text that may
    /// contain a slash belongs in the query. `OPTIONS *` is answered without a handler.
    pub fn path(&self) -> &str {
        &self.head.path
    }

    /// Returns the first value of this name in the query, decoded the way HTML forms encode it. The
    /// value of a name without `=` is empty.
    pub fn query(&self, name: &str) -> Option<String> {
        self.query_pairs().get(name)
    }

    /// Returns an iterator over the names and values in the query, decoded like those of
    /// [`query`](Request::query).
    pub fn query_pairs(&self) -> Pairs<'_> {
        Pairs::new(&self.head.query)
    }

    /// Returns everything after the `?` of the target, as the client sent it; empty without one.
    pub fn query_string(&self) -> &str {
        &self.head.query
    }

    /// Returns the value of the first header field of this name, in any case of its letters, or
    /// `None` if there is none or it is not UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get_str(name)
    }

    /// Returns all header fields, with their values as bytes.
    pub fn headers(&self) -> &Headers {
        &self.head.headers
    }

    /// Returns the value of the first cookie of this name, or `None` if there is none or it is not
    /// UTF-8.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let found = cookies(&self.head.headers).find(|(known, _)| *known == name.as_bytes());
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// Returns the whole body, with chunks joined; empty if there is none.
    ///
    /// # Panics
    ///
    /// In a route that [streams](crate::http::Handler::streams), if the request has a body: it has
    /// not been read. There, call [`read_body`](Request::read_body) or [`reader`](Request::reader).
    pub fn body(&self) -> &[u8] {
        assert!(self.lock_wire().incoming.is_none(), "{}", UNREAD_BODY);
        &self.body
    }

    /// Returns the fields of a form: the pairs in a body that is encoded as
    /// `application/x-www-form-urlencoded`, as HTML forms and `URLSearchParams` are.
    ///
    /// Errors, which a handler returns with `?`: 415 if Content-Type says anything else, such as
    /// `multipart/form-data`, or is missing; 400 if the body is not UTF-8.
    ///
    /// ```
    /// use sockling::prelude::*;
    ///
    /// fn vote(request: &Request) -> Result<Response, Error> {
    ///     let form = request.form()?;
    ///     let choice = form.get("choice").ok_or_else(Response::bad_request)?;
    ///     Ok(Response::new().text(format!("you chose {}", choice)))
    /// }
    ///
    /// let request = Request::post("/vote", "name=Ada&choice=tea+%26+milk");
    /// assert_eq!(vote(&request).unwrap_err().status(), 415);
    /// let request = request.with_header("Content-Type", "application/x-www-form-urlencoded");
    /// assert_eq!(vote(&request)?.content(), b"you chose tea & milk");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn form(&self) -> Result<Pairs<'_>, Error> {
        let media_type = match self.head.headers.first_two("content-type") {
            (Some(value), None) => value.split(|&byte| byte == b';').next().unwrap_or(value),
            _ => b"",
        };
        if !trim(media_type).eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
            let text = "the body must be of the type application/x-www-form-urlencoded\n";
            return Err(Response::of_status(415).text(text).into());
        }
        if self.lock_wire().incoming.is_some() {
            return Err(UNREAD_BODY.into());
        }
        let text = std::str::from_utf8(&self.body);
        text.map(Pairs::new).map_err(|_| Response::bad_request().into())
    }

    /// Returns the address and port of the client; one in memory has neither.
    ///
    /// Behind a proxy it is the proxy's address, unless
    /// [`Server::trusted_proxy`](crate::http::Server::trusted_proxy) names that proxy; then it is
    /// the client's, without a port if the proxy does not send it. An IPv4 client has an IPv4
    /// address here even if the server listens on an IPv6 socket.
    pub fn peer(&self) -> Peer {
        self.peer.clone()
    }

    /// Returns whether the client speaks TLS to a
    /// [trusted proxy](crate::http::Server::trusted_proxy): the last value of X-Forwarded-Proto,
    /// which that proxy wrote, is `https` or `wss`. From another peer the field says nothing, since
    /// anybody can send it. Always true where the [listener](crate::net::Listener::is_secure) itself
    /// encrypts. A request that is made to test a handler comes from a trusted proxy.
    ///
    /// The proxy must set the field. One that only passes it on lets any client claim TLS.
    ///
    /// ```
    /// use sockling::prelude::*;
    ///
    /// let to_https = |request: &Request| match request.is_secure() {
    ///     true => Ok(Response::new().text("secret")),
    ///     false => Ok(Response::new().redirect("https://chat.example.com/")),
    /// };
    /// assert_eq!(to_https.handle(&Request::get("/"))?.status(), 303);
    /// let request = Request::get("/").with_header("X-Forwarded-Proto", "https");
    /// assert_eq!(to_https.handle(&request)?.status(), 200);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn is_secure(&self) -> bool {
        let proxied = self.slot.as_ref().map_or(true, |slot| slot.proxy);
        self.service.encrypted || proxied && forwarded::is_secure(&self.head.headers)
    }

    /// Returns the decoded part of the path that matched `:name` in the route's pattern. For a
    /// pattern that ends in `/*`, the name `"*"` is the rest of the path. Error:
    /// [`Error::Parameter`] if the pattern has no such name.
    ///
    /// The value of `:name` is one segment and never empty. The value of `"*"` is a relative path:
    /// it is empty or begins with a segment, and only its last segment may be empty. No segment is
    /// `.` or `..`, and none contains a slash, a backslash or an ASCII control character. So
    /// `root.join(..)` of either stays below `root`, as long as no symbolic link leads out of it.
    /// This holds on Windows too: there a request is answered with 400 if a segment that matches
    /// `:name` or `*` contains a colon (a drive or a stream: `C:`, `a:b`), names a device, whatever
    /// its extension (`NUL`, `COM1.txt`), or ends with a dot or a space, which Windows drops.
    ///
    /// Text that may contain a slash belongs in the [`query`](Request::query), since a path with
    /// `%2F` or `%5C` is answered with 400. To put a parameter into a URL, encode it again and
    /// write a slash before it: other systems than Windows accept `https:name` as a parameter, and
    /// a browser takes that for a scheme.
    pub fn parameter(&self, name: &str) -> Result<&str, Error> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).ok_or_else(|| Error::Parameter(name.to_string()))
    }

    /// Returns whether the client asks to upgrade this connection to a WebSocket (RFC 6455, 4.2.1).
    pub fn upgrade_websocket(&self) -> bool {
        asks_upgrade(&self.head)
    }

    /// Checks that the request does not come from a page of another site. Call it in a handler that
    /// changes something for the owner of a cookie, since a browser sends the cookie whichever page
    /// asks.
    ///
    /// A request of any method passes if Sec-Fetch-Site is `same-origin` or `none`; if that field
    /// is absent and Origin is absent too, as from clients that are not browsers, or is the
    /// server's own; and if Origin is one of
    /// [`Server::allowed_origins`](crate::http::Server::allowed_origins).
    ///
    /// Give such a handler a route for POST, say, but not for GET: to a server that is reached by
    /// plain http, browsers send neither field when a link or an image on another site's page makes a
    /// GET request.
    ///
    /// Error: [`Refusal::Origin`]. A handler returns it with `?`, and the client gets 403.
    ///
    /// ```
    /// use sockling::prelude::*;
    ///
    /// fn delete(request: &Request) -> Result<Response, Error> {
    ///     request.check_origin()?;
    ///     Ok(Response::new().text("deleted"))
    /// }
    ///
    /// let routes = vec![Handler::post("/delete", delete)];
    /// let foreign = Request::post("http://shop.example/", "").with_header("Origin", "http://evil.example");
    /// assert_eq!(delete(&foreign).unwrap_err().status(), 403);
    /// let own = Request::post("http://shop.example/", "").with_header("Origin", "http://shop.example");
    /// assert_eq!(delete(&own)?.content(), b"deleted");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn check_origin(&self) -> Result<(), Error> {
        match self.service.origins.allow_change(&self.head) {
            true => Ok(()),
            false => Err(Refusal::Origin.into()),
        }
    }

    /// Returns the id of the client's session: that of its cookie, or a new one. The answer then
    /// sets the cookie if the client has none or its cookie expires soon.
    ///
    /// An answer that sets the cookie is kept out of shared caches (RFC 9111). Its Cache-Control
    /// says `private` in place of `public`, `s-maxage` and a `private` with field names; the
    /// handler's other directives stay. Fields for shared caches alone, such as CDN-Cache-Control
    /// (RFC 9213), Surrogate-Control and X-Accel-Expires, are removed. Any other answer of a
    /// handler that has called this is `private` unless the handler sets Cache-Control.
    pub fn session_id(&self) -> SessionId {
        self.session().id
    }

    /// Logs the client in as a user. Returns an empty response to build the answer from; any answer
    /// of the handler, other than an error, sets the new cookie.
    ///
    /// Every session whose cookie the request carried ends: its WebSockets are closed with 1008 and
    /// its cookie is no longer accepted, soon after also by the other processes of a
    /// [`Comms::relay`]. Log in before a WebSocket opens, since its handlers have no request.
    ///
    /// Ended logins are kept in memory until their cookies expire. A restart forgets them: with
    /// [`Server::session_keys`] that outlive the process, a stolen cookie whose login was ended is
    /// then accepted again, until it expires or the keys are replaced.
    ///
    /// [`Comms::relay`]: crate::Comms::relay
    /// [`Server::session_keys`]: crate::http::Server::session_keys
    ///
    /// ```
    /// use sockling::prelude::*;
    ///
    /// let request = Request::post("/login", "");
    /// let guest = request.session_id();
    /// assert_eq!(request.login(7).status(), 200);
    /// assert_eq!(request.session_id(), SessionId::Authenticated(7));
    /// request.rotate(); // the same user, another cookie
    /// assert_eq!(request.session_id(), SessionId::from(7));
    /// request.logout();
    /// assert!(matches!(request.session_id(), SessionId::Guest(_)) && request.session_id() != guest);
    /// ```
    pub fn login(&self, user: i64) -> Response {
        self.replace_session(Some(user), "logged in");
        Response::new()
    }

    /// Makes the client a new guest, and ends every session whose cookie the request carried, as
    /// [`login`](Request::login) does. Returns an empty response to build the answer from.
    ///
    /// The user's other logins stay, with one exception: the server remembers up to
    /// [`REVOKED_PER_USER`] ended logins of a user one by one. With one more, every login that the
    /// user made up to the latest of them ends too, in other browsers as well.
    ///
    /// [`REVOKED_PER_USER`]: crate::limits::REVOKED_PER_USER
    pub fn logout(&self) -> Response {
        self.replace_session(None, "logged out");
        Response::new()
    }

    /// Gives the client a new cookie and ends its old one, as [`login`](Request::login) does: call
    /// it when the rights of a client change. A user stays the same user; a guest becomes a new
    /// guest. Returns an empty response to build the answer from.
    pub fn rotate(&self) -> Response {
        let user = match self.session_id() {
            SessionId::Authenticated(user) => Some(user),
            SessionId::Guest(_) => None,
        };
        self.replace_session(user, "session rotated");
        Response::new()
    }

    /// Ends every session whose cookie the request carried, and makes the client a user or a guest.
    fn replace_session(&self, user: Option<i64>, why: &str) {
        // A browser sends one cookie for each path and domain that somebody set it for, and a thief
        // could use any of them. What was made for this request has no cookie that could be ended.
        for (old, _) in self.known_sessions() {
            end_login(To::Everywhere, old.id, Ended::Login(old.login, old.issued), why);
        }
        // Made after that: it must not be among what was ended.
        let cookie = &self.service.cookie;
        let new = match user {
            Some(user) => cookie.user(user, revoked::issue_time(user)),
            None => cookie.guest(),
        };
        *self.lock_session() = Some((new, true));
    }

    pub(crate) fn session(&self) -> Session {
        let guest = || (self.service.cookie.guest(), true);
        let read = || self.known_sessions().next().unwrap_or_else(guest);
        self.lock_session().get_or_insert_with(read).0
    }

    /// Returns the sessions of the request's cookies that are valid and were not ended, each with
    /// whether its cookie is to be renewed.
    fn known_sessions(&self) -> impl Iterator<Item = (Session, bool)> + '_ {
        let sessions = self.service.cookie.sessions_of(&self.head.headers, unix_seconds());
        sessions.filter(|(session, _)| !revoked::is_ended(session))
    }

    /// Returns the Set-Cookie value of the answer, or `None` if the handler did not ask for the
    /// session or the client has the cookie already.
    pub(crate) fn set_cookie(&self) -> Option<String> {
        // A session that another request has ended meanwhile must not be renewed: its cookie would
        // outlive the list of ended logins.
        let wanted = |(session, unsent): &(Session, bool)| *unsent && !revoked::is_ended(session);
        let (session, _) = (*self.lock_session()).filter(wanted)?;
        Some(self.service.cookie.set(&session, unix_seconds()))
    }

    /// Returns the bits of the session's login, if the handler has asked for the session.
    pub(crate) fn login_so_far(&self) -> Option<[u8; 16]> {
        self.lock_session().map(|(session, _)| session.login)
    }

    /// Notes that the head of the answer goes out, with the cookie of this login. Returns false if the
    /// request has been answered in another way.
    pub(crate) fn set_sent(&self, sent: Sent, login: Option<[u8; 16]>) -> bool {
        let mut outcome = self.lock_outcome();
        if !self.is_free(&outcome) {
            return false;
        }
        outcome.sent = Some(sent);
        drop(outcome);
        match &mut *self.lock_session() {
            Some((session, unsent)) if Some(session.login) == login => *unsent = false,
            _ => {}
        }
        true
    }

    /// Returns the level at which an error of the handler is logged. Below 500 it is the client's
    /// fault: a request that another site's page sent, say. The end of the server is nobody's.
    pub(crate) fn level_of(&self, error: &Error) -> Level {
        let fault = error.status() >= 500 && !matches!(error, Error::Body(BodyError::Closing));
        match self.lock_outcome().lost {
            true => Level::Debug,
            false if fault => Level::Error,
            false => Level::Info,
        }
    }

    /// Adds the session's cookie to an answer of the controller. Keeps the answer out of shared
    /// caches, which would hand one client's session to another.
    pub(crate) fn for_session(&self, response: Response) -> Response {
        match self.set_cookie() {
            Some(cookie) => response.header("Set-Cookie", &cookie).for_one_client(),
            None if self.lock_session().is_some()
                && response.headers().get("cache-control").is_none() =>
            {
                response.header("Cache-Control", "private")
            }
            None => response,
        }
    }

    /// Returns whether the connection ends after this response. Of a body that the handler has not
    /// read, that depends on how much is left, so it is decided when the head of the answer is
    /// written.
    pub(crate) fn ends_connection(&self, response: &Response) -> bool {
        let head = &self.head;
        // Whether the bytes after the head are a body or frames, a proxy may judge differently. So
        // no request follows on this connection.
        let ambiguous = asks_upgrade(head) && head.body != BodyLength::Known(0);
        // What another thread is reading meanwhile is not known to end well.
        let ends = self.try_wire().map_or(true, |wire| {
            wire.last || wire.incoming.as_ref().map_or(false, |body| body.ends_connection())
        });
        let closing = self.slot.as_ref().map_or(false, |slot| slot.is_closing());
        let asked = response.asks_close() || !head.keep_alive();
        ends || ambiguous || closing || asked
    }

    /// Takes the socket for good, unless an answer has begun on it.
    pub(crate) fn take_socket(&self) -> Option<Box<Socket>> {
        let outcome = self.lock_outcome();
        match outcome.sent {
            None => self.lock_wire().socket.take(),
            Some(_) => None,
        }
    }

    /// Returns whether the request can be answered: no head is out, and no WebSocket has the socket.
    pub(crate) fn is_free(&self, outcome: &Outcome) -> bool {
        outcome.sent.is_none() && self.try_wire().map_or(true, |wire| wire.socket.is_some())
    }

    /// Held across reads of a streamed body, which this request's handler alone waits for.
    pub(crate) fn lock_wire(&self) -> MutexGuard<'_, Wire> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks the wire unless another thread has it, which reads a body.
    pub(crate) fn try_wire(&self) -> Option<MutexGuard<'_, Wire>> {
        match self.wire.try_lock() {
            Ok(wire) => Some(wire),
            Err(TryLockError::Poisoned(wire)) => Some(wire.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Held while the client is asked for a body, but for no other input or output.
    pub(crate) fn lock_outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_session(&self) -> MutexGuard<'_, Option<(Session, bool)>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a body that streams is not in memory.
const UNREAD_BODY: &str =
    "the route streams its bodies, so this one has not been read: call `read_body` or `reader`";

/// Leaves out what may be secret: the query, field values, cookies and the body.
impl std::fmt::Debug for Request {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        let (method, peer) = (self.head.method.as_str(), &self.peer);
        write!(out, "{} {:?} from {}", method, self.head.path, peer)
    }
}
