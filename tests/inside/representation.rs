//! The conditions and the range of a request for a file.

use crate::http::head::Method;
use crate::http::representation::Selected::{self, *};
use crate::http::representation::{media_type, Representation};
use crate::http::Headers;

const SECOND: i128 = 1_000_000_000;
/// Tue, 14 Nov 2023 22:13:20 GMT
const NOW: i128 = 1_700_000_000 * SECOND;
/// Half a second after Sun, 09 Sep 2001 01:46:40 GMT
const MODIFIED: i128 = 1_000_000_000 * SECOND + SECOND / 2;

/// Fields of a GET for a file of ten bytes that was changed in 2001, in which `{tag}` is the file's
/// entity tag; what is selected; the section of RFC 9110; the rule; and which other servers answer
/// otherwise by their sources, in their default settings: nginx, Go's FileServer, and Apache.
type Row =
    (&'static [(&'static str, &'static str)], Selected, &'static str, &'static str, &'static str);

const OWN: &str = "Sun, 09 Sep 2001 01:46:40 GMT";
const EARLIER: &str = "Sun, 09 Sep 2001 01:46:39 GMT";
const LATER: &str = "Sun, 09 Sep 2001 01:46:41 GMT";

const ROWS: &[Row] = &[
    (&[], Whole, "13.2.2", "without a condition", ""),
    // If-Match
    (&[("If-Match", "{tag}")], Whole, "13.1.1", "the own tag", ""),
    (&[("If-Match", "\"x\"")], Failed, "13.1.1", "another tag", ""),
    (&[("If-Match", "*")], Whole, "13.1.1", "any file that exists", ""),
    (&[("If-Match", "W/{tag}")], Failed, "13.1.1", "the comparison is strong", ""),
    (&[("If-Match", "\"x\" ,, {tag}")], Whole, "5.6.1", "a list, with an empty member", ""),
    (
        &[("If-Match", "\"x\""), ("If-Match", "{tag}")],
        Whole,
        "5.3",
        "two lines are one list",
        "Go reads the first line: 412",
    ),
    (&[("If-Match", "x")], Failed, "13.1.1", "what is no tag equals none", ""),
    (&[("If-Match", "")], Failed, "13.1.1", "an empty list", "Go ignores it: 200"),
    (
        &[("If-Match", "\"x\""), ("If-Unmodified-Since", OWN)],
        Failed,
        "13.2.2",
        "If-Match comes first",
        "",
    ),
    (
        &[("If-Match", "{tag}"), ("If-Unmodified-Since", EARLIER)],
        Whole,
        "13.1.4",
        "the date is ignored beside If-Match",
        "nginx wants both: 412",
    ),
    // If-Unmodified-Since
    (&[("If-Unmodified-Since", OWN)], Whole, "13.1.4", "the own time, in whole seconds", ""),
    (&[("If-Unmodified-Since", LATER)], Whole, "13.1.4", "later than the change", ""),
    (&[("If-Unmodified-Since", EARLIER)], Failed, "13.1.4", "before the change", ""),
    (
        &[("If-Unmodified-Since", "yesterday")],
        Whole,
        "13.1.4",
        "what is not a date is ignored",
        "nginx: 412",
    ),
    (
        &[("If-Unmodified-Since", EARLIER), ("If-Unmodified-Since", EARLIER)],
        Whole,
        "13.1.4",
        "and so is a list of dates",
        "Go reads the first line: 412",
    ),
    (
        &[("If-Unmodified-Since", "Wed, 31 Dec 1969 23:59:59 GMT")],
        Failed,
        "5.6.7",
        "a date before 1970 is one",
        "",
    ),
    // If-None-Match
    (&[("If-None-Match", "{tag}")], NotModified, "13.1.2", "the own tag", ""),
    (&[("If-None-Match", "W/{tag}")], NotModified, "13.1.2", "the comparison is weak", ""),
    (&[("If-None-Match", "\"x\"")], Whole, "13.1.2", "another tag", ""),
    (&[("If-None-Match", "*")], NotModified, "13.1.2", "any file that exists", ""),
    (&[("If-None-Match", "\"a,b\", {tag}")], NotModified, "8.8.3", "a tag with a comma", ""),
    (
        &[("If-None-Match", "\"x\""), ("If-None-Match", "{tag}")],
        NotModified,
        "5.3",
        "two lines are one list",
        "Go reads the first line: 200",
    ),
    (&[("If-None-Match", "{tag")], Whole, "8.8.3", "a tag without its end", ""),
    (
        &[("If-None-Match", "\"x\""), ("If-Modified-Since", LATER)],
        Whole,
        "13.1.3",
        "the date is ignored beside If-None-Match",
        "",
    ),
    (
        &[("If-None-Match", "{tag}"), ("If-Modified-Since", EARLIER)],
        NotModified,
        "13.1.3",
        "the date is ignored beside If-None-Match",
        "nginx wants both: 200",
    ),
    // If-Modified-Since
    (&[("If-Modified-Since", OWN)], NotModified, "13.1.3", "the own time, in whole seconds", ""),
    (
        &[("If-Modified-Since", LATER)],
        NotModified,
        "13.1.3",
        "later than the change",
        "nginx wants the exact time: 200",
    ),
    (&[("If-Modified-Since", EARLIER)], Whole, "13.1.3", "before the change", ""),
    (&[("If-Modified-Since", "1000000000")], Whole, "13.1.3", "no date is ignored", ""),
    (
        &[("If-Modified-Since", OWN), ("If-Modified-Since", OWN)],
        Whole,
        "13.1.3",
        "two dates are ignored",
        "Go reads the first line: 304",
    ),
    (
        &[("If-Modified-Since", "Sunday, 09-Sep-01 01:46:40 GMT")],
        NotModified,
        "5.6.7",
        "in the form of RFC 850",
        "",
    ),
    (
        &[("If-Modified-Since", "Sun Sep  9 01:46:40 2001")],
        NotModified,
        "5.6.7",
        "in the form of asctime()",
        "",
    ),
    (
        &[("If-Match", "{tag}"), ("If-None-Match", "{tag}")],
        NotModified,
        "13.2.2",
        "If-None-Match comes after If-Match",
        "",
    ),
    // Range
    (&[("Range", "bytes=0-3")], Part(0, 3), "14.1.2", "the first four bytes", ""),
    (&[("Range", "bytes=4-")], Part(4, 9), "14.1.2", "from the fifth byte on", ""),
    (&[("Range", "bytes=-3")], Part(7, 9), "14.1.2", "the last three bytes", ""),
    (&[("Range", "bytes=0-")], Part(0, 9), "14.1.2", "all bytes", ""),
    (&[("Range", "bytes=9-9")], Part(9, 9), "14.1.2", "the last byte", ""),
    (&[("Range", "bytes=5-100")], Part(5, 9), "14.1.2", "an end behind the file's", ""),
    (
        &[("Range", "bytes=5-99999999999999999999")],
        Part(5, 9),
        "14.1.2",
        "an end beyond 64 bits",
        "nginx, Go: 416",
    ),
    (&[("Range", "bytes=-11")], Part(0, 9), "14.1.2", "more than there are", ""),
    (&[("Range", "bytes=10-")], Unsatisfiable, "14.1.2", "a start behind the file's end", ""),
    (&[("Range", "bytes=18446744073709551616-")], Unsatisfiable, "14.1.2", "beyond 64 bits", ""),
    (
        &[("Range", "bytes=-0")],
        Unsatisfiable,
        "14.1.2",
        "the last no bytes",
        "Go: 206 with `bytes 10-9/10`",
    ),
    (
        &[("Range", "bytes=5-2")],
        Whole,
        "14.1.1",
        "a range that ends before it starts is invalid, and ignored",
        "nginx, Go: 416, which 14.2 allows",
    ),
    (&[("Range", "bytes=x-2")], Whole, "14.2", "malformed, ignored", "nginx, Go: 416"),
    (&[("Range", "bytes=-")], Whole, "14.2", "malformed, ignored", "nginx, Go: 416"),
    (&[("Range", "bytes=+1-2")], Whole, "14.2", "malformed, ignored", "nginx: 416; Go: 206"),
    (&[("Range", "bytes=0x0-3")], Whole, "14.2", "malformed, ignored", "nginx, Go: 416"),
    (&[("Range", "bytes 0-3")], Whole, "14.2", "malformed, ignored", "Go: 416"),
    (&[("Range", "bytes=")], Whole, "14.2", "no range", ""),
    (&[("Range", "items=0-3")], Whole, "14.1", "a unit that is not known", "Go: 416"),
    (&[("Range", "Bytes=0-3")], Part(0, 3), "14.1", "names of units have no case", "Go: 416"),
    (&[("Range", "bytes=, 0-3")], Part(0, 3), "5.6.1", "a list with an empty member", "nginx: 416"),
    (
        &[("Range", "bytes=0-1,4-5")],
        Whole,
        "14.2",
        "several ranges, which a server may ignore",
        "nginx, Go, Apache: 206 with multipart/byteranges",
    ),
    (
        &[("Range", "bytes=0-1"), ("Range", "bytes=0-1")],
        Whole,
        "5.3",
        "a field that is no list, twice",
        "Go reads the first line: 206",
    ),
    (
        &[("If-None-Match", "{tag}"), ("Range", "bytes=0-3")],
        NotModified,
        "13.2.2",
        "the range comes last",
        "",
    ),
    (
        &[("If-Match", "\"x\""), ("Range", "bytes=0-3")],
        Failed,
        "13.2.2",
        "the range comes last",
        "",
    ),
    // If-Range
    (&[("If-Range", "\"x\"")], Whole, "13.1.5", "without a Range it means nothing", ""),
    (&[("If-Range", "{tag}"), ("Range", "bytes=4-")], Part(4, 9), "13.1.5", "the own tag", ""),
    (&[("If-Range", "\"x\""), ("Range", "bytes=4-")], Whole, "13.1.5", "another tag", ""),
    (
        &[("If-Range", "W/{tag}"), ("Range", "bytes=4-")],
        Whole,
        "13.1.5",
        "the comparison is strong",
        "",
    ),
    (&[("If-Range", "\"x\", {tag}"), ("Range", "bytes=4-")], Whole, "13.1.5", "it is no list", ""),
    (&[("If-Range", "{tag} x"), ("Range", "bytes=4-")], Whole, "13.1.5", "nor more than a tag", ""),
    (&[("If-Range", "*"), ("Range", "bytes=4-")], Whole, "13.1.5", "nor any", ""),
    (&[("If-Range", OWN), ("Range", "bytes=4-")], Part(4, 9), "13.1.5", "the own time", ""),
    (&[("If-Range", LATER), ("Range", "bytes=4-")], Whole, "13.1.5", "the time must be exact", ""),
    (
        &[("If-Range", "\"x\""), ("Range", "bytes=10-")],
        Whole,
        "13.1.5",
        "a mismatch comes before 416",
        "",
    ),
    (
        &[("If-Range", "{tag}"), ("Range", "bytes=10-")],
        Unsatisfiable,
        "13.1.5",
        "a match does not",
        "",
    ),
];

