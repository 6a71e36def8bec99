//! Turns bytes into a request head, and refuses what RFC 9112 calls invalid. It never guesses what
//! a client meant.
//!
//! ```text
//! GET /rooms/7?since=3 HTTP/1.1 CRLF      method SP request-target SP HTTP-version   (3)
//! Host: localhost:8000 CRLF               field-name ":" OWS field-value OWS         (5)
//! CRLF                                    the end of the head
//! ```
//!
//! The parser checks bytes in the order of arrival, so a head that arrives one byte at a time gets
//! the same result, at the same byte, as a head that arrives whole.

use super::headers::{is_token, members, Headers};
use super::target::{decode_path, Authority};
use crate::ground::limits::{Limits, LEADING_CRLFS};
use std::fmt;

/// The methods that the server accepts (RFC 9110, 9; for PATCH, RFC 5789). It answers CONNECT,
/// TRACE, and unknown methods with 501.
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
    pub(crate) const ALL: [Method; 7] = [
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

/// The length of a request's body (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLength {
    /// The number of bytes in Content-Length, or 0 without that field.
    Known(u64),
    /// The body is chunked, and its last chunk ends it (7.1).
    Chunked,
}

/// A request head: everything that precedes the body.
///
/// ```
/// use sockling::http::{BodyLength, Head, Method};
/// use sockling::limits::Limits;
///
/// let bytes = b"GET /a%20b?n=1 HTTP/1.1\r\nHost: localhost\r\n\r\nthe rest";
/// let (head, used) = Head::parse(bytes, &Limits::default()).unwrap().unwrap();
/// assert_eq!(head.method, Method::Get);
/// assert_eq!((head.path.as_str(), head.query.as_str()), ("/a b", "n=1"));
/// assert_eq!(&bytes[used..], b"the rest");
/// assert_eq!(head.body, BodyLength::Known(0));
/// assert!(head.keep_alive() && !head.expects_continue());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The decoded path, or `*` for `OPTIONS *`. [`Request::path`](crate::http::Request::path)
    /// lists what it never contains.
    pub path: String,
    /// The undecoded part of the request target after the first `?`, or an empty string.
    pub query: String,
    /// Whether the request is HTTP/1.1 rather than HTTP/1.0.
    pub http11: bool,
    /// The header fields.
    pub headers: Headers,
    /// The length of the body.
    pub body: BodyLength,
    /// The authority of a target in absolute-form, or else that of Host; `None` only in an HTTP/1.0
    /// request that has neither.
    pub(crate) authority: Option<Authority>,
}

impl Head {
    /// Parses the head at the front of `bytes`. Returns it with its length in bytes, or `None` if
    /// more bytes are needed.
    ///
    /// # Errors
    ///
    /// Returns an error if the bytes cannot begin a valid head, whatever follows them (RFC 9112, 2
    /// to 6).
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Option<(Head, usize)>, HeadError> {
        HeadParser::default().advance(bytes, limits)
    }

    /// Returns whether the connection persists after this request: in HTTP/1.1 unless the client
    /// sends `Connection: close`, and in HTTP/1.0 only if it sends `Connection: keep-alive` (RFC
    /// 9112, 9.3).
    pub fn keep_alive(&self) -> bool {
        let asks = |option| self.headers.has_token("connection", option);
        !asks("close") && (self.http11 || asks("keep-alive"))
    }

    /// Returns whether the client waits for `100 Continue` before it sends the body (RFC 9110,
    /// 10.1.1). In HTTP/1.0 the expectation is ignored.
    pub fn expects_continue(&self) -> bool {
        self.http11 && self.headers.has_token("expect", "100-continue")
    }

    /// Checks the fields that decide how the request is read, once all of them are there.
    fn finish(&mut self) -> Result<(), HeadError> {
        let host = match self.headers.first_two("host") {
            // Clients of HTTP/1.0 need not send it, and some send it empty.
            (None | Some(b""), None) if !self.http11 => None,
            (Some(host), None) => Some(authority(host)?),
            _ => return Err(HeadError::Host),
        };
        // The authority of a target in absolute-form replaces that of Host (RFC 9112, 3.2.2).
        self.authority = self.authority.take().or(host);
        self.body = body_length(&self.headers, self.http11)?;
        if self.http11 && self.headers.count_members("expect", "100-continue").1 > 0 {
            return Err(HeadError::Expectation);
        }
        Ok(())
    }
}

/// Omits the query and the field values, which may be secret.
impl fmt::Debug for Head {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{} {:?} {:?}", self.method.as_str(), self.path, self.headers)
    }
}

/// The state of parsing one head. Each call of `advance` gets the bytes of the previous call with
/// any new ones appended, and looks only at the new ones, so that the cost is linear.
#[derive(Default)]
pub(crate) struct HeadParser {
    /// The number of bytes parsed so far.
    seen: usize,
    /// The offset at which the current line starts.
    line: usize,
    empty_lines: usize,
    /// The offset at which the field lines start.
    fields: usize,
    head: Option<Head>,
}

