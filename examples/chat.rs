//! A chat: a room for each path, names, who is here, and the last lines for who comes later.
//!
//! Try it: `cargo run --example chat`, open the address that it prints in two tabs, and talk. Open
//! `/tea` for another room. Stop the server and start it again: the pages come back by themselves.

use sockling::{limits::Limits, prelude::*, Topic};
use std::sync::{Mutex, PoisonError};

/// Who is where, and by which name. Locked while all are told, so that they are told in one order: a
/// topic waits for no client, and so nobody waits for this lock.
static HERE: Mutex<Vec<(Topic, SessionId, String)>> = Mutex::new(Vec::new());

/// A tab in a room: made for its connection, whose state it is. A line is words with tabs between.
#[derive(macros::WebsocketController)]
struct Visit {
    /// What is said; the last lines are kept.
    talk: Topic,
    /// Who comes and goes.
    people: Topic,
    name: String,
}

impl Visit {
    /// Tells everybody in the room who is here. The tabs of one browser are one person.
    fn tell(&self, client: &SessionId) -> Result<(), Error> {
        let mut here = HERE.lock().unwrap_or_else(PoisonError::into_inner);
        let known = here.iter().position(|(room, id, _)| *room == self.people && id == client);
        match (known, self.people.members().contains(client)) {
            (None, true) => here.push((self.people.clone(), *client, self.name.clone())),
            (Some(at), false) => drop(here.swap_remove(at)),
            _ => {}
        }
        let all = here.iter().filter(|(room, ..)| *room == self.people);
        let all: String = all.map(|(_, id, name)| format!("\t{}\t{}", id, name)).collect();
        self.people.send(format!("here{}", all)).map(drop)
    }
}

impl WebsocketController for Visit {
    fn handle_connection(&self, client: &SessionId) -> Result<(), Error> {
        Comms::here().ok_or("no tab")?.send(format!("you\t{}", client))?;
        let _ = (self.talk.join_here(), self.people.join_here());
        self.tell(client)
    }

    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        let text = message.as_text().unwrap_or("(no text)");
        self.talk.send(format!("say\t{}\t{}\t{}", client, self.name, text)).map(drop)
    }

    fn handle_disconnection(&self, id: &SessionId, _: Option<&CloseFrame>) -> Result<(), Error> {
        self.tell(id)
    }
}

pub fn enter(request: &Request) -> Result<Response, Error> {
    let page = || Ok(Response::new().html(include_str!("pages/chat.html")));
    let room = request.parameter("*")?;
    let talk = Comms::topic(format!("talk/{}", room)).keep(40);
    let people = Comms::topic(format!("people/{}", room));
    match request.query("name").filter(|name| name.len() <= 80 && !name.contains('\t')) {
        _ if !request.upgrade_websocket() => page(),
        Some(name) => Controller::handle(&Visit { talk, people, name }, request),
        None => Ok(Response::bad_request().text("say ?name=NAME, of 80 bytes at most\n")),
    }
}

fn main() -> Result<(), Error> {
    let limits = Limits { message: 1000, ..Limits::default() };
    Server::new(vec![Handler::new("/*", enter)]).limits(limits).launch()
}
