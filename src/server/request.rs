//! A request as a handler sees it: head, body, session, and perhaps the socket.
//!
//! The request owns the socket while its handler runs. A handler that makes it a WebSocket takes
//! the socket out and gives none back; otherwise the connection goes on with the next request.

use crate::comms::dispatch::{end_login, To};
use crate::error::Error;
use crate::ground::limits::Limits;
use crate::ground::system::unix_seconds;
use crate::http::cookie::cookies;
use crate::http::head::{Head, HeadParser, Method};
use crate::http::headers::Headers;
use crate::http::origin::Origins;
use crate::http::response::Response;
use crate::http::target::query_value;
use crate::net::outbox::Shared;
use crate::net::reader::Socket;
use crate::server::connections::Slot;
use crate::session::cookie::{Session, SessionCookie};
use crate::session::id::SessionId;
use crate::session::keys::SessionKeys;
use crate::session::revoked::{self, Ended};
use crate::websocket::handshake::{asks_upgrade, Refusal};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A request.
///
/// ```
/// use sockling::prelude::*;
///
/// let request = Request::get("/rooms?name=two%20words").with_header("Cookie", "theme=dark");
/// assert_eq!((request.method(), request.path()), (Method::Get, "/rooms"));
/// assert_eq!(request.query("name").as_deref(), Some("two words"));
/// assert_eq!(request.cookie("theme"), Some("dark"));
/// assert_eq!(request.query_string(), "name=two%20words");
/// assert_eq!(request.header("cookie"), Some("theme=dark"));
/// assert_eq!(request.headers().len(), 2); // Host is the other one
/// assert!(request.peer().ip().is_loopback() && !request.upgrade_websocket());
///
/// let request = Request::post("/rooms/7", "hey").with_parameter("room", "7");
/// assert_eq!((request.body(), request.parameter("room")?), (&b"hey"[..], "7"));
/// # Ok::<(), Error>(())
/// ```
pub struct Request {
    head: Head,
    body: Vec<u8>,
    peer: SocketAddr,
    parameters: Vec<(String, String)>,
    service: Arc<Service>,
    /// The session, once somebody asked for it, and whether its cookie is to be sent.
    session: Mutex<Option<(Session, bool)>>,
    /// The connection that the request came over; none for a request that no client sent.
    slot: Option<Arc<Slot>>,
    /// Its socket, until an upgrade takes it.
    socket: Mutex<Option<Box<Socket>>>,
}

/// What a server answers requests with, beside its routes.
pub(crate) struct Service {
    /// What the outboxes share, the limits among it.
    pub shared: Arc<Shared>,
    pub cookie: SessionCookie,
    pub origins: Origins,
    /// The hosts that the server answers for; `None` is any.
    pub hosts: Option<Vec<String>>,
    /// The proxies whose X-Forwarded-For is believed.
    pub proxies: Vec<IpAddr>,
}

impl Request {
    pub(crate) fn new(
        head: Head,
        body: Vec<u8>,
        peer: SocketAddr,
        service: &Arc<Service>,
        slot: &Arc<Slot>,
        socket: Box<Socket>,
    ) -> Request {
        Request {
            head,
            body,
            peer,
            parameters: Vec::new(),
            service: Arc::clone(service),
            session: Mutex::new(None),
            slot: Some(Arc::clone(slot)),
            socket: Mutex::new(Some(socket)),
        }
    }

    /// Returns a GET request that no client sent, to test a handler with. The target is as in a
    /// request line; one that a client could not send becomes `/`.
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

