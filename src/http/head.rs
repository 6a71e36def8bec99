//! Turns bytes into a request head. It never reads a socket and never guesses: what RFC 9112 calls
//! invalid is an error here.
//!
//! ```text
//! GET /rooms/7?since=3 HTTP/1.1 CRLF      method SP target SP version   (3)
//! Host: localhost:8000 CRLF               name ":" OWS value OWS        (5)
//! CRLF                                    the end of the head
//! ```
//!
//! Bytes are judged in the order in which they come, so a head that arrives one byte at a time
//! gets the same verdict, at the same byte, as one that arrives whole.

use super::headers::{is_token, members, Headers};
use super::target::{decode_path, Authority};
use crate::ground::limits::{Limits, LEADING_CRLFS};
use std::fmt;

/// The methods that are served (RFC 9110, 9; PATCH: RFC 5789). CONNECT, TRACE and unknown ones
/// are 501.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
}

impl Method {
    const ALL: [Method; 7] = [
        Method::Get,
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Patch,
        Method::Delete,
        Method::Options,
    ];

    /// Returns the method's token, such as `"GET"`.
    ///
    /// ```
    /// assert_eq!(sockling::http::Method::Get.as_str(), "GET");
    /// ```
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
        }
    }
}

/// How long a request's body is (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// As many bytes as Content-Length says; 0 when nothing says it.
    Known(u64),
    /// The body ends with a chunk of size 0 (7.1).
    Chunked,
}

/// A request head: all that comes before the body.
///
/// ```
/// use sockling::http::{BodyLength, Head, Method};
/// use sockling::limits::Limits;
///
/// let bytes = b"GET /a%20b?n=1 HTTP/1.1\r\nHost: localhost\r\n\r\nthe rest";
/// let (head, used) = Head::parse(bytes, &Limits::default()).unwrap().unwrap();
/// assert_eq!((head.method, head.path.as_str(), head.query.as_str()), (Method::Get, "/a b", "n=1"));
/// assert_eq!(&bytes[used..], b"the rest");
/// assert_eq!(head.body, BodyLength::Known(0));
/// assert!(head.keep_alive() && !head.expects_continue());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The decoded path; `*` for `OPTIONS *`. What it never holds is listed at
    /// [`Request::path`](crate::http::Request::path).
    pub path: String,
    /// What follows the first `?` of the target, as it came; empty when there is none.
    pub query: String,
    /// Whether the request is HTTP/1.1; otherwise it is HTTP/1.0.
    pub http11: bool,
    /// The header fields.
    pub headers: Headers,
    /// The length of the body.
    pub body: BodyLength,
    /// Host and port that the client asked: from an absolute target, else from Host; `None` only
    /// in HTTP/1.0.
    pub(crate) authority: Option<Authority>,
}

impl Head {
    /// Returns the head and its length in bytes, or `None` when more bytes are needed. Error: the
    /// bytes cannot become a head (RFC 9112, 2 to 6), whatever follows them.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Option<(Head, usize)>, HeadError> {
        HeadParser::default().advance(bytes, limits)
    }

    /// Returns whether the connection may serve another request after this one (RFC 9112, 9.3).
    pub fn keep_alive(&self) -> bool {
        self.http11 && !self.headers.has_token("connection", "close")
    }

    /// Returns whether the client waits for `100 Continue` before it sends the body (RFC 9110,
    /// 10.1.1); HTTP/1.0 has no such answer.
    pub fn expects_continue(&self) -> bool {
        self.http11 && self.headers.get("expect").is_some()
    }

    fn finish(&mut self) -> Result<(), HeadError> {
        let host = match self.headers.first_two("host") {
            (Some(host), None) => Some(authority(host)?),
            (None, _) if !self.http11 => None,
            _ => return Err(HeadError::Host),
        };
        // The authority of an absolute target beats Host (RFC 9112, 3.2.2).
        self.authority = self.authority.take().or(host);
        self.body = body_length(&self.headers, self.http11)?;
        let expect =
            self.headers.get_all("expect").all(|value| value.eq_ignore_ascii_case(b"100-continue"));
        if self.http11 && !expect {
            return Err(HeadError::Expectation);
        }
        Ok(())
    }
}

/// Leaves out what may be secret: the query and the values of fields.
impl fmt::Debug for Head {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{} {:?} {:?}", self.method.as_str(), self.path, self.headers)
    }
}

/// Where the parsing of a head stands. Each call of `advance` gets the same bytes as the call
/// before and perhaps more; those before `seen` are not looked at again.
#[derive(Default)]
pub(crate) struct HeadParser {
    seen: usize,
    line: usize,
    empty_lines: usize,
    fields: usize,
    head: Option<Head>,
}

