//! Turns a status, header fields, and a body into the bytes of a response (RFC 9112, 4).
//!
//! The framing belongs to the library: this module alone writes Content-Length, Connection,
//! Upgrade, Transfer-Encoding, and Date. It refuses a name or value that could end its field line
//! early, so that no text of an application can become a second response.

use super::headers::{is_field_value, is_token, trim, Headers};
use crate::ground::limits::JOINED;
use crate::ground::system::civil;
use std::borrow::Cow;
use std::fmt::{self, Write};

/// A response. Its methods take and return it, so that one expression can build it.
///
/// ```
/// use sockling::prelude::*;
///
/// let response = Response::new().code(201).header("Location", "/rooms/7").text("made");
/// assert_eq!(response.status(), 201);
/// assert_eq!(response.headers().get_str("content-type"), Some("text/plain; charset=utf-8"));
///
/// let kind = |response: &Response| response.headers().get_str("content-type").map(str::to_string);
/// assert_eq!(kind(&Response::new().html("<p>hey")).as_deref(), Some("text/html; charset=utf-8"));
/// assert_eq!(kind(&Response::new().json("[1]")).as_deref(), Some("application/json"));
/// let bytes = Response::new().body(vec![0, 1]);
/// assert_eq!(kind(&bytes).as_deref(), Some("application/octet-stream"));
/// assert_eq!(bytes.content(), [0, 1]);
///
/// // What is part of the program is not copied, however often it is sent.
/// let page = Response::new().static_html("<p>hey");
/// assert_eq!(page, Response::new().html("<p>hey"));
/// assert_eq!(Response::new().static_text("hey"), Response::new().text("hey"));
/// let style = Response::new().static_body(b"p { color: red }").header("Content-Type", "text/css");
/// assert_eq!(kind(&style).as_deref(), Some("text/css"));
///
/// let away = Response::new().redirect("/login");
/// assert_eq!((away.status(), away.headers().get_str("location")), (303, Some("/login")));
/// let allow = Response::method_not_allowed(&["GET", "HEAD"]);
/// assert_eq!((allow.status(), allow.headers().get_str("allow")), (405, Some("GET, HEAD")));
///
/// assert_eq!(Response::bad_request().status(), 400);
/// assert_eq!(Response::unauthorized().status(), 401);
/// assert_eq!(Response::forbidden().status(), 403);
/// assert_eq!(Response::not_found().content(), b"404 Not Found\n");
/// assert_eq!(Response::internal_error().status(), 500);
/// ```
#[derive(Clone)]
pub struct Response {
    status: u16,
    headers: Headers,
    body: Cow<'static, [u8]>,
    /// Whether [`header`](Response::header) set Content-Type, which the setters of the body then
    /// leave as it is.
    typed: bool,
}

/// Compares what the client gets: status, fields, and body.
impl PartialEq for Response {
    fn eq(&self, other: &Response) -> bool {
        let same_head = self.status == other.status && self.headers == other.headers;
        same_head && self.body == other.body
    }
}

impl Eq for Response {}

/// Omits the field values and the body, which may be secret.
impl fmt::Debug for Response {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let bytes = self.body.len();
        write!(out, "{} {:?} and {} bytes", self.status, self.headers, bytes)
    }
}

impl Default for Response {
    fn default() -> Response {
        Response { status: 200, headers: Headers::new(), body: Cow::Borrowed(&[]), typed: false }
    }
}

impl Response {
    /// Returns a response with status 200, no fields, and an empty body.
    pub fn new() -> Response {
        Response::default()
    }

    /// Sets the body to plain text in UTF-8.
    #[must_use]
    pub fn text(self, text: impl Into<String>) -> Response {
        self.content_type("text/plain; charset=utf-8", text.into().into_bytes().into())
    }