    /// Returns a POST request that no client sent, with this body.
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
            peer: SocketAddr::from(([127, 0, 0, 1], 0)),
            parameters: Vec::new(),
            service: Arc::new(Service {
                shared: Shared::new(Limits::default()),
                cookie,
                origins: Origins::default(),
                hosts: None,
                proxies: Vec::new(),
            }),
            session: Mutex::new(None),
            slot: None,
            socket: Mutex::new(None),
        }
    }

    /// Adds a header field to a request that no client sent.
    pub fn with_header(mut self, name: &str, value: &str) -> Request {
        self.head.headers.push(name, value.as_bytes());
        self
    }

    /// Sets a parameter of the route's pattern in a request that no client sent.
    pub fn with_parameter(mut self, name: &str, value: &str) -> Request {
        self.parameters.push((name.to_string(), value.to_string()));
        self
    }

    pub(crate) fn set_parameters(&mut self, parameters: Vec<(String, String)>) {
        self.parameters = parameters;
    }

    /// Returns the method.
    pub fn method(&self) -> Method {
        self.head.method
    }

    /// Returns the decoded path, such as `/rooms/7`.
    ///
    /// It begins with one slash. None of its segments is `.` or `..` or holds a backslash or an
    /// ASCII control character, and only the last may be empty. So `root.join(&request.path()[1..])` is
    /// below `root` (for Windows see [`parameter`](Request::parameter)), and
    /// `redirect(&format!("{}/", request.path()))` stays on this host. `%2F` and `%5C` are refused
    /// with 400: a text that may hold a slash travels in the query.
    /// The `*` of `OPTIONS *` reaches no handler.
    pub fn path(&self) -> &str {
        &self.head.path
    }

    /// Returns the first value of this name in the query, decoded as HTML forms encode it; empty for
    /// a name without `=`.
    pub fn query(&self, name: &str) -> Option<String> {
        query_value(&self.head.query, name)
    }

    /// Returns all that follows the `?` of the target, as it came.
    pub fn query_string(&self) -> &str {
        &self.head.query
    }

    /// Returns the value of the first header field of this name, if it is there and UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.headers.get_str(name)
    }

    /// Returns all header fields, their values as bytes.
    pub fn headers(&self) -> &Headers {
        &self.head.headers
    }

    /// Returns the value of the first cookie of this name, if it is there and UTF-8.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let found = cookies(&self.head.headers).find(|(known, _)| *known == name.as_bytes());
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// Returns the body's bytes, as they came; empty when there is none.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns the address and port that the connection comes from; behind a proxy, the proxy's, or
    /// with [`Server::trusted_proxy`](crate::http::Server::trusted_proxy) the client's, with port 0
    /// if the proxy does not tell it. An IPv4 client has its IPv4 address also where the server listens
    /// on an IPv6 one.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Returns what the path has in place of `:name`, decoded; for a pattern that ends in `/*`,
    /// `"*"` is the rest of the path. Error: [`Error::Parameter`] when the pattern has no such
    /// name.
    ///
    /// The value of `:name` is one segment, never empty, and `"*"` is a relative path: it is empty
    /// or begins with a segment, and only its last segment may be empty. No segment is `.` or `..`
    /// or holds a slash, a backslash or an ASCII control character, so `root.join(..)` of either is below
    /// `root`, as long as no symbolic link leads out of it. On Windows this holds too: there a
    /// request is answered with 400 when a segment in place of `:name` or `*` has a colon (a drive
    /// or a stream: `C:`, `a:b`), is the name of a device, whatever its ending (`NUL`, `COM1.txt`),
    /// or ends with a dot or a space, which Windows drops.
    ///
    /// A text that may hold a slash travels in the [`query`](Request::query), since `%2F` and `%5C`
    /// are refused with 400. In a URL, write a slash before a parameter and encode it again:
    /// elsewhere than on Windows `https:name` is a parameter like any, and a scheme to a browser.
    pub fn parameter(&self, name: &str) -> Result<&str, Error> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).ok_or_else(|| Error::Parameter(name.to_string()))
    }

    /// Returns whether the client asks to make this connection a WebSocket (RFC 6455, 4.2.1).
    pub fn upgrade_websocket(&self) -> bool {
        asks_upgrade(&self.head)
    }

    /// Checks that no page of another site sent this: for handlers that change something on the
    /// word of a cookie, which browsers send along whichever page asks. Whatever the method, a
    /// request passes when Sec-Fetch-Site is `same-origin` or `none`, or when that field is absent
    /// and so is Origin, as with clients that are no browsers, or Origin is the server's own. It
    /// passes too when Origin is one of
    /// [`Server::allowed_origins`](crate::http::Server::allowed_origins).
    ///
    /// Check the method as well. To a server that is reached by plain http, browsers send neither
    /// field with the GET of a link or an image on another site's page, so there only the check of
    /// the method protects.
    ///
    /// Error: [`Refusal::Origin`], which a handler returns by `?` and the client sees as 403.
    ///
    /// ```
    /// use sockling::prelude::*;
    ///
    /// fn delete(request: &Request) -> Result<Response, Error> {
    ///     if request.method() != Method::Post {
    ///         return Ok(Response::method_not_allowed(&["POST"]));
    ///     }
    ///     request.check_origin()?;
    ///     Ok(Response::new().text("deleted"))
    /// }
    ///
    /// let foreign = Request::post("http://shop.example/", "").with_header("Origin", "http://evil.example");
    /// assert_eq!(delete(&foreign).unwrap_err().status(), 403);
    /// let own = Request::post("http://shop.example/", "").with_header("Origin", "http://shop.example");
    /// assert_eq!(delete(&own)?.content(), b"deleted");
    /// assert_eq!(delete(&Request::get("http://shop.example/"))?.status(), 405);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn check_origin(&self) -> Result<(), Error> {
        match self.service.origins.allow_change(&self.head) {
            true => Ok(()),
            false => Err(Refusal::Origin.into()),
        }
    }

    /// Returns the client's session: that of its cookie, or a new one. The answer then sets the
    /// cookie if the client has none, or one that expires soon.
    ///
    /// An answer that sets the cookie is kept out of shared caches (RFC 9111): its Cache-Control
    /// becomes `private`, in place of `public`, `s-maxage` and `private` with names of fields, and
    /// other directives of the handler stay. Fields that only such caches read, as
    /// CDN-Cache-Control (RFC 9213), Surrogate-Control and X-Accel-Expires, are left out. Other
    /// answers are `private` if the handler says nothing of caches.
    pub fn session_id(&self) -> SessionId {
        self.session().id
    }

    /// Makes the client's session that of a user. Every session whose cookie the request carried is
    /// ended: its WebSockets are closed with 1008 and its cookie is not taken again, on other processes
    /// by [`Comms::relay`] soon after. Returns an empty response to build the answer from; whatever the
    /// handler answers sets the cookie, but for an error. Called before a WebSocket opens: its handler
    /// has no request.
    ///
    /// Ended logins are remembered in memory until their cookies expire. A restart forgets them: with
    /// [`Server::session_keys`] that outlive the process, a cookie that was ended and stolen is then
    /// good again, until it expires or the keys are replaced.
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

    /// Makes the client a new guest. Every session whose cookie the request carried is ended as by
    /// [`login`](Request::login). Other logins of the same user stay, but for this: up to
    /// [`REVOKED_PER_USER`] ended logins of a user are remembered one by one. One more, and every login
    /// that this user made up to the latest of them ends too, those of other browsers included.
    ///
    /// [`REVOKED_PER_USER`]: crate::limits::REVOKED_PER_USER
    pub fn logout(&self) -> Response {
        self.replace_session(None, "logged out");
        Response::new()
    }

    /// Gives the client a new cookie and ends the one before, as [`login`](Request::login) does:
    /// for a change of rights. A user stays this user, a guest becomes a new guest.
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

    /// Returns the sessions of the request's cookies that are valid and were not ended, each with whether
    /// its cookie is to be renewed.
    fn known_sessions(&self) -> impl Iterator<Item = (Session, bool)> + '_ {
        let sessions = self.service.cookie.sessions_of(&self.head.headers, unix_seconds());
        sessions.filter(|(session, _)| !revoked::is_ended(session))
    }

    /// Returns the Set-Cookie value of the answer: `None` when nobody asked for the session, or
    /// the client has the cookie.
    pub(crate) fn set_cookie(&self) -> Option<String> {
        // One that ended meanwhile, by another request, is not renewed: it would outlive the list.
        let wanted = |(session, unsent): &(Session, bool)| *unsent && !revoked::is_ended(session);
        let (session, _) = (*self.lock_session()).filter(wanted)?;
        Some(self.service.cookie.set(&session, unix_seconds()))
    }

    /// Returns whether a handler asked for the session, so that the answer is for this client
    /// alone.
    pub(crate) fn is_private(&self) -> bool {
        self.lock_session().is_some()
    }

    pub(crate) fn head(&self) -> &Head {
        &self.head
    }

    pub(crate) fn service(&self) -> &Service {
        &self.service
    }

    /// Returns the slot of the connection that the request came over.
    pub(crate) fn slot(&self) -> Option<&Slot> {
        self.slot.as_deref()
    }

    /// Takes the socket out; the request then has none.
    pub(crate) fn take_socket(&self) -> Option<Box<Socket>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(crate) fn put_socket(&self, socket: Box<Socket>) {
        *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
    }

    fn lock_session(&self) -> MutexGuard<'_, Option<(Session, bool)>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leaves out what may be secret: field values, cookies and the body.
impl std::fmt::Debug for Request {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(out, "{} {:?} from {}", self.head.method.as_str(), self.head.path, self.peer)
    }
}
