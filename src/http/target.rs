//! Turns a request target and a Host into path segments, query and authority.
//!
//! A target is decoded once, segment by segment, after it was split (RFC 3986, 2.4): an encoded
//! slash never makes a segment, and `%2568` stays `%68`. Refused: bad escapes, control characters,
//! and segments that a file system or a browser would read as a way elsewhere.

use std::fmt;

/// A request target that cannot be served. The client is told 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TargetError;

/// Returns the decoded path: segments joined by `/`, of which none holds `/`, `\` or a control
/// character, or is `.` or `..`, and only the last may be empty. So a path cannot mean another one,
/// and what follows its first slash is a relative path.
pub(crate) fn decode_path(raw: &str) -> Result<String, TargetError> {
    let mut path = String::with_capacity(raw.len());
    let mut segments = raw.strip_prefix('/').ok_or(TargetError)?.split('/').peekable();
    while let Some(segment) = segments.next() {
        // Joined to a root, the rest of `/files//etc/passwd` would be `/etc/passwd`; sent back as a
        // Location, `//host/` would be another host (RFC 3986, 4.2).
        if segment.is_empty() && segments.peek().is_some() {
            return Err(TargetError);
        }
        let segment = percent_decode(segment).ok_or(TargetError)?;
        // Browsers drop tabs and line breaks from a URL, so `/<tab>/host/` would be `//host/` too
        // (WHATWG URL, 4.4).
        let strange = |c: char| c == '/' || c == '\\' || c.is_ascii_control();
        if segment == "." || segment == ".." || segment.contains(strange) {
            return Err(TargetError);
        }
        path.push('/');
        path.push_str(&segment);
    }
    Ok(path)
}

/// Returns whether Windows reads this name as a drive or a stream (`C:`, `a:b`), as a device,
/// whatever its ending (`NUL`, `com1.txt`), or as another name (`a.`, which is `a`).
pub(crate) fn is_reserved_on_windows(segment: &str) -> bool {
    const DEVICES: [&str; 7] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"];
    let name = segment.split('.').next().unwrap_or("").trim_matches(' ');
    segment.contains(':')
        || segment.ends_with(&['.', ' '][..])
        || DEVICES.iter().any(|device| name.eq_ignore_ascii_case(device))
        || is_numbered(name, "COM")
        || is_numbered(name, "LPT")
}

/// Returns whether the name is that of a port. Windows takes a superscript for a digit.
fn is_numbered(name: &str, port: &str) -> bool {
    let (letters, number) = (name.get(..port.len()), name.get(port.len()..).unwrap_or(""));
    let mut digits = number.chars();
    letters.map_or(false, |letters| letters.eq_ignore_ascii_case(port))
        && matches!(digits.next(), Some('0'..='9' | '\u{b9}' | '\u{b2}' | '\u{b3}'))
        && digits.next().is_none()
}

/// Returns the text that a percent-encoded text stands for, or `None` where a `%` is not followed
/// by two hexadecimal digits (RFC 3986, 2.1) or the decoded bytes are not UTF-8.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let (decoded, valid) = decode(text);
    String::from_utf8(decoded).ok().filter(|_| valid)
}

/// Returns the bytes of a percent-encoded text, and whether two hexadecimal digits follow every
/// `%`. A `%` without them stays as it is.
fn decode(text: &str) -> (Vec<u8>, bool) {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let (mut decoded, mut valid) = (Vec::with_capacity(text.len()), true);
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        let escaped = match after {
            [high, low, ..] if *byte == b'%' => digit(high).zip(digit(low)),
            _ => None,
        };
        valid &= *byte != b'%' || escaped.is_some();
        decoded.push(escaped.map_or(*byte, |(high, low)| (high * 16 + low) as u8));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    (decoded, valid)
}

/// Returns the first value of a name in a query such as `a=1&b=two+words`, decoded as HTML forms
/// encode it (WHATWG URL, 5.1): `+` is a space, a bad escape stays as it is, bytes that are not
/// UTF-8 become U+FFFD.
pub(crate) fn query_value(query: &str, name: &str) -> Option<String> {
    let plain = |text: &str| {
        let (decoded, _) = decode(&text.replace('+', " "));
        String::from_utf8_lossy(&decoded).into_owned()
    };
    query.split('&').filter(|pair| !pair.is_empty()).find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (plain(key) == name).then(|| plain(value))
    })
}

/// A host and perhaps a port, as in Host and Origin (RFC 3986, 3.2, without user information).
/// The host is in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    pub host: String,
    pub port: Option<u16>,
}

impl Authority {
    /// Returns the parts of `host[":" port]`, or `None` when it is not that.
    pub fn parse(text: &str) -> Option<Authority> {
        let end = if text.starts_with('[') {
            text.find(']')? + 1
        } else {
            text.find(':').unwrap_or(text.len())
        };
        let (host, rest) = text.split_at(end);
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => None,
            None => return None,
            Some("") => None,
            // `parse` alone would take "+80".
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            Some(_) => return None,
        };
        is_host(host).then(|| Authority { host: host.to_ascii_lowercase(), port })
    }

    /// Returns whether the host is a name of this machine's loopback interface.
    pub fn is_loopback(&self) -> bool {
        ["localhost", "127.0.0.1", "[::1]"].contains(&&*self.host)
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(out, ":{}", port))
    }
}

/// Returns whether the text has the characters of an IPv6 address in brackets, or of a registered
/// name or IPv4 address (RFC 3986, 3.2.2). It is compared with names that are known, never looked
/// up, so the characters are enough.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.matches(':').count() >= 2
            && address.bytes().all(|byte| byte.is_ascii_hexdigit() || b":.".contains(&byte));
    }
    !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&byte))
}
