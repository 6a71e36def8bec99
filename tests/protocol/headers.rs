//! Header fields (RFC 9110, 5; RFC 9112, 5).

use crate::cuts::show;
use crate::head::verdict;
use sockling::http::{HeadError, Headers};
use sockling::limits::Limits;

/// Returns the fields of a head with these lines.
fn fields(lines: &[u8]) -> Result<Headers, HeadError> {
    let bytes = [b"GET / HTTP/1.0\r\n", lines].concat();
    verdict(&bytes, &Limits::default()).map(|head| head.headers)
}

fn headers(fields: &[(&str, &[u8])]) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in fields {
        headers.push(name, value);
    }
    headers
}

type Field = (&'static str, &'static [u8]);

/// A field line without its CRLF, and its field.
const LINES: &[(&str, &[u8], Option<Field>)] = &[
    ("as it is written", b"Name: value", Some(("Name", b"value"))),
    ("no white space", b"Name:value", Some(("Name", b"value"))),
    ("white space around the value (5.1)", b"N: \t v \t", Some(("N", b"v"))),
    ("white space inside the value", b"N: a \t b", Some(("N", b"a \t b"))),
    ("an empty value", b"N:", Some(("N", b""))),
    ("a value of white space", b"N: \t ", Some(("N", b""))),
    ("a value with colons", b"N: a:b: c", Some(("N", b"a:b: c"))),
    ("a value that begins with a colon", b"N::", Some(("N", b":"))),
    ("bytes that are not UTF-8 (RFC 9110, 5.5)", b"N: \xc3\x28", Some(("N", b"\xc3\x28"))),
    ("a name of all token characters", b"!#$%&'*+-.^_`|~: v", Some(("!#$%&'*+-.^_`|~", b"v"))),
    ("a name of one digit", b"0: v", Some(("0", b"v"))),
    ("no colon", b"Name", None),
    ("no name", b": value", None),
    ("a space before the colon (RFC 9112, 5.1)", b"Name : value", None),
    ("a space in the name", b"Na me: value", None),
    ("a space before the name", b" Name: value", None),
    ("a tab before the name", b"\tName: value", None),
    ("a name in brackets", b"[Name]: value", None),
    ("a name in quotes", b"\"Name\": value", None),
    ("a name with a slash", b"Na/me: value", None),
    ("a name with an at sign", b"Na@me: value", None),
    ("a name with a semicolon", b"Na;me: value", None),
    ("a name of UTF-8", b"N\xc3\xa4me: value", None),
    ("a name that is not UTF-8", b"\xff: value", None),
];

#[test]
fn a_field_line_is_a_name_a_colon_and_a_value() {
    for (gloss, line, expected) in LINES {
        let (expected, end) = match expected {
            // A line that is refused decides; after one that is taken the head goes on.
            None => (Err(HeadError::Field), &b"\r\n"[..]),
            Some(field) => (Ok(headers(&[*field])), &b"\r\n\r\n"[..]),
        };
        assert_eq!(fields(&[line, end].concat()), expected, "{}: {}", gloss, show(line));
    }
}

#[test]
fn a_field_written_as_a_line_is_read_back_unchanged() {
    for (gloss, _, field) in LINES {
        if let Some((name, value)) = field {
            let line = [name.as_bytes(), b": ", value, b"\r\n\r\n"].concat();
            assert_eq!(fields(&line), Ok(headers(&[(name, value)])), "{}", gloss);
        }
    }
}

#[test]
fn names_match_in_any_case_and_values_keep_their_order() {
    let list = headers(&[("Via", b"one"), ("X", b"\xff"), ("VIA", b"two"), ("via", b"")]);
    assert_eq!((list.len(), list.is_empty()), (4, false));
    assert_eq!(list.get("vIA"), Some(&b"one"[..]));
    assert_eq!(list.get_str("via"), Some("one"));
    assert_eq!(list.get_all("Via").collect::<Vec<_>>(), [&b"one"[..], b"two", b""]);
    let names: Vec<&str> = list.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["Via", "X", "VIA", "via"]);

    // As bytes it is there, as text it is not.
    assert_eq!((list.get("x"), list.get_str("x")), (Some(&b"\xff"[..]), None));
    // No part of a name is that name.
    assert_eq!((list.get("Vi"), list.get("Viaa"), list.get("")), (None, None, None));
    assert_eq!(list.get_all("V").count(), 0);
}

#[test]
fn an_empty_list_has_no_fields() {
    let list = Headers::new();
    assert_eq!((list.len(), list.is_empty(), list.iter().count()), (0, true, 0));
    assert_eq!((list.get("a"), list.get_str("a"), list.has_token("a", "b")), (None, None, false));
    assert_eq!(list, Headers::default());
}

#[test]
fn a_token_must_equal_a_whole_member_of_a_list() {
    // RFC 9110, 5.6.1. The values of one name, and whether `upgrade` is a member.
    let rows: &[(&str, &[&[u8]], bool)] = &[
        ("alone", &[b"upgrade"], true),
        ("in any case", &[b"UpGrade"], true),
        ("first", &[b"upgrade, keep-alive"], true),
        ("last", &[b"keep-alive,upgrade"], true),
        ("between", &[b"a ,\tupgrade\t, b"], true),
        ("beside empty members", &[b",, upgrade,"], true),
        ("in another line", &[b"keep-alive", b"upgrade"], true),
        ("beside bytes that are not text", &[b"\xff,upgrade"], true),
        ("no line", &[], false),
        ("empty", &[b""], false),
        ("a part of a word", &[b"upgrades"], false),
        ("with something before it", &[b"xupgrade"], false),
        ("with a parameter", &[b"upgrade;q=1"], false),
        ("two words", &[b"upgrade now"], false),
        ("in quotes", &[b"\"upgrade\""], false),
        ("another separator", &[b"keep-alive; upgrade"], false),
        ("over two lines", &[b"up", b"grade"], false),
    ];
    for (gloss, values, member) in rows {
        let mut list = headers(&[("X-Connection", b"upgrade")]);
        values.iter().for_each(|value| list.push("Connection", value));
        assert_eq!(list.has_token("connection", "upgrade"), *member, "{}", gloss);
        assert_eq!(list.has_token("CONNECTION", "UPGRADE"), *member, "{}", gloss);
    }
}