fn of(length: u64, modified: i128) -> Representation {
    Representation::new(length, Some(modified), "", NOW)
}

fn select(file: &Representation, method: Method, fields: &[(&str, &str)]) -> Selected {
    let tag = file.etag().unwrap_or_default();
    let mut headers = Headers::new();
    for (name, value) in fields {
        headers.push(name, value.replace("{tag}", tag.trim_start_matches("W/")).as_bytes());
    }
    file.select(method, &headers)
}

#[test]
fn conditions_and_ranges_select_what_the_rfc_says() {
    for (fields, selected, section, gloss, _) in ROWS {
        let file = of(10, MODIFIED);
        assert_eq!(select(&file, Method::Get, fields), *selected, "{}: {}", section, gloss);
        // HEAD has no ranges (14.2); nginx and Go answer it with 206.
        let of_head = match selected {
            Part(..) | Unsatisfiable => &Whole,
            other => other,
        };
        assert_eq!(select(&file, Method::Head, fields), *of_head, "HEAD, {}: {}", section, gloss);
    }
}

#[test]
fn a_file_that_may_change_within_the_second_has_a_weak_tag_and_no_strong_time() {
    let tag = [("If-Range", "{tag}"), ("Range", "bytes=4-")];
    for (age, weak) in [(0, true), (SECOND - 1, true), (SECOND, false), (-SECOND, false)] {
        let file = of(10, NOW - age);
        assert_eq!(file.etag().expect("a tag").starts_with("W/\""), weak, "{}", age);
        assert_eq!(select(&file, Method::Get, &[("If-None-Match", "{tag}")]), NotModified);
        let of_match = if weak { Failed } else { Whole };
        assert_eq!(select(&file, Method::Get, &[("If-Match", "{tag}")]), of_match, "{}", age);
        let of_range = if weak { Whole } else { Part(4, 9) };
        assert_eq!(select(&file, Method::Get, &tag), of_range, "{}", age);
    }
    let now = "Tue, 14 Nov 2023 22:13:20 GMT";
    let time = [("If-Range", now), ("Range", "bytes=4-")];
    assert_eq!(of(10, NOW).last_modified().as_deref(), Some(now));
    assert_eq!(select(&of(10, NOW), Method::Get, &time), Whole);
}

