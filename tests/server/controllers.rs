//! What a controller can do before, around and instead of a WebSocket.

use super::loopback::wire::transports;
use super::loopback::{Client, Running};
use super::Told;
use sockling::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Refuses a client without a token before the upgrade.
struct Guard<C>(C);

impl<C: Controller> Controller for Guard<C> {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        match request.query("token").as_deref() {
            Some("open sesame") => self.0.handle(request),
            _ => Ok(Response::unauthorized()),
        }
    }
}

#[test]
fn a_wrapper_refuses_before_the_upgrade() {
    let (told, events) = Told::new();
    let running = Running::start(Server::new(vec![route!("/ws" => Guard(told))]));
    let (mut client, reply) = Client::upgrade(running.address, "/ws?token=wrong", "");
    assert_eq!(reply.status, 401);
    // The connection is an HTTP connection still.
    assert_eq!(client.get("/nowhere", "").status, 404);
    assert!(events.try_recv().is_err(), "no conversation began");

    let mut client = Client::websocket(running.address, "/ws?token=open+sesame", "");
    client.text("hello");
    assert_eq!(client.next_text(), "hello");
}

/// Everybody in a room, while they are in it.
#[derive(Default)]
struct Rooms {
    people: Mutex<Vec<String>>,
}

/// One connection's stay in a room.
struct Stay {
    room: String,
    said: AtomicUsize,
    rooms: Arc<Rooms>,
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.rooms.people.lock().expect("no panic").retain(|room| *room != self.room);
    }
}

impl WebsocketController for Stay {
    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        let count = self.said.fetch_add(1, Ordering::Relaxed) + 1;
        let text = format!("{} {}: {}", self.room, count, message.as_text().unwrap_or("bytes"));
        Comms::websocket(client).send(text)?;
        Ok(())
    }
}

impl Controller for Stay {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

#[test]
fn a_controller_made_for_the_call_is_the_state_of_one_connection() {
    let rooms = Arc::new(Rooms::default());
    let enter = {
        let rooms = Arc::clone(&rooms);
        move |request: &Request| {
            let room = request.parameter("room")?.to_string();
            rooms.people.lock().map_err(|_| "poisoned")?.push(room.clone());
            let stay = Stay { room, said: AtomicUsize::new(0), rooms: Arc::clone(&rooms) };
            Controller::handle(&stay, request)
        }
    };
    let running = Running::start(Server::new(vec![Handler::new("/rooms/:room", enter)]));
    let mut red = Client::websocket(running.address, "/rooms/red", "");
    let mut blue = Client::websocket(running.address, "/rooms/blue", "");
    for (client, answers) in
        [(&mut red, ["red 1: a", "red 2: a"]), (&mut blue, ["blue 1: a", "blue 2: a"])]
    {
        for answer in answers {
            client.text("a");
            assert_eq!(client.next_text(), answer);
        }
    }
    red.frame(0x88, b"");
    red.next_close();
    red.assert_end();
    super::loopback::wait_until("the stay in the red room ends", || {
        *rooms.people.lock().expect("no panic") == ["blue"]
    });
}

#[test]
fn without_a_connection_the_handshake_is_all_that_happens() {
    let (told, events) = Told::new();
    let request = Request::get("/ws")
        .with_header("Upgrade", "websocket")
        .with_header("Connection", "keep-alive, Upgrade")
        .with_header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .with_header("Sec-WebSocket-Version", "13");
    let response = Controller::handle(&told, &request).expect("no error");
    assert_eq!(response.status(), 101);
    assert_eq!(
        response.headers().get_str("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    assert!(response.headers().get("set-cookie").is_some());
    assert!(events.try_recv().is_err());
}

#[test]
fn a_route_for_http_ignores_an_upgrade_and_a_websocket_route_asks_for_one() {
    let (told, _events) = Told::new();
    let hello = |_: &Request| Ok(Response::new().text("hello"));
    let running =
        Running::start(Server::new(vec![Handler::new("/", hello), Handler::new("/ws", told)]));
    let (mut client, reply) = Client::upgrade(running.address, "/", "");
    assert_eq!((reply.status, reply.text()), (200, "hello"));
    let reply = client.get("/ws", "");
    assert_eq!((reply.status, reply.header("upgrade")), (426, Some("websocket")));
    assert_eq!(reply.header("connection"), Some("Upgrade, keep-alive"));
    let reply = client.post("/ws", "", "x");
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET")));
}

/// Fails to say what it speaks.
struct Mute;

impl WebsocketController for Mute {
    fn protocols(&self) -> &[&str] {
        std::panic::panic_any("as told")
    }
}

impl Controller for Mute {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

#[test]
fn a_panic_before_the_upgrade_is_500_and_costs_no_other_client_anything() {
    let hello = |_: &Request| Ok(Response::new().text("hello"));
    let running =
        Running::start(Server::new(vec![Handler::new("/ws", Mute), Handler::new("/", hello)]));
    // More than the threads that wait in `accept`.
    for _ in 0..10 {
        let (mut client, reply) = Client::upgrade(running.address, "/ws", "");
        assert_eq!((reply.status, reply.header("connection")), (500, Some("close")));
        client.assert_end();
    }
    assert_eq!(Client::connect(running.address).get("/", "").text(), "hello");
}

transports! {
    all {
        a_wrapper_refuses_before_the_upgrade
        a_controller_made_for_the_call_is_the_state_of_one_connection
        without_a_connection_the_handshake_is_all_that_happens
        a_route_for_http_ignores_an_upgrade_and_a_websocket_route_asks_for_one
        a_panic_before_the_upgrade_is_500_and_costs_no_other_client_anything
    }
}
