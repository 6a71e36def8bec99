//! What a conversation does between two batches and at its end. No clock runs here, so what its thread
//! does not write is not written.

use super::checks::conversation::HANDSHAKE;
use super::served::{routes, serve_with};
use super::{guest, wait_until, Script, Stub};
use crate::comms::registry::{everyone, join};
use crate::ground::limits::Limits;
use crate::ground::peer::Peer;
use crate::http::{Error, Handler, Request, Response};
use crate::net::outbox::{Outbox, Shared};
use crate::server::controller::{Controller, WebsocketController};
use crate::server::route::Router;
use crate::session::id::SessionId;
use crate::websocket::{CloseFrame, Message};
use crate::Comms;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const CLOSE: &[u8] = b"\x88\x82\0\0\0\0\x03\xe8";

/// Returns a client that opens a WebSocket, sends these pieces, each for a read of its own, and stays.
fn client(pieces: &[&[u8]]) -> Script {
    let pieces = [&[HANDSHAKE], pieces].concat();
    Script {
        input: pieces.concat().into(),
        reads: pieces.iter().map(|piece| Ok(piece.len())).collect(),
        stays: true,
        ..Script::default()
    }
}

#[test]
fn what_a_batch_answers_is_written_before_the_next_read() {
    let stub = Stub::new(client(&[b"\x81\x81\0\0\0\0a\x81\x81\0\0\0\0b"]));
    thread::scope(|scope| {
        let server = scope.spawn(|| serve_with(&stub, routes().0, Limits::default()));
        let answered = || stub.script().output.ends_with(b"\x81\x01a\x81\x01b");
        wait_until("both are answered", answered);
        stub.script().input.extend(CLOSE);
        server.join().expect("no panic");
    });
}

#[test]
fn a_client_that_does_not_read_is_not_read_from() {
    let [first, second, third]: [&[u8]; 3] =
        [b"\x81\x81\0\0\0\0a", b"\x81\x8a\0\0\0\0aaaaabbbbb", b"\x81\x81\0\0\0\0d"];
    let stub = Stub::new(client(&[first, second, third]));
    stub.script().input.truncate(HANDSHAKE.len() + first.len());
    // The 101 is taken, and nothing else.
    stub.script().writes.push_back(Ok(usize::MAX));
    stub.script().pace = Some((0, Duration::MAX));
    let own = || everyone().iter().find(|outbox| is_stream(outbox, &stub)).cloned();
    thread::scope(|scope| {
        let limits = Limits { buffer: 10, ..Limits::default() };
        let server = scope.spawn(|| serve_with(&stub, routes().0, limits));
        let patient = || stub.script().timeouts[1] > Duration::from_secs(1);
        wait_until("the flusher has the first answer in its hands", patient);
        stub.script().input.extend([second, third].concat());
        // Behind it, the second one waits.
        wait_until("the thread waits", || {
            own().map_or(false, |outbox| outbox.change(|queue| queue.awaited))
        });
        assert_eq!(stub.script().input, third);
        stub.script().pace = None;
        let answered = || stub.script().output.ends_with(b"\x81\x01a\x81\x0aaaaaabbbbb\x81\x01d");
        wait_until("all are answered", answered);
        stub.script().input.extend(CLOSE);
        server.join().expect("no panic");
    });
}

/// Answers, and tells another session.
struct Both(SessionId);

impl WebsocketController for Both {
    fn handle_message(&self, _: &SessionId, message: Message) -> Result<(), Error> {
        Comms::here().ok_or("this is a handler")?.send(message.clone())?;
        Comms::websocket(self.0).send(message).map(drop)
    }
}

