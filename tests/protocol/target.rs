//! Request targets, hosts, and queries (RFC 9112, 3.2; RFC 3986; WHATWG URL, 5.1).

use crate::cuts::show;
use crate::head::verdict;
use sockling::http::{Head, HeadError, Request};
use sockling::limits::Limits;

/// Returns the head of a request with this method and target. An invalid target is refused at the
/// end of the request line.
fn head(method: &str, target: &[u8]) -> Result<Head, HeadError> {
    let line = [method.as_bytes(), b" ", target, b" HTTP/1.1\r\n"].concat();
    let bytes = [&line[..], b"Host: h\r\n\r\n"].concat();
    match Head::parse(&line, &Limits::default()) {
        Err(_) => verdict(&line, &Limits::default()),
        Ok(_) => verdict(&bytes, &Limits::default()),
    }
}

type Parts = Option<(&'static str, &'static str)>;

/// A method and a target; the path and the query, or `None` if the target is refused.
const FORMS: &[(&str, &str, &[u8], Parts)] = &[
    // origin-form = absolute-path [ "?" query ] (3.2.1).
    ("the root", "GET", b"/", Some(("/", ""))),
    ("a path", "GET", b"/a/b.c", Some(("/a/b.c", ""))),
    ("a query", "GET", b"/a?b=c&d", Some(("/a", "b=c&d"))),
    ("an empty query", "GET", b"/a?", Some(("/a", ""))),
    ("a query with question marks", "GET", b"/a?b?c?", Some(("/a", "b?c?"))),
    ("a query with slashes", "GET", b"/a?/../b", Some(("/a", "/../b"))),
    ("a query stays encoded", "GET", b"/a?%41%2f%zz", Some(("/a", "%41%2f%zz"))),
    ("a query with a URL", "GET", b"/a?to=http://x/", Some(("/a", "to=http://x/"))),
    ("a path with a URL, whose double slash is an empty segment", "GET", b"/a/http://x/", None),
    ("an empty last segment", "GET", b"/a/", Some(("/a/", ""))),
    ("an empty first segment", "GET", b"//", None),
    ("an empty first segment before a name", "GET", b"//evil.example/x", None),
    ("an empty segment inside", "GET", b"/a//b", None),
    ("an empty segment before the last", "GET", b"/a//", None),
    ("an empty segment before a query", "GET", b"//?a", None),
    ("colons and at signs", "GET", b"/a:b@c", Some(("/a:b@c", ""))),
    ("an asterisk as a segment", "GET", b"/*", Some(("/*", ""))),
    ("a relative path", "GET", b"a/b", None),
    ("a query alone", "GET", b"?a", None),
    // absolute-form (3.2.2); its authority is in the table of hosts.
    ("absolute", "GET", b"http://h/a?b", Some(("/a", "b"))),
    ("absolute, any case", "GET", b"HTTP://H/a", Some(("/a", ""))),
    ("absolute, https", "GET", b"https://h/", Some(("/", ""))),
    ("absolute, no path (RFC 3986, 6.2.3)", "GET", b"http://h", Some(("/", ""))),
    ("absolute, no path but a query", "GET", b"http://h?a/b", Some(("/", "a/b"))),
    ("absolute, a port", "GET", b"http://h:80/a", Some(("/a", ""))),
    ("absolute, an empty last segment", "GET", b"http://h/a/", Some(("/a/", ""))),
    ("absolute, an empty first segment", "GET", b"http://h//a", None),
    ("absolute, an empty segment inside", "GET", b"http://h/a//b", None),
    ("absolute, an empty segment before the last", "GET", b"http://h//", None),
    ("absolute, encoded path", "GET", b"http://h/%41", Some(("/A", ""))),
    ("absolute for OPTIONS", "OPTIONS", b"http://h", Some(("/", ""))),
    ("another scheme", "GET", b"ftp://h/", None),
    ("the scheme of a WebSocket", "GET", b"ws://h/", None),
    ("one slash", "GET", b"http:/h/", None),
    ("no slashes", "GET", b"http:h", None),
    ("no authority (RFC 9110, 4.2.1)", "GET", b"http:///a", None),
    ("absolute, a double-dot segment", "GET", b"http://h/../a", None),
    // authority-form is for CONNECT, which is not served (3.2.3).
    ("an authority", "GET", b"h:80", None),
    ("a host", "GET", b"h", None),
    // asterisk-form is for OPTIONS (3.2.4).
    ("an asterisk", "OPTIONS", b"*", Some(("*", ""))),
    ("an asterisk for GET", "GET", b"*", None),
    ("two asterisks", "OPTIONS", b"**", None),
    ("an asterisk and a query", "OPTIONS", b"*?a", None),
    // Bytes that are forbidden in a target (RFC 3986, 2): a fragment, and bytes that must be
    // escaped.
    ("a fragment", "GET", b"/a#b", None),
    ("a fragment in a query", "GET", b"/a?b#c", None),
    ("a tab", "GET", b"/a\tb", None),
    ("UTF-8", "GET", b"/\xc3\xa4", None),
    ("UTF-8 in a query", "GET", b"/?\xc3\xa4", None),
    ("a byte that is not UTF-8", "GET", b"/\xff", None),
    // A path is decoded after it was split, segment by segment, once (RFC 3986, 2.4).
    ("a letter", "GET", b"/%41", Some(("/A", ""))),
    ("lower-case digits", "GET", b"/%7e%7E", Some(("/~~", ""))),
    ("a space", "GET", b"/a%20b", Some(("/a b", ""))),
    ("a plus is a plus", "GET", b"/a+b", Some(("/a+b", ""))),
    ("UTF-8 of two bytes", "GET", b"/%C3%A4", Some(("/\u{e4}", ""))),
    ("UTF-8 of four bytes", "GET", b"/%F0%9F%98%80", Some(("/\u{1f600}", ""))),
    ("an encoded percent sign, once", "GET", b"/%2541", Some(("/%41", ""))),
    ("an encoded question mark", "GET", b"/a%3Fb", Some(("/a?b", ""))),
    ("an encoded number sign", "GET", b"/a%23b", Some(("/a#b", ""))),
    ("three dots", "GET", b"/...", Some(("/...", ""))),
    ("dots in a name", "GET", b"/..a/b../.c", Some(("/..a/b../.c", ""))),
    ("no digits", "GET", b"/%", None),
    ("one digit", "GET", b"/%4", None),
    ("one digit before a slash", "GET", b"/%4/1", None),
    ("no hexadecimal digits", "GET", b"/%zz", None),
    ("one hexadecimal digit", "GET", b"/%4g", None),
    ("a sign for a digit", "GET", b"/%+4", None),
    ("two percent signs", "GET", b"/%%41", None),
    ("an escape that ends at the query", "GET", b"/%4?1", None),
    ("a NUL", "GET", b"/a%00b", None),
    ("a tab, which browsers drop: //evil.example", "GET", b"/%09/evil.example", None),
    ("a line feed, which browsers drop", "GET", b"/%0A/evil.example", None),
    ("a DEL", "GET", b"/a%7Fb", None),
    ("an encoded slash", "GET", b"/a%2Fb", None),
    ("an encoded slash, lower case", "GET", b"/a%2fb", None),
    ("a backslash", "GET", b"/a\\b", None),
    ("an encoded backslash", "GET", b"/a%5Cb", None),
    ("a dot segment", "GET", b"/.", None),
    ("a dot segment inside", "GET", b"/a/./b", None),
    ("a double-dot segment", "GET", b"/..", None),
    ("a double-dot segment inside", "GET", b"/a/../b", None),
    ("a double-dot segment, encoded", "GET", b"/%2e%2E/a", None),
    ("a double-dot segment, half encoded", "GET", b"/.%2e/a", None),
    ("a double-dot segment with a backslash", "GET", b"/..\\a", None),
    ("encoded twice stays harmless", "GET", b"/%252e%252e/a", Some(("/%2e%2e/a", ""))),
    ("overlong dots", "GET", b"/%c0%ae%c0%ae/a", None),
    ("an overlong slash", "GET", b"/%c0%af", None),
    ("half a character", "GET", b"/%c3", None),
    ("a character over two segments", "GET", b"/%c3/%a4", None),
    ("a surrogate", "GET", b"/%ed%a0%80", None),
    ("over U+10FFFF", "GET", b"/%f4%90%80%80", None),
];

