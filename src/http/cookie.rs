//! Turns Cookie fields into name-value pairs (RFC 6265).
//!
//! A browser sends whatever any site on the same host has set. So this module skips malformed pairs
//! and refuses nothing.

use super::headers::{trim, Headers};
use crate::ground::limits::COOKIE_VALUE;

/// Returns an iterator over the name and value of each cookie, in order. The Cookie fields are
/// split at every `;`, and each pair at its first `=`. Values of more than [`COOKIE_VALUE`] bytes
/// are ignored.
///
/// Quotes stay in the value, of which they are a part for browsers. The cookie jar of Java adds
/// them to the value of a cookie that was set with Max-Age and without Expires.
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
        .filter_map(|pair| {
            let equals = pair.iter().position(|&byte| byte == b'=')?;
            Some((trim(&pair[..equals]), trim(&pair[equals + 1..])))
        })
        .filter(|(_, value)| value.len() <= COOKIE_VALUE)
}
