//! A chat: a room for each path, names, who is here, and the last lines for who comes later.
//!
//! Try it: `cargo run --example chat`, open the address that it prints in two tabs, and talk. Open
//! `/tea` for another room. Stop the server and start it again: the pages come back by themselves.

use sockling::http::{self, Server};
use sockling::{limits::Limits, prelude::*, Topic};
use std::sync::{Mutex, PoisonError};

/// Room, session and name of who is here. Locked while that is told, so that it is told in order.
static HERE: Mutex<Vec<(String, SessionId, String)>> = Mutex::new(Vec::new());

/// A tab in a room: made for its connection, whose state it is.
#[derive(macros::WebsocketController)]
struct Visit {
    room: String,
    name: String,
}

impl Visit {
    /// The room, which keeps its last 40 lines.
    fn room(&self) -> Topic {
        Comms::topic(format!("chat/{}", self.room)).keep(40)
    }

    /// Sends a line: a word, who, a name and a text, with tabs between.
    fn say(&self, word: &str, client: &SessionId, text: &str) -> Result<(), Error> {
        self.room().send(format!("{}\t{}\t{}\t{}", word, client, self.name, text)).map(drop)
    }

    /// Tells who came or went, and a new tab who is here. The tabs of one browser are one person.
    fn tell(&self, client: &SessionId) -> Result<(), Error> {
        let mut here = HERE.lock().unwrap_or_else(PoisonError::into_inner);
        let known = here.iter().position(|(room, id, _)| *room == self.room && id == client);
        match (known, self.room().members().contains(client)) {
            (None, true) => {
                here.push((self.room.clone(), client.clone(), self.name.clone()));
                self.say("join", client, "")?;
            }
            (Some(at), false) => {
                here.swap_remove(at);
                self.say("leave", client, "")?;
            }
            _ => {}
        }
        let all = here.iter().filter(|(room, ..)| *room == self.room);
        let all: String = all.map(|(_, id, name)| format!("\t{}\t{}", id, name)).collect();
        Comms::here().map_or(Ok(0), |tab| tab.send(format!("here\t{}{}", client, all))).map(drop)
    }
}

impl WebsocketController for Visit {
    fn handle_connection(&self, client: &SessionId) -> Result<(), Error> {
        self.room().join_here();
        self.tell(client)
    }

    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        self.say("say", client, message.as_text().unwrap_or("(no text)"))
    }

    fn handle_disconnection(&self, id: &SessionId, _: Option<&CloseFrame>) -> Result<(), Error> {
        self.tell(id)
    }
}

fn enter(request: &Request) -> Result<Response, Error> {
    let room = request.parameter("*")?.to_string();
    match request.query("name").filter(|name| name.len() <= 80 && !name.contains('\t')) {
        Some(name) if request.upgrade_websocket() => {
            Controller::handle(&Visit { room, name }, request)
        }
        _ => Ok(Response::new().html(include_str!("pages/chat.html"))),
    }
}

fn main() -> Result<(), http::Error> {
    let limits = Limits { message: 1000, ..Limits::default() };
    Server::new(vec![Handler::new("/*", enter)]).limits(limits).launch()
}
