//! Turns the length, the time, and the name of a file into the fields that describe it, and the
//! conditions and the range of a request into what of it is sent (RFC 9110, 8.3, 8.8, 13, and 14).
//!
//! What a client sends is only compared or counted. A field that is malformed, or that must occur
//! once and does not, counts as the RFC says for that field: a condition on a date is ignored, a
//! Range is ignored, and an If-Match or an If-Range does not hold.

use super::head::Method;
use super::headers::{members, trim, Headers};
use super::response::{http_date, MONTHS};
use super::target::percent_encode;
use crate::ground::system::civil;

/// A second, in nanoseconds.
const SECOND: i128 = 1_000_000_000;

/// The first second after 1970 that counts as a time of modification. Before it, and in any zone's
/// first hours, is what a clock shows that was never set, or an archive that keeps no times.
const EARLIEST: i64 = 86_400;

/// What the conditions and the range of a request are about: the state of a file.
pub(crate) struct Representation {
    /// The length in bytes.
    pub length: u64,
    /// The entity tag in its quotes, without a `W/`.
    tag: Option<String>,
    /// Whether the file may change again without another tag.
    weak: bool,
    /// The time of Last-Modified, in seconds since 1970.
    modified: Option<i64>,
    /// The current time, in seconds since 1970.
    now: i64,
}

/// What of a representation the answer has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Selected {
    /// All of it: 200.
    Whole,
    /// The bytes from the first to the last, which is included: 206.
    Part(u64, u64),
    /// Nothing, because the client has it: 304.
    NotModified,
    /// Nothing, because the client does not want this one: 412.
    Failed,
    /// Nothing, because the range begins after its end: 416.
    Unsatisfiable,
}

impl Representation {
    /// Returns the representation of a file with this length and time of modification. Both times
    /// are in nanoseconds since 1970. `version` is what tells apart files that have both in common.
    pub fn new(length: u64, modified: Option<i128>, version: &str, now: i128) -> Representation {
        let tag = |time| format!("\"{:x}-{:x}-{}\"", time, length, percent_encode(version));
        let seconds = |time: i128| time.div_euclid(SECOND) as i64;
        Representation {
            length,
            tag: modified.map(tag),
            // A file system's clock ticks too seldom to tell two changes within a moment apart.
            weak: modified.map_or(false, |time| (now - time).abs() < SECOND),
            // What seems to come from the future was modified now (8.8.2.1).
            modified: modified
                .map(|time| seconds(time.min(now)))
                .filter(|seconds| *seconds >= EARLIEST),
            now: seconds(now),
        }
    }

    /// Returns the value of ETag (8.8.3).
    pub fn etag(&self) -> Option<String> {
        let prefix = if self.weak { "W/" } else { "" };
        self.tag.as_ref().map(|tag| [prefix, tag].concat())
    }

    /// Returns the value of Last-Modified (8.8.2).
    pub fn last_modified(&self) -> Option<String> {
        let mut text = String::new();
        http_date(&mut text, self.modified?.try_into().ok()?).ok()?;
        Some(text)
    }

    /// Returns what the answer to a GET or HEAD with these fields has, by the steps of 13.2.2.
    pub fn select(&self, method: Method, headers: &Headers) -> Selected {
        // Without a time of its own, and for what is not one date, the condition is ignored.
        let dates = |name| match headers.first_two(name) {
            (Some(value), None) => self.modified.zip(parse_date(value, self.now)),
            _ => None,
        };
        let unmodified = || dates("if-unmodified-since").map_or(true, |(own, since)| own <= since);
        if !self.matches(headers, "if-match", true).unwrap_or_else(unmodified) {
            return Selected::Failed;
        }
        let known = || dates("if-modified-since").map_or(false, |(own, since)| own <= since);
        if self.matches(headers, "if-none-match", false).unwrap_or_else(known) {
            return Selected::NotModified;
        }
        // No other method has a range (14.2).
        match headers.first_two("range") {
            (Some(range), None) if method == Method::Get && self.range_applies(headers) => {
                self.part(range).unwrap_or(Selected::Whole)
            }
            _ => Selected::Whole,
        }
    }

    /// Returns whether a list of tags has the own one, or `*`; `None` without the field. A strong
    /// comparison fails if one of the two is weak (8.8.3.2).
    fn matches(&self, headers: &Headers, name: &str, strong: bool) -> Option<bool> {
        headers.get(name)?;
        let equal = |(weak, tag): (bool, &[u8])| {
            let comparable = !strong || !weak && !self.weak;
            comparable && self.tag.as_ref().map_or(false, |own| own.as_bytes() == tag)
        };
        Some(headers.get_all(name).any(|list| trim(list) == b"*" || tags(list).any(equal)))
    }

    /// Returns whether If-Range lets a range be sent: without it, or if it has the own tag or time,
    /// which must be strong (13.1.5).
    fn range_applies(&self, headers: &Headers) -> bool {
        match headers.first_two("if-range") {
            (None, _) => true,
            (Some(value), None) => match parse_date(value, self.now) {
                // The file may change once more within the current second.
                Some(date) => self.modified == Some(date) && date < self.now,
                None => tags(value).next().map_or(false, |(weak, tag)| {
                    let own = self.tag.as_ref().map(|own| own.as_bytes());
                    !weak && !self.weak && tag.len() == value.len() && own == Some(tag)
                }),
            },
            _ => false,
        }
    }

