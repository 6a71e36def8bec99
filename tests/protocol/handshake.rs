//! The opening handshake (RFC 6455, 1.3, 4.1, and 4.2): a controller answers a request that the
//! test built, with the 101 or with a refusal.
//!
//! A request that is built is always HTTP/1.1 and never has a body, so two refusals are missing
//! here.

use super::loopback;
use sockling::controller::{Controller, WebsocketController};
use sockling::http::{Request, Response};
use sockling::websocket::{accept_key, CloseFrame, Message, Refusal};
use sockling::{Error, SessionId};

/// The key of RFC 6455, 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Supports these subprotocols. Its handlers never run, because there is no connection.
#[derive(Default)]
struct Deaf(Vec<&'static str>);

impl WebsocketController for Deaf {
    fn handle_connection(&self, _: &SessionId) -> Result<(), Error> {
        panic!("connected")
    }

    fn handle_message(&self, _: &SessionId, _: Message) -> Result<(), Error> {
        panic!("a message")
    }

    fn handle_disconnection(&self, _: &SessionId, _: Option<&CloseFrame>) -> Result<(), Error> {
        panic!("disconnected")
    }

    fn protocols(&self) -> &[&str] {
        &self.0
    }
}

impl Controller for Deaf {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

type Fields = &'static [(&'static str, &'static str)];

/// Returns the fields of a valid handshake, replaced by those in `changed`. The value `-` removes a
/// field.
fn fields(changed: Fields) -> Vec<(&'static str, &'static str)> {
    let valid = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", KEY),
    ];
    let kept = valid.into_iter().filter(|(name, _)| changed.iter().all(|(new, _)| new != name));
    kept.chain(changed.iter().copied()).filter(|(_, value)| *value != "-").collect()
}

fn with_fields(request: Request, changed: Fields) -> Request {
    fields(changed)
        .into_iter()
        .fold(request, |request, (name, value)| request.with_header(name, value))
}

fn answer(controller: &Deaf, request: &Request) -> Response {
    loopback::quiet();
    Controller::handle(controller, request).unwrap()
}

/// Asserts that the answer is the 101, or this refusal with the fields that it requires.
fn assert_answer(gloss: &str, answer: &Response, refusal: Option<Refusal>) {
    let headers = answer.headers();
    match refusal {
        None => {
            assert_eq!(answer.status(), 101, "{}", gloss);
            assert_eq!(answer.content(), b"", "{}", gloss);
            assert!(headers.get("Sec-WebSocket-Accept").is_some(), "{}", gloss);
        }
        Some(refusal) => {
            assert_eq!(answer.status(), refusal.status(), "{}", gloss);
            assert_eq!(answer.content(), format!("{}\n", refusal).as_bytes(), "{}", gloss);
            assert_eq!(headers.get("Sec-WebSocket-Accept"), None, "{}", gloss);
            assert_eq!(headers.get("Set-Cookie"), None, "{}", gloss);
        }
    }
    // RFC 9110, 15.5.6; RFC 6455, 4.2.2, item 4.
    let allow = if refusal == Some(Refusal::Method) { Some("GET") } else { None };
    assert_eq!(headers.get_str("Allow"), allow, "{}", gloss);
    let version = if refusal == Some(Refusal::Version) { Some("13") } else { None };
    assert_eq!(headers.get_str("Sec-WebSocket-Version"), version, "{}", gloss);
    // No extension is ever agreed on (9.1).
    assert_eq!(headers.get("Sec-WebSocket-Extensions"), None, "{}", gloss);
}

#[test]
fn the_accept_value_of_the_rfcs_key_is_the_rfcs() {
    assert_eq!(accept_key(KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    // The key is hashed as text, without decoding it.
    assert_eq!(accept_key("x3JJHMbDL1EzLkh9GBhXDw=="), "HSmrc0sMlYUkAGmm5OPpG2HaGWk=");
    assert_eq!(accept_key(""), "Kfh9QIsMVZcl6xEPYxPHzW8SZ8w=");
}

/// The fields that differ from a valid handshake, and the refusal.
const OPENINGS: &[(&str, Fields, Option<Refusal>)] = &[
    ("a valid handshake", &[], None),
    // Upgrade and Connection, in any case and any list (4.2.1, items 3 and 4).
    ("any case", &[("Upgrade", "WebSocket"), ("Connection", "upgrade")], None),
    ("a list", &[("Connection", "keep-alive, Upgrade")], None),
    ("a list without spaces", &[("Connection", "keep-alive,UPGRADE")], None),
    ("two lines", &[("Connection", "keep-alive"), ("Connection", "Upgrade")], None),
    ("a list of upgrades", &[("Upgrade", "h2c, websocket")], None),
    ("no Upgrade", &[("Upgrade", "-")], Some(Refusal::NoUpgrade)),
    ("no Connection", &[("Connection", "-")], Some(Refusal::NoUpgrade)),
    ("another upgrade", &[("Upgrade", "h2c")], Some(Refusal::NoUpgrade)),
    ("a part of the token", &[("Upgrade", "websocket2")], Some(Refusal::NoUpgrade)),
    ("a version of it", &[("Upgrade", "websocket/13")], Some(Refusal::NoUpgrade)),
    ("another connection", &[("Connection", "keep-alive")], Some(Refusal::NoUpgrade)),
    ("a part of the other token", &[("Connection", "Upgraded")], Some(Refusal::NoUpgrade)),
    ("an empty Upgrade", &[("Upgrade", "")], Some(Refusal::NoUpgrade)),
    // Sec-WebSocket-Version (4.2.1, item 6; 4.4).
    ("no version", &[("Sec-WebSocket-Version", "-")], Some(Refusal::NoVersion)),
    (
        "the version twice",
        &[("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Version", "13")],
        Some(Refusal::NoVersion),
    ),
    ("a lower version", &[("Sec-WebSocket-Version", "8")], Some(Refusal::Version)),
    ("a higher version", &[("Sec-WebSocket-Version", "14")], Some(Refusal::Version)),
    ("a list of versions", &[("Sec-WebSocket-Version", "13, 8")], Some(Refusal::Version)),
    ("a zero before it", &[("Sec-WebSocket-Version", "013")], Some(Refusal::Version)),
    ("an empty version", &[("Sec-WebSocket-Version", "")], Some(Refusal::Version)),
    // Sec-WebSocket-Key: 16 bytes in base64 (4.2.1, item 5), whose last character has four bits
    // that nothing uses. Not all clients set them to zero.
    ("another key", &[("Sec-WebSocket-Key", "x3JJHMbDL1EzLkh9GBhXDw==")], None),
    ("all characters of base64", &[("Sec-WebSocket-Key", "++//AAAAAAAAAAAAAAAAAA==")], None),
    ("the example of 4.1", &[("Sec-WebSocket-Key", "AQIDBAUGBwgJCgsMDQ4PEC==")], None),
    ("22 random characters", &[("Sec-WebSocket-Key", "z0Z1/y2Y+x3X9w8W7v6V5/==")], None),
    ("no key", &[("Sec-WebSocket-Key", "-")], Some(Refusal::Key)),
    ("an empty key", &[("Sec-WebSocket-Key", "")], Some(Refusal::Key)),
    (
        "the key twice (11.3.1)",
        &[("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Key", KEY)],
        Some(Refusal::Key),
    ),
    ("15 bytes", &[("Sec-WebSocket-Key", "AQIDBAUGBwgJCgsMDQ4P")], Some(Refusal::Key)),
    ("17 bytes", &[("Sec-WebSocket-Key", "AQIDBAUGBwgJCgsMDQ4PEBE=")], Some(Refusal::Key)),
    ("18 bytes", &[("Sec-WebSocket-Key", "AQIDBAUGBwgJCgsMDQ4PEBES")], Some(Refusal::Key)),
    ("no padding", &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ")], Some(Refusal::Key)),
    ("half the padding", &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=")], Some(Refusal::Key)),
    ("more padding", &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZ===")], Some(Refusal::Key)),
    (
        "characters of base64url",
        &[("Sec-WebSocket-Key", "--__AAAAAAAAAAAAAAAAAA==")],
        Some(Refusal::Key),
    ),
    (
        "one character of base64url, the last",
        &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZ_==")],
        Some(Refusal::Key),
    ),
    ("not base64", &[("Sec-WebSocket-Key", "!!!!!!!!!!!!!!!!!!!!!!==")], Some(Refusal::Key)),
    (
        "two bytes in UTF-8",
        &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25j\u{e4}==")],
        Some(Refusal::Key),
    ),
    ("21 characters", &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZ==")], Some(Refusal::Key)),
    ("23 characters", &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQQ==")], Some(Refusal::Key)),
    ("padding inside", &[("Sec-WebSocket-Key", "dGhlIHNhbXBs=SBub25jZQ==")], Some(Refusal::Key)),
    ("a space inside", &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25 jZQ=")], Some(Refusal::Key)),
    ("a list of keys", &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==,")], Some(Refusal::Key)),
    // Extensions are offered in vain (9.1).
    ("an extension", &[("Sec-WebSocket-Extensions", "permessage-deflate")], None),
    // Other fields are ignored.
    ("other fields", &[("User-Agent", "x"), ("Pragma", "no-cache")], None),
];

#[test]
fn a_handshake_is_accepted_or_refused_for_the_right_reason() {
    for (gloss, changed, refusal) in OPENINGS {
        let request = with_fields(Request::get("/ws"), changed);
        assert_answer(gloss, &answer(&Deaf::default(), &request), *refusal);
        let asks = *refusal != Some(Refusal::NoUpgrade);
        assert_eq!(request.upgrade_websocket(), asks, "{}", gloss);
    }
}

#[test]
fn the_101_has_the_accept_value_of_its_key() {
    let rows: [(Fields, &str); 4] = [
        (&[], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        (&[("Sec-WebSocket-Key", "x3JJHMbDL1EzLkh9GBhXDw==")], "HSmrc0sMlYUkAGmm5OPpG2HaGWk="),
        // Hashed as it came, unused bits included: these two are the same 16 bytes.
        (&[("Sec-WebSocket-Key", "AQIDBAUGBwgJCgsMDQ4PEC==")], "OfS0wDaT5NoxF2gqm7Zj2YtetzM="),
        (&[("Sec-WebSocket-Key", "AQIDBAUGBwgJCgsMDQ4PEA==")], "C/0nmHhBztSRGR1CwL6Tf4ZjwpY="),
    ];
    for (changed, accept) in rows {
        let answer = answer(&Deaf::default(), &with_fields(Request::get("/ws"), changed));
        assert_eq!(answer.headers().get_str("Sec-WebSocket-Accept"), Some(accept));
    }
}

#[test]
fn opening_a_websocket_requires_get() {
    let request = with_fields(Request::post("/ws", ""), &[]);
    assert_answer("POST", &answer(&Deaf::default(), &request), Some(Refusal::Method));
    // And that before all else.
    let request = Request::post("/ws", "");
    assert_answer("POST", &answer(&Deaf::default(), &request), Some(Refusal::Method));
}

/// From worst to best: each row lacks the first error of the previous row.
const FAULTS: &[(&str, Fields, Refusal)] = &[
    (
        "all are wrong",
        &[
            ("Connection", "x"),
            ("Sec-WebSocket-Version", "8"),
            ("Sec-WebSocket-Key", "x"),
            ("Sec-WebSocket-Protocol", "a b"),
            ("Origin", "null"),
        ],
        Refusal::NoUpgrade,
    ),
    (
        "version, key, protocol and origin",
        &[
            ("Sec-WebSocket-Version", "8"),
            ("Sec-WebSocket-Key", "x"),
            ("Sec-WebSocket-Protocol", "a b"),
            ("Origin", "null"),
        ],
        Refusal::Version,
    ),
    (
        "key, protocol and origin",
        &[("Sec-WebSocket-Key", "x"), ("Sec-WebSocket-Protocol", "a b"), ("Origin", "null")],
        Refusal::Key,
    ),
    (
        "protocol and origin",
        &[("Sec-WebSocket-Protocol", "a b"), ("Origin", "null")],
        Refusal::Protocol,
    ),
    ("origin", &[("Origin", "null")], Refusal::Origin),
];

#[test]
fn of_several_errors_in_a_handshake_the_first_one_checked_is_reported() {
    for (gloss, changed, refusal) in FAULTS {
        let request = with_fields(Request::get("/ws"), changed);
        assert_answer(gloss, &answer(&Deaf::default(), &request), Some(*refusal));
    }
}

type Choice = Result<Option<&'static str>, Refusal>;

/// The subprotocols of the server, those that the client offers, and the selected one.
const PROTOCOLS: &[(&str, &[&str], Fields, Choice)] = &[
    ("neither side has any", &[], &[], Ok(None)),
    ("the client offers none", &["chat"], &[], Ok(None)),
    ("the server supports none", &[], &[("Sec-WebSocket-Protocol", "chat")], Ok(None)),
    ("the one", &["chat"], &[("Sec-WebSocket-Protocol", "chat")], Ok(Some("chat"))),
    ("none of them", &["chat"], &[("Sec-WebSocket-Protocol", "other")], Ok(None)),
    (
        "one of the list of 1.2",
        &["superchat"],
        &[("Sec-WebSocket-Protocol", "chat, superchat")],
        Ok(Some("superchat")),
    ),
    (
        "the server's preference counts",
        &["a", "b"],
        &[("Sec-WebSocket-Protocol", "b, a")],
        Ok(Some("a")),
    ),
    (
        "two lines (11.3.4)",
        &["b"],
        &[("Sec-WebSocket-Protocol", "a"), ("Sec-WebSocket-Protocol", "b")],
        Ok(Some("b")),
    ),
    ("no white space", &["b"], &[("Sec-WebSocket-Protocol", "a,b")], Ok(Some("b"))),
    ("tabs", &["b"], &[("Sec-WebSocket-Protocol", "a\t,\tb\t")], Ok(Some("b"))),
    ("names are case-sensitive", &["chat"], &[("Sec-WebSocket-Protocol", "Chat")], Ok(None)),
    ("a part of a name", &["chat"], &[("Sec-WebSocket-Protocol", "chat2")], Ok(None)),
    ("a longer name", &["chat.v2"], &[("Sec-WebSocket-Protocol", "chat")], Ok(None)),
    (
        "two words (4.1, item 10)",
        &["a"],
        &[("Sec-WebSocket-Protocol", "a b")],
        Err(Refusal::Protocol),
    ),
    ("a slash", &["a"], &[("Sec-WebSocket-Protocol", "a/b")], Err(Refusal::Protocol)),
    ("quotes", &["a"], &[("Sec-WebSocket-Protocol", "\"a\"")], Err(Refusal::Protocol)),
    ("non-ASCII letters", &["a"], &[("Sec-WebSocket-Protocol", "\u{e4}")], Err(Refusal::Protocol)),
    (
        "empty members do not count (RFC 9110, 5.6.1)",
        &["b"],
        &[("Sec-WebSocket-Protocol", ",a,,b,")],
        Ok(Some("b")),
    ),
    ("no member", &["a"], &[("Sec-WebSocket-Protocol", "")], Ok(None)),
    (
        "an invalid name after a valid one",
        &["a"],
        &[("Sec-WebSocket-Protocol", "a, (b)")],
        Err(Refusal::Protocol),
    ),
    (
        "an invalid name in the second field",
        &["a"],
        &[("Sec-WebSocket-Protocol", "a"), ("Sec-WebSocket-Protocol", "b c")],
        Err(Refusal::Protocol),
    ),
    (
        "an invalid name for a server without subprotocols",
        &[],
        &[("Sec-WebSocket-Protocol", "a b")],
        Err(Refusal::Protocol),
    ),
];

#[test]
fn the_servers_most_preferred_offered_subprotocol_is_selected() {
    for (gloss, spoken, offered, expected) in PROTOCOLS {
        let request = with_fields(Request::get("/ws"), offered);
        let answer = answer(&Deaf(spoken.to_vec()), &request);
        assert_answer(gloss, &answer, expected.err());
        let chosen: Vec<_> = answer.headers().get_all("Sec-WebSocket-Protocol").collect();
        let expected = expected.ok().flatten().map(str::as_bytes);
        assert_eq!(chosen, expected.into_iter().collect::<Vec<_>>(), "{}", gloss);
    }
}

/// The request target, the Origin fields, and whether the page may connect (10.2). A request that
/// is built has `Host: localhost`, which the authority of a target in absolute-form replaces.
const ORIGINS: &[(&str, &str, Fields, bool)] = &[
    ("not a browser", "/ws", &[], true),
    ("the same host", "/ws", &[("Origin", "http://localhost")], true),
    ("the same port, explicit", "/ws", &[("Origin", "http://localhost:80")], true),
    ("a proxy that terminates TLS", "/ws", &[("Origin", "https://localhost")], true),
    ("any case of the host", "/ws", &[("Origin", "http://LocalHost")], true),
    ("another host", "/ws", &[("Origin", "http://example.com")], false),
    ("another port", "/ws", &[("Origin", "http://localhost:8000")], false),
    ("another name of this machine", "/ws", &[("Origin", "http://127.0.0.1")], false),
    ("a host with the same beginning", "/ws", &[("Origin", "http://localhost.example.com")], false),
    ("a host with the same ending", "/ws", &[("Origin", "http://notlocalhost")], false),
    ("a subdomain", "/ws", &[("Origin", "http://a.localhost")], false),
    ("a page of a file", "/ws", &[("Origin", "null")], false),
    ("a scheme of a file", "/ws", &[("Origin", "file://localhost")], false),
    ("an extension's page", "/ws", &[("Origin", "moz-extension://localhost")], false),
    ("an empty origin", "/ws", &[("Origin", "")], false),
    ("a host alone", "/ws", &[("Origin", "localhost")], false),
    ("a path", "/ws", &[("Origin", "http://localhost/x")], false),
    // Not from browsers (RFC 6454, 6.2), but from programs that mean their own host.
    ("a slash at the end", "/ws", &[("Origin", "http://localhost/")], true),
    ("two slashes at the end", "/ws", &[("Origin", "http://localhost//")], false),
    ("a slash behind a port", "http://h:8000/ws", &[("Origin", "http://h:8000/")], true),
    ("a slash behind another host", "/ws", &[("Origin", "http://example.com/")], false),
    ("the scheme ws", "http://h:8000/ws", &[("Origin", "ws://h:8000")], true),
    ("the port of ws", "http://h:80/ws", &[("Origin", "ws://h")], true),
    ("the scheme wss", "/ws", &[("Origin", "wss://localhost")], true),
    ("the port of wss", "http://h:443/ws", &[("Origin", "wss://h/")], true),
    ("ws with another port", "http://h:443/ws", &[("Origin", "ws://h")], false),
    ("wss with another port", "http://h:80/ws", &[("Origin", "wss://h")], false),
    ("ws of another host", "/ws", &[("Origin", "ws://example.com")], false),
    ("wss of another host", "/ws", &[("Origin", "wss://example.com/")], false),
    ("ws with a path", "/ws", &[("Origin", "ws://localhost/ws")], false),
    ("a scheme that begins like it", "/ws", &[("Origin", "wsx://localhost")], false),
    ("a scheme alone", "/ws", &[("Origin", "ws://")], false),
    ("a slash alone", "/ws", &[("Origin", "/")], false),
    ("user information", "/ws", &[("Origin", "http://localhost@example.com")], false),
    ("user information before it", "/ws", &[("Origin", "http://example.com@localhost")], false),
    ("two in a line", "/ws", &[("Origin", "http://localhost http://localhost")], false),
    ("two lines", "/ws", &[("Origin", "http://localhost"), ("Origin", "http://localhost")], false),
    ("no port", "http://h/ws", &[("Origin", "http://h")], true),
    ("the target and not Host", "http://h/ws", &[("Origin", "http://localhost")], false),
    ("a port", "http://h:8000/ws", &[("Origin", "http://h:8000")], true),
    ("no port beside a port", "http://h:8000/ws", &[("Origin", "http://h")], false),
    ("the port of http", "http://h:80/ws", &[("Origin", "http://h")], true),
    ("the port of https", "http://h:443/ws", &[("Origin", "https://h")], true),
    ("the port of the other one", "http://h:443/ws", &[("Origin", "http://h")], false),
    ("zeros before the port", "http://h:0080/ws", &[("Origin", "http://h")], true),
    ("an IPv6 address", "http://[::1]:1/ws", &[("Origin", "http://[::1]:1")], true),
    ("another IPv6 address", "http://[::1]:1/ws", &[("Origin", "http://[::2]:1")], false),
    ("the same, as in full", "http://[0:0::0:1]:1/ws", &[("Origin", "http://[::1]:1")], true),
    (
        "an IPv4-mapped address, as browsers write it",
        "http://[::ffff:127.0.0.1]:1/ws",
        &[("Origin", "http://[::ffff:7f00:1]:1")],
        true,
    ),
    (
        "an IPv4-mapped address and the IPv4 address",
        "http://[::ffff:127.0.0.1]/ws",
        &[("Origin", "http://127.0.0.1")],
        false,
    ),
    ("a dot at the end", "http://localhost./ws", &[("Origin", "http://localhost.")], true),
    ("a dot at the end of one", "http://localhost./ws", &[("Origin", "http://localhost")], false),
    ("a name below localhost", "http://a.localhost/ws", &[("Origin", "http://a.localhost")], true),
    (
        "any case of what was asked",
        "http://EXAMPLE.com/ws",
        &[("Origin", "http://example.COM")],
        true,
    ),
];

#[test]
fn a_page_may_open_a_websocket_only_to_its_own_origin() {
    for (gloss, target, origins, allowed) in ORIGINS {
        let request = with_fields(Request::get(target), origins);
        assert_eq!(request.path(), "/ws", "{}", gloss);
        let refusal = if *allowed { None } else { Some(Refusal::Origin) };
        assert_answer(gloss, &answer(&Deaf::default(), &request), refusal);
    }
}

#[test]
fn the_101_gives_a_guest_its_cookie() {
    let request = with_fields(Request::get("/ws"), &[]);
    let answer = answer(&Deaf::default(), &request);
    let cookie = answer.headers().get_str("Set-Cookie").unwrap();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    // Four weeks; for this host and all its paths, and not for scripts (RFC 6265, 4.1.2).
    let attributes: Vec<&str> = attributes.split("; ").collect();
    assert!(attributes[1].starts_with("Expires="), "{:?}", attributes);
    let others = [&attributes[..1], &attributes[2..]].concat();
    assert_eq!(others, ["Max-Age=2419200", "Path=/", "HttpOnly", "SameSite=Lax"]);
    let (name, value) = pair.split_once('=').unwrap();
    assert_eq!(name, "sockling_session");
    let parts: Vec<&str> = value.split('.').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    // A guest's 128 bits, when it was issued and when it expires, and 160 bits of signature.
    assert_eq!(
        (&parts[..2], &lengths[2..]),
        (&["v2", "g"][..], &[22, 13, 10, 27][..]),
        "{}",
        value
    );
    assert!(matches!(request.session_id(), SessionId::Guest(_)));
}

#[test]
fn each_refusal_maps_to_its_status() {
    let rows = [
        (Refusal::Method, 405),
        (Refusal::Http10, 400),
        (Refusal::NoUpgrade, 426),
        (Refusal::Body, 400),
        (Refusal::NoVersion, 400),
        (Refusal::Version, 426),
        (Refusal::Key, 400),
        (Refusal::Protocol, 400),
        (Refusal::Origin, 403),
    ];
    for (refusal, status) in rows {
        assert_eq!(refusal.status(), status, "{}", refusal);
        assert_eq!(Error::from(refusal).status(), status, "{}", refusal);
    }
}
