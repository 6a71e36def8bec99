//! The check that a request which changes something comes from an allowed page (RFC 6454; Fetch
//! Metadata).

use sockling::http::Request;
use sockling::websocket::Refusal;
use sockling::Error;

/// The meaning of the row, the fields of a POST to `http://h:8000/`, and whether it passes.
type Row = (&'static str, &'static [(&'static str, &'static str)], bool);

const ROWS: &[Row] = &[
    ("not a browser", &[], true),
    ("the server's own page", &[("Origin", "http://h:8000")], true),
    ("another host", &[("Origin", "http://evil:8000")], false),
    ("another port", &[("Origin", "http://h")], false),
    ("a page that hides its origin", &[("Origin", "null")], false),
    ("a program that writes ws", &[("Origin", "ws://h:8000")], true),
    ("a program that ends it with a slash", &[("Origin", "http://h:8000/")], true),
    ("a program of another host", &[("Origin", "ws://evil:8000/")], false),
    ("two origins", &[("Origin", "http://h:8000"), ("Origin", "http://h:8000")], false),
    ("same-origin, by Sec-Fetch-Site", &[("Sec-Fetch-Site", "same-origin")], true),
    ("a navigation by the user", &[("Sec-Fetch-Site", "none")], true),
    (
        "same-origin, with a hidden origin",
        &[("Origin", "null"), ("Sec-Fetch-Site", "same-origin")],
        true,
    ),
    ("cross-site, by Sec-Fetch-Site", &[("Sec-Fetch-Site", "cross-site")], false),
    ("same-site, by Sec-Fetch-Site", &[("Sec-Fetch-Site", "same-site")], false),
    ("an unknown value of Sec-Fetch-Site", &[("Sec-Fetch-Site", "same")], false),
    (
        "Sec-Fetch-Site twice",
        &[("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")],
        false,
    ),
    ("a list in Sec-Fetch-Site", &[("Sec-Fetch-Site", "same-origin, none")], false),
    (
        "cross-site, with its origin",
        &[("Origin", "http://evil:8000"), ("Sec-Fetch-Site", "cross-site")],
        false,
    ),
    (
        "the same host without TLS, which only the browser can know",
        &[("Origin", "http://h:8000"), ("Sec-Fetch-Site", "cross-site")],
        false,
    ),
    (
        "another origin, but same-origin by Sec-Fetch-Site",
        &[("Origin", "http://evil:8000"), ("Sec-Fetch-Site", "same-origin")],
        true,
    ),
];

#[test]
fn a_change_is_accepted_from_the_servers_own_pages_and_from_programs() {
    for (gloss, fields, passes) in ROWS {
        let with = |request: Request| {
            fields.iter().fold(request, |request, (name, value)| request.with_header(name, value))
        };
        let result = with(Request::post("http://h:8000/", "")).check_origin();
        match result {
            Ok(()) => assert!(passes, "{}", gloss),
            Err(Error::Refusal(Refusal::Origin)) => assert!(!passes, "{}", gloss),
            Err(other) => panic!("{}: {}", gloss, other),
        }
        // A handler that asks wants the answer whatever the method.
        let get = with(Request::get("http://h:8000/")).check_origin();
        assert_eq!(get.is_ok(), *passes, "GET: {}", gloss);
    }
}
