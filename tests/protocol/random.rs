//! Random bytes: no codec panics or consumes more than it is given, and everything that is written
//! is read back unchanged. The random numbers are the same in each run.

use crate::cuts::show;
use crate::message::{frame, receive, End};
use sockling::http::{cookies, BodyLength, Chunked, Head, Headers, Request};
use sockling::limits::Limits;
use sockling::websocket::{
    apply_mask, Assembler, CloseCode, CloseFrame, FrameHeader, Message, OpCode, Received,
};
use sockling::{SessionId, SessionKeys};

/// Xorshift (Marsaglia, 2003), whose numbers are random enough here.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn of<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.below(some.len())]
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most + 1)).map(|_| self.next() as u8).collect()
    }

    fn text(&mut self, most: usize) -> String {
        let signs = ['a', ' ', '\0', '\u{e4}', '\u{20ac}', '\u{1f600}', '\u{10ffff}'];
        (0..self.below(most + 1)).map(|_| self.of(&signs)).collect()
    }

    fn key(&mut self) -> [u8; 4] {
        (self.next() as u32).to_be_bytes()
    }

    /// Returns words of a grammar in any order, with a byte of noise now and then.
    fn words(&mut self, words: &[&[u8]], most: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..self.below(most + 1) {
            match self.below(12) {
                0 => bytes.push(self.next() as u8),
                _ => bytes.extend_from_slice(self.of(words)),
            }
        }
        bytes
    }

    /// Returns the bytes cut into pieces, of which some may be empty.
    fn pieces<'a>(&mut self, mut bytes: &'a [u8], most: usize) -> Vec<&'a [u8]> {
        let mut pieces = Vec::new();
        while !bytes.is_empty() {
            let (piece, rest) = bytes.split_at(self.below(most + 1).min(bytes.len()));
            pieces.push(piece);
            bytes = rest;
        }
        pieces
    }
}

const HEAD_WORDS: &[&[u8]] = &[
    b"GET ",
    b"POST ",
    b"OPTIONS ",
    b"BREW ",
    b"/",
    b"/a%20b",
    b"%2f",
    b"%c3%a4",
    b"*",
    b"?a=b",
    b"http://",
    b"h:80",
    b"[::1]",
    b" HTTP/1.1\r\n",
    b" HTTP/1.0\r\n",
    b"Host: h\r\n",
    b"Host: ",
    b"Content-Length: ",
    b"5",
    b"Transfer-Encoding: chunked\r\n",
    b"Expect: 100-continue\r\n",
    b"Connection: close\r\n",
    b"X",
    b": ",
    b" ",
    b"\t",
    b"\r\n",
    b"\r\n\r\n",
    b"\r",
    b"\n",
];

const BEGINNINGS: &[&[u8]] = &[
    b"",
    b"GET / HTTP/1.1\r\n",
    b"POST / HTTP/1.1\r\nHost: h\r\n",
    b"GET /",
    b"GET / HTTP/1.0\r\n",
];

#[test]
fn random_heads_never_panic_and_give_the_same_result_however_they_are_cut() {
    let mut random = Random(0x5eed_0001);
    let limits = Limits { request_line: 60, headers: 100, header_count: 5, ..Limits::default() };
    let mut verdicts = [0; 3];
    for _ in 0..6000 {
        let mut bytes = random.of(BEGINNINGS).to_vec();
        bytes.extend(random.words(HEAD_WORDS, 12));
        let whole = Head::parse(&bytes, &limits);
        let decided = (0..=bytes.len()).find(|length| {
            let verdict = Head::parse(&bytes[..*length], &limits);
            assert!(verdict == Ok(None) || verdict == whole, "{}", show(&bytes));
            verdict != Ok(None)
        });
        match &whole {
            Ok(None) => verdicts[0] += 1,
            Ok(Some((_, used))) => {
                verdicts[1] += 1;
                assert_eq!(decided, Some(*used), "{}", show(&bytes));
            }
            Err(_) => {
                verdicts[2] += 1;
                assert!(decided.is_some(), "{}", show(&bytes));
            }
        }
    }
    // Each of the three results is common, or this would test little.
    assert!(verdicts.iter().all(|count| *count > 100), "{:?}", verdicts);
}

