//! Turns a status, fields and a body into the bytes of a response (RFC 9112, 4).
//!
//! The framing is the library's: Content-Length, Connection, Upgrade, Transfer-Encoding and Date
//! are written here and nowhere else. A name or value that could end its line early is refused, so
//! no text of an application becomes a second response.

use super::headers::{is_field_value, is_token, trim, Headers};
use crate::ground::limits::JOINED;
use std::fmt::{self, Write};

/// A response. The methods take and return it, so that it is built in one expression.
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
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    status: u16,
    headers: Headers,
    body: Vec<u8>,
}

/// Leaves out what may be secret: the values of fields and the body.
impl fmt::Debug for Response {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let bytes = self.body.len();
        write!(out, "{} {:?} and {} bytes", self.status, self.headers, bytes)
    }
}

impl Default for Response {
    fn default() -> Response {
        Response { status: 200, headers: Headers::new(), body: Vec::new() }
    }
}

impl Response {
    /// Returns a response with status 200, no fields and no body.
    pub fn new() -> Response {
        Response::default()
    }

    /// Sets the body to plain text in UTF-8.
    pub fn text(self, text: impl Into<String>) -> Response {
        self.of_kind("text/plain; charset=utf-8", text.into().into_bytes())
    }

    /// Sets the body to an HTML page in UTF-8.
    pub fn html(self, page: impl Into<String>) -> Response {
        self.of_kind("text/html; charset=utf-8", page.into().into_bytes())
    }

    /// Sets the body to JSON text. The text is sent as it is.
    pub fn json(self, json: impl Into<String>) -> Response {
        self.of_kind("application/json", json.into().into_bytes())
    }

    /// Sets the body to bytes. Their kind is `application/octet-stream` unless a Content-Type
    /// was set.
    pub fn body(self, body: impl Into<Vec<u8>>) -> Response {
        self.of_kind("application/octet-stream", body.into())
    }

    fn of_kind(mut self, kind: &str, body: Vec<u8>) -> Response {
        self.body = body;
        match self.headers.get("content-type") {
            Some(_) => self,
            None => self.header("Content-Type", kind),
        }
    }

    /// Adds a header field. A field that may not be sent (a control character in it, or a name
    /// that is the library's) makes the server answer 500 and log why. A second Content-Type takes
    /// the place of the first.
    pub fn header(mut self, name: &str, value: &str) -> Response {
        if name.eq_ignore_ascii_case("content-type") {
            self.headers.remove(name);
        }
        self.headers.push(name, value.as_bytes());
        self
    }

    /// Sets the status code, 200 to 599. Any other makes the server answer 500.
    pub fn code(mut self, status: u16) -> Response {
        self.status = status;
        self
    }

    /// Sends the client to another place, which it gets with GET: 303 (RFC 9110, 15.4.4).
    pub fn redirect(self, location: &str) -> Response {
        self.code(303).header("Location", location)
    }

    /// Returns 400 Bad Request with that text.
    pub fn bad_request() -> Response {
        Response::of_status(400)
    }

    /// Returns 401 Unauthorized with that text. RFC 9110, 15.5.2 asks for a WWW-Authenticate field
    /// beside it.
    pub fn unauthorized() -> Response {
        Response::of_status(401)
    }

    /// Returns 403 Forbidden with that text.
    pub fn forbidden() -> Response {
        Response::of_status(403)
    }

    /// Returns 404 Not Found with that text.
    pub fn not_found() -> Response {
        Response::of_status(404)
    }

    /// Returns 405 Method Not Allowed with the methods that are (RFC 9110, 15.5.6).
    pub fn method_not_allowed(allowed: &[&str]) -> Response {
        Response::of_status(405).header("Allow", &allowed.join(", "))
    }

    /// Returns 500 Internal Server Error with that text.
    pub fn internal_error() -> Response {
        Response::of_status(500)
    }

    /// Returns a response of this status whose text is its reason phrase.
    pub(crate) fn of_status(status: u16) -> Response {
        let text = format!("{} {}\n", status, reason(status));
        let response = Response::new().code(status).text(text);
        match status {
            // Who found no room may find some in a second (RFC 9110, 10.2.3).
            503 => response.header("Retry-After", "1"),
            _ => response,
        }
    }

    /// Keeps the response out of shared caches (RFC 9111, 5.2.2.7). What the application tells the
    /// client's own cache stays.
    pub(crate) fn for_one_client(mut self) -> Response {
        let (mut headers, mut told) = (Headers::new(), b"private".to_vec());
        for (name, value) in self.headers.iter() {
            if name.eq_ignore_ascii_case("cache-control") {
                add_own_directives(&mut told, value);
            } else if !is_for_shared_caches(name) {
                headers.push(name, value);
            }
        }
        headers.push("Cache-Control", &told);
        self.headers = headers;
        self
    }

    /// Returns the status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// Returns the header fields set so far.
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// Returns the body's bytes.
    pub fn content(&self) -> &[u8] {
        &self.body
    }