impl HeadParser {
    /// Returns the head and its length in bytes, or `None` when more bytes are needed.
    pub fn advance(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Option<(Head, usize)>, HeadError> {
        while self.seen < bytes.len() {
            let byte = bytes[self.seen];
            let after_cr = self.seen > self.line && bytes[self.seen - 1] == b'\r';
            // Only CRLF ends a line (2.2): a server that takes less disagrees with the proxy
            // before it about where a request ends.
            if after_cr != (byte == b'\n') {
                return Err(HeadError::LineEnd);
            }
            if byte == 0x7f || (byte < b' ' && !b"\t\r\n".contains(&byte)) {
                return Err(HeadError::Control);
            }
            self.seen += 1;
            if byte == b'\n' {
                let line = &bytes[self.line..self.seen - 2];
                self.line = self.seen;
                if self.end_line(line, limits)? {
                    let head = self.head.take().ok_or(HeadError::RequestLine)?;
                    return Ok(Some((head, self.seen)));
                }
            } else if byte != b'\r' {
                self.hold(limits)?;
            }
        }
        Ok(None)
    }

    /// Holds the line in progress against the limits at every byte: a line without an end must
    /// not be kept until it ends.
    fn hold(&self, limits: &Limits) -> Result<(), HeadError> {
        match self.head {
            None if self.seen - self.line > limits.request_line => Err(HeadError::TargetTooLong),
            Some(_) if self.seen - self.fields > limits.headers => Err(HeadError::TooLarge),
            _ => Ok(()),
        }
    }

    /// Takes a line without its CRLF; returns whether the head is complete.
    fn end_line(&mut self, line: &[u8], limits: &Limits) -> Result<bool, HeadError> {
        let head = match &mut self.head {
            None if line.is_empty() => {
                self.empty_lines += 1;
                return if self.empty_lines > LEADING_CRLFS {
                    Err(HeadError::RequestLine)
                } else {
                    Ok(false)
                };
            }
            None => {
                self.head = Some(request_line(line)?);
                self.fields = self.seen;
                return Ok(false);
            }
            Some(head) => head,
        };
        if line.is_empty() {
            head.finish()?;
            return Ok(true);
        }
        if head.headers.len() == limits.header_count || self.seen - self.fields > limits.headers {
            return Err(HeadError::TooLarge);
        }
        head.headers.push_line(line).map_err(|_| HeadError::Field)?;
        Ok(false)
    }
}

/// Turns `method SP request-target SP HTTP-version` into a head without fields.
fn request_line(line: &[u8]) -> Result<Head, HeadError> {
    let mut parts = line.split(|&byte| byte == b' ');
    let (method, target, version) = match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(method), Some(target), Some(version), None) => (method, target, version),
        _ => return Err(HeadError::RequestLine),
    };
    if !is_token(method) {
        return Err(HeadError::RequestLine);
    }
    let http11 = match version {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            return Err(HeadError::Version)
        }
        _ => return Err(HeadError::RequestLine),
    };
    let known = |known: &&Method| known.as_str().as_bytes() == method;
    let method = Method::ALL.iter().find(known).copied().ok_or(HeadError::Method)?;
    let (path, query, authority) = target_parts(method, target)?;
    let (headers, body) = (Headers::new(), BodyLength::Known(0));
    Ok(Head { method, path, query, http11, headers, body, authority })
}

/// Turns a target in origin-form, absolute-form or asterisk-form (3.2) into path, query and
/// authority.
fn target_parts(
    method: Method,
    target: &[u8],
) -> Result<(String, String, Option<Authority>), HeadError> {
    let target = std::str::from_utf8(target).map_err(|_| HeadError::Target)?;
    if !target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
        return Err(HeadError::Target);
    }
    if target == "*" && method == Method::Options {
        return Ok((target.to_string(), String::new(), None));
    }
    let (authority, rest) = match scheme(target) {
        None => (None, target),
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find(&['/', '?'][..]).unwrap_or(rest.len()));
            (Some(Authority::parse(authority).ok_or(HeadError::Target)?), path)
        }
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = if path.is_empty() && authority.is_some() { "/" } else { path };
    let path = decode_path(path).map_err(|_| HeadError::Target)?;
    Ok((path, query.to_string(), authority))
}

/// Returns what follows `http://` or `https://`.
fn scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some(rest)
}

fn authority(value: &[u8]) -> Result<Authority, HeadError> {
    std::str::from_utf8(value).ok().and_then(Authority::parse).ok_or(HeadError::Host)
}

