//! The Set-Cookie value of a session.

use crate::ground::limits::SESSION_LIFE;
use crate::session::cookie::SessionCookie;
use crate::session::keys::SessionKeys;

#[test]
fn a_session_cookie_expires_with_its_signature_and_says_max_age_first() {
    for (now, expires) in [
        // On a board whose clock has not been set, Expires is long past for a client with another
        // clock. Max-Age wins (RFC 6265, 5.3), and Java's HttpCookie takes the first of the two.
        (0, "Thu, 29 Jan 1970 00:00:00 GMT"),
        // The time in RFC 9110, 5.6.7.
        (784_111_777 - SESSION_LIFE, "Sun, 06 Nov 1994 08:49:37 GMT"),
        // A leap day.
        (1_709_208_000 - SESSION_LIFE, "Thu, 29 Feb 2024 12:00:00 GMT"),
    ] {
        for (secure, start, end) in [(false, "s=v2.g.", ""), (true, "__Host-s=v2.g.", "; Secure")] {
            let keys = SessionKeys::new([[7; 32]]).expect("a long key");
            let cookie = SessionCookie { name: "s".to_string(), secure, keys };
            let set = cookie.set(&cookie.guest(), now);
            let (pair, attributes) = set.split_once("; ").expect("attributes");
            assert!(pair.starts_with(start), "{}", pair);
            assert_eq!(pair.split('.').nth(4), Some(&*(now + SESSION_LIFE).to_string()));
            let expected = format!(
                "Max-Age=2419200; Expires={}; Path=/; HttpOnly; SameSite=Lax{}",
                expires, end
            );
            assert_eq!(attributes, expected);
        }
    }
}
