//! Plays a vector against a server, and says in what the two disagree.

use crate::fixture::Fixture;
use crate::loopback::wire::Wire;
use crate::table::{mask, End, Vector, KEY, NO_FRAME};
use crate::transcript::{Answer, Transcript};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

/// How long to wait for what must come. It bounds a failing run and decides nothing else: the
/// server's own limits are either far above it or far below.
const PATIENCE: Duration = Duration::from_secs(30);

const HANDSHAKE: &[u8] = b"GET /ws HTTP/1.1\r\n\
    Host: localhost\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// What the server is asked when a vector is over: the answer shows that it still serves this
/// connection, and that all it had to say to the vector has come.
const QUESTION: &[u8] = b"still here?";

/// How the bytes of a vector reach the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Delivery {
    /// What stands between two pauses in one write.
    Whole,
    /// One byte a write.
    Bytewise,
    /// Two writes, the second from this offset on.
    CutAt(usize),
    /// The opening handshake and all that follows in one write.
    WithHandshake,
}

/// Returns what is wrong with the server's behaviour, nothing if it is right.
pub fn run(vector: &Vector, delivery: Delivery, server: &Fixture) -> Vec<String> {
    match converse(vector, delivery, server) {
        Ok(conversation) => judge(vector, &conversation),
        Err(error) => vec![format!("no connection: {}", error)],
    }
}

/// What a client has seen.
struct Conversation {
    seen: Transcript,
    /// What `seen` was read from.
    raw: Vec<u8>,
    /// The time from the first byte to the end of the connection.
    ended: Option<Duration>,
    /// The end was a reset, which can destroy an answer on its way.
    reset: bool,
    /// The server has answered the question.
    serves: bool,
    /// A controller was called.
    called: bool,
}

fn converse(vector: &Vector, delivery: Delivery, server: &Fixture) -> io::Result<Conversation> {
    let calls = server.calls();
    let mut client = Client::connect(server.address(), vector.expect.head_first)?;
    if vector.websocket && delivery != Delivery::WithHandshake {
        client.send(HANDSHAKE);
        client.wait(|seen| !seen.answers.is_empty());
    }
    let start = Instant::now();
    client.deliver(vector, delivery);
    if vector.half_close {
        // It fails when the server was first to leave, which is judged below.
        let _ = client.stream.shutdown(Shutdown::Write);
    }
    let mut serves = false;
    if vector.expect.end == End::Closed {
        client.wait_for_end(vector);
    } else {
        client.wait(|seen| is_complete(vector, seen));
        serves = client.ask();
    }
    let mut seen = client.transcript();
    if serves {
        match seen.upgraded() {
            true => drop(seen.frames.pop()),
            false => drop(seen.answers.pop()),
        }
    }
    let ended = client.ended.map(|end| end.duration_since(start));
    let (raw, reset) = (client.received, client.reset);
    Ok(Conversation { seen, raw, ended, reset, serves, called: server.calls() != calls })
}

/// Whether as much has come as the vector expects.
fn is_complete(vector: &Vector, seen: &Transcript) -> bool {
    let expect = &vector.expect;
    let answers = expect.count.unwrap_or(1) + usize::from(expect.final_status.is_some());
    let messages = expect.echo.map_or(0, <[_]>::len).max(expect.echo_len.map_or(0, <[_]>::len));
    seen.answers.len() >= answers
        && seen.messages().len() >= messages
        && seen.pongs().len() >= expect.pong.map_or(0, <[_]>::len)
}

struct Client {
    stream: Wire,
    received: Vec<u8>,
    ended: Option<Instant>,
    reset: bool,
    head_first: bool,
}