#[test]
fn last_modified_is_a_plausible_time_that_is_not_later_than_now() {
    let day = 86_400 * SECOND;
    for (modified, expected) in [
        (0, None),
        (SECOND, None),
        (day - 1, None),
        (day, Some("Fri, 02 Jan 1970 00:00:00 GMT")),
        (-1, None),
        (-SECOND * 1_000_000_000_000, None),
        (MODIFIED, Some(OWN)),
        (NOW - 1, Some("Tue, 14 Nov 2023 22:13:19 GMT")),
        // What comes from the future was modified now (8.8.2.1).
        (NOW + day, Some("Tue, 14 Nov 2023 22:13:20 GMT")),
        (i128::from(u64::MAX) * SECOND, Some("Tue, 14 Nov 2023 22:13:20 GMT")),
    ] {
        let file = of(10, modified);
        assert_eq!(file.last_modified().as_deref(), expected, "{}", modified);
        // Without a time, a condition on one is ignored; the tag remains.
        if expected.is_none() {
            let date = [("If-Modified-Since", OWN)];
            assert_eq!(select(&file, Method::Get, &date), Whole, "{}", modified);
            let date = [("If-Unmodified-Since", EARLIER)];
            assert_eq!(select(&file, Method::Get, &date), Whole, "{}", modified);
            assert_eq!(select(&file, Method::Get, &[("If-None-Match", "{tag}")]), NotModified);
        }
    }
    let timeless = Representation::new(10, None, "", NOW);
    assert_eq!((timeless.etag(), timeless.last_modified()), (None, None));
    assert_eq!(select(&timeless, Method::Get, &[("If-None-Match", "\"\"")]), Whole);
    assert_eq!(select(&timeless, Method::Get, &[("If-None-Match", "*")]), NotModified);
    // A clock that was never set.
    let early = Representation::new(10, Some(MODIFIED), "", 0);
    assert_eq!(early.last_modified(), None);
}

