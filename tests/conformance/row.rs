//! What a row is: the writes of a client, the frames that must come back, and the end.
//!
//! The first byte of a frame says what it is:
//!
//! ```text
//! 81  text              01  text, more follows            88  close
//! 82  binary            02  binary, more follows          89  ping
//!                       00  a continuation, more follows  8a  pong
//!                       80  the last continuation
//! ```

use crate::loopback::masked;

/// One case, on a connection of its own.
pub struct Row {
    pub id: String,
    pub end: End,
    pub turns: Vec<Turn>,
}

/// What the client writes, and what must come back before it goes on.
pub struct Turn {
    pub writes: Vec<Vec<u8>>,
    pub hears: Vec<Vec<u8>>,
}

/// How the conversation ends, after the frames of the row.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// All was well: the client closes with 1000, is answered with the same and no reason, and the
    /// server ends the connection.
    Fine,
    /// The server sends a Close frame with this code and any reason, and ends the connection.
    Refused(u16),
    /// The row has the client's Close frame and its answer; the server ends the connection.
    Closed,
}

/// Which bytes go into one write.
#[derive(Clone, Copy)]
pub enum How {
    /// All of them.
    Whole,
    /// Those of one frame, or of one of the [`pieces`].
    Framewise,
    /// So many, wherever frames begin and end.
    Chops(usize),
}

/// A row. The frames that must come back are a first byte and a payload; they have no mask and the
/// shortest form of their length (RFC 6455, 5.1 and 5.2).
pub fn row(id: &str, end: End, how: How, says: &[Vec<u8>], hears: &[(u8, &[u8])]) -> Row {
    Row { id: id.to_string(), end, turns: Vec::new() }.then(how, says, hears)
}

impl Row {
    /// Goes on once all that must come back has come.
    pub fn then(mut self, how: How, says: &[Vec<u8>], hears: &[(u8, &[u8])]) -> Row {
        let writes = match how {
            How::Whole => vec![says.concat()],
            How::Framewise => says.to_vec(),
            How::Chops(bytes) => says.concat().chunks(bytes).map(<[u8]>::to_vec).collect(),
        };
        let hears = hears.iter().map(|(first, payload)| unmasked(*first, payload)).collect();
        self.turns.push(Turn { writes, hears });
        self
    }
}

/// Returns a text message in frames of so many bytes.
pub fn fragments(text: &[u8], bytes: usize) -> Vec<Vec<u8>> {
    let count = (text.len() + bytes - 1) / bytes;
    let frame = |(place, piece)| {
        let fin = if place + 1 == count { 0x80 } else { 0 };
        masked(fin | u8::from(place == 0), piece)
    };
    text.chunks(bytes).enumerate().map(frame).collect()
}

/// Returns one frame of text, cut between these parts of its payload; the header is in the first
/// piece.
pub fn pieces(parts: &[&[u8]]) -> Vec<Vec<u8>> {
    let text = parts.concat();
    let mut rest = masked(0x81, &text);
    let mut length = rest.len() - text.len();
    let mut piece = |part: &&[u8]| {
        let after = rest.split_off(std::mem::take(&mut length) + part.len());
        std::mem::replace(&mut rest, after)
    };
    parts.iter().map(&mut piece).collect()
}

/// Returns a frame as a server sends it.
fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = masked(first, payload);
    frame.truncate(frame.len() - payload.len() - 4);
    frame[1] &= 0x7f;
    frame.extend_from_slice(payload);
    frame
}