#[test]
fn a_request_target_is_split_and_decoded_or_refused() {
    for (gloss, method, target, expected) in FORMS {
        let got = head(method, target);
        let got = got.map(|head| (head.path, head.query));
        let expected = expected.map(|(path, query)| (path.to_string(), query.to_string()));
        assert_eq!(got, expected.ok_or(HeadError::Target), "{}: {}", gloss, show(target));
    }
}

#[test]
fn a_byte_in_a_path_means_the_same_as_its_escape() {
    for byte in 0..=255u8 {
        let encoded = format!("/x%{:02x}%{:02X}y", byte, byte);
        let got = head("GET", encoded.as_bytes()).map(|head| head.path);
        let twice = [b'/', b'x', byte, byte, b'y'];
        let expected = match byte {
            0..=0x1f | 0x7f | b'/' | b'\\' => Err(HeadError::Target),
            _ => std::str::from_utf8(&twice).map(str::to_string).map_err(|_| HeadError::Target),
        };
        assert_eq!(got, expected, "{}", encoded);
    }
}

/// A host and port, and the same in lower case with the port as a number; `None` if the text is not
/// `host [ ":" port ]` (RFC 3986, 3.2).
const HOSTS: &[(&str, &str, Option<&str>)] = &[
    ("a name", "localhost", Some("localhost")),
    ("a name and a port", "localhost:8000", Some("localhost:8000")),
    ("a name in any case (6.2.2.1)", "LocalHost:80", Some("localhost:80")),
    ("no digits after the colon (3.2.3)", "h:", Some("h")),
    ("zeros before the port", "h:00080", Some("h:80")),
    ("the largest port", "h:65535", Some("h:65535")),
    ("a name of labels", "www.example.org", Some("www.example.org")),
    ("an address", "127.0.0.1:1", Some("127.0.0.1:1")),
    ("the characters of a registered name", "a-._~!$&'()*+,;=b", Some("a-._~!$&'()*+,;=b")),
    ("an encoded byte", "a%20b", Some("a%20b")),
    ("an IPv6 address", "[::1]", Some("[::1]")),
    ("an IPv6 address and a port", "[::1]:8000", Some("[::1]:8000")),
    ("IPv6 in any case", "[2001:DB8::FF]", Some("[2001:db8::ff]")),
    ("IPv6 with an IPv4 part", "[::ffff:127.0.0.1]", Some("[::ffff:127.0.0.1]")),
    ("the same address in hexadecimal digits", "[::ffff:7f00:1]", Some("[::ffff:127.0.0.1]")),
    ("IPv6 in full", "[2001:0db8:0:0:0:0:0:1]:1", Some("[2001:db8::1]:1")),
    ("empty", "", None),
    ("a port alone", ":80", None),
    ("a port that is too large", "h:65536", None),
    ("a port that is far too large", "h:99999999", None),
    ("a port with a plus", "h:+80", None),
    ("a port with a minus", "h:-1", None),
    ("a port of letters", "h:http", None),
    ("two ports", "h:80:80", None),
    ("user information (RFC 9110, 4.2.4)", "u@h", None),
    ("user and password", "u:p@h", None),
    ("a space", "a b", None),
    ("a slash", "h/x", None),
    ("a question mark", "h?x", None),
    ("a number sign", "h#x", None),
    ("a backslash", "h\\x", None),
    ("a quote", "\"h\"", None),
    ("angle brackets", "<h>", None),
    ("non-ASCII letters", "h\u{f6}st", None),
    ("a scheme", "http://h", None),
    ("IPv6 without brackets", "::1", None),
    ("an open bracket", "[::1", None),
    ("a closed bracket", "::1]", None),
    ("a bracket and something", "[::1]x", None),
    ("nothing in brackets", "[]", None),
    ("a name in brackets", "[h]", None),
    ("one colon in brackets", "[a:1]", None),
    ("three colons", "[:::]", None),
    ("too few groups", "[1:2:3]", None),
    ("five digits in a group", "[::12345]", None),
    ("IPv4 in brackets", "[127.0.0.1]", None),
    ("a zone (RFC 6874)", "[fe80::1%25en0]", None),
    ("two brackets", "[[::1]]", None),
];

