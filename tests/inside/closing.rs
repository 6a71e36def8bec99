//! How a WebSocket ends: what was received is handled, what was sent arrives, and the client's answer
//! to a Close frame is waited for.

use super::checks::conversation::HANDSHAKE;
use super::served::serve_with;
use super::{wait_until, Script, Stub};
use crate::comms::registry::everyone;
use crate::ground::limits::Limits;
use crate::http::{Error, Handler, Request, Response};
use crate::net::outbox::Outbox;
use crate::server::controller::{Controller, WebsocketController};
use crate::server::route::Router;
use crate::session::id::SessionId;
use crate::websocket::{CloseCode, CloseFrame, Message};
use crate::Comms;
use std::fmt;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const CLOSE: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";

/// Answers every message with `answer`, which is longer than the read buffer, and then does what the
/// message says: `e` is an error, `c` a Close frame with 1000. Notes what comes.
#[derive(Clone, Default)]
struct Notes {
    answer: Vec<u8>,
    messages: Arc<Mutex<Vec<String>>>,
    ended: Arc<Mutex<Vec<Option<u16>>>>,
}

impl WebsocketController for Notes {
    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        let text = message.as_text().unwrap_or_default().to_string();
        self.messages.lock().expect("no panic").push(text.clone());
        if !self.answer.is_empty() {
            Comms::websocket(client).send(&self.answer[..])?;
        }
        match &text[..] {
            "e" => Err("as told".into()),
            "c" => Comms::websocket(client).close(CloseCode::NORMAL, "").map(drop),
            "display" => Err(Error::other(Strange::Display)),
            "fails" => Err(Error::other(Strange::Fails)),
            "drop" => Err(Error::other(Strange::Drop)),
            "payload" => std::panic::panic_any(Strange::Drop),
            _ => Ok(()),
        }
    }

    fn handle_disconnection(&self, _: &SessionId, close: Option<&CloseFrame>) -> Result<(), Error> {
        self.ended.lock().expect("no panic").push(close.map(|close| close.code.0));
        Ok(())
    }
}

impl Controller for Notes {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

/// An error, or what a handler panics with, whose own code is at fault.
#[derive(Debug)]
enum Strange {
    /// `Display` panics.
    Display,
    /// `Display` returns an error.
    Fails,
    /// `Drop` panics.
    Drop,
}

impl fmt::Display for Strange {
    fn fmt(&self, _: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Strange::Display => panic!("the text of an error panics"),
            _ => Err(fmt::Error),
        }
    }
}

impl std::error::Error for Strange {}

impl Drop for Strange {
    fn drop(&mut self) {
        if let Strange::Drop = self {
            panic!("the drop of an error panics");
        }
    }
}

/// Serves a client that sends this after its handshake.
fn serve(stub: &Arc<Stub>, notes: &Notes, limits: Limits) {
    let router = Router::new(vec![Handler::new("/ws", notes.clone())]).expect("a good pattern");
    serve_with(stub, router, limits);
}

fn client(frames: &[u8]) -> Script {
    Script {
        input: [HANDSHAKE, frames].concat().into(),
        reads: [Ok(HANDSHAKE.len())].into(),
        writes: [Ok(usize::MAX)].into(),
        ..Script::default()
    }
}

/// Returns the outbox of the stub's connection.
fn own(stub: &Arc<Stub>) -> Option<Arc<Outbox>> {
    let stub = Arc::as_ptr(stub) as *const u8;
    let is_own = |outbox: &&Arc<Outbox>| Arc::as_ptr(&outbox.stream) as *const u8 == stub;
    everyone().iter().find(is_own).cloned()
}

fn text(text: &str) -> Vec<u8> {
    [&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], text.as_bytes()].concat()
}

#[test]
fn what_was_received_before_a_write_failed_is_handled_and_the_clients_close_is_told() {
    let names = ["1", "2", "3", "4", "5", "6", "7", "8"];
    for kind in [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset] {
        // The first write of an answer fails; or it comes up short, and so does that of a flusher,
        // which then fails.
        for short in [0, 2] {
            let frames = [names.map(text).concat(), CLOSE.to_vec()].concat();
            let stub = Stub::new(client(&frames));
            stub.script().writes.extend([Ok(1), Ok(1)].iter().take(short));
            stub.script().writes.push_back(Err(kind));
            let notes = Notes { answer: b"an answer".to_vec(), ..Notes::default() };
            // Each answer is written at once, and the next one waits for the flusher.
            serve(&stub, &notes, Limits { buffer: 1, backlog: 1, ..Limits::default() });
            assert_eq!(*notes.messages.lock().expect("no panic"), names, "{:?}", kind);
            assert_eq!(*notes.ended.lock().expect("no panic"), [Some(1000)], "{:?}", kind);
        }
    }
}