/// Decides how long the body is. Two answers to that question are how one request is smuggled
/// behind another, so whatever allows two is an error (6.3).
fn body_length(headers: &Headers, http11: bool) -> Result<BodyLength, HeadError> {
    match (headers.first_two("transfer-encoding"), headers.first_two("content-length")) {
        ((None, _), (None, _)) => Ok(BodyLength::Known(0)),
        ((None, _), (Some(digits), None)) => {
            // `parse` alone would take "+5".
            let digits = std::str::from_utf8(digits).map_err(|_| HeadError::ContentLength)?;
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(HeadError::ContentLength);
            }
            digits.parse().map(BodyLength::Known).map_err(|_| HeadError::ContentLength)
        }
        ((None, _), _) => Err(HeadError::ContentLength),
        ((Some(coding), None), (None, _)) if http11 => transfer_coding(coding),
        _ => Err(HeadError::TransferEncoding),
    }
}

/// Only `chunked`, alone, is served. A list of codings that ends in it is one that is not known
/// here; any other value leaves open where the body ends (6.3, item 4).
fn transfer_coding(value: &[u8]) -> Result<BodyLength, HeadError> {
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    let mut before = members(value).rev();
    match before.next() {
        _ if is_chunked(value) => Ok(BodyLength::Chunked),
        Some(last) if is_chunked(last) => {
            let unknown = before.all(|coding| is_token(coding) && !is_chunked(coding));
            Err(if unknown { HeadError::Coding } else { HeadError::TransferEncoding })
        }
        _ => Err(HeadError::TransferEncoding),
    }
}

/// What is wrong with a request head. Each is answered with [`status`](HeadError::status) and the
/// connection is closed.
///
/// ```
/// use sockling::http::{Head, HeadError};
///
/// let error = Head::parse(b"GET / HTTP/1.1\n", &Default::default()).unwrap_err();
/// assert_eq!((error, error.status()), (HeadError::LineEnd, 400));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeadError {
    /// A line ends with a bare CR or a bare LF (RFC 9112, 2.2). 400.
    LineEnd,
    /// The head has a control character, or a DEL (RFC 9110, 5.5). 400.
    Control,
    /// The first line is not `method SP target SP version`, or too many empty lines came before
    /// it. 400.
    RequestLine,
    /// The version is neither HTTP/1.1 nor HTTP/1.0. 505.
    Version,
    /// The method is not one of [`Method`]. 501.
    Method,
    /// The target has a form that the method does not allow, a bad escape, a control character, or
    /// a segment that leads elsewhere: an empty one before the last, `.`, `..`, or one with an
    /// encoded slash or backslash (RFC 9112, 3.2). 400.
    Target,
    /// The request line is longer than [`Limits::request_line`]. 414.
    TargetTooLong,
    /// A field line is not `name: value`. 400.
    Field,
    /// There are more fields, or bytes of fields, than the limits allow. 431.
    TooLarge,
    /// Host is missing, there twice, or no host (RFC 9112, 3.2). 400.
    Host,
    /// Content-Length is not one decimal number that fits 64 bits (RFC 9112, 6.3). 400.
    ContentLength,
    /// Transfer-Encoding does not end in `chunked`, stands beside Content-Length, or in HTTP/1.0.
    /// 400.
    TransferEncoding,
    /// There are other transfer codings before `chunked` (RFC 9112, 6.1). 501.
    Coding,
    /// Expect asks for something else than `100-continue` (RFC 9110, 10.1.1). 417.
    Expectation,
}

impl HeadError {
    /// Returns the status code that the client is told.
    pub fn status(self) -> u16 {
        match self {
            HeadError::Version => 505,
            HeadError::Method | HeadError::Coding => 501,
            HeadError::TooLarge => 431,
            HeadError::Expectation => 417,
            HeadError::TargetTooLong => 414,
            _ => 400,
        }
    }
}

impl fmt::Display for HeadError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            HeadError::LineEnd => "a line of the request head does not end with CRLF",
            HeadError::Control => "the request head has a control character",
            HeadError::RequestLine => "the request line is not method, target and version",
            HeadError::Version => "the HTTP version is not 1.1 or 1.0",
            HeadError::Method => "the method is not known here",
            HeadError::Target => "the request target is not valid",
            HeadError::TargetTooLong => "the request line is too long",
            HeadError::Field => "a header field is not valid",
            HeadError::TooLarge => "the header fields are too large or too many",
            HeadError::Host => "the Host field is missing, repeated or not valid",
            HeadError::ContentLength => "Content-Length is not one number",
            HeadError::TransferEncoding => "Transfer-Encoding is not valid here",
            HeadError::Coding => "the transfer coding is not known here",
            HeadError::Expectation => "the expectation is not known here",
        })
    }
}

impl std::error::Error for HeadError {}
