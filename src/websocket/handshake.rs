//! Turns a request head into the 101 that opens a WebSocket, or into the reason for refusing it
//! (RFC 6455, 4.2).

use crate::http::head::{BodyLength, Head, Method};
use crate::http::headers::{is_token, members};
use crate::http::origin::Origins;
use crate::http::response::Response;
use base64::engine::general_purpose::STANDARD;
use base64::Engine;
use std::fmt;

/// Returns the value of Sec-WebSocket-Accept for a Sec-WebSocket-Key (4.2.2, item 5).
///
/// ```
/// let accept = sockling::websocket::accept_key("dGhlIHNhbXBsZSBub25jZQ==");
/// assert_eq!(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
pub fn accept_key(key: &str) -> String {
    let mut hash = sha1_smol::Sha1::new();
    hash.update(key.as_bytes());
    hash.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(hash.digest().bytes())
}

/// Returns whether the request asks for a WebSocket: `websocket` is a member of Upgrade and
/// `upgrade` of Connection, both case-insensitively (4.2.1).
pub(crate) fn asks_upgrade(head: &Head) -> bool {
    head.headers.has_token("upgrade", "websocket")
        && head.headers.has_token("connection", "upgrade")
}

/// Returns the 101 that answers the request, or the reason for refusing it. `protocols` lists the
/// server's subprotocols in order of preference.
pub(crate) fn accept(
    head: &Head,
    origins: &Origins,
    protocols: &[&str],
) -> Result<Response, Refusal> {
    if head.method != Method::Get {
        return Err(Refusal::Method);
    }
    if !head.http11 {
        return Err(Refusal::Http10);
    }
    if !asks_upgrade(head) {
        return Err(Refusal::NoUpgrade);
    }
    if head.body != BodyLength::Known(0) {
        return Err(Refusal::Body);
    }
    match single(head, "sec-websocket-version").ok_or(Refusal::NoVersion)? {
        "13" => {}
        _ => return Err(Refusal::Version),
    }
    let key = single(head, "sec-websocket-key").filter(|key| is_key(key)).ok_or(Refusal::Key)?;
    let protocol = subprotocol(head, protocols)?;
    // The browser sends this host's cookies even for a page of another site (10.2).
    if !origins.allow(head) {
        return Err(Refusal::Origin);
    }
    let response = Response::new().code(101).header("Sec-WebSocket-Accept", &accept_key(key));
    Ok(match protocol {
        Some(protocol) => response.header("Sec-WebSocket-Protocol", protocol),
        None => response,
    })
}

/// Returns the value of a field as text, or `None` unless the field occurs exactly once.
fn single<'a>(head: &'a Head, name: &'a str) -> Option<&'a str> {
    match head.headers.first_two(name) {
        (Some(value), None) => std::str::from_utf8(value).ok(),
        _ => None,
    }
}

/// Returns whether the key is 16 bytes in base64 (4.2.1, item 5): 22 characters and `==`. The last
/// character has four bits more than the bytes take. Some clients draw it at random, and in the
/// example of 4.1 these bits are not zero either, so they do not matter.
fn is_key(key: &str) -> bool {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/';
    key.strip_suffix("==").map_or(false, |text| text.len() == 22 && text.bytes().all(is_base64))
}

/// Returns the first of the server's subprotocols that the client offers, if any (4.2.2, item 5).
fn subprotocol<'a>(head: &Head, protocols: &[&'a str]) -> Result<Option<&'a str>, Refusal> {
    let (lines, mut best) = (head.headers.get_all("sec-websocket-protocol"), protocols.len());
    // An empty member of a list does not count (RFC 9110, 5.6.1).
    for offered in lines.flat_map(members).filter(|member| !member.is_empty()) {
        if !is_token(offered) {
            return Err(Refusal::Protocol);
        }
        let at = protocols.iter().position(|protocol| protocol.as_bytes() == offered);
        best = best.min(at.unwrap_or(best));
    }
    Ok(protocols.get(best).copied())
}

/// The reason for refusing to open a WebSocket. The server answers with
/// [`status`](Refusal::status).
///
/// ```
/// use sockling::websocket::Refusal;
///
/// assert_eq!((Refusal::Origin.status(), Refusal::Version.status()), (403, 426));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The method is not GET. 405.
    Method,
    /// The request is HTTP/1.0. 400.
    Http10,
    /// Upgrade or Connection does not ask for a WebSocket. 426.
    NoUpgrade,
    /// The request has a body, which could be mistaken for frames. 400.
    Body,
    /// Sec-WebSocket-Version is missing or repeated. 400.
    NoVersion,
    /// The version is not 13. 426.
    Version,
    /// Sec-WebSocket-Key is missing, repeated, or not 16 bytes in base64. 400.
    Key,
    /// Sec-WebSocket-Protocol is not a list of tokens. 400.
    Protocol,
    /// Origin is neither the server's own nor one that is allowed, or it is repeated. 403.
    Origin,
}

impl Refusal {
    /// Returns the status code of the answer.
    pub fn status(self) -> u16 {
        match self {
            Refusal::Method => 405,
            Refusal::NoUpgrade | Refusal::Version => 426,
            Refusal::Origin => 403,
            _ => 400,
        }
    }

    /// Returns the answer, with the fields that tell the client how to ask instead.
    pub(crate) fn response(self) -> Response {
        let response = Response::of_status(self.status()).text(format!("{}\n", self));
        match self {
            Refusal::Method => response.header("Allow", "GET"),
            Refusal::Version => response.header("Sec-WebSocket-Version", "13"),
            _ => response,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            Refusal::Method => "opening a WebSocket requires GET",
            Refusal::Http10 => "opening a WebSocket requires HTTP/1.1",
            Refusal::NoUpgrade => {
                "opening a WebSocket requires Upgrade: websocket and Connection: Upgrade"
            }
            Refusal::Body => "a request that opens a WebSocket must not have a body",
            Refusal::NoVersion => "Sec-WebSocket-Version must occur exactly once",
            Refusal::Version => "the WebSocket version must be 13",
            Refusal::Key => "Sec-WebSocket-Key must be a single key of 16 bytes in base64",
            Refusal::Protocol => "Sec-WebSocket-Protocol must be a list of tokens",
            Refusal::Origin => "the request comes from an origin that is not allowed",
        })
    }
}

impl std::error::Error for Refusal {}
