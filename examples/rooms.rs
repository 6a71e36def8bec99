//! Rooms: a topic for each path, its last messages for who comes later, one room for each tab,
//! counts for a monitor, and a test without a socket.
//!
//! Try it: `cargo run --example rooms`, open the address that it prints in two tabs and `/rooms/tv` in a
//! third, and look at `/metrics`. `cargo test --example rooms` runs the test.

#[cfg(test)]
use sockling::testing;
use sockling::{prelude::*, Topic};

/// Made for each connection, so it can hold what this one is about.
#[derive(macros::WebsocketController)]
struct Visit {
    room: Topic,
}

impl WebsocketController for Visit {
    fn handle_connection(&self, client: &SessionId) -> Result<(), Error> {
        let _ = self.room.join_here(); // false only without a WebSocket
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

fn routes() -> Vec<Handler> {
    let begin = |_: &Request| Ok(Response::new().redirect("/rooms/tea"));
    let rooms = Handler::new("/rooms/:room", visit);
    vec![rooms, Handler::new("/metrics", metrics), Handler::new("/", begin)]
}

fn main() -> Result<(), Error> {
    Server::new(routes()).launch()
}

#[test]
fn what_is_said_in_a_room_reaches_its_members() {
    let server = testing::Server::new(routes());
    let visitor = server.browser();
    let (tea, tv) = (visitor.websocket("/rooms/tea"), visitor.websocket("/rooms/tv"));
    let greetings = [tea.receive(), tv.receive()];
    assert!(greetings
        .iter()
        .all(|greeting| greeting.as_text().unwrap().contains(" is here, 1 in")));
    tea.send("hello");
    assert!(tea.receive().as_text().unwrap().ends_with(": hello"));
    tv.receive_nothing();
    // Who comes later gets what the room keeps.
    let late = server.browser().websocket("/rooms/tea");
    let kept = [late.receive(), late.receive(), late.receive()];
    assert!(kept[1].as_text().unwrap().ends_with(": hello"));
    assert_eq!(visitor.get("/").header("location"), Some("/rooms/tea"));
    assert!(visitor.get("/metrics").text().contains("connections 3"));
}