    /// Sets the body to an HTML page in UTF-8.
    #[must_use]
    pub fn html(self, page: impl Into<String>) -> Response {
        self.content_type("text/html; charset=utf-8", page.into().into_bytes().into())
    }

    /// Sets the body to a JSON text, which is not checked.
    #[must_use]
    pub fn json(self, json: impl Into<String>) -> Response {
        self.content_type("application/json", json.into().into_bytes().into())
    }

    /// Sets the body to bytes, of the type `application/octet-stream`. As after the other setters
    /// of the body, the last one counts, and a Content-Type that [`header`](Response::header) sets
    /// stays, before or after.
    #[must_use]
    pub fn body(self, body: impl Into<Vec<u8>>) -> Response {
        self.content_type("application/octet-stream", Cow::Owned(body.into()))
    }

    /// Sets the body like [`text`](Response::text), to text that is part of the program and is not
    /// copied.
    #[must_use]
    pub fn static_text(self, text: &'static str) -> Response {
        self.content_type("text/plain; charset=utf-8", text.as_bytes().into())
    }

    /// Sets the body like [`html`](Response::html), to a page that is part of the program and is
    /// not copied, such as `include_str!("page.html")`.
    #[must_use]
    pub fn static_html(self, page: &'static str) -> Response {
        self.content_type("text/html; charset=utf-8", page.as_bytes().into())
    }

    /// Sets the body like [`body`](Response::body), to bytes that are part of the program and are
    /// not copied, such as `include_bytes!("icon.png")`.
    #[must_use]
    pub fn static_body(self, body: &'static [u8]) -> Response {
        self.content_type("application/octet-stream", body.into())
    }

    fn content_type(mut self, media_type: &str, body: Cow<'static, [u8]>) -> Response {
        self.body = body;
        if !self.typed {
            self = self.header("Content-Type", media_type);
            self.typed = false;
        }
        self
    }

