//! Turns a request target into a path, a query, and an authority, and a Host value into an
//! authority.
//!
//! The path is split into segments first, and then each segment is decoded once (RFC 3986, 2.4).
//! So an encoded slash never separates segments, and `%2568` becomes `%68` and not `h`. This
//! module refuses invalid escapes, control characters, and segments that would take a file system
//! or a browser somewhere else.

use std::fmt::{self, Write};
use std::net::Ipv6Addr;
use std::str::Split;

/// An error for a request target that the server answers with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TargetError;

/// Returns the decoded path, each segment preceded by `/`. No segment is `.` or `..` or contains
/// `/`, `\`, or a control character, and only the last may be empty. So no path is another spelling
/// of a different one, and the part after the first slash is always a relative path.
pub(crate) fn decode_path(raw: &str) -> Result<String, TargetError> {
    let mut path = String::with_capacity(raw.len());
    let mut segments = raw.strip_prefix('/').ok_or(TargetError)?.split('/').peekable();
    while let Some(segment) = segments.next() {
        // A handler that serves `/files/*` from a directory would otherwise open `/etc/passwd` for
        // `/files//etc/passwd`, and `//host/` as a Location leads to another host (RFC 3986, 4.2).
        if segment.is_empty() && segments.peek().is_some() {
            return Err(TargetError);
        }
        let segment = percent_decode(segment).ok_or(TargetError)?;
        // Browsers remove tabs and line breaks from a URL, so `/<tab>/host/` would also lead to
        // another host (WHATWG URL, 4.4).
        let forbidden = |byte: u8| b"/\\".contains(&byte) || byte.is_ascii_control();
        if segment == "." || segment == ".." || segment.bytes().any(forbidden) {
            return Err(TargetError);
        }
        path.push('/');
        path.push_str(&segment);
    }
    Ok(path)
}

/// Returns whether Windows takes this name for a drive or a stream (`C:`, `a:b`), for a device,
/// whatever its extension (`NUL`, `com1.txt`), or for a different name (`a.`, which is `a`).
pub(crate) fn is_reserved_on_windows(segment: &str) -> bool {
    const DEVICES: [&str; 7] = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"];
    let name = segment.split('.').next().unwrap_or("").trim_matches(' ');
    segment.contains(':')
        || segment.ends_with(&['.', ' '][..])
        || DEVICES.iter().any(|device| name.eq_ignore_ascii_case(device))
        || is_numbered(name, "COM")
        || is_numbered(name, "LPT")
}

/// Returns whether the name is that of a port, such as `COM1`. Windows reads a superscript 1, 2, or
/// 3 as a digit here.
fn is_numbered(name: &str, port: &str) -> bool {
    let (letters, number) = (name.get(..port.len()), name.get(port.len()..).unwrap_or(""));
    let mut digits = number.chars();
    letters.map_or(false, |letters| letters.eq_ignore_ascii_case(port))
        && matches!(digits.next(), Some('0'..='9' | '\u{b9}' | '\u{b2}' | '\u{b3}'))
        && digits.next().is_none()
}

/// Returns the percent-decoded text, or `None` if a `%` is not followed by two hexadecimal digits
/// (RFC 3986, 2.1) or the decoded bytes are not UTF-8.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let (decoded, valid) = decode(text);
    String::from_utf8(decoded).ok().filter(|_| valid)
}

/// Returns the percent-decoded bytes, and whether two hexadecimal digits follow every `%`. A `%`
/// without them stays as it is.
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

/// Returns the text with every byte percent-encoded that is neither unreserved nor a slash (RFC 3986,
/// 2.1 and 2.3).
pub(crate) fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'/' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte.into()),
            _ if byte.is_ascii_alphanumeric() => encoded.push(byte.into()),
            // Writing to a string does not fail.
            _ => drop(write!(encoded, "%{:02X}", byte)),
        }
    }
    encoded
}