impl Client {
    fn connect(address: SocketAddr, head_first: bool) -> io::Result<Client> {
        let stream = Wire::connect(address)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Client { stream, received: Vec::new(), ended: None, reset: false, head_first })
    }

    fn transcript(&self) -> Transcript {
        Transcript::read(&self.received, self.head_first)
    }

    /// Returns whether the server took it. One that has hung up does not, which is no fault: what
    /// counts is what it said before.
    fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    fn deliver(&mut self, vector: &Vector, delivery: Delivery) {
        let mut handshake = match delivery {
            Delivery::WithHandshake => HANDSHAKE,
            _ => b"",
        };
        for burst in vector.bursts() {
            if burst.pause_ms > 0 && vector.expect.final_status.is_some() {
                // The pause stands for a client that waits for 100 Continue, come when it may.
                self.wait(|seen| !seen.answers.is_empty());
            } else {
                self.collect(Duration::from_millis(burst.pause_ms));
            }
            let bytes = [handshake, &burst.bytes].concat();
            handshake = b"";
            if self.ended.is_some() || !pieces(&bytes, delivery).into_iter().all(|p| self.send(p)) {
                return;
            }
        }
    }

    /// Takes what comes in this time, or until the end.
    fn collect(&mut self, time: Duration) {
        let deadline = Instant::now() + time;
        while self.ended.is_none() && self.read(deadline) {}
    }

    /// Takes what comes until it is enough, or wrong, or will not come.
    fn wait(&mut self, enough: impl Fn(&Transcript) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.transcript();
            let over = enough(&seen) || !seen.faults.is_empty() || self.ended.is_some();
            if over || !self.read(deadline) {
                return;
            }
        }
    }

    /// Waits until the server ends the connection. A drip goes on meanwhile, so that only a
    /// deadline for the whole can end it, on a slow machine too.
    fn wait_for_end(&mut self, vector: &Vector) {
        let patience = vector.expect.within_ms.map_or(PATIENCE, |time| bound(time).max(PATIENCE));
        let deadline = Instant::now() + patience;
        if let Some((pause_ms, byte)) = vector.last_drip() {
            while self.ended.is_none() && Instant::now() < deadline && self.send(&[byte]) {
                self.collect(Duration::from_millis(pause_ms));
            }
        }
        self.collect(deadline.saturating_duration_since(Instant::now()));
    }

    /// Asks the question; returns whether it was answered.
    fn ask(&mut self) -> bool {
        if self.transcript().upgraded() {
            let mut ping = vec![0x89, 0x80 | QUESTION.len() as u8];
            ping.extend_from_slice(&KEY);
            ping.extend(mask(QUESTION));
            self.send(&ping);
        } else {
            let head = format!(
                "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
                QUESTION.len()
            );
            self.send(&[head.as_bytes(), QUESTION].concat());
        }
        let is_answered = |seen: &Transcript| match seen.upgraded() {
            true => seen.frames.last().map_or(false, |frame| frame.payload == QUESTION),
            false => seen.answers.last().map_or(false, |answer| answer.body == QUESTION),
        };
        self.wait(is_answered);
        is_answered(&self.transcript())
    }

    /// Reads once; returns false when the deadline has passed.
    fn read(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return false;
        }
        self.stream.set_read_timeout(Some(left)).expect("a time above zero");
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => self.ended = Some(Instant::now()),
            Ok(length) => self.received.extend_from_slice(&buffer[..length]),
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                _ => {
                    self.ended = Some(Instant::now());
                    self.reset = true;
                }
            },
        }
        true
    }
}

fn pieces(bytes: &[u8], delivery: Delivery) -> Vec<&[u8]> {
    match delivery {
        Delivery::Whole | Delivery::WithHandshake => vec![bytes],
        Delivery::Bytewise => bytes.chunks(1).collect(),
        Delivery::CutAt(offset) => vec![&bytes[..offset], &bytes[offset..]],
    }
}

/// The time that a busy machine may take for what an idle one does in `within_ms`.
fn bound(within_ms: u64) -> Duration {
    Duration::from_millis(within_ms * 4 + 2000)
}

fn judge(vector: &Vector, conversation: &Conversation) -> Vec<String> {
    let mut wrong = conversation.seen.faults.clone();
    if conversation.seen.unfinished > 0 {
        wrong.push(format!("ends with {} bytes of something", conversation.seen.unfinished));
    }
    for text in vector.expect.raw_contains {
        if !conversation.raw.windows(text.len()).any(|window| window == text.as_bytes()) {
            wrong.push(format!("{:?} did not come", text));
        }
    }
    judge_answers(vector, &conversation.seen, &mut wrong);
    judge_frames(vector, &conversation.seen, &mut wrong);
    judge_end(vector, conversation, &mut wrong);
    wrong
}