/// Returns the head of a request with this Host.
fn with_host(host: &str) -> Result<Head, HeadError> {
    let bytes = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", host);
    verdict(bytes.as_bytes(), &Limits::default())
}

#[test]
fn host_is_a_host_and_an_optional_port() {
    for (gloss, host, expected) in HOSTS {
        let got = with_host(host).map(|_| ()).err();
        let expected = if expected.is_some() { None } else { Some(HeadError::Host) };
        assert_eq!(got, expected, "{}: {:?}", gloss, host);
    }
}

#[test]
fn a_target_in_absolute_form_has_the_same_kind_of_authority() {
    for (gloss, host, expected) in HOSTS {
        // A slash or a question mark ends an authority, a space ends the target.
        if host.contains(&['/', '?', ' '][..]) {
            continue;
        }
        let got = head("GET", format!("http://{}/", host).as_bytes()).map(|_| ()).err();
        let expected = if expected.is_some() { None } else { Some(HeadError::Target) };
        assert_eq!(got, expected, "{}: {:?}", gloss, host);
    }
}

/// Returns the head without its fields, so that heads which differ only in these are equal.
fn without_fields(mut head: Head) -> Head {
    head.headers = Default::default();
    head
}

#[test]
fn hosts_compare_case_insensitively_and_the_targets_authority_replaces_host() {
    let other = |target: &str| {
        let bytes = format!("GET {} HTTP/1.1\r\nHost: elsewhere:1\r\n\r\n", target);
        without_fields(verdict(bytes.as_bytes(), &Limits::default()).unwrap())
    };
    for (gloss, host, expected) in HOSTS {
        if let Some(canonical) = expected {
            let got = without_fields(with_host(host).unwrap());
            assert_eq!(got, without_fields(with_host(canonical).unwrap()), "{}", gloss);
            assert_eq!(got, other(&format!("http://{}/", host)), "{} (RFC 9112, 3.2.2)", gloss);
            assert_ne!(got, other("/"), "{}", gloss);
        }
    }
    let distinct = ["h:80", "h:81", "i:80", "h.:80", "h.", "[::1]", "[::2]"];
    for one in distinct {
        for two in distinct.iter().filter(|two| **two != one) {
            let heads = (with_host(one).unwrap(), with_host(two).unwrap());
            assert_ne!(without_fields(heads.0), without_fields(heads.1), "{} {}", one, two);
        }
    }
}