impl HeadParser {
    /// Returns the head and its length in bytes, or `None` if more bytes are needed.
    pub fn advance(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
    ) -> Result<Option<(Head, usize)>, HeadError> {
        while self.seen < bytes.len() {
            let byte = bytes[self.seen];
            let after_cr = self.seen > self.line && bytes[self.seen - 1] == b'\r';
            // Only CRLF ends a line (2.2). A server that accepts a bare LF may disagree with the
            // proxy in front of it about where a request ends.
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
                self.check_length(limits)?;
            }
        }
        Ok(None)
    }

    /// Checks the limits at every byte, because a line may never end.
    fn check_length(&self, limits: &Limits) -> Result<(), HeadError> {
        match self.head {
            None if self.seen - self.line > limits.request_line => Err(HeadError::TargetTooLong),
            Some(_) if self.seen - self.fields > limits.headers => Err(HeadError::TooLarge),
            _ => Ok(()),
        }
    }

    /// Handles a line, given without its CRLF. Returns whether it completes the head.
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

/// Returns the bytes without the empty lines that may precede a request line (2.2).
pub(crate) fn skip_empty_lines(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|byte| !b"\r\n".contains(byte));
    &bytes[start.unwrap_or(bytes.len())..]
}

/// Parses `method SP request-target SP HTTP-version` (3) into a head without fields.
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

/// Splits a request target in origin-form, absolute-form, or asterisk-form (3.2) into path, query,
/// and authority.
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
    let (authority, rest) = match after_scheme(target) {
        None => (None, target),
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
            (Some(Authority::parse(authority).ok_or(HeadError::Target)?), path)
        }
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let path = if path.is_empty() && authority.is_some() { "/" } else { path };
    let path = decode_path(path).map_err(|_| HeadError::Target)?;
    Ok((path, query.to_string(), authority))
}

/// Returns the target without its `http://` or `https://`, or `None` if it begins with neither.
fn after_scheme(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once(':')?;
    let is_http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    rest.strip_prefix("//").filter(|_| is_http)
}

fn authority(value: &[u8]) -> Result<Authority, HeadError> {
    std::str::from_utf8(value).ok().and_then(Authority::parse).ok_or(HeadError::Host)
}

/// Returns the length of the body. Where two recipients could compute two lengths, an attacker can
/// smuggle one request inside another, so any ambiguity is an error (6.3).
fn body_length(headers: &Headers, http11: bool) -> Result<BodyLength, HeadError> {
    match (headers.first_two("transfer-encoding"), headers.first_two("content-length")) {
        ((None, _), (None, _)) => Ok(BodyLength::Known(0)),
        ((None, _), (Some(digits), None)) => {
            // `parse` alone would accept "+5".
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

/// Accepts `chunked` alone. Other codings before a final `chunked` are not supported (501); any
/// other value does not say where the body ends (6.3, item 4).
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

/// An error in a request head. The server answers with [`status`](HeadError::status) and closes the
/// connection.
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
    /// A CR without LF, or an LF without CR (RFC 9112, 2.2). 400.
    LineEnd,
    /// A control character other than a tab and the CRLF of a line (RFC 9110, 5.5). 400.
    Control,
    /// The request line is not `method SP request-target SP HTTP-version` (RFC 9112, 3), or more
    /// than [`LEADING_CRLFS`] empty lines precede it. 400.
    RequestLine,
    /// The version is neither HTTP/1.1 nor HTTP/1.0. 505.
    Version,
    /// The method is not one of [`Method`]. 501.
    Method,
    /// The request target has a form that the method does not allow (RFC 9112, 3.2), an invalid
    /// escape, or a control character; or a path segment is `.` or `..`, is empty but not the last,
    /// or contains an encoded slash or backslash. 400.
    Target,
    /// The request line is longer than [`Limits::request_line`]. 414.
    TargetTooLong,
    /// A field line is not `name: value`. 400.
    Field,
    /// The field lines exceed [`Limits::header_count`] or [`Limits::headers`]. 431.
    TooLarge,
    /// Host is repeated, not `host [ ":" port ]`, or, in HTTP/1.1, missing or empty (RFC 9112, 3.2).
    /// 400.
    Host,
    /// Content-Length is repeated, or not a decimal number that fits in 64 bits (RFC 9112, 6.3).
    /// 400.
    ContentLength,
    /// Transfer-Encoding does not end in `chunked`, has it twice, is repeated, accompanies a
    /// Content-Length, or appears in HTTP/1.0 (RFC 9112, 6.1 and 6.3). 400.
    TransferEncoding,
    /// Another transfer coding precedes `chunked` (RFC 9112, 6.1). 501.
    Coding,
    /// Expect has a member other than `100-continue` (RFC 9110, 10.1.1). 417.
    Expectation,
}

impl HeadError {
    /// Returns the status code of the answer.
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
            HeadError::LineEnd => "a line in the request head does not end with CRLF",
            HeadError::Control => "the request head contains a control character",
            HeadError::RequestLine => "the request line is not a method, a target, and a version",
            HeadError::Version => "the HTTP version is neither 1.1 nor 1.0",
            HeadError::Method => "the method is not supported",
            HeadError::Target => "the request target is invalid",
            HeadError::TargetTooLong => "the request line is too long",
            HeadError::Field => "a header field line is invalid",
            HeadError::TooLarge => "the header fields are too many or too large",
            HeadError::Host => "the Host field is missing, repeated, or invalid",
            HeadError::ContentLength => "Content-Length is not a single decimal number",
            HeadError::TransferEncoding => "Transfer-Encoding leaves the body's length ambiguous",
            HeadError::Coding => "the transfer coding is not supported",
            HeadError::Expectation => "the expectation is not supported",
        })
    }
}

impl std::error::Error for HeadError {}