#[test]
fn a_closure_that_goes_on_after_a_send_that_failed_gets_what_was_received_before() {
    let names = ["1", "2", "3", "4"];
    let stub = Stub::new(client(&[names.map(text).concat(), CLOSE.to_vec()].concat()));
    stub.script().writes.push_back(Err(ErrorKind::BrokenPipe));
    let seen = Arc::new(Mutex::new((0, 0, None)));
    let noted = Arc::clone(&seen);
    let handler = move |request: &Request| {
        request.upgrade(&[], |client| {
            let mut seen = noted.lock().map_err(|_| "poisoned")?;
            while client.receive()?.is_some() {
                seen.0 += 1;
                seen.1 += usize::from(matches!(client.send("an answer"), Err(Error::Gone)));
            }
            seen.2 = client.close_frame().map(|close| close.code.0);
            Ok(())
        })
    };
    let router = Router::new(vec![Handler::new("/ws", handler)]).expect("a good pattern");
    serve_with(&stub, router, Limits { buffer: 1, ..Limits::default() });
    let (messages, gone, close) = *seen.lock().expect("no panic");
    assert_eq!((messages, close), (4, Some(1000)));
    assert!(gone >= 3, "{} sends were told that the client has left", gone);
}

#[test]
fn what_was_received_after_the_servers_own_close_or_after_a_cut_off_is_not_handled() {
    // A Close frame, and then a failed write; a write that is given up at its deadline.
    for (first, limits) in [
        ("c", Limits::default()),
        ("1", Limits { write_timeout: Duration::ZERO, ..Limits::default() }),
    ] {
        let stub = Stub::new(client(&[text(first), text("2"), text("3"), CLOSE.to_vec()].concat()));
        match first {
            "c" => stub.script().writes.push_back(Err(ErrorKind::BrokenPipe)),
            _ => stub.script().pace = Some((0, Duration::MAX)),
        }
        let notes = Notes { answer: vec![b'x'; 100], ..Notes::default() };
        // Behind the first answer there is no room for a second one.
        serve(&stub, &notes, Limits { buffer: 1, backlog: 1, ..limits });
        let messages = notes.messages.lock().expect("no panic");
        assert!(!messages.iter().any(|text| text == "3"), "{:?}", messages);
        assert!(first != "c" || messages.len() == 1, "{:?}", messages);
        assert_eq!(*notes.ended.lock().expect("no panic"), [None], "{}", first);
    }
}

#[test]
fn a_close_cuts_off_nothing_that_was_sent_before_it_however_slowly_the_client_reads() {
    let limits = Limits {
        close_timeout: Duration::from_millis(1),
        // What was written earns the wait for the answer some hours.
        min_rate: 1,
        // The read timeout until then, which the first read of that wait still has.
        ping_interval: Duration::from_millis(100),
        ..Limits::default()
    };
    // The handler closes, the handler fails, the client closes.
    for (frames, code) in
        [(text("c"), 1000), (text("e"), 1011), ([&text("1"), CLOSE].concat(), 1000)]
    {
        let stub = Stub::new(Script {
            stays: true,
            pace: Some((1000, Duration::from_millis(10))),
            ..client(&frames)
        });
        let notes = Notes { answer: vec![b'x'; 20_000], ..Notes::default() };
        thread::scope(|scope| {
            let limits = limits.clone();
            scope.spawn(|| serve(&stub, &notes, limits));
            let close = [0x88, 2, (code >> 8) as u8, code as u8];
            let end = [&vec![b'x'; 20_000][..], &close].concat();
            wait_until("the Close frame is written", || stub.script().output.ends_with(&end));
            if !frames.ends_with(CLOSE) {
                let timeout = || stub.script().timeouts[0] > Duration::from_secs(60);
                wait_until("the server waits for the answer", timeout);
                assert_eq!(stub.script().unread_at_end, None);
                stub.script().input.extend(CLOSE);
            }
        });
        assert_eq!(*notes.ended.lock().expect("no panic"), [Some(1000)]);
    }
}

#[test]
fn a_client_that_has_ended_its_side_and_reads_gets_what_it_is_owed() {
    let stub = Stub::new(Script {
        pace: Some((1000, Duration::from_millis(10))),
        ..client(&[text("1"), text("2")].concat())
    });
    let notes = Notes { answer: vec![0xaa; 20_000], ..Notes::default() };
    let limits = Limits { close_timeout: Duration::from_millis(1), ..Limits::default() };
    serve(&stub, &notes, limits);
    let answers = stub.script().output.iter().filter(|byte| **byte == 0xaa).count();
    assert_eq!(answers, 40_000);
    assert_eq!(*notes.ended.lock().expect("no panic"), [None]);
}

