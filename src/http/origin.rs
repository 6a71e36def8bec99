//! Decides whether the page that made a browser send a request may do so (RFC 6454).
//!
//! A browser sends a host's cookies with every request to that host, whichever page made it. So a
//! request that opens a WebSocket or changes something is checked for where it comes from. Programs
//! that are no browsers say nothing of an origin, and could say anything; they are let through.

use super::head::{Head, Method};
use super::target::Authority;

/// Which pages may.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origins {
    /// Origins beyond the server's own, such as `https://example.com`; `*` is any.
    pub allowed: Vec<String>,
    /// Whether the server listens on the loopback interface, whose names are then one host.
    pub loopback: bool,
}

impl Origins {
    /// Returns whether the request names no origin, or one that is allowed.
    pub fn allow(&self, head: &Head) -> bool {
        let mut origins = head.headers.get_all("origin");
        match (origins.next(), origins.next()) {
            (None, _) => true,
            (Some(origin), None) => std::str::from_utf8(origin)
                .map_or(false, |origin| self.allow_origin(origin, head.authority.as_ref())),
            _ => false,
        }
    }

    /// Returns whether the request changes nothing by its method (RFC 9110, 9.2.1), or its page is
    /// allowed. What the browser says in Sec-Fetch-Site counts before Origin, which it may hide.
    pub fn allow_change(&self, head: &Head) -> bool {
        let site = head.headers.get("sec-fetch-site");
        matches!(head.method, Method::Get | Method::Head | Method::Options)
            || matches!(site, Some(b"same-origin" | b"none"))
            || self.allow(head) && (site.is_none() || head.headers.get("origin").is_some())
    }

    fn allow_origin(&self, origin: &str, authority: Option<&Authority>) -> bool {
        let named = |allowed: &String| allowed == "*" || allowed.eq_ignore_ascii_case(origin);
        self.allowed.iter().any(named) || self.is_own(origin, authority).unwrap_or(false)
    }

    fn is_own(&self, origin: &str, authority: Option<&Authority>) -> Option<bool> {
        let (scheme, rest) = origin.split_once("://")?;
        let default_port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        let (page, own) = (Authority::parse(rest)?, authority?);
        let one_host =
            page.host == own.host || self.loopback && page.is_loopback() && own.is_loopback();
        Some(one_host && page.port.unwrap_or(default_port) == own.port.unwrap_or(default_port))
    }
}
