//! Cookie fields (RFC 6265, 5.4).

use sockling::http::{cookies, Headers, Request};
use sockling::limits::COOKIE_VALUE;

fn headers(lines: &[&[u8]]) -> Headers {
    let mut headers = Headers::new();
    headers.push("Set-Cookie", b"no=cookie");
    lines.iter().for_each(|line| headers.push("Cookie", line));
    headers
}

type Pairs = &'static [(&'static [u8], &'static [u8])];

/// Cookie fields, and the pairs in them.
const LINES: &[(&str, &[&[u8]], Pairs)] = &[
    ("no line", &[], &[]),
    ("an empty line", &[b""], &[]),
    ("one", &[b"a=1"], &[(b"a", b"1")]),
    (
        "the example of RFC 6265, 3.1",
        &[b"SID=31d4; lang=en"],
        &[(b"SID", b"31d4"), (b"lang", b"en")],
    ),
    ("no space after the semicolon", &[b"a=1;b=2"], &[(b"a", b"1"), (b"b", b"2")]),
    ("white space around all", &[b"\t a = 1 ;\tb\t=\t2 "], &[(b"a", b"1"), (b"b", b"2")]),
    ("white space inside", &[b"a b=c d"], &[(b"a b", b"c d")]),
    ("an empty value", &[b"a=; b"], &[(b"a", b"")]),
    ("an empty name", &[b"=1"], &[(b"", b"1")]),
    ("only the first equals sign splits", &[b"a=b=c=="], &[(b"a", b"b=c==")]),
    ("quotes stay", &[b"a=\"1\""], &[(b"a", b"\"1\"")]),
    ("a quote alone", &[b"a=\"; b=2"], &[(b"a", b"\""), (b"b", b"2")]),
    ("quotes do not protect a semicolon", &[b"a=\"1;2\""], &[(b"a", b"\"1")]),
    ("a comma does not separate", &[b"a=1, b=2"], &[(b"a", b"1, b=2")]),
    (
        "a malformed pair is skipped",
        &[b"junk; a=1; ;; more junk; b=2"],
        &[(b"a", b"1"), (b"b", b"2")],
    ),
    ("a name twice, in order", &[b"a=1; a=2"], &[(b"a", b"1"), (b"a", b"2")]),
    ("names are case-sensitive", &[b"A=1; a=2"], &[(b"A", b"1"), (b"a", b"2")]),
    ("two lines", &[b"a=1; b=2", b"c=3"], &[(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]),
    ("bytes that are not text", &[b"a=\xff; \xfe=1"], &[(b"a", b"\xff"), (b"\xfe", b"1")]),
    ("nothing is decoded", &[b"a=%41+b"], &[(b"a", b"%41+b")]),
    (
        "attributes are pairs like others",
        &[b"$Version=1; a=2"],
        &[(b"$Version", b"1"), (b"a", b"2")],
    ),
];

#[test]
fn cookie_fields_become_pairs_and_malformed_pairs_are_skipped() {
    for (gloss, lines, pairs) in LINES {
        let headers = headers(lines);
        assert_eq!(cookies(&headers).collect::<Vec<_>>(), *pairs, "{}", gloss);
    }
}

#[test]
fn pairs_written_as_a_cookie_field_are_read_back_unchanged() {
    for (gloss, _, pairs) in LINES {
        let line = pairs.iter().map(|(name, value)| [*name, b"=", value].concat());
        let line = line.collect::<Vec<_>>().join(&b"; "[..]);
        assert_eq!(cookies(&headers(&[&line])).collect::<Vec<_>>(), *pairs, "{}", gloss);
    }
}

#[test]
fn a_pair_is_found_behind_any_number_of_others() {
    for others in ["a=b;", ";", "junk;"] {
        let line = others.repeat(4000) + "last=1";
        let headers = headers(&[line.as_bytes()]);
        assert_eq!(cookies(&headers).last(), Some((&b"last"[..], &b"1"[..])), "{}", others);
        let request = Request::get("/").with_header("Cookie", &line);
        assert_eq!(request.cookie("last"), Some("1"), "{}", others);
    }
    let lines = [&b"a=1"[..]; 100];
    assert_eq!(cookies(&headers(&lines)).count(), 100);
}

#[test]
fn a_value_longer_than_the_limit_is_skipped() {
    let (most, more) = ("v".repeat(COOKIE_VALUE), "v".repeat(COOKIE_VALUE + 1));
    let line = format!("a={}; b={}; c=1", most, more);
    let headers = headers(&[line.as_bytes()]);
    let pairs: Vec<_> = cookies(&headers).collect();
    assert_eq!(pairs, [(&b"a"[..], most.as_bytes()), (b"c", b"1")]);
}

#[test]
fn a_request_returns_the_first_cookie_with_a_name_as_text() {
    let request =
        Request::get("/").with_header("Cookie", "a=1; b=; a=2").with_header("cookie", "c=3");
    assert_eq!(request.cookie("a"), Some("1"));
    assert_eq!(request.cookie("b"), Some(""));
    assert_eq!(request.cookie("c"), Some("3"));
    assert_eq!((request.cookie("A"), request.cookie("d")), (None, None));
}
