//! Turns what a server has sent into answers and, after a 101, frames. What no server may send,
//! whatever the client did, is a fault.

use crate::table::{NO_ANSWER, NO_CODE};

/// An HTTP answer.
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// A WebSocket frame; the server of these tests sends each message in one.
pub struct Frame {
    pub opcode: u8,
    pub payload: Vec<u8>,
}

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// All that came on one connection.
#[derive(Default)]
pub struct Transcript {
    pub answers: Vec<Answer>,
    pub frames: Vec<Frame>,
    pub faults: Vec<String>,
    /// So many bytes of an answer or a frame that has not ended.
    pub unfinished: usize,
}

impl Transcript {
    /// Reads what came; `head_first` says that the first answer is one to HEAD.
    pub fn read(mut bytes: &[u8], head_first: bool) -> Transcript {
        let mut seen = Transcript::default();
        while !bytes.is_empty() && seen.faults.is_empty() {
            let used = match seen.upgraded() {
                true => seen.read_frame(bytes),
                false => seen.read_answer(bytes, head_first && seen.answers.is_empty()),
            };
            match used {
                Some(used) => bytes = &bytes[used..],
                None => break,
            }
        }
        seen.unfinished = bytes.len();
        seen
    }

    /// Whether frames follow.
    pub fn upgraded(&self) -> bool {
        self.last_status() == 101
    }

    pub fn last_status(&self) -> u16 {
        self.answers.last().map_or(NO_ANSWER, |answer| answer.status)
    }

    pub fn first_status(&self) -> u16 {
        self.answers.first().map_or(NO_ANSWER, |answer| answer.status)
    }

    /// The payloads of Text and Binary frames.
    pub fn messages(&self) -> Vec<&[u8]> {
        let data = |frame: &&Frame| [TEXT, BINARY].contains(&frame.opcode);
        self.frames.iter().filter(data).map(|frame| &frame.payload[..]).collect()
    }

    pub fn pings(&self) -> Vec<&[u8]> {
        self.payloads(PING)
    }

    pub fn pongs(&self) -> Vec<&[u8]> {
        self.payloads(PONG)
    }

    /// The codes of the Close frames, [`NO_CODE`] for an empty one.
    pub fn closes(&self) -> Vec<i32> {
        let code = |payload: &[u8]| match payload {
            [high, low, ..] => i32::from(u16::from_be_bytes([*high, *low])),
            _ => NO_CODE,
        };
        self.payloads(CLOSE).into_iter().map(code).collect()
    }

    fn payloads(&self, opcode: u8) -> Vec<&[u8]> {
        let same = |frame: &&Frame| frame.opcode == opcode;
        self.frames.iter().filter(same).map(|frame| &frame.payload[..]).collect()
    }

    fn fault(&mut self, what: impl Into<String>) {
        self.faults.push(what.into());
    }

    /// Returns the length of the answer, or `None` when more bytes are needed.
    fn read_answer(&mut self, bytes: &[u8], to_head: bool) -> Option<usize> {
        if !bytes.iter().zip(b"HTTP/1.1 ").all(|(byte, expected)| byte == expected) {
            let start = &bytes[..bytes.len().min(40)];
            self.fault(format!("no answer: {:?}", String::from_utf8_lossy(start)));
            return None;
        }
        let head_end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap_or("");
        let status = status_line.get(9..12).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        if !(100..600).contains(&status) {
            self.fault(format!("status line {:?}", status_line));
        }
        let fields: Vec<_> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_string()))
            .collect();
        let lengths: Vec<_> = fields.iter().filter(|(name, _)| name == "content-length").collect();
        let bodiless = to_head || status < 200 || status == 204 || status == 304;
        let length = match (&lengths[..], bodiless) {
            (_, true) => 0,
            ([(_, digits)], false) => digits.parse().unwrap_or(usize::MAX),
            _ => usize::MAX,
        };
        if length == usize::MAX {
            self.fault(format!("{} with {} Content-Length fields", status, lengths.len()));
            return None;
        }
        let body_start = head_end + 4;
        let body = bytes.get(body_start..body_start + length)?.to_vec();
        self.answers.push(Answer { status, fields, body });
        Some(body_start + length)
    }

    /// Returns the length of the frame, or `None` when more bytes are needed.
    fn read_frame(&mut self, bytes: &[u8]) -> Option<usize> {
        let (first, second) = (*bytes.first()?, *bytes.get(1)?);
        let (length, start): (u64, usize) = match second & 0x7f {
            126 => {
                let length = bytes.get(2..4)?.try_into().expect("two bytes");
                (u64::from(u16::from_be_bytes(length)), 4)
            }
            127 => (u64::from_be_bytes(bytes.get(2..10)?.try_into().expect("eight bytes")), 10),
            length => (u64::from(length), 2),
        };
        let shortest = match length {
            0..=125 => 2,
            126..=0xffff => 4,
            _ => 10,
        };
        let opcode = first & 0x0f;
        let already_closed = self.frames.iter().any(|frame| frame.opcode == CLOSE);
        for (wrong, what) in [
            (first & 0x70 != 0, "RSV bits in a frame"),
            (first & 0x80 == 0, "a fragment"),
            (![TEXT, BINARY, CLOSE, PING, PONG].contains(&opcode), "a reserved opcode"),
            (second & 0x80 != 0, "a masked frame"),
            (start != shortest, "a length not in its shortest form"),
            (opcode >= CLOSE && length > 125, "a long control frame"),
            (already_closed, "a frame after Close"),
        ] {
            if wrong {
                self.fault(what);
            }
        }
        let end = start.checked_add(usize::try_from(length).ok()?)?;
        let payload = bytes.get(start..end)?;
        match (opcode, payload) {
            (TEXT, text) if std::str::from_utf8(text).is_err() => self.fault("Text without UTF-8"),
            (CLOSE, [_]) => self.fault("a Close frame with half a code"),
            (CLOSE, [high, low, ..])
                if !(1000..5000).contains(&u16::from_be_bytes([*high, *low])) =>
            {
                self.fault("a code that no Close frame may carry")
            }
            (CLOSE, [_, _, reason @ ..]) if std::str::from_utf8(reason).is_err() => {
                self.fault("a reason without UTF-8")
            }
            _ => {}
        }
        self.frames.push(Frame { opcode, payload: payload.to_vec() });
        Some(end)
    }
}