#[test]
fn a_written_head_is_read_back_unchanged() {
    let mut random = Random(0x5eed_0002);
    for _ in 0..500 {
        let mut fields = vec![("Host".to_string(), b"h".to_vec())];
        for number in 0..random.below(6) {
            let mut value = random.bytes(20);
            value.retain(|byte| *byte > b' ' && *byte != 0x7f);
            fields.push((format!("X-{}", number), value));
        }
        let length = random.next() >> random.below(64);
        fields.push(("Content-Length".to_string(), length.to_string().into_bytes()));
        let allowed = |byte: &u8| !b"/\\".contains(byte) && !byte.is_ascii_control();
        let path = random.bytes(20).into_iter().filter(allowed);
        let path = String::from_utf8_lossy(&path.collect::<Vec<u8>>()).into_owned() + "x";
        let encoded: String = path.bytes().map(|byte| format!("%{:02X}", byte)).collect();

        let mut bytes = format!("PUT /{}?{} HTTP/1.1\r\n", encoded, encoded).into_bytes();
        for (name, value) in &fields {
            bytes.extend([name.as_bytes(), b":", value, b"\r\n"].concat());
        }
        bytes.extend_from_slice(b"\r\n");
        let (head, used) = Head::parse(&bytes, &Limits::default()).unwrap().unwrap();
        assert_eq!((used, head.path, head.query), (bytes.len(), format!("/{}", path), encoded));
        assert_eq!(head.body, BodyLength::Known(length));
        let read: Vec<_> =
            head.headers.iter().map(|(name, value)| (name.to_string(), value.to_vec())).collect();
        assert_eq!(read, fields);
    }
}

const CHUNK_WORDS: &[&[u8]] = &[
    b"0",
    b"1",
    b"a",
    b"\r\n",
    b"1\r\nx\r\n",
    b"3\r\nabc\r\n",
    b"0\r\n",
    b";a=b",
    b"0\r\n\r\n",
    b"A: b\r\n",
    b"\n",
];

#[test]
fn random_chunks_never_panic_and_give_the_same_result_however_they_are_cut() {
    let mut random = Random(0x5eed_0003);
    let limits = Limits { body: 20, headers: 20, header_count: 2, ..Limits::default() };
    let mut ends = [0; 3];
    for _ in 0..4000 {
        let bytes = random.words(CHUNK_WORDS, 10);
        let (mut whole, mut body) = (Chunked::default(), Vec::new());
        let expected = whole.decode(&bytes, &mut body, &limits);
        let (mut cut, mut same, mut used, mut error) = (Chunked::default(), Vec::new(), 0, None);
        for piece in random.pieces(&bytes, 4) {
            match cut.decode(piece, &mut same, &limits) {
                Ok(some) => {
                    assert!(some == piece.len() || cut.is_done(), "{}", show(&bytes));
                    used += some;
                }
                Err(first) => {
                    error = Some(first);
                    break;
                }
            }
        }
        assert_eq!((error, &same), (expected.err(), &body), "{}", show(&bytes));
        assert!(body.len() <= limits.body);
        if let Ok(expected) = expected {
            assert_eq!((used, cut.is_done()), (expected, whole.is_done()), "{}", show(&bytes));
        }
        ends[if expected.is_err() { 0 } else { 1 + usize::from(whole.is_done()) }] += 1;
    }
    assert!(ends.iter().all(|count| *count > 50), "{:?}", ends);
}