#[test]
fn a_client_that_does_not_answer_a_close_is_given_up_when_the_time_for_that_has_passed() {
    for frames in [text("c"), text("e"), b"\x81\xff\x40\0\0\0\0\0\0\0\0\0\0\0abc".to_vec()] {
        let stub = Stub::new(Script { stays: true, ..client(&frames) });
        let notes = Notes::default();
        serve(
            &stub,
            &notes,
            Limits { close_timeout: Duration::from_millis(50), ..Limits::default() },
        );
        assert_eq!(*notes.ended.lock().expect("no panic"), [None]);
    }
}

#[test]
fn a_client_that_goes_on_sending_after_a_close_is_given_up_in_time_too() {
    for frames in [text("c"), text("e")] {
        let stub = Stub::new(Script { stays: true, ..client(&frames) });
        let limits = Limits { close_timeout: Duration::from_millis(50), ..Limits::default() };
        thread::scope(|scope| {
            scope.spawn(|| serve(&stub, &Notes::default(), limits));
            wait_until("it is given up", || {
                let mut script = stub.script();
                script.input.extend(text("2"));
                script.shut
            });
        });
    }
}

#[test]
fn what_has_come_from_the_client_is_on_its_way_no_more() {
    let stub = Stub::new(Script { stays: true, ..client(&text("1")) });
    let notes = Notes { answer: vec![b'x'; 20_000], ..Notes::default() };
    let way = || own(&stub).map(|outbox| outbox.way());
    thread::scope(|scope| {
        scope.spawn(|| serve(&stub, &notes, Limits::default()));
        wait_until("the answer is written", || way() > Some(Duration::from_secs(2)));
        stub.script().input.extend(b"\x8a\x80\0\0\0\0");
        wait_until("the client is heard", || way() == Some(Duration::ZERO));
        stub.script().input.extend(CLOSE);
    });
}

#[test]
fn a_thread_that_reads_finds_the_close_of_another_thread_at_its_next_deadline() {
    let stub = Stub::new(Script { stays: true, ..client(b"") });
    let short = Duration::from_millis(100);
    let limits = Limits {
        ping_interval: short,
        pong_timeout: short,
        close_timeout: short,
        ..Limits::default()
    };
    let notes = Notes::default();
    thread::scope(|scope| {
        scope.spawn(|| serve(&stub, &notes, limits));
        let close = CloseFrame { code: CloseCode::NORMAL, reason: String::new() };
        wait_until("it is closed, unless the ping was faster", || match own(&stub) {
            Some(outbox) => {
                outbox.queue_close(&close);
                outbox.write_pending();
                true
            }
            None => stub.script().shut,
        });
        // No clock runs here, which would cut it off.
        wait_until("it is given up", || stub.script().shut);
    });
    assert_eq!(*notes.ended.lock().expect("no panic"), [None]);
}

#[test]
fn the_clients_answer_to_a_close_is_read_behind_what_is_left_of_its_messages() {
    let head = b"\x81\xfe\x07\xd0\0\0\0\0";
    let masked = |bytes: &[u8]| [&head[..], bytes].concat();
    let (limits, whole) = (Limits { message: 1000, ..Limits::default() }, [b'x'; 2000]);
    let fragment = |first: u8| [&[first, 0xfe, 3, 0xe8, 1, 2, 3, 4], &whole[..1000]].concat();
    let ping = b"\x89\x81\0\0\0\0p";
    let rows: [(&str, u16, Vec<u8>); 5] = [
        ("a large message", 1009, masked(&whole)),
        ("its fragments", 1009, [fragment(0x01), fragment(0x00), fragment(0x80)].concat()),
        (
            "a fragment behind one of which only a part has come",
            1009,
            [&fragment(0x01)[..], ping, &fragment(0x00), ping, &fragment(0x80)].concat(),
        ),
        ("a handler that fails", 1011, [text("e"), text("2"), ping.to_vec()].concat()),
        ("a handler that closes", 1000, [text("c"), fragment(0x01), fragment(0x80)].concat()),
    ];
    for (what, code, frames) in rows {
        let all = [&frames[..], &[0x88, 0x82, 0, 0, 0, 0, (code >> 8) as u8, code as u8]].concat();
        // The reads cut the frames everywhere.
        for piece in [1, 7, 100, usize::MAX] {
            let reads = (0..all.len()).map(|_| Ok(piece));
            let script = client(&all);
            let reads = script.reads.iter().copied().chain(reads).collect();
            let stub = Stub::new(Script { reads, stays: true, ..script });
            let notes = Notes::default();
            serve(&stub, &notes, limits.clone());
            let script = stub.script();
            let frames = &script.output;
            let close = [(code >> 8) as u8, code as u8];
            assert!(frames.windows(2).any(|bytes| bytes == close), "{} in {}", what, piece);
            assert_eq!(script.unread_at_end, Some(0), "{} in {}", what, piece);
            assert_eq!(
                *notes.ended.lock().expect("no panic"),
                [Some(code)],
                "{} in {}",
                what,
                piece
            );
        }
    }
}