#[test]
fn a_query_is_decoded_as_a_urlencoded_form() {
    // Query, name, and the first value of that name.
    let rows: &[(&str, &str, &str, Option<&str>)] = &[
        ("one pair", "a=1", "a", Some("1")),
        ("another pair", "a=1&b=2", "b", Some("2")),
        ("the first of two", "a=1&a=2", "a", Some("1")),
        ("a name without a value", "a&b=2", "a", Some("")),
        ("an empty value", "a=", "a", Some("")),
        ("an equals sign in the value", "a=b=c", "a", Some("b=c")),
        ("no pair", "", "a", None),
        ("no pair for the empty name", "", "", None),
        ("empty pairs", "&&a=1&", "a", Some("1")),
        ("another name", "ab=1", "a", None),
        ("another case", "A=1", "a", None),
        ("a plus is a space", "a=b+c", "a", Some("b c")),
        ("an encoded plus is a plus", "a=b%2Bc", "a", Some("b+c")),
        ("an encoded space", "a=b%20c", "a", Some("b c")),
        ("encoded separators", "a=%26%3d", "a", Some("&=")),
        ("an encoded name", "%61=1", "a", Some("1")),
        ("a name with a plus", "a+b=1", "a b", Some("1")),
        ("UTF-8", "a=%C3%A4", "a", Some("\u{e4}")),
        ("a NUL is kept", "a=%00", "a", Some("\0")),
        ("decoded once", "a=%2541", "a", Some("%41")),
        ("a bad escape stays", "a=%zz", "a", Some("%zz")),
        ("half an escape stays", "a=%4", "a", Some("%4")),
        ("a percent sign stays", "a=100%", "a", Some("100%")),
        ("a percent sign before an escape", "a=%%41", "a", Some("%A")),
        ("an escape does not go over the pair", "a=%4&1=2", "a", Some("%4")),
        ("no UTF-8 (U+FFFD)", "a=x%ffy", "a", Some("x\u{fffd}y")),
        ("a surrogate is not UTF-8", "a=%ed%a0%80", "a", Some("\u{fffd}\u{fffd}\u{fffd}")),
        ("a second question mark", "a=1?b=2", "a", Some("1?b=2")),
        ("a semicolon does not separate", "a=1;b=2", "a", Some("1;b=2")),
    ];
    for (gloss, query, name, expected) in rows {
        let request = Request::get(&format!("/x?{}", query));
        assert_eq!((request.path(), request.query_string()), ("/x", *query), "{}", gloss);
        assert_eq!(request.query(name).as_deref(), *expected, "{}: {:?}", gloss, query);
    }
}