#[test]
fn a_body_written_in_chunks_is_read_back_unchanged() {
    let mut random = Random(0x5eed_0004);
    for _ in 0..500 {
        let body = random.bytes(200);
        let mut bytes = Vec::new();
        for chunk in random.pieces(&body, 50).into_iter().filter(|chunk| !chunk.is_empty()) {
            let extension = random.of(&["", ";a", ";a=\"b\""]);
            bytes.extend(format!("{:x}{}\r\n", chunk.len(), extension).into_bytes());
            bytes.extend([chunk, b"\r\n"].concat());
        }
        bytes.extend_from_slice(random.of(&[&b"0\r\n\r\n"[..], b"000\r\nSum: 1\r\n\r\n"]));
        let end = bytes.len();
        bytes.extend(random.bytes(10));

        let (mut chunked, mut read, mut used) = (Chunked::default(), Vec::new(), 0);
        for piece in random.pieces(&bytes, 9) {
            used += chunked.decode(piece, &mut read, &Limits::default()).unwrap();
        }
        assert_eq!((read, used, chunked.is_done()), (body, end, true));
    }
}

#[test]
fn random_bytes_are_refused_or_a_frame_header_that_is_written_back_unchanged() {
    let mut random = Random(0x5eed_0005);
    for _ in 0..20_000 {
        let mut bytes = random.bytes(16);
        if let [first, second, ..] = &mut bytes[..] {
            // Valid ones are rare otherwise.
            *first &= 0x8f;
            if random.below(2) == 0 {
                *second = random.of(&[0, 125, 126, 127, 0x80, 0xfd, 0xfe, 0xff]);
            }
        }
        if let Ok(Some((header, used))) = FrameHeader::parse(&bytes) {
            let mut written = Vec::new();
            header.write(&mut written);
            assert_eq!(written, bytes[..used], "{:?}", header);
        }
    }
}

#[test]
fn a_written_frame_header_is_read_back_unchanged() {
    let mut random = Random(0x5eed_0006);
    for _ in 0..5000 {
        let opcodes = [OpCode::Continuation, OpCode::Text, OpCode::Binary, OpCode::Ping];
        let opcode = random.of(&opcodes);
        let length = match opcode.is_control() {
            true => random.next() % 126,
            false => random.next() >> (1 + random.below(63)),
        };
        let fin = opcode.is_control() || random.below(2) == 0;
        let masking_key = Some(random.key()).filter(|key| key[0] < 128);
        let mut header = FrameHeader::new(opcode, length);
        header.fin = fin;
        header.masking_key = masking_key;
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        assert!((2..=14).contains(&bytes.len()));
        assert_eq!(FrameHeader::parse(&bytes), Ok(Some((header, bytes.len()))));
    }
}

#[test]
fn random_frames_never_panic_and_give_the_same_result_however_they_are_cut() {
    let mut random = Random(0x5eed_0007);
    let limits = Limits { message: 40, fragments: 4, ..Limits::default() };
    let mut received = 0;
    for _ in 0..4000 {
        let mut bytes = Vec::new();
        for _ in 0..random.below(6) {
            let payload =
                if random.below(2) == 0 { random.bytes(12) } else { random.text(4).into_bytes() };
            let opcode = match random.below(12) {
                0 => OpCode::Close,
                1 => OpCode::Pong,
                2 => OpCode::Ping,
                3..=6 => OpCode::Continuation,
                7..=8 => OpCode::Binary,
                _ => OpCode::Text,
            };
            let fin = opcode.is_control() || random.below(2) == 0;
            bytes.extend(frame(fin, opcode, random.key(), &payload));
        }
        if random.below(3) == 0 {
            let noise = random.bytes(20);
            bytes.extend(noise);
        }
        let whole = receive(&[&bytes], &limits);
        let cut = receive(&random.pieces(&bytes, 7), &limits);
        assert_eq!((&cut.received, cut.end), (&whole.received, whole.end), "{}", show(&bytes));
        received += whole.received.len();
    }
    assert!(received > 1000, "{}", received);
}

#[test]
fn an_assembler_consumes_no_more_bytes_than_it_is_given() {
    let mut random = Random(0x5eed_0008);
    for _ in 0..4000 {
        let mut assembler = Assembler::default();
        for _ in 0..8 {
            let mut bytes = random.bytes(30);
            if let [first, second, ..] = &mut bytes[..] {
                *first &= 0x8f;
                *second |= 0x80;
            }
            let length = bytes.len();
            match assembler.read(&mut bytes, &Limits::default()) {
                Ok((used, None)) => assert!(used <= length && length - used < 14),
                Ok((used, Some(_))) => assert!(used <= length),
                Err(_) => break,
            }
        }
    }
}