    /// Adds a header field. A second Content-Type replaces the first. If the field contains a
    /// control character, or the library writes the field itself, the server sends 500 instead and
    /// logs a [`ResponseError`].
    ///
    /// Of the fields that the library writes, a handler may set two. `Connection: close` ends the
    /// connection after the answer. Content-Length, in an answer to HEAD or in a 304, with an empty
    /// body, is the length that an answer to GET would have (RFC 9110, 8.6); without it, such an
    /// answer has no Content-Length.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Response {
        if name.eq_ignore_ascii_case("content-type") {
            self.headers.remove(name);
            self.typed = true;
        }
        self.headers.push(name, value.as_bytes());
        self
    }

    /// Sets Content-Length: the length of the body that [`stream`](super::Request::stream) writes, or
    /// of the one that is left out in an answer to HEAD or a 304. The body of any other response has
    /// its own length, and the server sends 500 instead.
    ///
    /// ```
    /// use sockling::prelude::*;
    /// use std::io::Write;
    ///
    /// let hello = |request: &Request| {
    ///     request.stream(Response::new().length(5), |body| body.write_all(b"hello"))
    /// };
    /// let response = hello.handle(&Request::get("/"))?;
    /// assert_eq!(response.headers().get_str("content-length"), Some("5"));
    /// assert_eq!(response.content(), b"hello");
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    pub fn length(mut self, bytes: u64) -> Response {
        self.headers.remove("content-length");
        self.header("Content-Length", &bytes.to_string())
    }

    /// Sets the status code, from 200 to 599. With any other, the server sends 500 instead.
    #[must_use]
    pub fn code(mut self, status: u16) -> Response {
        self.status = status;
        self
    }

    /// Redirects the client to a location that it requests with GET: 303 See Other (RFC 9110,
    /// 15.4.4).
    #[must_use]
    pub fn redirect(mut self, location: &str) -> Response {
        self.headers.remove("location");
        self.code(303).header("Location", location)
    }

    /// Returns 400 Bad Request, with that text as its body.
    #[must_use]
    pub fn bad_request() -> Response {
        Response::of_status(400)
    }

    /// Returns 401 Unauthorized, with that text as its body. RFC 9110, 15.5.2 requires a
    /// WWW-Authenticate field, which the caller adds.
    #[must_use]
    pub fn unauthorized() -> Response {
        Response::of_status(401)
    }

    /// Returns 403 Forbidden, with that text as its body.
    #[must_use]
    pub fn forbidden() -> Response {
        Response::of_status(403)
    }

    /// Returns 404 Not Found, with that text as its body.
    #[must_use]
    pub fn not_found() -> Response {
        Response::of_status(404)
    }

    /// Returns 405 Method Not Allowed, with the allowed methods in Allow (RFC 9110, 15.5.6).
    #[must_use]
    pub fn method_not_allowed(allowed: &[&str]) -> Response {
        Response::of_status(405).header("Allow", &allowed.join(", "))
    }

    /// Returns 500 Internal Server Error, with that text as its body.
    #[must_use]
    pub fn internal_error() -> Response {
        Response::of_status(500)
    }

    /// Returns a response with this status, and with the status and its reason phrase as its body.
    pub(crate) fn of_status(status: u16) -> Response {
        let text = format!("{} {}\n", status, reason(status));
        let response = Response::new().code(status).text(text);
        match status {
            // A client that found the server full may find room in a second (RFC 9110, 10.2.3).
            503 => response.header("Retry-After", "1"),
            _ => response,
        }
    }

    /// Keeps the response out of shared caches (RFC 9111, 5.2.2.7). Directives for the client's own
    /// cache stay.
    pub(crate) fn for_one_client(mut self) -> Response {
        let (mut headers, mut directives) = (Headers::new(), b"private".to_vec());
        for (name, value) in self.headers.iter() {
            if name.eq_ignore_ascii_case("cache-control") {
                add_private_directives(&mut directives, value);
            } else if !is_for_shared_caches(name) {
                headers.push(name, value);
            }
        }
        headers.push("Cache-Control", &directives);
        self.headers = headers;
        self
    }

    /// Returns the status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the header fields that were set so far.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Returns the bytes of the body.
    pub fn content(&self) -> &[u8] {
        &self.body
    }

    /// Returns the length of the body that the handler announces.
    pub(crate) fn announced(&self) -> Option<u64> {
        self.headers.get_str("content-length")?.parse().ok()
    }

    /// Returns the response without its body, and with no length where none may be.
    pub(crate) fn head_only(self) -> Response {
        let (mut response, _) = self.split();
        if response.status == 204 || response.status == 205 {
            response.headers.remove("content-length");
        }
        response
    }

    /// Returns the response without its body, and the body.
    pub(crate) fn split(mut self) -> (Response, Cow<'static, [u8]>) {
        let body = std::mem::take(&mut self.body);
        (self, body)
    }

    /// Returns the response with this body, of the type that it has.
    pub(crate) fn with_content(self, body: Vec<u8>) -> Response {
        Response { body: body.into(), ..self }
    }

    /// Returns whether the handler asks to end the connection after this response.
    pub(crate) fn asks_close(&self) -> bool {
        self.headers.has_token("connection", "close")
    }

    /// Returns the bytes of the response in two parts: the head, followed by a short body; and a
    /// long body, borrowed. So a long body is in memory only once, however slowly the client reads
    /// it. `head_only` is for an answer to HEAD, which has the same fields and no body (RFC 9110,
    /// 9.3.2). `keep_alive` is the number of seconds for which the connection waits for another
    /// request, or `None` if it ends.
    pub(crate) fn encode(
        &self,
        head_only: bool,
        keep_alive: Option<u64>,
        unix_seconds: u64,
    ) -> Result<(Vec<u8>, &[u8]), ResponseError> {
        self.check_status()?;
        // 204 and 304 end with their header fields (RFC 9112, 6.3). A 205 has no content (RFC 9110,
        // 15.3.6).
        let bodiless = self.status == 204 || self.status == 304;
        let body = if self.status == 205 { &[] } else { &*self.body };
        // A handler that leaves out the body may know its length; zero would be a guess.
        let unknown = body.is_empty() && self.status != 204 && (head_only || self.status == 304);
        let mut bytes = self.start(unknown, unix_seconds)?;
        if !unknown && !bodiless {
            put(&mut bytes, "Content-Length", body.len().to_string().as_bytes());
        }
        self.put_connection(&mut bytes, keep_alive);
        if bodiless || head_only {
            return Ok((bytes, &[]));
        }
        if bytes.len() + body.len() > JOINED {
            return Ok((bytes, body));
        }
        bytes.extend_from_slice(body);
        Ok((bytes, &[]))
    }

    /// Returns the head of a response whose body streams, up to the fields about the connection.
    pub(crate) fn stream_head(
        &self,
        chunked: bool,
        unix_seconds: u64,
    ) -> Result<Vec<u8>, ResponseError> {
        self.check_status()?;
        let mut bytes = self.start(!chunked, unix_seconds)?;
        if chunked {
            put(&mut bytes, "Transfer-Encoding", b"chunked");
        }
        Ok(bytes)
    }

    fn check_status(&self) -> Result<(), ResponseError> {
        match self.status {
            200..=599 => Ok(()),
            status => Err(ResponseError::Status(status)),
        }
    }

    /// Writes the fields about the connection, which Connection must name (RFC 9110, 7.6.1), and
    /// the end of the head.
    pub(crate) fn put_connection(&self, bytes: &mut Vec<u8>, keep_alive: Option<u64>) {
        // A 426 must name the protocol to upgrade to (RFC 9110, 15.5.22).
        let upgrade = self.status == 426;
        if upgrade {
            put(bytes, "Upgrade", b"websocket");
        }
        let options: &[u8] = match (upgrade, keep_alive) {
            (true, None) => b"Upgrade, close",
            (true, Some(_)) => b"Upgrade, keep-alive",
            (false, None) => b"close",
            (false, Some(_)) => b"keep-alive",
        };
        put(bytes, "Connection", options);
        // Some clients take 0 for no limit, so less than a second is left out.
        if let Some(seconds @ 1..) = keep_alive {
            put(bytes, "Keep-Alive", format!("timeout={}", seconds).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
    }

    /// Returns the bytes of the 101 that opens a WebSocket (RFC 6455, 4.2.2).
    pub(crate) fn encode_upgrade(&self, unix_seconds: u64) -> Result<Vec<u8>, ResponseError> {
        let mut bytes = self.start(false, unix_seconds)?;
        bytes.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
        Ok(bytes)
    }

    /// Returns the status line and the fields up to the framing, with the length of a body that is
    /// `unknown` if the application gives it.
    fn start(&self, mut unknown: bool, unix_seconds: u64) -> Result<Vec<u8>, ResponseError> {
        let body = Some(self.body.len()).filter(|length| *length <= JOINED);
        let mut head = String::with_capacity(512 + body.unwrap_or(0));
        // Writing to a string does not fail.
        let _ = write!(head, "HTTP/1.1 {} {}\r\nDate: ", self.status, reason(self.status));
        let _ = http_date(&mut head, unix_seconds);
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        for (name, value) in self.headers.iter() {
            if !is_token(name.as_bytes()) || !is_field_value(value) {
                return Err(ResponseError::Field(name.to_string()));
            }
            let is = |owned: &&str| name.eq_ignore_ascii_case(owned);
            if is(&"connection") && value.eq_ignore_ascii_case(b"close") {
                continue;
            }
            if unknown && is(&"content-length") && is_length(value) {
                unknown = false;
            } else if OWNED.iter().any(is) {
                return Err(ResponseError::Owned(name.to_string()));
            }
            put(&mut bytes, name, value);
        }
        Ok(bytes)
    }
}

/// Appends the directives of a Cache-Control value, except those that say which caches may store
/// the response. A directive with an unterminated quoted string is left out with everything after
/// it, because some caches split the value at every comma.
fn add_private_directives(directives: &mut Vec<u8>, mut value: &[u8]) {
    while let Some(end) = member_end(value) {
        let (member, rest) = value.split_at(end);
        value = rest.get(1..).unwrap_or(&[]);
        let name = trim(member.split(|&byte| byte == b'=').next().unwrap_or(member));
        let left_out = [&b"public"[..], b"s-maxage", b"private", b""];
        if !left_out.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            directives.extend_from_slice(b", ");
            directives.extend_from_slice(trim(member));
        }
    }
}

