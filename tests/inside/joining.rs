//! The way into the map of who is here: before the handler is told, and out again whatever fails.

use super::checks::conversation::HANDSHAKE;
use super::served::{serve_with, transcript};
use super::{Script, Stub};
use crate::comms::registry::{everyone, outboxes};
use crate::ground::limits::Limits;
use crate::ground::system::unix_seconds;
use crate::http::{Error, Handler, Request, Response};
use crate::server::controller::{Controller, WebsocketController};
use crate::server::route::Router;
use crate::session::cookie::{Session, SessionCookie};
use crate::session::id::SessionId;
use crate::session::keys::SessionKeys;
use crate::session::revoked::{self, Ended};
use crate::Comms;
use std::io::ErrorKind;

/// The cookie of the server of `transcript`.
fn cookie() -> SessionCookie {
    let keys = SessionKeys::new([[7; 32]]).expect("a long key");
    SessionCookie { name: "session".to_string(), secure: false, keys }
}

/// Returns the bytes of a client of this session that opens a WebSocket and sends this then.
fn opening(session: &Session, then: &[u8]) -> Vec<u8> {
    let set = cookie().set(session, unix_seconds());
    let pair = set.split(';').next().expect("name and value");
    let head = HANDSHAKE.strip_suffix(b"\r\n").expect("the empty line");
    [head, b"Cookie: ", pair.as_bytes(), b"\r\n\r\n", then].concat()
}

fn is_in_the_map(id: &SessionId) -> bool {
    let among_all = everyone().iter().any(|outbox| outbox.session.id == *id);
    assert_eq!(outboxes(id).is_some(), among_all);
    among_all
}

/// Serves one connection at `/ws` with this controller, and returns what was written.
fn served(controller: impl Controller + 'static, input: Vec<u8>) -> String {
    let routes = vec![Handler::new("/ws", controller)];
    let stub = Stub::new(Script { input: input.into(), ..Script::default() });
    serve_with(&stub, Router::new(routes).expect("a good pattern"), Limits::default());
    let output = stub.script().output.escape_ascii().to_string();
    output
}

#[test]
fn a_websocket_whose_opening_fails_at_any_step_is_not_left_in_the_map() {
    let session = cookie().guest();
    let input = opening(&session, b"\x81\x82\0\0\0\0hi\x88\x82\0\0\0\0\x03\xe8");
    let stub =
        |broken| Stub::new(Script { input: input.clone().into(), broken, ..Script::default() });
    let good = stub(None);
    let answer = transcript(&good, Limits::default());
    assert!(answer.ends_with(b"\x81\x02hi\x88\x02\x03\xe8"), "{:?}", answer);
    assert!(!is_in_the_map(&session.id));
    let (calls, mut unopened) = (good.script().calls, 0);
    for kind in [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe, ErrorKind::Other] {
        for step in 1..=calls {
            let stub = stub(Some((step, kind)));
            unopened += usize::from(transcript(&stub, Limits::default()).is_empty());
            assert!(!is_in_the_map(&session.id), "{:?} at {}", kind, step);
        }
    }
    // One call sets the write timeout, two read the handshake, two write the 101.
    assert_eq!(unopened, 3 * 5, "of {}", 3 * calls);
}

/// Sends to its client as soon as that is there.
struct Greeter;

impl WebsocketController for Greeter {
    fn handle_connection(&self, client: &SessionId) -> Result<(), Error> {
        assert!(is_in_the_map(client) && Comms::websocket(client).is_connected());
        assert_eq!(Comms::websocket(client).send("hello")?, 1);
        Ok(())
    }
}

impl Controller for Greeter {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

#[test]
fn a_handler_that_is_told_of_a_client_can_send_to_it_and_the_101_comes_first() {
    let session = cookie().guest();
    let output = served(Greeter, opening(&session, b"\x88\x82\0\0\0\0\x03\xe8"));
    assert!(output.starts_with("HTTP/1.1 101 Switching Protocols\\r\\n"), "{}", output);
    assert!(output.ends_with("\\r\\n\\r\\n\\x81\\x05hello\\x88\\x02\\x03\\xe8"), "{}", output);
    assert!(!is_in_the_map(&session.id));
}

#[test]
fn a_session_that_ends_between_its_cookie_and_the_map_is_refused_with_403() {
    let session = cookie().guest();
    let ended = session;
    // A logout on another connection comes when this one's cookie was already read.
    let late = move |request: &Request| {
        assert_eq!(request.session_id(), ended.id);
        revoked::end(&ended.id, Ended::Login(ended.login, ended.issued));
        Controller::handle(&Greeter, request)
    };
    let output = served(late, opening(&session, b"GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n"));
    assert!(output.starts_with("HTTP/1.1 403 Forbidden\\r\\n"), "{}", output);
    assert!(!output.contains("hello"));
    assert!(!is_in_the_map(&session.id));
    // The refusal is an answer like any other: the connection goes on.
    assert_eq!(output.matches("HTTP/1.1 404 Not Found\\r\\n").count(), 1, "{}", output);
}
