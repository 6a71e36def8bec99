//! Responses as an application builds them. `tests/server` checks their bytes.

use sockling::http::{Response, ResponseError};

const TEXT: &str = "text/plain; charset=utf-8";

/// Status, fields and body of a response.
type Parts<'a> = (u16, Vec<(&'a str, &'a [u8])>, &'a [u8]);

fn parts(response: &Response) -> Parts<'_> {
    (response.status(), response.headers().iter().collect(), response.content())
}

#[test]
fn a_response_has_the_status_fields_and_body_that_were_set() {
    let rows: [(&str, Response, Parts); 26] = [
        ("nothing", Response::new(), (200, vec![], b"")),
        ("a status", Response::new().code(204), (204, vec![], b"")),
        (
            "text",
            Response::new().text("h\u{e4}"),
            (200, vec![("Content-Type", TEXT.as_bytes())], b"h\xc3\xa4"),
        ),
        (
            "a page",
            Response::new().html("<p>"),
            (200, vec![("Content-Type", b"text/html; charset=utf-8")], b"<p>"),
        ),
        (
            "JSON",
            Response::new().json("{}"),
            (200, vec![("Content-Type", b"application/json")], b"{}"),
        ),
        (
            "bytes",
            Response::new().body(vec![0xff, 0]),
            (200, vec![("Content-Type", b"application/octet-stream")], b"\xff\0"),
        ),
        (
            "bytes of a kind",
            Response::new().header("Content-Type", "image/png").body(&b"x"[..]),
            (200, vec![("Content-Type", b"image/png")], b"x"),
        ),
        (
            "text of a kind, in any case",
            Response::new().header("content-TYPE", "text/css").text("x"),
            (200, vec![("content-TYPE", b"text/css")], b"x"),
        ),
        (
            "the last body counts, with its own kind",
            Response::new().json("{}").text("x"),
            (200, vec![("Content-Type", TEXT.as_bytes())], b"x"),
        ),
        (
            "also in place of the library's own body",
            Response::not_found().json("{}"),
            (404, vec![("Content-Type", b"application/json")], b"{}"),
        ),
        (
            "a kind that was set after one body stays with the next",
            Response::new().text("x").header("Content-Type", "image/svg+xml").html("<svg>"),
            (200, vec![("Content-Type", b"image/svg+xml")], b"<svg>"),
        ),
        (
            "and one that was set before both",
            Response::new().header("content-type", "text/css").text("x").body(&b"y"[..]),
            (200, vec![("content-type", b"text/css")], b"y"),
        ),
        (
            "the last kind that was set counts",
            Response::new().header("Content-Type", "a/b").text("x").header("Content-Type", "c/d"),
            (200, vec![("Content-Type", b"c/d")], b"x"),
        ),
        (
            "the last place counts",
            Response::new().header("Location", "/x").redirect("/y").redirect("/z"),
            (303, vec![("Location", b"/z")], b""),
        ),
        (
            "fields in order, twice",
            Response::new().header("B", "1").header("A", "").header("B", "2"),
            (200, vec![("B", b"1"), ("A", b""), ("B", b"2")], b""),
        ),
        (
            "another place (RFC 9110, 15.4.4)",
            Response::new().redirect("/x"),
            (303, vec![("Location", b"/x")], b""),
        ),
        ("a move", Response::new().redirect("/x").code(308), (308, vec![("Location", b"/x")], b"")),
        // An invalid status or field is accepted here, and refused when the response is sent.
        ("no status", Response::new().code(0), (0, vec![], b"")),
        (
            "no field",
            Response::new().header("a b", "c\r\nd: e"),
            (200, vec![("a b", b"c\r\nd: e")], b""),
        ),
        ("400", Response::bad_request(), (400, text(), b"400 Bad Request\n")),
        ("401", Response::unauthorized(), (401, text(), b"401 Unauthorized\n")),
        ("403", Response::forbidden(), (403, text(), b"403 Forbidden\n")),
        ("404", Response::not_found(), (404, text(), b"404 Not Found\n")),
        ("500", Response::internal_error(), (500, text(), b"500 Internal Server Error\n")),
        (
            "405 (RFC 9110, 15.5.6)",
            Response::method_not_allowed(&["GET", "HEAD"]),
            (405, [text(), vec![("Allow", b"GET, HEAD")]].concat(), b"405 Method Not Allowed\n"),
        ),
        (
            "405 of nothing",
            Response::method_not_allowed(&[]),
            (405, [text(), vec![("Allow", b"")]].concat(), b"405 Method Not Allowed\n"),
        ),
    ];
    for (gloss, response, expected) in &rows {
        assert_eq!(parts(response), *expected, "{}", gloss);
    }
    assert_eq!(Response::new(), Response::default());
}

#[test]
fn responses_are_equal_if_the_client_gets_the_same() {
    let response = Response::new().text("x");
    assert_eq!(response, Response::new().header("Content-Type", TEXT).text("x"));
    assert_eq!(response, Response::new().json("{}").text("x"));
    assert_ne!(response, Response::new().text("y"));
    assert_ne!(response, Response::new().text("x").code(201));
    assert_ne!(response, Response::new().html("x"));
}

fn text() -> Vec<(&'static str, &'static [u8])> {
    vec![("Content-Type", TEXT.as_bytes())]
}

#[test]
fn a_response_error_is_displayed_in_one_line() {
    let rows = [
        (
            ResponseError::Field("a\r\nb".to_string()),
            "the response field \"a\\r\\nb\" contains a forbidden byte",
        ),
        (
            ResponseError::Owned("Date".to_string()),
            "the response sets \"Date\", which only the library may write",
        ),
        (ResponseError::Status(101), "the response status 101 is not between 200 and 599"),
    ];
    for (error, text) in rows {
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn static_content_is_sent_from_where_it_lies_in_the_program() {
    static PAGE: &str = "<p>hey";
    let same = |response: &Response| response.content().as_ptr() == PAGE.as_ptr();
    let html = Response::new().static_html(PAGE);
    assert!(same(&html) && same(&html.clone()));
    assert_eq!(html, Response::new().html(PAGE));
    let text = Response::new().static_text(PAGE);
    assert!(same(&text));
    assert_eq!(text, Response::new().text(PAGE));
    let bytes = Response::new().static_body(PAGE.as_bytes());
    assert!(same(&bytes));
    assert_eq!(bytes, Response::new().body(PAGE));
}
