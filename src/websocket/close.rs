//! Turns the payload of a Close frame into a code and a reason, and back (RFC 6455, 5.5.1 and 7.4).
//! Refuses half a code, a code that must not appear in a frame, and a reason that is not UTF-8.

use std::fmt;

/// A close code, which says why a WebSocket was closed (RFC 6455, 7.4).
///
/// ```
/// use sockling::websocket::CloseCode;
///
/// assert_eq!(CloseCode::GOING_AWAY, CloseCode(1001));
/// assert!(CloseCode(4000).is_sendable() && !CloseCode::ABNORMAL.is_sendable());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// 1000: the connection has fulfilled its purpose.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// 1001: the server is shutting down, or the browser has left the page.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// 1002: the peer violated the protocol.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode(1002);
    /// 1003: the peer sent a type of data that is not accepted, such as bytes instead of text.
    pub const UNSUPPORTED_DATA: CloseCode = CloseCode(1003);
    /// 1005: the Close frame had no code. Never sent.
    pub const NO_STATUS: CloseCode = CloseCode(1005);
    /// 1006: the connection ended without a Close frame. Never sent.
    pub const ABNORMAL: CloseCode = CloseCode(1006);
    /// 1007: the payload does not match the type of the message, such as text that is not UTF-8.
    /// The server sends it where [`Violation::close_code`](super::Violation::close_code)
    /// (`message.rs`) says so: for such a text, and for a Close frame with such a reason.
    pub const INVALID_PAYLOAD: CloseCode = CloseCode(1007);
    /// 1008: the peer violated a rule of the application, or a limit that has no code of its own.
    pub const POLICY_VIOLATION: CloseCode = CloseCode(1008);
    /// 1009: the message is too large.
    pub const TOO_BIG: CloseCode = CloseCode(1009);
    /// 1010: the client requires an extension. Sent only by clients.
    pub const MANDATORY_EXTENSION: CloseCode = CloseCode(1010);
    /// 1011: the server failed, or the client did not answer a ping in time.
    pub const INTERNAL_ERROR: CloseCode = CloseCode(1011);
    /// 1012: the server is restarting.
    pub const SERVICE_RESTART: CloseCode = CloseCode(1012);
    /// 1013: the server is overloaded, and the client should try again later. WebKit, Qt, libsoup and
    /// other clients know only the codes of RFC 6455, and report 1006 or 1002 to the page instead.
    pub const TRY_AGAIN_LATER: CloseCode = CloseCode(1013);

    /// Returns whether the code may appear in a Close frame: 1000-1003, 1007-1014, and 3000-4999.
    pub fn is_sendable(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// The code and the reason of a Close frame.
///
/// ```
/// use sockling::websocket::{CloseCode, CloseFrame};
///
/// let close = CloseFrame::parse(b"\x03\xe8bye").unwrap();
/// assert_eq!((close.code, close.reason.as_str()), (CloseCode::NORMAL, "bye"));
/// assert_eq!(close.payload(), b"\x03\xe8bye");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseFrame {
    /// The code, or [`CloseCode::NO_STATUS`] if the payload is empty.
    pub code: CloseCode,
    /// The reason, at most 123 bytes of UTF-8.
    pub reason: String,
}

impl CloseFrame {
    /// The longest reason, in bytes: the payload of a control frame has at most 125, of which the
    /// code takes two (5.5).
    pub const REASON: usize = 123;

    /// Returns a Close frame that may be sent. A longer reason is cut to at most 123 bytes, at the
    /// end of a character.
    ///
    /// # Errors
    ///
    /// Returns [`CloseError::Code`] if the code must not appear in a frame (see
    /// [`CloseCode::is_sendable`]).
    ///
    /// ```
    /// use sockling::websocket::{CloseCode, CloseError, CloseFrame};
    ///
    /// assert_eq!(CloseFrame::new(CloseCode::ABNORMAL, ""), Err(CloseError::Code));
    /// assert_eq!(CloseFrame::new(CloseCode::NORMAL, &"é".repeat(99))?.reason.len(), 122);
    /// # Ok::<(), CloseError>(())
    /// ```
    pub fn new(code: CloseCode, reason: &str) -> Result<CloseFrame, CloseError> {
        if !code.is_sendable() {
            return Err(CloseError::Code);
        }
        let mut end = reason.len().min(CloseFrame::REASON);
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        Ok(CloseFrame { code, reason: reason[..end].to_string() })
    }

    /// Parses the payload of a Close frame.
    ///
    /// # Errors
    ///
    /// Returns an error if the payload is a single byte, the code must not appear in a frame, or
    /// the reason is not UTF-8.
    pub fn parse(payload: &[u8]) -> Result<CloseFrame, CloseError> {
        let (code, reason) = match payload {
            [] => (CloseCode::NO_STATUS, &[][..]),
            [_] => return Err(CloseError::Length),
            [high, low, reason @ ..] => (CloseCode(u16::from_be_bytes([*high, *low])), reason),
        };
        if !payload.is_empty() && !code.is_sendable() {
            return Err(CloseError::Code);
        }
        let reason = std::str::from_utf8(reason).map_err(|_| CloseError::Reason)?;
        Ok(CloseFrame { code, reason: reason.to_string() })
    }

    /// Returns the payload of this frame, which is empty for [`CloseCode::NO_STATUS`]. It does not
    /// cut the reason; [`CloseFrame::new`] does.
    pub fn payload(&self) -> Vec<u8> {
        if self.code == CloseCode::NO_STATUS {
            return Vec::new();
        }
        let mut payload = self.code.0.to_be_bytes().to_vec();
        payload.extend_from_slice(self.reason.as_bytes());
        payload
    }
}

/// An error in a Close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseError {
    /// The payload is a single byte, half a code. 1002.
    Length,
    /// The code must not appear in a frame (RFC 6455, 7.4). 1002.
    Code,
    /// The reason is not UTF-8 (RFC 6455, 8.1). 1007.
    Reason,
}

impl fmt::Display for CloseError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            CloseError::Length => "a Close frame with half a code",
            CloseError::Code => "a Close frame with a forbidden code",
            CloseError::Reason => "a Close frame with a reason that is not UTF-8",
        })
    }
}

impl std::error::Error for CloseError {}