#[test]
fn a_request_built_with_an_invalid_target_has_the_root_path() {
    for target in ["", "x", "/\r\n", "/a b", "/..", "//", "/a//b", "/#", "*", "/\u{e4}"] {
        assert_eq!(Request::get(target).path(), "/", "{:?}", target);
        assert_eq!(Request::post(target, "x").path(), "/", "{:?}", target);
    }
}

#[test]
fn the_pairs_of_a_query_come_in_order_and_decoded_and_may_repeat() {
    for (query, expected) in [
        ("", vec![]),
        ("&&", vec![]),
        ("a", vec![("a", "")]),
        ("a=", vec![("a", "")]),
        ("=a", vec![("", "a")]),
        ("a=1&b=2&a=3", vec![("a", "1"), ("b", "2"), ("a", "3")]),
        ("a+b=c%20d%2B&%26=%3d", vec![("a b", "c d+"), ("&", "=")]),
        ("a=b=c", vec![("a", "b=c")]),
        ("a=%zz&b=%ff", vec![("a", "%zz"), ("b", "\u{fffd}")]),
    ] {
        let request = Request::get(&format!("/?{}", query));
        let expected: Vec<(String, String)> =
            expected.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        assert_eq!(request.query_pairs().collect::<Vec<_>>(), expected, "{}", query);
        // The body of a form is encoded alike.
        let form = Request::post("/", query).with_header("Content-Type", FORM);
        assert_eq!(form.form().expect("a form").collect::<Vec<_>>(), expected, "{}", query);
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

#[test]
fn a_body_of_another_type_is_no_form_and_bytes_that_are_no_text_are_400() {
    let status = |types: &[&str], body: &[u8]| {
        let request = types.iter().fold(Request::post("/", body), |request, media_type| {
            request.with_header("Content-Type", media_type)
        });
        request.form().map(|form| form.get("a")).map_err(|error| error.status())
    };
    let one = Ok(Some("1".to_string()));
    assert_eq!(status(&[FORM], b"b=0&a=1&a=2"), one);
    assert_eq!(status(&["Application/X-WWW-Form-URLencoded ;charset=UTF-8"], b"a=1"), one);
    assert_eq!(status(&[FORM], b""), Ok(None));
    assert_eq!(status(&[FORM], b"a=\xc3\xa9"), Ok(Some("\u{e9}".to_string())));
    assert_eq!(status(&[FORM], b"a=\xff"), Err(400));
    assert_eq!(status(&[], b"a=1"), Err(415));
    assert_eq!(status(&["multipart/form-data; boundary=x"], b"a=1"), Err(415));
    assert_eq!(status(&["text/plain"], b"a=1"), Err(415));
    // Two recipients may pick two of them.
    assert_eq!(status(&[FORM, FORM], b"a=1"), Err(415));
}