/// Returns the offset at which the first member of a list ends: that of the first comma outside a
/// quoted string, or the length of the list (RFC 9110, 5.6.1 and 5.6.4). Returns `None` for an
/// empty list and for an unterminated quoted string.
fn member_end(list: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in list.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            b',' if !quoted => return Some(at),
            _ => {}
        }
    }
    (!quoted && !list.is_empty()).then_some(list.len())
}

/// Returns whether shared caches read this field instead of Cache-Control: a targeted field of
/// RFC 9213, or an older one.
fn is_for_shared_caches(name: &str) -> bool {
    const TARGETED: &str = "-cache-control";
    let end = name.len().checked_sub(TARGETED.len()).and_then(|start| name.get(start..));
    end.map_or(false, |end| end.eq_ignore_ascii_case(TARGETED))
        || ["surrogate-control", "edge-control", "x-accel-expires"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
}

/// Returns whether the value is a decimal number of at most 19 digits, and so fits in 64 bits.
fn is_length(value: &[u8]) -> bool {
    (1..20).contains(&value.len()) && value.iter().all(u8::is_ascii_digit)
}

/// The fields that only the library writes.
const OWNED: [&str; 5] = ["content-length", "transfer-encoding", "connection", "upgrade", "date"];

fn put(bytes: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        bytes.extend_from_slice(part);
    }
}