/// The pairs of a query or of a form, such as `a=1&b=two+words`, in order and decoded as
/// `application/x-www-form-urlencoded` (WHATWG URL, 5.1): `+` becomes a space, an invalid escape
/// stays as it is, and bytes that are not UTF-8 become U+FFFD. The value of a name without `=` is
/// empty. Each pair is decoded when it is asked for, so that many pairs take no memory.
///
/// ```
/// use sockling::http::Pairs;
/// use sockling::prelude::*;
///
/// let request = Request::get("/?name=Ada&tag=new&tag=r%2Bd");
/// let pairs: Pairs = request.query_pairs();
/// assert_eq!(pairs.get("name").as_deref(), Some("Ada"));
/// let tags = pairs.filter(|(name, _)| name == "tag").map(|(_, value)| value);
/// assert_eq!(tags.collect::<Vec<_>>(), ["new", "r+d"]);
/// ```
#[derive(Clone)]
pub struct Pairs<'a>(Split<'a, char>);

impl<'a> Pairs<'a> {
    pub(crate) fn new(text: &'a str) -> Pairs<'a> {
        Pairs(text.split('&'))
    }

    /// Returns the first value of this name.
    pub fn get(&self, name: &str) -> Option<String> {
        self.clone().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

impl Iterator for Pairs<'_> {
    type Item = (String, String);

    fn next(&mut self) -> Option<(String, String)> {
        let form_decode = |text: &str| {
            let (decoded, _) = decode(&text.replace('+', " "));
            String::from_utf8_lossy(&decoded).into_owned()
        };
        let pair = self.0.find(|pair| !pair.is_empty())?;
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((form_decode(name), form_decode(value)))
    }
}

/// Omits the pairs, which may be secret.
impl fmt::Debug for Pairs<'_> {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("Pairs")
    }
}

/// A host and an optional port, as in Host and Origin (RFC 3986, 3.2, without userinfo). The host
/// is in lower case, and an IPv6 address in its shortest form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Authority {
    pub host: String,
    pub port: Option<u16>,
}

impl Authority {
    /// Returns the authority `host [ ":" port ]`, or `None` if the text is not one.
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
            // `parse` alone would accept "+80".
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            Some(_) => return None,
        };
        Some(Authority { host: parse_host(host)?, port })
    }

    /// Returns whether the host is one of the three names of the loopback interface that count as
    /// one origin. The other ones do not: names below `localhost` tell applications on one machine
    /// apart.
    pub fn is_loopback(&self) -> bool {
        ["localhost", "127.0.0.1", "[::1]"].contains(&&*self.host)
    }

    /// Returns whether a server that answers for this host answers a request for `asked`: for the
    /// same host under any of its names, and for the same port if this has one.
    pub fn covers(&self, asked: &Authority) -> bool {
        self.name() == asked.name() && (self.port.is_none() || self.port == asked.port)
    }

    /// Returns one name for the host: an IPv4-mapped address (RFC 4291, 2.5.5.2) is the IPv4
    /// address, `localhost` and all names below it are the loopback interface (RFC 6761, 6.3), and
    /// the dot at the end of an absolute domain name is left out.
    fn name(&self) -> &str {
        let mapped = self.host.strip_prefix("[::ffff:").and_then(|rest| rest.strip_suffix(']'));
        let name = self.host.strip_suffix('.').unwrap_or(&self.host);
        match mapped {
            // Only a mapped address is written with dots after these groups.
            Some(v4) if v4.contains('.') => v4,
            _ if name.ends_with(".localhost") => "localhost",
            _ => name,
        }
    }
}

impl fmt::Display for Authority {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(out, ":{}", port))
    }
}

/// Returns the host in the form that it is compared in, or `None` if the text is neither an IPv6
/// address in brackets nor consists of the characters of a registered name or an IPv4 address (RFC
/// 3986, 3.2.2). The server never resolves a name, so checking its characters is enough.
fn parse_host(text: &str) -> Option<String> {
    if let Some(address) = text.strip_prefix('[') {
        let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
        return Some(format!("[{}]", address));
    }
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&byte);
    (!text.is_empty() && text.bytes().all(allowed)).then(|| text.to_ascii_lowercase())
}