#[test]
fn a_tag_differs_with_the_nanosecond_the_length_and_the_version() {
    let tag = |length, modified, version| {
        Representation::new(length, Some(modified), version, NOW).etag().expect("a tag")
    };
    let tags = [
        tag(10, MODIFIED, ""),
        tag(11, MODIFIED, ""),
        tag(10, MODIFIED + 1, ""),
        tag(10, -MODIFIED, ""),
        tag(10, MODIFIED, "1"),
        tag(10, MODIFIED, "\" \r\n\u{e9}"),
    ];
    for (at, tag) in tags.iter().enumerate() {
        assert!(!tags[..at].contains(tag), "{}", tag);
        let inner = tag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).expect("quotes");
        assert!(inner.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"'), "{}", tag);
    }
}

#[test]
fn no_range_of_an_empty_file_can_be_named_and_lengths_have_64_bits() {
    for range in ["bytes=0-", "bytes=0-0", "bytes=5-", "bytes=-1", "bytes=-0"] {
        // nginx: 416 for `5-`.
        assert_eq!(select(&of(0, MODIFIED), Method::Get, &[("Range", range)]), Whole, "{}", range);
    }
    let (large, huge) = (of((1 << 32) + 10, MODIFIED), of(u64::MAX, MODIFIED));
    let range = |file, range| select(file, Method::Get, &[("Range", range)]);
    assert_eq!(range(&large, "bytes=4294967296-"), Part(1 << 32, (1 << 32) + 9));
    assert_eq!(range(&large, "bytes=-4294967297"), Part(9, (1 << 32) + 9));
    assert_eq!(range(&huge, "bytes=0-18446744073709551615"), Part(0, u64::MAX - 1));
    assert_eq!(range(&huge, "bytes=18446744073709551615-"), Unsatisfiable);
}