/// An error in a response of the application. The client gets 500 instead.
///
/// ```
/// let error = sockling::http::ResponseError::Owned("Date".to_string());
/// assert_eq!(error.to_string(), "the response sets \"Date\", which only the library may write");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseError {
    /// The name of this field is not a token, or its value contains a control character.
    Field(String),
    /// Only the library may write this field.
    Owned(String),
    /// The status code is not in the range from 200 to 599.
    Status(u16),
}

impl fmt::Display for ResponseError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            ResponseError::Field(name) => {
                write!(out, "the response field {:?} contains a forbidden byte", name)
            }
            ResponseError::Owned(name) => {
                write!(out, "the response sets {:?}, which only the library may write", name)
            }
            ResponseError::Status(code) => {
                write!(out, "the response status {} is not between 200 and 599", code)
            }
        }
    }
}

impl std::error::Error for ResponseError {}

/// Returns the reason phrase of a status code (RFC 9110, 15), or an empty string.
fn reason(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}

/// The names of the months in a date (RFC 9110, 5.6.7), of three letters each.
pub(crate) const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";

/// Writes a time, given in seconds since 1970, in the form `Sun, 06 Nov 1994 08:49:37 GMT` (RFC
/// 9110, 5.6.7).
pub(crate) fn http_date(out: &mut String, unix_seconds: u64) -> fmt::Result {
    const DAYS: &str = "ThuFriSatSunMonTueWed";
    let name = |of: &'static str, at: u64| &of[at as usize * 3..][..3];
    let (days, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    let (year, month, day) = civil(days);
    write!(
        out,
        "{}, {:02} {} {} {:02}:{:02}:{:02} GMT",
        name(DAYS, days % 7),
        day,
        name(MONTHS, month),
        year,
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}
