//! Turns the offers of Sec-WebSocket-Extensions into what is agreed about compression (RFC 6455, 9.1;
//! RFC 7692, 7.1).
//!
//! ```text
//! the client offers                 the server answers
//! ─────────────────────────────────────────────────────────────────────────────────────
//! (always)                          client_no_context_takeover
//! server_no_context_takeover        the same
//! server_max_window_bits=8..15      the same, and keeps to it
//! client_max_window_bits[=8..15]    nothing: every window can be inflated
//! client_no_context_takeover        (said anyway)
//! ```
//!
//! An offer that is malformed, or has a parameter twice or an unknown one, is declined, and the next
//! one is looked at. Other extensions are ignored.

use super::deflate::WINDOW;
use crate::http::headers::{is_token, trim};

/// What is agreed about compression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Agreed {
    /// The size of the window that the client has, in bits.
    pub window: u8,
    /// The value of Sec-WebSocket-Extensions in the answer.
    pub answer: String,
}

/// Returns what is agreed by these field values, or `None` if there is no offer that can be accepted.
pub(crate) fn negotiate<'a>(values: impl Iterator<Item = &'a [u8]>) -> Option<Agreed> {
    values.flat_map(|value| split(value, b',')).find_map(accept)
}

const PARAMETERS: [&str; 4] = [
    "client_no_context_takeover",
    "client_max_window_bits",
    "server_no_context_takeover",
    "server_max_window_bits",
];

/// Returns what is agreed by one offer.
fn accept(offer: &[u8]) -> Option<Agreed> {
    let mut parts = split(offer, b';');
    if parts.next()? != b"permessage-deflate" {
        return None;
    }
    let (mut seen, mut window) = ([false; 4], WINDOW);
    let mut answer = "permessage-deflate; client_no_context_takeover".to_string();
    for part in parts {
        let (name, value) = parameter(part)?;
        let at = PARAMETERS.iter().position(|known| known.as_bytes() == name)?;
        if std::mem::replace(&mut seen[at], true) {
            return None;
        }
        match (at, value.as_deref()) {
            (0 | 1, None) => {}
            (1, Some(value)) => drop(bits(value)?),
            (2, None) => answer += "; server_no_context_takeover",
            (3, Some(value)) => {
                window = bits(value)?;
                answer += "; server_max_window_bits=";
                answer += &window.to_string();
            }
            _ => return None,
        }
    }
    Some(Agreed { window, answer })
}

/// Returns a window size in bits: 8 to 15, without leading zeros (RFC 7692, 7.1.2).
fn bits(value: &[u8]) -> Option<u8> {
    match *value {
        [digit @ b'8'..=b'9'] | [b'1', digit @ b'0'..=b'5'] => {
            Some(digit - b'0' + if value.len() == 2 { 10 } else { 0 })
        }
        _ => None,
    }
}

/// Returns the name of a parameter, and its value without quotes, if it has one. Both are tokens
/// (RFC 6455, 9.1).
fn parameter(part: &[u8]) -> Option<(&[u8], Option<Vec<u8>>)> {
    let (name, value) = match part.iter().position(|byte| *byte == b'=') {
        Some(at) => (trim(&part[..at]), Some(unquoted(trim(&part[at + 1..]))?)),
        None => (part, None),
    };
    let valid = is_token(name) && value.as_deref().map_or(true, is_token);
    valid.then_some((name, value))
}

/// Returns a value without its quotes and escapes, or `None` if it has something behind them.
fn unquoted(value: &[u8]) -> Option<Vec<u8>> {
    let inner = match value {
        [b'"', inner @ .., b'"'] => inner,
        token => return Some(token.to_vec()),
    };
    let (mut plain, mut bytes) = (Vec::new(), inner.iter());
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return None,
            b'\\' => plain.push(*bytes.next()?),
            byte => plain.push(*byte),
        }
    }
    Some(plain)
}

/// Splits a text at a byte that is outside quotes, and trims the parts.
fn split(text: &[u8], at: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    let is_end = move |byte: &u8| {
        let escapes = quoted && !escaped && *byte == b'\\';
        quoted ^= *byte == b'"' && !escaped;
        escaped = escapes;
        !quoted && *byte == at
    };
    text.split(is_end).map(trim)
}
