//! Cookies are found or skipped, and only what was signed is a session.

use crate::ground::limits::COOKIE_VALUE;
use crate::http::{cookies, Headers};
use crate::session::cookie::SessionCookie;
use crate::{SessionId, SessionKeys};
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use base64::Engine as _;

/// Panics when a promise about these Cookie lines is broken. Lines end with a line feed.
pub fn check(bytes: &[u8]) {
    let mut headers = Headers::new();
    bytes.split(|byte| *byte == b'\n').for_each(|line| headers.push("Cookie", line));
    let found: Vec<_> = cookies(&headers).collect();
    for (name, value) in &found {
        assert!(value.len() <= COOKIE_VALUE);
        assert!(!name.contains(&b'=') && !name.contains(&b';') && !value.contains(&b';'));
    }
    // Written as one line they are the same cookies.
    let pairs: Vec<_> =
        found.iter().map(|(name, value)| [name, &b"="[..], value].concat()).collect();
    let mut line = Headers::new();
    line.push("Cookie", &pairs.join(&b"; "[..]));
    assert_eq!(cookies(&line).collect::<Vec<_>>(), found);

    let keys = SessionKeys::new([[7; 32]]).expect("a long key");
    let text = String::from_utf8_lossy(bytes);
    assert!(SessionId::from_token(&text, &keys).map_or(true, |id| id.to_token(&keys) == text));
    // Signed bytes are read, so they may hold anything too.
    let signed = |label: &str| {
        let text = [label, &text].join(".");
        let signature = BASE64.encode(keys.sign(text.as_bytes()));
        [text, signature].join(".")
    };
    if let Ok(id) = SessionId::from_token(&signed("id"), &keys) {
        assert_eq!(SessionId::from_token(&id.to_token(&keys), &keys).ok(), Some(id));
    }
    let mut headers = Headers::new();
    headers.push("Cookie", ["s=", &signed("v2")].concat().as_bytes());
    let cookie = SessionCookie { name: "s".to_string(), secure: false, keys: keys.clone() };
    for (session, _) in cookie.sessions_of(&headers, NOW) {
        assert!(text.len() > "u.1..1.1".len());
        // What is set for it is the same session.
        let set = cookie.set(&session, NOW);
        let pair = set.split(';').next().unwrap_or("");
        for pair in [pair.to_string(), pair.replace('=', "=\"") + "\""] {
            let mut again = Headers::new();
            again.push("Cookie", pair.as_bytes());
            let again: Vec<_> =
                cookie.sessions_of(&again, NOW).map(|(session, _)| session).collect();
            assert!(
                again.len() == 1 && again[0].id == session.id && again[0].login == session.login
            );
            assert_eq!(again[0].issued, session.issued);
        }
    }
}

const NOW: u64 = 1_800_000_000;