#[test]
fn a_date_has_one_of_three_forms_and_exists() {
    // In 2023: a date, and whether it is one by whether the file of 2001 has been changed since.
    for (date, since) in [
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(true)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", Some(true)),
        ("Sun Nov  6 08:49:37 1994", Some(true)),
        ("Sun Nov 06 08:49:37 1994", Some(true)),
        ("Thu Nov 16 08:49:37 2023", Some(false)),
        ("Thu, 29 Feb 2024 23:59:60 GMT", Some(false)),
        ("Fri, 31 Dec 9999 23:59:59 GMT", Some(false)),
        ("Sat, 01 Jan 0000 00:00:00 GMT", Some(true)),
        // The year of RFC 850 is no more than 50 years ahead: to the second.
        ("Tuesday, 14-Nov-73 22:13:20 GMT", Some(false)),
        ("Tuesday, 14-Nov-73 22:13:21 GMT", Some(true)),
        ("Tuesday, 14-Nov-74 00:00:00 GMT", Some(true)),
        ("Tuesday, 14-Nov-24 00:00:00 GMT", Some(false)),
        ("Tuesday, 14-Nov-00 00:00:00 GMT", Some(true)),
        // Days and times that do not exist.
        ("Wed, 29 Feb 2023 00:00:00 GMT", None),
        ("Mon, 29 Feb 2100 00:00:00 GMT", None),
        ("Wed, 31 Apr 2024 00:00:00 GMT", None),
        ("Wed, 00 Apr 2024 00:00:00 GMT", None),
        ("Wed, 32 Dec 2024 00:00:00 GMT", None),
        ("Sun, 06 Nov 1994 24:00:00 GMT", None),
        ("Sun, 06 Nov 1994 08:60:00 GMT", None),
        ("Sun, 06 Nov 1994 08:49:61 GMT", None),
        // Other forms.
        ("", None),
        (" ", None),
        ("0", None),
        ("1994-11-06T08:49:37Z", None),
        ("Sun, 06 Nov 1994 08:49:37", None),
        ("Sun, 06 Nov 1994 08:49:37 UTC", None),
        ("Sun, 06 Nov 1994 08:49:37 +0000", None),
        ("Sun, 06 Nov 1994 08:49:37 gmt", None),
        ("sun, 06 Nov 1994 08:49:37 GMT", None),
        ("Son, 06 Nov 1994 08:49:37 GMT", None),
        ("Sun 06 Nov 1994 08:49:37 GMT", None),
        ("Sunday, 06 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06-Nov-94 08:49:37 GMT", None),
        ("Sunday, 06-Nov-1994 08:49:37 GMT", None),
        ("Sun, 6 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 94 08:49:37 GMT", None),
        ("Sun, +6 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 8:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08:49 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37:00 GMT", None),
        ("Sun,  06 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37 GMT; length=10", None),
        ("Sun Nov 6 08:49:37 1994", None),
        ("Sun Nov  06 08:49:37 1994", None),
    ] {
        let file = of(10, MODIFIED);
        let unmodified = select(&file, Method::Get, &[("If-Unmodified-Since", date)]);
        let modified = select(&file, Method::Get, &[("If-Modified-Since", date)]);
        let expected = match since {
            Some(true) => (Failed, Whole),
            Some(false) => (Whole, NotModified),
            None => (Whole, Whole),
        };
        assert_eq!((unmodified, modified), expected, "{:?}", date);
    }
}

#[test]
fn a_type_follows_the_extension_and_only_text_has_a_charset() {
    for (name, expected) in [
        ("index.html", "text/html; charset=utf-8"),
        ("INDEX.HTM", "text/html; charset=utf-8"),
        ("a.min.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.wasm", "application/wasm"),
        ("a.json", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.tar.gz", "application/gzip"),
        ("fw.bin", "application/octet-stream"),
        ("README", "application/octet-stream"),
        ("html", "application/octet-stream"),
        ("a.", "application/octet-stream"),
        ("a.html ", "application/octet-stream"),
        ("a.\u{212a}", "application/octet-stream"),
        ("", "application/octet-stream"),
    ] {
        assert_eq!(media_type(name), expected, "{:?}", name);
    }
    let extensions =
        "html css js mjs txt log md csv vtt json map webmanifest wasm xml pdf zip gz svg \
                      png jpg jpeg gif webp avif ico woff woff2 ttf otf mp3 ogg wav mp4 webm";
    for extension in extensions.split_whitespace() {
        let media_type = media_type(&format!("a.{}", extension));
        assert_ne!(media_type, "application/octet-stream", "{}", extension);
        assert_eq!(
            media_type.starts_with("text/"),
            media_type.contains("charset"),
            "{}",
            extension
        );
    }
}