impl Controller for Both {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

#[test]
fn what_was_not_looked_at_for_a_client_that_does_not_read_is_handled_when_it_reads() {
    let other = Stub::new(Script::default());
    let peer = Peer::from(IpAddr::from([127, 0, 0, 1]));
    let shared = Shared::new(Limits::default());
    let outbox = Outbox::new(guest(), other.clone(), peer, shared, Vec::new());
    let _registration = join(&outbox, 1).expect("room");
    assert!(outbox.open());
    let router = Router::new(vec![Handler::new("/ws", Both(outbox.session.id))]);
    let router = router.expect("a good pattern");
    let [first, second]: [&[u8]; 2] =
        [b"\x81\x81\0\0\0\0a", b"\x81\x8a\0\0\0\0aaaaabbbbb\x81\x81\0\0\0\0d"];
    let stub = Stub::new(client(&[first, second]));
    stub.script().input.truncate(HANDSHAKE.len() + first.len());
    stub.script().writes.push_back(Ok(usize::MAX));
    stub.script().pace = Some((0, Duration::MAX));
    let own = |stub: &Arc<Stub>| everyone().iter().find(|outbox| is_stream(outbox, stub)).cloned();
    thread::scope(|scope| {
        let limits = Limits { buffer: 10, ..Limits::default() };
        let server = scope.spawn(|| serve_with(&stub, router, limits));
        let patient = || stub.script().timeouts[1] > Duration::from_secs(1);
        wait_until("the flusher has the first answer in its hands", patient);
        wait_until("the other one is told", || other.script().output == b"\x81\x01a");
        // The thread stops before its last frame, and writes the batch. Meanwhile the client reads.
        let reader = Arc::clone(&stub);
        other.script().before_write = Some(Box::new(move || {
            reader.script().pace = None;
            let behind = || own(&reader).map_or(false, |outbox| outbox.is_behind());
            wait_until("it has caught up", || !behind());
        }));
        stub.script().input.extend(second);
        let answered = || stub.script().output.ends_with(b"\x81\x01a\x81\x0aaaaaabbbbb\x81\x01d");
        wait_until("all are answered", answered);
        stub.script().input.extend(CLOSE);
        server.join().expect("no panic");
    });
}

fn is_stream(outbox: &Outbox, stub: &Arc<Stub>) -> bool {
    std::ptr::eq(Arc::as_ptr(&outbox.stream) as *const u8, Arc::as_ptr(stub) as *const u8)
}

/// Sends what comes to another session, and notes what that one has at the end.
struct Teller {
    other: SessionId,
    stub: Arc<Stub>,
    had: Arc<Mutex<Vec<u8>>>,
}

impl WebsocketController for Teller {
    fn handle_message(&self, _: &SessionId, message: Message) -> Result<(), Error> {
        Comms::websocket(self.other).send(message).map(drop)
    }

    fn handle_disconnection(&self, _: &SessionId, _: Option<&CloseFrame>) -> Result<(), Error> {
        *self.had.lock().expect("no panic") = self.stub.script().output.clone();
        Ok(())
    }
}

impl Controller for Teller {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

#[test]
fn what_the_last_batch_sends_to_others_is_written_before_the_handler_is_told_of_the_end() {
    let (other, had) = (Stub::new(Script::default()), Arc::default());
    let peer = Peer::from(IpAddr::from([127, 0, 0, 1]));
    let shared = Shared::new(Limits::default());
    let outbox = Outbox::new(guest(), other.clone(), peer, shared, Vec::new());
    let _registration = join(&outbox, 1).expect("room");
    assert!(outbox.open());
    let teller = Teller { other: outbox.session.id, stub: other, had: Arc::clone(&had) };
    let router = Router::new(vec![Handler::new("/ws", teller)]).expect("a good pattern");
    let two = b"\x81\x81\0\0\0\0a\x81\x81\0\0\0\0b";
    let stub = Stub::new(Script { stays: false, ..client(&[&[&two[..], CLOSE].concat()]) });
    serve_with(&stub, router, Limits::default());
    assert_eq!(*had.lock().expect("no panic"), b"\x81\x01a\x81\x01b");
}
