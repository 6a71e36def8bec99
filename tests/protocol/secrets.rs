//! The `Debug` output, which ends up in logs, shows no field value, no query, no body, and no key.

use crate::head::verdict;
use sockling::http::{Handler, Head, Headers, Request, Response, Server};
use sockling::limits::Limits;
use sockling::SessionKeys;
use std::fmt::Debug;

/// The same secret in each place that may hold one, and a cookie of the server.
const SECRET: &str = "s3cr3t";
const COOKIE: &str = "sockling_session=v2.g.AAAAAAAAAAAAAAAAAAAAAA.1.s3cr3t";
const HEAD: &[u8] = b"POST /p?key=s3cr3t HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\
    Cookie: sockling_session=v2.g.AAAAAAAAAAAAAAAAAAAAAA.1.s3cr3t\r\n\
    Authorization: Bearer s3cr3t\r\n\r\n";

fn headers() -> Headers {
    let mut headers = Headers::new();
    headers.push("Cookie", COOKIE.as_bytes());
    headers.push("Authorization", b"Bearer s3cr3t");
    headers.push("Set-Cookie", COOKIE.as_bytes());
    headers
}

fn head() -> Head {
    verdict(HEAD, &Limits::default()).expect("a head")
}

fn response() -> Response {
    Response::new().code(201).header("Set-Cookie", COOKIE).text("your key is s3cr3t")
}

fn request() -> Request {
    let post = Request::post("/p?key=s3cr3t", "my key is s3cr3t");
    post.with_header("Cookie", COOKIE)
        .with_header("Authorization", "Bearer s3cr3t")
        .with_parameter("key", SECRET)
}

fn keys() -> SessionKeys {
    SessionKeys::new(["s3cr3t and fourteen more"]).expect("a key")
}

/// Returns the `Debug` output of a value, on one line and on several.
fn shown(thing: &dyn Debug) -> [String; 2] {
    [format!("{:?}", thing), format!("{:#?}", thing)]
}

/// Returns whether the text shows these bytes, as text or as a list of numbers.
fn shows(text: &str, bytes: &[u8]) -> bool {
    let packed = |text: &str| text.split_whitespace().collect::<String>();
    let numbers = packed(&format!("{:?}", bytes));
    let numbers = numbers.trim_matches(&['[', ']'][..]);
    text.contains(&*String::from_utf8_lossy(bytes)) || packed(text).contains(numbers)
}

#[test]
fn debug_shows_no_secrets() {
    let routes = vec![Handler::new("/", |_: &Request| Ok(response()))];
    let server = Server::new(routes).session_keys(keys());
    let things: [(&str, &dyn Debug); 6] = [
        ("fields", &headers()),
        ("a head", &head()),
        ("a response", &response()),
        ("a request", &request()),
        ("a server", &server),
        ("keys", &keys()),
    ];
    for (gloss, thing) in things {
        for text in shown(thing) {
            for secret in [SECRET, "AAAAAAAAAAAAAAAAAAAAAA"] {
                assert!(!shows(&text, secret.as_bytes()), "{} shows {}: {}", gloss, secret, text);
            }
        }
    }
    let listening = server.bind("127.0.0.1:0").expect("a port");
    for text in [shown(&listening), shown(&listening.handle())].concat() {
        assert!(!shows(&text, SECRET.as_bytes()), "{}", text);
    }
}

#[test]
fn debug_shows_what_is_not_secret() {
    // Otherwise, the test above would pass for types that show nothing.
    let rows: [(&dyn Debug, &[&str]); 4] = [
        (&headers(), &["Cookie", "Authorization", "Set-Cookie"]),
        (&head(), &["POST", "/p", "Host", "Content-Length", "Cookie", "Authorization"]),
        (&response(), &["201", "Set-Cookie", "Content-Type", "18"]),
        (&request(), &["POST", "/p", "127.0.0.1"]),
    ];
    for (thing, words) in rows {
        for text in shown(thing) {
            for word in words {
                assert!(text.contains(word), "no {} in {}", word, text);
            }
        }
    }
}

#[test]
fn the_search_finds_a_secret_in_every_form_that_debug_may_print() {
    let (text, other) = ("it is s3cr3t!", "it is hidden!");
    for form in [shown(&text), shown(&text.as_bytes()), shown(&(1, [text.as_bytes()]))].concat() {
        assert!(shows(&form, SECRET.as_bytes()), "{}", form);
    }
    for form in [shown(&other), shown(&other.as_bytes())].concat() {
        assert!(!shows(&form, SECRET.as_bytes()), "{}", form);
    }
}