    /// Returns the bytes of the response in two parts, or why it may not be sent: the head, which has a
    /// short body behind it, and a long body where the application put it. So an answer is in memory
    /// once, however slowly the client reads it. `head_only` is for answers to HEAD: the same fields
    /// without the body (RFC 9110, 9.3.2).
    pub(crate) fn encode(
        &self,
        head_only: bool,
        close: bool,
        unix_seconds: u64,
    ) -> Result<(Vec<u8>, &[u8]), ResponseError> {
        if !(200..600).contains(&self.status) {
            return Err(ResponseError::Status(self.status));
        }
        let mut bytes = self.start(unix_seconds)?;
        // 204 and 304 have no body and end with their fields (RFC 9112, 6.3).
        let bodiless = self.status == 204 || self.status == 304;
        if !bodiless {
            put(&mut bytes, "Content-Length", self.body.len().to_string().as_bytes());
        }
        // A 426 must say to what (RFC 9110, 15.5.22); here it is always this.
        let upgrade = self.status == 426;
        if upgrade {
            put(&mut bytes, "Upgrade", b"websocket");
        }
        match (upgrade, close) {
            (true, true) => put(&mut bytes, "Connection", b"Upgrade, close"),
            (true, false) => put(&mut bytes, "Connection", b"Upgrade"),
            (false, true) => put(&mut bytes, "Connection", b"close"),
            (false, false) => {}
        }
        bytes.extend_from_slice(b"\r\n");
        if bodiless || head_only {
            return Ok((bytes, &[]));
        }
        if bytes.len() + self.body.len() > JOINED {
            return Ok((bytes, &self.body));
        }
        bytes.extend_from_slice(&self.body);
        Ok((bytes, &[]))
    }

    /// Returns the bytes of a 101 that opens a WebSocket (RFC 6455, 4.2.2).
    pub(crate) fn encode_upgrade(&self, unix_seconds: u64) -> Result<Vec<u8>, ResponseError> {
        let mut bytes = self.start(unix_seconds)?;
        bytes.extend_from_slice(b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
        Ok(bytes)
    }

    fn start(&self, unix_seconds: u64) -> Result<Vec<u8>, ResponseError> {
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
            if OWNED.iter().any(|owned| name.eq_ignore_ascii_case(owned)) {
                return Err(ResponseError::Owned(name.to_string()));
            }
            put(&mut bytes, name, value);
        }
        Ok(bytes)
    }
}

/// Appends those directives of a Cache-Control value that do not say that others than the client may
/// store the response. What begins with a quote that has no end is no directive, and left out: some
/// caches look for commas alone.
fn add_own_directives(told: &mut Vec<u8>, mut value: &[u8]) {
    while let Some(end) = member_end(value) {
        let (member, rest) = value.split_at(end);
        value = rest.get(1..).unwrap_or(&[]);
        let name = trim(member.split(|&byte| byte == b'=').next().unwrap_or(member));
        let others = [&b"public"[..], b"s-maxage", b"private", b""];
        if !others.iter().any(|other| name.eq_ignore_ascii_case(other)) {
            told.extend_from_slice(b", ");
            told.extend_from_slice(trim(member));
        }
    }
}

/// Returns where the first member of a list ends: at a comma that is not in quotes, or with the list
/// (RFC 9110, 5.6.1 and 5.6.4). `None` for an empty list, and for quotes without an end.
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

/// Returns whether the field is read by shared caches in place of Cache-Control: one of RFC 9213, or
/// an older one.
fn is_for_shared_caches(name: &str) -> bool {
    const TARGETED: &str = "-cache-control";
    let end = name.len().checked_sub(TARGETED.len()).and_then(|start| name.get(start..));
    end.map_or(false, |end| end.eq_ignore_ascii_case(TARGETED))
        || ["surrogate-control", "edge-control", "x-accel-expires"]
            .iter()
            .any(|known| name.eq_ignore_ascii_case(known))
}

const OWNED: [&str; 5] = ["content-length", "transfer-encoding", "connection", "upgrade", "date"];

fn put(bytes: &mut Vec<u8>, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        bytes.extend_from_slice(part);
    }
}

/// Why a response may not be sent. The client gets 500 in its place.
///
/// ```
/// let error = sockling::http::ResponseError::Owned("Date".to_string());
/// assert_eq!(error.to_string(), "the response field \"Date\" is written by the library");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponseError {
    /// The name or the value of this field has a byte that it may not have.
    Field(String),
    /// This field is written by the library.
    Owned(String),
    /// The status code is not 200 to 599.
    Status(u16),
}

impl fmt::Display for ResponseError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        match self {
            ResponseError::Field(name) => {
                write!(out, "the response field {:?} has a byte that it may not have", name)
            }
            ResponseError::Owned(name) => {
                write!(out, "the response field {:?} is written by the library", name)
            }
            ResponseError::Status(code) => {
                write!(out, "the response status {} is not 200 to 599", code)
            }
        }
    }
}

impl std::error::Error for ResponseError {}

/// Returns the reason phrase of a status code (RFC 9110, 15), or an empty one.
fn reason(status: u16) -> &'static str {
    match status {
        101 => "Switching Protocols",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
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
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
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

/// Writes a time, in seconds since 1970, as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, 5.6.7).
fn http_date(out: &mut String, unix_seconds: u64) -> fmt::Result {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    let (year, month, day) = civil(days);
    write!(
        out,
        "{}, {:02} {} {} {:02}:{:02}:{:02} GMT",
        DAYS[(days % 7) as usize],
        day,
        MONTHS[month as usize],
        year,
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Returns year, month (from 0) and day of a day counted from 1970. The year is counted from
/// March, which puts the leap day last.
fn civil(days: u64) -> (u64, u64, u64) {
    let since = days + 719_468; // 1 March of the year 0
    let (era, day) = (since / 146_097, since % 146_097); // 400 years
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153; // 0 is March
    let day = day - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year, (month + 2) % 12);
    (if month < 2 { year + 1 } else { year }, month, day)
}
