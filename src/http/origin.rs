//! Decides from the fields of a request whether the page that caused it may do so (RFC 6454).
//!
//! A browser sends the cookies of a host with every request to it, no matter which page caused the
//! request. So the server refuses a request that opens a WebSocket or changes something if it comes
//! from a page of another origin that is not allowed. A program that is not a browser sends no
//! Origin and could send any, so a request without one passes. Some programs send one that no
//! browser does: with the scheme of a WebSocket, or with a slash at the end. These count as the
//! origin that is meant.
//!
//! The method does not matter: any link on any page can reach a handler that acts on a GET.

use super::head::Head;
use super::target::Authority;

/// The origins whose pages may open WebSockets and change something.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    /// Allowed origins besides the server's own, such as `https://example.com`, without a slash at
    /// the end; `*` allows all.
    pub allowed: Vec<String>,
    /// Whether the server listens on the loopback interface. Three names of that interface then
    /// count as one host.
    pub loopback: bool,
    /// Whether browsers reach the server over TLS only. A page from `http://` is then never the
    /// server's own, because anyone on the path could have written it.
    pub https_only: bool,
}

impl Origins {
    /// Returns whether the request has no Origin, or an allowed one.
    pub fn allow(&self, head: &Head) -> bool {
        match origin(head) {
            Origin::Absent => true,
            Origin::Given(origin) => {
                self.is_named(origin)
                    || self.is_own(origin, head.authority.as_ref()).unwrap_or(false)
            }
            Origin::Invalid => false,
        }
    }

    /// Returns whether the page that caused the request may change something, whatever the method.
    /// Sec-Fetch-Site takes precedence over Origin, for two reasons: the browser knows whether the
    /// page came over TLS, which the server cannot see behind a proxy; and it sends the field with
    /// the GET of a link too, which has no Origin.
    pub fn allow_change(&self, head: &Head) -> bool {
        match (head.headers.first_two("sec-fetch-site"), origin(head)) {
            ((None, _), _) => self.allow(head),
            ((Some(b"same-origin" | b"none"), None), _) => true,
            (_, Origin::Given(origin)) => {
                self.is_named(origin) || self.loopback && self.allow(head)
            }
            _ => false,
        }
    }

    fn is_named(&self, origin: &str) -> bool {
        self.allowed.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
    }

    /// Returns whether the origin is that of the requested authority, or `None` if one of them
    /// cannot be compared.
    fn is_own(&self, origin: &str, authority: Option<&Authority>) -> Option<bool> {
        let (scheme, rest) = origin.split_once(':')?;
        let default_port = match scheme {
            "https" | "wss" => 443,
            "http" | "ws" if !self.https_only => 80,
            _ => return None,
        };
        let (page, own) = (Authority::parse(rest.strip_prefix("//")?)?, authority?);
        let same_host =
            page.host == own.host || self.loopback && page.is_loopback() && own.is_loopback();
        Some(same_host && page.port.unwrap_or(default_port) == own.port.unwrap_or(default_port))
    }
}

/// The Origin of a request.
enum Origin<'a> {
    Absent,
    /// Without a slash at the end.
    Given(&'a str),
    /// Repeated, or not UTF-8.
    Invalid,
}

fn origin(head: &Head) -> Origin<'_> {
    match head.headers.first_two("origin") {
        (None, _) => Origin::Absent,
        (Some(origin), None) => {
            let origin = origin.strip_suffix(b"/").unwrap_or(origin);
            std::str::from_utf8(origin).map_or(Origin::Invalid, Origin::Given)
        }
        _ => Origin::Invalid,
    }
}
