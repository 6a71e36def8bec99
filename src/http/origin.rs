//! Decides whether the page that made a browser send a request may do so (RFC 6454).
//!
//! A browser sends a host's cookies with every request to that host, whichever page made it. So a
//! request that opens a WebSocket or changes something is checked for where it comes from. Programs
//! that are no browsers say nothing of an origin, and could say anything; they are let through.
//!
//! The method says nothing: a handler that acts on a GET is reached by every link to it.

use super::head::Head;
use super::target::Authority;

/// Which pages may.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    /// Origins beyond the server's own, such as `https://example.com`; `*` is any.
    pub allowed: Vec<String>,
    /// Whether the server listens on the loopback interface, whose names are then one host.
    pub loopback: bool,
    /// Whether browsers reach the server by TLS alone, so that no page of plain http is its own:
    /// anybody on the way could have written that one.
    pub https_only: bool,
}

impl Origins {
    /// Returns whether the request names no origin, or one that is allowed.
    pub fn allow(&self, head: &Head) -> bool {
        match origin(head) {
            Named::Nothing => true,
            Named::One(origin) => {
                self.is_named(origin)
                    || self.is_own(origin, head.authority.as_ref()).unwrap_or(false)
            }
            Named::Nonsense => false,
        }
    }

    /// Returns whether the page that made the request may change something, whatever the method.
    /// What the browser says in Sec-Fetch-Site counts more than Origin: it knows whether the page
    /// came by https, which is not seen here when a proxy speaks TLS, and it says so with the GET of
    /// a link, which has no Origin.
    pub fn allow_change(&self, head: &Head) -> bool {
        match (head.headers.first_two("sec-fetch-site"), origin(head)) {
            ((None, _), _) => self.allow(head),
            ((Some(b"same-origin" | b"none"), None), _) => true,
            (_, Named::One(origin)) => self.is_named(origin) || self.loopback && self.allow(head),
            _ => false,
        }
    }

    fn is_named(&self, origin: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
    }

    fn is_own(&self, origin: &str, authority: Option<&Authority>) -> Option<bool> {
        let (rest, default_port) = match origin.strip_prefix("https://") {
            Some(rest) => (rest, 443),
            None if self.https_only => return None,
            None => (origin.strip_prefix("http://")?, 80),
        };
        let (page, own) = (Authority::parse(rest)?, authority?);
        let one_host =
            page.host == own.host || self.loopback && page.is_loopback() && own.is_loopback();
        Some(one_host && page.port.unwrap_or(default_port) == own.port.unwrap_or(default_port))
    }
}

/// What a request says of its origin.
enum Named<'a> {
    Nothing,
    One(&'a str),
    /// Two origins, or bytes that are no text.
    Nonsense,
}

fn origin(head: &Head) -> Named<'_> {
    match head.headers.first_two("origin") {
        (None, _) => Named::Nothing,
        (Some(origin), None) => std::str::from_utf8(origin).map_or(Named::Nonsense, Named::One),
        _ => Named::Nonsense,
    }
}
