//! Turns Cookie fields into name-value pairs, and a pair into the value of a Set-Cookie field
//! (RFC 6265).
//!
//! A browser sends whatever any site on the same host has set. So this module skips malformed pairs
//! and refuses nothing.

use super::headers::{trim, Headers};
use crate::ground::limits::{COOKIE_PAIRS, COOKIE_VALUE};

/// Returns an iterator over the name and value of each cookie, in order. The Cookie fields are
/// split at `;`, and each pair at its first `=`; quotes stay in the value. Pairs after the first
/// [`COOKIE_PAIRS`] are ignored, and so are values of more than [`COOKIE_VALUE`] bytes.
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

/// Returns the value of a Set-Cookie field for a cookie that lasts for `seconds`. `HttpOnly` hides
/// it from scripts, `SameSite=Lax` keeps forms of other sites from sending it, and without a Domain
/// it belongs to one host alone. Not inlined, so that the caller's stack frame stays small while it
/// signs the value.
#[inline(never)]
pub(crate) fn set_cookie(name: &str, value: &str, seconds: u64, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{}={}; Max-Age={}; Path=/; HttpOnly; SameSite=Lax{}", name, value, seconds, secure)
}
