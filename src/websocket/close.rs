//! Turns the payload of a Close frame into a code and a reason, and back (RFC 6455, 5.5.1 and 7.4).

use std::fmt;

/// A close code: why a WebSocket ended (RFC 6455, 7.4).
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
    /// 1000: the conversation is over.
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// 1001: the server shuts down, or the browser left the page.
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode(1002);
    /// 1003: the peer sent a kind of data that is not taken.
    pub const UNSUPPORTED_DATA: CloseCode = CloseCode(1003);
    /// 1005: the Close frame had no code. Never on the wire.
    pub const NO_STATUS: CloseCode = CloseCode(1005);
    /// 1006: the connection ended without a Close frame. Never on the wire.
    pub const ABNORMAL: CloseCode = CloseCode(1006);
    /// 1007: the data does not fit its type; text that is not UTF-8.
    pub const INVALID_PAYLOAD: CloseCode = CloseCode(1007);
    /// 1008: a rule of the application, or of the server's limits, was broken.
    pub const POLICY_VIOLATION: CloseCode = CloseCode(1008);
    /// 1009: the message is too big.
    pub const TOO_BIG: CloseCode = CloseCode(1009);
    /// 1010: the client wanted an extension. Only clients send it.
    pub const MANDATORY_EXTENSION: CloseCode = CloseCode(1010);
    /// 1011: the server failed, or the client did not answer a ping.
    pub const INTERNAL_ERROR: CloseCode = CloseCode(1011);
    /// 1012: the server restarts.
    pub const SERVICE_RESTART: CloseCode = CloseCode(1012);
    /// 1013: try again later.
    pub const TRY_AGAIN_LATER: CloseCode = CloseCode(1013);

    /// Returns whether the code may stand in a Close frame: 1000-1003, 1007-1014 and 3000-4999.
    pub fn is_sendable(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// What a Close frame says.
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
    /// The code; [`CloseCode::NO_STATUS`] when the frame was empty.
    pub code: CloseCode,
    /// The reason, in UTF-8. In a frame it has 123 bytes at the most.
    pub reason: String,
}

impl CloseFrame {
    /// Longest reason, in bytes: a control frame has 125, the code takes two.
    pub const REASON: usize = 123;

    /// Returns a frame that may be sent. The reason is cut after at most 123 bytes, between two
    /// characters. Error: the code may not stand in a frame (see [`CloseCode::is_sendable`]).
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

    /// Returns what the payload of a Close frame says. Error: the payload is one byte, a code that
    /// may not be sent, or a reason that is not UTF-8.
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

    /// Returns the payload of this frame; empty for [`CloseCode::NO_STATUS`]. The reason is not cut
    /// here, but by [`CloseFrame::new`].
    pub fn payload(&self) -> Vec<u8> {
        if self.code == CloseCode::NO_STATUS {
            return Vec::new();
        }
        let mut payload = self.code.0.to_be_bytes().to_vec();
        payload.extend_from_slice(self.reason.as_bytes());
        payload
    }
}

/// What is wrong with a Close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseError {
    /// The payload has one byte: half a code. The client is told 1002.
    Length,
    /// The code may not stand in a frame. The client is told 1002.
    Code,
    /// The reason is not UTF-8. The client is told 1007.
    Reason,
}

impl fmt::Display for CloseError {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            CloseError::Length => "a Close frame with half a code",
            CloseError::Code => "a close code that may not stand in a frame",
            CloseError::Reason => "a close reason that is not UTF-8",
        })
    }
}

impl std::error::Error for CloseError {}
