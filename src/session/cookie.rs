//! The signed cookie that carries a session.
//!
//! ```text
//! v2.g.<id>.<issued>.<expiry>.<signature>             a guest: 128 random bits
//! v2.u.<user>.<login>.<issued>.<expiry>.<signature>   a user, and the login that it belongs to
//! ```
//!
//! `issued` is the time of the login in milliseconds since 1970. A renewed cookie keeps it, so that
//! "every login issued up to then" covers all cookies of a login or none. `expiry` is in seconds
//! since 1970. The cookie holds everything, so the server stores nothing. An id that this server
//! did not sign is never adopted: the client gets a new one.

use crate::ground::limits::SESSION_LIFE;
use crate::ground::system::unix_millis;
use crate::http::cookie::cookies;
use crate::http::headers::Headers;
use crate::http::response::http_date;
use crate::session::id::{decode, encode, GuestId, SessionId};
use crate::session::keys::{seal, unseal, SessionKeys};

/// One login of a session, as a cookie carries it.
#[derive(Clone, Copy)]
pub(crate) struct Session {
    pub id: SessionId,
    /// What a logout ends: the bits of a guest's id, or of one login of a user.
    pub login: [u8; 16],
    /// The time of the login, in milliseconds since 1970.
    pub issued: u64,
}

/// The name, the keys and the attributes of a server's session cookie.
#[derive(Clone)]
pub(crate) struct SessionCookie {
    pub name: String,
    pub secure: bool,
    pub keys: SessionKeys,
}

impl SessionCookie {
    /// Returns the name on the wire. Browsers accept `__Host-` only with `Secure`, from the host
    /// itself and for all its paths, so no other host can set the cookie.
    pub fn wire_name(&self) -> String {
        let prefix = if self.secure { "__Host-" } else { "" };
        format!("{}{}", prefix, self.name)
    }

    /// Returns the sessions of all cookies that this server signed and that have not expired, in
    /// order, each with whether its cookie is due for renewal: when less than half of its life is
    /// left.
    pub fn sessions_of<'a>(
        &'a self,
        headers: &'a Headers,
        now: u64,
    ) -> impl Iterator<Item = (Session, bool)> + 'a {
        let name = self.wire_name();
        cookies(headers)
            .filter(move |(known, _)| *known == name.as_bytes())
            .filter_map(move |(_, value)| self.open(std::str::from_utf8(value).ok()?, now))
    }

    /// Returns a new guest.
    pub fn guest(&self) -> Session {
        let login = self.keys.draw();
        let id = SessionId::Guest(GuestId(login));
        Session { id, login, issued: unix_millis() }
    }

    /// Returns a new login of a user, issued at this time in milliseconds since 1970.
    pub fn user(&self, user: i64, issued: u64) -> Session {
        let (id, login) = (SessionId::Authenticated(user), self.keys.draw());
        Session { id, login, issued }
    }

    /// Returns the Set-Cookie value that gives the session to the client for a whole life from
    /// `now`, in seconds since 1970.
    pub fn set(&self, session: &Session, now: u64) -> String {
        let mut body = session.id.text();
        if let SessionId::Authenticated(_) = session.id {
            body = format!("{}.{}", body, encode(&session.login));
        }
        let expires = now + SESSION_LIFE;
        let body = format!("{}.{}.{}", body, session.issued, expires);
        self.set_cookie(&seal("v2", &body, &self.keys), expires)
    }

    /// Returns the Set-Cookie value for this value of the cookie. `HttpOnly` hides it from scripts,
    /// `SameSite=Lax` keeps forms of other sites from sending it, and without a Domain it belongs
    /// to one host alone. Not inlined, so that the caller's stack frame stays small while it signs
    /// the value.
    #[inline(never)]
    fn set_cookie(&self, value: &str, expires: u64) -> String {
        // Without Expires, Java's jar takes the cookie for one of RFC 2965 and quotes it. Of the
        // two it takes the first, and others take Max-Age (RFC 6265, 5.3). So a server whose clock
        // is still in 1970 sets no cookie that has expired.
        let mut cookie =
            format!("{}={}; Max-Age={}; Expires=", self.wire_name(), value, SESSION_LIFE);
        // Writing to a string does not fail.
        let _ = http_date(&mut cookie, expires);
        cookie.push_str("; Path=/; HttpOnly; SameSite=Lax");
        cookie.push_str(if self.secure { "; Secure" } else { "" });
        cookie
    }

    fn open(&self, cookie: &str, now: u64) -> Option<(Session, bool)> {
        // A jar may quote a value (RFC 6265, 4.1.1), as Java's does. No sealed text has a quote.
        let quoted = cookie.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let body = unseal("v2", quoted.unwrap_or(cookie), &self.keys)?;
        let mut parts = body.split('.');
        let id = SessionId::parse(parts.next(), parts.next())?;
        let login = match &id {
            SessionId::Guest(id) => id.0,
            SessionId::Authenticated(_) => decode(parts.next()?)?,
        };
        let issued = parts.next()?.parse().ok()?;
        let expires: u64 = parts.next()?.parse().ok().filter(|&expires| expires > now)?;
        let renew = expires - now < SESSION_LIFE / 2;
        parts.next().is_none().then_some((Session { id, login, issued }, renew))
    }
}
