//! Turns Cookie fields into pairs, and a pair into a Set-Cookie field (RFC 6265).
//!
//! A browser sends what any site on its host has set, so junk is skipped rather than refused.

use super::headers::{trim, Headers};
use crate::ground::limits::{COOKIE_PAIRS, COOKIE_VALUE};

/// Returns name and value of each cookie, in order: all Cookie lines, split at `;`, each pair split
/// at its first `=`. Quotes stay. Looks at the first 64 pairs and skips values of more than 4 KiB.
///
/// ```
/// let mut headers = sockling::http::Headers::new();
/// headers.push("Cookie", b"a=1; junk; b=2=3");
/// let pairs: Vec<_> = sockling::http::cookies(&headers).collect();
/// assert_eq!(pairs, [(&b"a"[..], &b"1"[..]), (b"b", b"2=3")]);
/// ```
pub fn cookies(headers: &Headers) -> impl Iterator<Item = (&[u8], &[u8])> {
    headers
        .get_all("cookie")
        .flat_map(|line| line.split(|&byte| byte == b';'))
        .take(COOKIE_PAIRS)
        .filter_map(|pair| {
            let equals = pair.iter().position(|&byte| byte == b'=')?;
            Some((trim(&pair[..equals]), trim(&pair[equals + 1..])))
        })
        .filter(|(_, value)| value.len() <= COOKIE_VALUE)
}

/// Returns the value of a Set-Cookie field that scripts cannot read and other sites' forms do not
/// send: `HttpOnly; SameSite=Lax; Path=/`, without a Domain, with its life in seconds. Not inlined:
/// who calls it signs the value first, where the stack should be small.
#[inline(never)]
pub(crate) fn set_cookie(name: &str, value: &str, seconds: u64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{}={}; Max-Age={}; Path=/; HttpOnly; SameSite=Lax{}", name, value, seconds, secure)
}