fn judge_answers(vector: &Vector, seen: &Transcript, wrong: &mut Vec<String>) {
    let expect = &vector.expect;
    let statuses: Vec<u16> = seen.answers.iter().map(|answer| answer.status).collect();
    let mut check = |right: bool, what: String| {
        if !right {
            wrong.push(what);
        }
    };
    if vector.websocket {
        check(statuses == [101], format!("the handshake got {:?}", statuses));
    }
    if let Some(status) = expect.status {
        check(seen.first_status() == status, format!("status {:?}, want {}", statuses, status));
    }
    if let Some(status) = expect.final_status {
        check(statuses.contains(&status), format!("no {} in {:?}", status, statuses));
    }
    if let Some(status) = expect.last {
        check(seen.last_status() == status, format!("no {} at the end of {:?}", status, statuses));
    }
    if let Some(count) = expect.count {
        check(statuses.len() == count, format!("answers {:?}, want {}", statuses, count));
    }
    if let Some(body) = expect.body {
        let right = seen.answers.iter().any(|answer| answer.body == body.as_bytes());
        check(right, format!("no answer has the body {:?}", body));
    }
    let first_field = |name: &str| seen.answers.first().and_then(|answer| answer.field(name));
    if let Some((name, text)) = expect.header {
        let value = first_field(name);
        let right = value.map_or(false, |value| value.contains(text));
        check(right, format!("{}: {:?}, want {:?}", name, value, text));
    }
    if let Some(name) = expect.no_header {
        let value = first_field(name);
        check(value.is_none(), format!("{}: {:?}, want none", name, value));
    }
    if expect.head_first {
        let length = |nth: usize| seen.answers.get(nth)?.field("content-length");
        let right = length(0).is_some() && (statuses.len() < 2 || length(0) == length(1));
        check(right, format!("Content-Length {:?} for HEAD, {:?} for GET", length(0), length(1)));
    }
}

fn judge_frames(vector: &Vector, seen: &Transcript, wrong: &mut Vec<String>) {
    let expect = &vector.expect;
    let (messages, pongs, closes) = (seen.messages(), seen.pongs(), seen.closes());
    let lengths: Vec<usize> = messages.iter().map(|message| message.len()).collect();
    let mut check = |right: bool, what: String| {
        if !right {
            wrong.push(what);
        }
    };
    if let Some(code) = expect.close {
        let right = closes.first().copied().unwrap_or(NO_FRAME) == code;
        check(right, format!("close {:?}, want {}", closes, code));
    }
    if let Some(count) = expect.close_count {
        check(closes.len() == count, format!("{} Close frames, want {}", closes.len(), count));
    }
    if let Some(texts) = expect.echo {
        let want: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
        check(messages == want, format!("messages of {:?} bytes, want {:?}", lengths, texts));
    }
    if let Some(want) = expect.echo_len {
        check(lengths == want, format!("messages of {:?} bytes, want {:?}", lengths, want));
    }
    if let Some(payloads) = expect.pong {
        let want: Vec<&[u8]> = payloads.iter().map(|payload| payload.as_bytes()).collect();
        check(pongs == want, format!("pongs {:?}, want {:?}", pongs, payloads));
    }
    // A length in a longer form is a fault of the transcript already.
    if expect.minimal_len {
        check(!messages.is_empty(), "no message whose length could be judged".to_string());
    }
    if expect.pinged {
        check(!seen.pings().is_empty(), "no Ping came".to_string());
    }
}

fn judge_end(vector: &Vector, conversation: &Conversation, wrong: &mut Vec<String>) {
    match (vector.expect.end, conversation.ended, conversation.serves) {
        (End::Closed, None, _) => wrong.push("still open".to_string()),
        (End::Open, Some(_), false) => wrong.push("closed".to_string()),
        (End::Open, None, false) => wrong.push("open, and does not answer".to_string()),
        _ => {}
    }
    if let [before @ .., last] = &conversation.seen.answers[..] {
        // The server that ends a connection says so in the last answer (RFC 9112, 9.6). That a
        // client has ended it, or will, the server need not know.
        let ends = conversation.ended.is_some() && !conversation.seen.upgraded();
        if before.iter().any(says_close) || !vector.half_close && says_close(last) != ends {
            let said: Vec<bool> = conversation.seen.answers.iter().map(says_close).collect();
            wrong.push(format!("answers that say close: {:?}, and it ends: {}", said, ends));
        }
    }
    // Linux tells an orderly end also when a reset came after it; other systems may not.
    if conversation.reset && cfg!(target_os = "linux") {
        wrong.push("ended by a reset".to_string());
    }
    if let (Some(limit), Some(time)) = (vector.expect.within_ms, conversation.ended) {
        if time > bound(limit) {
            wrong.push(format!("took {} ms, want {}", time.as_millis(), limit));
        }
    }
    if let Some(ran) = vector.expect.handler_ran {
        if ran != conversation.called {
            wrong.push(format!("a controller ran: {}, want {}", conversation.called, ran));
        }
    }
}

fn says_close(answer: &Answer) -> bool {
    let tokens = answer.field("connection").unwrap_or("").split(',');
    tokens.map(str::trim).any(|token| token.eq_ignore_ascii_case("close"))
}
