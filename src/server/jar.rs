//! The cookie jar of a browser in a test (RFC 6265, 5.3 and 5.4), which talks to one host alone: it
//! honours Secure, Path, Max-Age and Expires, and ignores Domain, HttpOnly and SameSite.

use crate::ground::system::unix_seconds;
use crate::http::response::{http_date, MONTHS};

#[derive(Default)]
pub(crate) struct Jar(Vec<Cookie>);

struct Cookie {
    name: String,
    value: String,
    path: String,
    secure: bool,
    expires: Option<Date>,
}

/// The year, the month, the day, and the time of the day: in the order of time.
type Date = (u64, usize, u64, String);

impl Jar {
    /// Takes the value of a Set-Cookie field of an answer to this path, over TLS or not.
    pub fn take(&mut self, field: &str, path: &str, tls: bool) {
        let mut parts = field.split(';').map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (name.trim(), value.trim())
        });
        let (name, value) = parts.next().unwrap_or_default();
        let directory = path.split('?').next().and_then(|path| path.rsplit_once('/'));
        let directory = directory.map(|(directory, _)| directory).filter(|path| !path.is_empty());
        let (mut path, mut secure) = (directory.unwrap_or("/"), false);
        let (mut max_age, mut expires) = (None, None);
        for (attribute, value) in parts {
            match attribute.to_ascii_lowercase().as_str() {
                "secure" => secure = true,
                "path" if value.starts_with('/') => path = value,
                "max-age" => max_age = value.parse::<i64>().ok().or(max_age),
                "expires" => expires = date(value).or(expires),
                _ => {}
            }
        }
        // Max-Age takes precedence.
        if let Some(age) = max_age {
            expires = at(unix_seconds().saturating_add(age.max(0) as u64));
        }
        // Only an answer over TLS may set, or replace, a cookie for TLS.
        let same = |one: &Cookie| one.name == name && one.path == path;
        if name.is_empty() || !tls && (secure || self.0.iter().any(|one| same(one) && one.secure)) {
            return;
        }
        self.0.retain(|one| !same(one));
        let [name, value, path] = [name, value, path].map(str::to_string);
        self.0.push(Cookie { name, value, path, secure, expires });
        self.0.sort_by_key(|one| std::cmp::Reverse(one.path.len()));
    }

    /// Returns the Cookie field of a request for this target; empty without a cookie.
    pub fn cookies(&mut self, target: &str, tls: bool) -> String {
        let now = at(unix_seconds());
        self.0.retain(|one| one.expires.is_none() || one.expires > now);
        let path = target.split('?').next().unwrap_or("");
        let sent = |one: &&Cookie| {
            let rest = path.strip_prefix(&*one.path);
            let within = |rest: &str| rest.is_empty() || rest.starts_with('/');
            rest.map_or(false, |rest| one.path.ends_with('/') || within(rest))
                && (tls || !one.secure)
        };
        let pair = |one: &Cookie| [&*one.name, "=", &*one.value].concat();
        self.0.iter().filter(sent).map(pair).collect::<Vec<_>>().join("; ")
    }
}

/// Returns a time, given in seconds since 1970.
fn at(unix_seconds: u64) -> Option<Date> {
    let mut text = String::new();
    http_date(&mut text, unix_seconds).ok()?;
    date(&text)
}

/// Parses `Sun, 06 Nov 1994 08:49:37 GMT`, also with hyphens in the date.
fn date(text: &str) -> Option<Date> {
    let mut words = text.split([' ', '-']).skip(1);
    let (day, month, year) = (words.next()?, words.next()?, words.next()?);
    let month = MONTHS.as_bytes().chunks(3).position(|known| known == month.as_bytes())?;
    Some((year.parse().ok()?, month, day.parse().ok()?, words.next()?.to_string()))
}