    /// Returns the part that a Range asks for, or `None` if it is ignored: without exactly one range
    /// of bytes, and for an empty file, no part of which Content-Range could name (14.1.2).
    fn part(&self, range: &[u8]) -> Option<Selected> {
        let at = |text: &[u8], byte| text.iter().position(|known| *known == byte);
        let equals = at(range, b'=').filter(|end| range[..*end].eq_ignore_ascii_case(b"bytes"))?;
        let mut specs = members(&range[equals + 1..]).filter(|spec| !spec.is_empty());
        let spec = specs.next().filter(|_| specs.next().is_none() && self.length > 0)?;
        let dash = at(spec, b'-')?;
        let (first, last) = match (&spec[..dash], &spec[dash + 1..]) {
            (b"", suffix) => match number(suffix)? {
                0 => (u64::MAX, u64::MAX),
                suffix => (self.length.saturating_sub(suffix), u64::MAX),
            },
            (first, b"") => (number(first)?, u64::MAX),
            (first, last) => (number(first)?, number(last)?),
        };
        match first {
            _ if last < first => None,
            _ if first < self.length => Some(Selected::Part(first, last.min(self.length - 1))),
            _ => Some(Selected::Unsatisfiable),
        }
    }
}

/// Returns an iterator over the entity tags of a list up to the first that is none, each in its
/// quotes, with whether it is weak (8.8.3). A tag may contain a comma.
fn tags(mut list: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
    std::iter::from_fn(move || {
        while let [b' ' | b'\t' | b',', rest @ ..] = list {
            list = rest;
        }
        let strong = list.strip_prefix(b"W/").unwrap_or(list);
        let weak = strong.len() < list.len();
        let end = strong.strip_prefix(b"\"")?.iter().position(|byte| *byte == b'"')?;
        let (tag, rest) = strong.split_at(end + 2);
        list = rest;
        Some((weak, tag))
    })
}

/// Returns the number that consists of these digits, at most `u64::MAX`.
fn number(digits: &[u8]) -> Option<u64> {
    let valid = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add((digit - b'0').into());
    valid.then(|| digits.iter().fold(0, add))
}

/// Returns a date in seconds since 1970, in any of the three forms that a recipient must accept, or
/// `None` if it is not one (5.6.7). The name of the day is not compared with the date.
///
/// ```text
/// Sun, 06 Nov 1994 08:49:37 GMT      IMF-fixdate
/// Sunday, 06-Nov-94 08:49:37 GMT     RFC 850
/// Sun Nov  6 08:49:37 1994           asctime()
/// ```
fn parse_date(value: &[u8], now: i64) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    let words: Vec<&str> = text.split(' ').collect();
    let (full, short) =
        (|name: &str| DAYS.contains(&name), |name: &str| DAYS.iter().any(|day| day[..3] == *name));
    let two = |word: &str| digits(word, 2);
    match *words {
        [name, day, month, year, time, "GMT"] if name.strip_suffix(',').map_or(false, short) => {
            seconds(digits(year, 4)?, month, two(day)?, time)
        }
        [name, date, time, "GMT"] if name.strip_suffix(',').map_or(false, full) => {
            let mut parts = date.splitn(3, '-');
            let (day, month) = (two(parts.next()?)?, parts.next()?);
            let (this, ..) = civil(now.max(0) as u64 / 86_400);
            // The latest such year that is no more than 50 years ahead.
            let most = this as i64 + 50;
            let year = most - (most - two(parts.next()?)?).rem_euclid(100);
            let ahead = seconds(year - 50, month, day, time).map_or(false, |then| then > now);
            seconds(if ahead { year - 100 } else { year }, month, day, time)
        }
        [name, month, "", day, time, year] if short(name) => {
            seconds(digits(year, 4)?, month, digits(day, 1)?, time)
        }
        [name, month, day, time, year] if short(name) => {
            seconds(digits(year, 4)?, month, two(day)?, time)
        }
        _ => None,
    }
}

const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Returns a number of exactly this many digits.
fn digits(text: &str, count: usize) -> Option<i64> {
    number(text.as_bytes()).filter(|_| text.len() == count).map(|number| number as i64)
}

/// Returns a time in seconds since 1970, or `None` for a day or a time that does not exist.
fn seconds(year: i64, month: &str, day: i64, time: &str) -> Option<i64> {
    let mut months = MONTHS.as_bytes().chunks(3);
    let month = months.position(|known| known == month.as_bytes())? as i64;
    let first = first_day(year, month);
    let mut parts = time.split(':').map(|part| digits(part, 2));
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    let exists = (1..=first_day(year, month + 1) - first).contains(&day)
        // A minute may have a leap second.
        && hour < 24 && minute < 60 && second <= 60 && parts.next().is_none();
    exists.then(|| (first + day - 1) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Returns the first day of a month (from 0; 12 is the next January), counted from 1970: the
/// inverse of [`civil`].
fn first_day(year: i64, month: i64) -> i64 {
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + (153 * month + 2) / 5 - 719_468
}

/// Returns the Content-Type of a file by the extension of its name, with a charset where the type
/// is text: UTF-8, as the web is. Without a known one it is a download.
pub(crate) fn media_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match &*extension.to_ascii_lowercase() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" | "log" => "text/plain; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "vtt" => "text/vtt; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "wasm" => "application/wasm",
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "gz" => "application/gzip",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/vnd.microsoft.icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "otf" => "font/otf",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        _ => "application/octet-stream",
    }
}