#[test]
fn sent_messages_are_received_unchanged() {
    let mut random = Random(0x5eed_0009);
    for _ in 0..400 {
        let (mut bytes, mut expected) = (Vec::new(), Vec::new());
        for _ in 0..1 + random.below(4) {
            let (message, first) = match random.below(2) {
                0 => (Message::from(random.text(100)), OpCode::Text),
                _ => (Message::from(random.bytes(300)), OpCode::Binary),
            };
            // An empty message is one empty fragment; a fragment may be empty anyhow.
            let mut fragments = random.pieces(message.as_bytes(), 150);
            fragments.push(b"");
            let last = fragments.len() - 1;
            for (place, fragment) in fragments.into_iter().enumerate() {
                let opcode = if place == 0 { first } else { OpCode::Continuation };
                bytes.extend(frame(place == last, opcode, random.key(), fragment));
                if place < last && random.below(3) == 0 {
                    let payload = random.bytes(125);
                    bytes.extend(frame(true, OpCode::Ping, random.key(), &payload));
                    expected.push(Received::Ping(payload));
                }
            }
            expected.push(Received::Message(message));
        }
        let heard = receive(&random.pieces(&bytes, 200), &Limits::default());
        assert_eq!((heard.end, heard.arrived), (End::Whole, bytes.len()));
        let received: Vec<_> = heard.received.into_iter().map(|(_, event)| event).collect();
        assert_eq!(received, expected);
    }
}

#[test]
fn a_written_close_frame_is_read_back_unchanged() {
    let mut random = Random(0x5eed_000a);
    for _ in 0..5000 {
        let (code, reason) = (CloseCode(random.next() as u16), random.text(60));
        if let Ok(close) = CloseFrame::new(code, &reason) {
            assert!(close.payload().len() <= 125 && reason.starts_with(&close.reason));
            assert_eq!(CloseFrame::parse(&close.payload()), Ok(close));
        }
        let payload = random.bytes(8);
        if let Ok(close) = CloseFrame::parse(&payload) {
            assert_eq!(close.payload(), payload);
        }
    }
}

#[test]
fn masking_twice_restores_the_payload() {
    let mut random = Random(0x5eed_000b);
    for _ in 0..1000 {
        let (bytes, key) = (random.bytes(100), random.key());
        let mut masked = bytes.clone();
        apply_mask(&mut masked, key);
        assert!(masked.iter().zip(&bytes).zip(key.iter().cycle()).all(|((m, o), k)| m ^ o == *k));
        apply_mask(&mut masked, key);
        assert_eq!(masked, bytes);
    }
}

#[test]
fn random_cookies_queries_and_tokens_never_panic() {
    let mut random = Random(0x5eed_000c);
    let keys = SessionKeys::random().unwrap();
    let words: &[&[u8]] =
        &[b"a", b"=", b";", b" ", b"%", b"%4", b"%41", b"&", b"+", b".", b"id.u."];
    for _ in 0..2000 {
        let bytes = random.words(words, 12);
        let mut headers = Headers::new();
        headers.push("Cookie", &bytes);
        for (name, value) in cookies(&headers) {
            assert!(name.len() + value.len() < bytes.len());
        }
        let text = String::from_utf8_lossy(&bytes);
        assert!(SessionId::from_token(&text, &keys).is_err());
    }
    for _ in 0..100 {
        let query = random.words(words, 12);
        let request = Request::get(&format!("/?{}", String::from_utf8_lossy(&query)));
        let value = request.query("a").unwrap_or_default();
        assert!(value.len() <= 3 * request.query_string().len());
    }
    for _ in 0..200 {
        let id = SessionId::from((random.next() >> random.below(64)) as i64);
        assert_eq!(SessionId::from_token(&id.to_token(&keys), &keys).unwrap(), id);
    }
}