#[test]
fn a_client_that_breaks_the_framing_or_sends_invalid_text_finds_the_end_at_once() {
    for (frame, code) in [(&b"\x81\x01a"[..], 1002), (b"\x81\x81\0\0\0\0\xff", 1007)] {
        let rest = [&b"rest"[..], CLOSE].concat();
        let stub = Stub::new(client(&[frame, &rest].concat()));
        // The violation comes alone.
        stub.script().reads.push_back(Ok(frame.len()));
        let notes = Notes::default();
        serve(&stub, &notes, Limits::default());
        assert_eq!(stub.script().unread_at_end, Some(rest.len()), "{}", code);
        assert!(stub.script().input.is_empty(), "a reset could overtake {}", code);
        assert_eq!(*notes.ended.lock().expect("no panic"), [None]);
    }
}

#[test]
fn what_follows_the_clients_close_or_a_violation_after_the_servers_own_is_read_and_dropped() {
    let close = [CLOSE, b"more"].concat();
    for (frames, told) in [(close, Some(1000)), ([&text("c")[..], b"\x81\x01a"].concat(), None)] {
        let stub = Stub::new(client(&[&frames[..], b"rest"].concat()));
        stub.script().reads.push_back(Ok(frames.len()));
        let notes = Notes::default();
        serve(&stub, &notes, Limits::default());
        assert_eq!(stub.script().unread_at_end, Some(4), "{:?}", told);
        assert!(stub.script().input.is_empty(), "a reset could overtake the Close frame");
        assert_eq!(*notes.ended.lock().expect("no panic"), [told]);
    }
}

#[test]
fn a_client_that_breaks_the_framing_has_no_more_time_to_end_than_for_its_close() {
    let stub = Stub::new(Script { stays: true, ..client(b"\x81\x01a") });
    let close_timeout = Duration::from_millis(50);
    let limits = Limits { close_timeout, min_rate: usize::MAX, ..Limits::default() };
    serve(&stub, &Notes::default(), limits);
    assert!(stub.script().timeouts[0] <= close_timeout, "{:?}", stub.script().timeouts);
}

#[test]
fn an_error_that_fails_itself_is_1011_and_the_handler_is_told_of_the_end() {
    for name in ["display", "fails", "drop", "payload"] {
        let stub = Stub::new(client(&[text(name), CLOSE.to_vec()].concat()));
        let notes = Notes::default();
        serve(&stub, &notes, Limits::default());
        assert!(stub.script().output.ends_with(b"\x88\x02\x03\xf3"), "{}", name);
        assert_eq!(*notes.ended.lock().expect("no panic"), [Some(1000)], "{}", name);
    }
}

#[test]
fn an_error_that_fails_itself_is_500() {
    for (path, strange) in [
        ("/display", (|| Error::other(Strange::Display)) as fn() -> Error),
        ("/fails", || Error::other(Strange::Fails)),
        ("/drop", || Error::other(Strange::Drop)),
        ("/payload", || std::panic::panic_any(Strange::Drop)),
    ] {
        let handler = move |_: &Request| -> Result<Response, Error> { Err(strange()) };
        let router = Router::new(vec![Handler::new(path, handler)]).expect("a good pattern");
        let head = format!("GET {} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", path);
        let stub = Stub::new(Script { input: head.into_bytes().into(), ..Script::default() });
        serve_with(&stub, router, Limits::default());
        assert!(stub.script().output.starts_with(b"HTTP/1.1 500 "), "{}", path);
    }
}

#[test]
fn a_clients_close_is_told_though_a_write_to_it_has_failed() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&seen);
    let talk = move |request: &Request| {
        request.upgrade(&[], |client| {
            while client.receive()?.is_some() {
                // The write fails; the next `receive` tells how the connection ended.
                assert!(client.websocket().send("an answer").is_ok());
            }
            let close = client.close_frame().map(|close| close.code.0);
            notes.lock().expect("no panic").push(close);
            Ok(())
        })
    };
    let stub = Stub::new(client(&[&text("1"), CLOSE].concat()));
    stub.script().writes.push_back(Err(ErrorKind::BrokenPipe));
    let router = Router::new(vec![Handler::new("/ws", talk)]).expect("a good pattern");
    serve_with(&stub, router, Limits { buffer: 1, ..Limits::default() });
    assert_eq!(*seen.lock().expect("no panic"), [Some(1000)]);
}
