//! Session ids and their tokens.

use sockling::http::{hmac_sha1, Request};
use sockling::{Error, SessionId, SessionKeys};
use std::collections::HashSet;

const KEY: &[u8] = b"a key that the tests know";

fn keys() -> SessionKeys {
    SessionKeys::new([KEY]).unwrap()
}

/// Returns the bytes in URL-safe base64 without padding (RFC 4648, 5).
fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, i| bits << 8 | *three.get(i).unwrap_or(&0) as usize);
        for place in 0..=three.len() {
            text.push(SIGNS[bits >> (18 - 6 * place) & 63] as char);
        }
    }
    text
}

/// Returns the text with the signature of the server.
fn sign(text: &str) -> String {
    format!("{}.{}", text, base64(&hmac_sha1(KEY, text.as_bytes())))
}

/// Tokens without their signatures, and the `Debug` output of their sessions, which for a guest is
/// the beginning of a SHA-1.
const TOKENS: &[(&str, &str, &str)] = &[
    ("a user", "id.u.7", "user-7"),
    ("user 0", "id.u.0", "user-0"),
    ("a negative number", "id.u.-1", "user--1"),
    ("the largest user", "id.u.9223372036854775807", "user-9223372036854775807"),
    ("the smallest user", "id.u.-9223372036854775808", "user--9223372036854775808"),
    ("a guest of zeros", "id.g.AAAAAAAAAAAAAAAAAAAAAA", "guest-e129f2"),
    ("a guest of ones", "id.g._____________________w", "guest-52e0e9"),
];

#[test]
fn a_session_id_is_written_to_and_read_from_its_signed_token() {
    for (gloss, text, shown) in TOKENS {
        let token = sign(text);
        let id = SessionId::from_token(&token, &keys()).unwrap();
        assert_eq!(id.to_token(&keys()), token, "{}", gloss);
        assert_eq!((id.to_string(), format!("{:?}", id)), (shown.to_string(), shown.to_string()));
        assert_eq!(SessionId::from(&id), id, "{}", gloss);
    }
}

#[test]
fn a_text_that_was_not_signed_as_a_token_is_refused() {
    let signature = hmac_sha1(KEY, b"id.u.7");
    let rows = [
        ("nothing", String::new()),
        ("a dot", ".".to_string()),
        ("no signature", "id.u.7".to_string()),
        ("an empty signature", "id.u.7.".to_string()),
        ("another signature", format!("id.u.7.{}", base64(&[0; 20]))),
        ("the signature of another user", sign("id.u.8").replace("u.8", "u.7")),
        ("a signature of 19 bytes", format!("id.u.7.{}", base64(&signature[..19]))),
        ("a signature of 1 byte", format!("id.u.7.{}", base64(&signature[..1]))),
        (
            "a signature of 21 bytes",
            format!("id.u.7.{}", base64(&[&signature[..], b"\0"].concat())),
        ),
        ("padding", sign("id.u.7") + "="),
        ("white space", sign("id.u.7") + " "),
        ("more after it", sign("id.u.7") + ".u"),
        // Signed for another purpose, or not at all.
        ("a guest's cookie", sign("v2.g.AAAAAAAAAAAAAAAAAAAAAA.4102444800")),
        ("a user's cookie", sign("v2.u.7.AAAAAAAAAAAAAAAAAAAAAA.4102444800")),
        ("another label", sign("v2.u.7")),
        ("a label that only begins so", sign("idx.u.7")),
        ("no label", sign("u.7")),
        ("no kind", sign("id.7")),
        ("another kind", sign("id.x.7")),
        ("no user", sign("id.u.")),
        ("a user without a number", sign("id.u.seven")),
        ("a user over 64 bits", sign("id.u.9223372036854775808")),
        ("a part too many", sign("id.u.7.8")),
        ("a guest of 15 bytes", sign(&format!("id.g.{}", base64(&[0; 15])))),
        ("a guest of 17 bytes", sign(&format!("id.g.{}", base64(&[0; 17])))),
        ("a guest in other signs", sign("id.g.+/AAAAAAAAAAAAAAAAAAAA")),
        ("a guest with padding", sign("id.g.AAAAAAAAAAAAAAAAAAAAAA==")),
    ];
    for (gloss, token) in rows {
        let id = SessionId::from_token(&token, &keys());
        assert!(matches!(id, Err(Error::Token)), "{}: {:?}", gloss, token);
    }
}

#[test]
fn a_token_with_any_character_changed_is_refused() {
    const SIGNS: &str = "AB-_.01azQ=+ \u{e4}";
    for text in ["id.u.42", "id.g.AAAAAAAAAAAAAAAAAAAAAA"] {
        let token = sign(text);
        for place in 0..token.len() {
            let (before, after) = (&token[..place], &token[place + 1..]);
            for sign in SIGNS.chars().filter(|sign| !token[place..].starts_with(*sign)) {
                let forged = format!("{}{}{}", before, sign, after);
                assert!(SessionId::from_token(&forged, &keys()).is_err(), "{}", forged);
            }
            let (missing, cut) = (format!("{}{}", before, after), before);
            assert!(SessionId::from_token(&missing, &keys()).is_err(), "{}", missing);
            assert!(SessionId::from_token(cut, &keys()).is_err(), "{}", cut);
        }
    }
}

#[test]
fn a_users_session_id_is_the_users_number() {
    assert_eq!(SessionId::from(7_i32), SessionId::Authenticated(7));
    assert_eq!(SessionId::from(7_i64), SessionId::Authenticated(7));
    assert_ne!(SessionId::from(7), SessionId::from(8));
}

#[test]
fn a_client_without_a_valid_cookie_is_a_new_guest() {
    let cookies = [
        ("no cookie", "x=y".to_string()),
        ("no session", "sockling_session=".to_string()),
        ("a text", "sockling_session=admin".to_string()),
        ("a token", format!("sockling_session={}", sign("id.u.7"))),
        ("signed elsewhere", {
            let cookie = sign("v2.g.AAAAAAAAAAAAAAAAAAAAAA.4102444800");
            format!("sockling_session={}", cookie)
        }),
        ("a user, signed elsewhere", {
            let cookie = sign("v2.u.7.AAAAAAAAAAAAAAAAAAAAAA.4102444800");
            format!("sockling_session={}", cookie)
        }),
    ];
    let mut guests = HashSet::new();
    for (gloss, cookie) in &cookies {
        let request = Request::get("/").with_header("Cookie", cookie);
        let id = request.session_id();
        assert!(matches!(id, SessionId::Guest(_)), "{}", gloss);
        assert_ne!(id.to_string(), "guest-e129f2", "{}", gloss);
        assert_eq!(request.session_id(), id, "{}", gloss);
        guests.insert(id);
    }
    assert_eq!(guests.len(), cookies.len());
}

#[test]
fn login_logout_and_rotate_change_the_session_of_the_client() {
    let request = Request::get("/");
    let guest = request.session_id();
    assert_eq!(request.login(7).status(), 200);
    assert_eq!(request.session_id(), SessionId::Authenticated(7));
    request.rotate();
    assert_eq!(request.session_id(), SessionId::Authenticated(7));
    request.logout();
    let other = request.session_id();
    assert!(matches!(other, SessionId::Guest(_)) && other != guest);
    request.rotate();
    let last = request.session_id();
    assert!(matches!(last, SessionId::Guest(_)) && last != other && last != guest);
}
