//! Rooms: a topic for each path, its last messages for who comes later, one room for each tab,
//! counts for a monitor, and a test without a socket.
//!
//! Try it: `cargo run --example rooms`, open the address that it prints in two tabs and `/rooms/tv` in a
//! third, and look at `/metrics`. `cargo test --example rooms` runs the test.

use sockling::{prelude::*, Topic};

/// Made for each connection, so it can hold what this one is about.
#[derive(macros::WebsocketController)]
struct Visit {
    room: Topic,
}

impl WebsocketController for Visit {
    fn handle_connection(&self, client: &SessionId) -> Result<(), Error> {
        let _ = self.room.join_here(); // false in the test below, which has no WebSocket
        self.room.send(format!("{} is here, {} in the room", client, self.room.len()))?;
        Ok(())
    }

    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        self.room.send(format!("{}: {}", client, message.as_text().unwrap_or("?")))?;
        Ok(())
    }
}

fn visit(request: &Request) -> Result<Response, Error> {
    let room = Comms::topic(format!("room/{}", request.parameter("room")?)).keep(20);
    match request.upgrade_websocket() {
        true => Controller::handle(&Visit { room }, request),
        false => Ok(Response::new().html(include_str!("pages/rooms.html"))),
    }
}

/// The counts, as Prometheus reads them.
fn metrics(_: &Request) -> Result<Response, Error> {
    let s = Comms::stats();
    let mut page = format!("connections {}\ntopics {}\n", s.connections, s.topics);
    page += &format!("sessions {}\nwaiting_bytes {}\n", s.sessions, s.waiting);
    page += &format!("messages_in {}\nmessages_out {}\n", s.messages_in, s.messages_out);
    page += &format!("bytes_in {}\nbytes_out {}\n", s.bytes_in, s.bytes_out);
    Ok(Response::new().text(page + &format!("dropped {}\ncut_off {}\n", s.dropped, s.cut_off)))
}

fn main() -> Result<(), Error> {
    let begin = |_: &Request| Ok(Response::new().redirect("/rooms/tea"));
    let rooms = Handler::new("/rooms/:room", visit);
    Server::new(vec![rooms, Handler::new("/metrics", metrics), Handler::new("/", begin)]).launch()
}

#[test]
fn what_is_said_in_a_room_reaches_its_members() {
    let id = Request::get("/").session_id();
    let heard = Comms::receiver(id);
    let visit = Visit { room: Comms::topic("room/test") };
    visit.room.subscribe(&id);
    visit.handle_message(&id, "hello".into()).expect("a topic does not fail");
    assert_eq!(heard.try_recv(), Some(format!("{}: hello", id).into()));
}
