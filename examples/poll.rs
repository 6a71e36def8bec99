//! A poll: people log in by a form, vote, and see at once how all vote and who is here, until the
//! admin closes it. Its tests use the whole server, without a socket.
//!
//! Try it: `cargo run --example poll`, open the address that it prints in two browsers, and log in
//! as `Ada` with `engine` in one and as `admin` with `sesame` in the other. `cargo test --example
//! poll` runs the tests, `examples/poll/tests.rs`.

use sockling::{limits::Limits, prelude::*, Topic};
use std::sync::{Arc, Mutex, PoisonError};

const PEOPLE: [(&str, &str); 3] = [("admin", "sesame"), ("Ada", "engine"), ("Bob", "tower")];
const CHOICES: [&str; 3] = ["tea", "coffee", "water"];

struct Poll {
    /// The user number of the first of the people.
    first: i64,
    room: Topic,
    /// Locked while the room is told, so that all tabs hear the changes in one order.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    votes: [Option<usize>; PEOPLE.len()],
    closed: bool,
}

impl Poll {
    fn login(&self, request: &Request) -> Result<Response, Error> {
        request.check_origin()?;
        let form = request.form()?;
        let (name, password) = (form.get("name"), form.get("password"));
        let given = (name.as_deref(), password.as_deref());
        let person = PEOPLE.iter().position(|one| given == (Some(one.0), Some(one.1)));
        let person = person.ok_or_else(|| Response::new().redirect("/login?wrong"))?;
        Ok(request.login(self.first + person as i64).redirect("/"))
    }

    /// Returns who asks. The error is an answer: it leads to the form.
    fn person(&self, request: &Request) -> Result<usize, Error> {
        let id = request.session_id();
        let person = (self.first..).zip(PEOPLE).position(|(user, _)| id == user.into());
        Ok(person.ok_or_else(|| Response::new().redirect("/login"))?)
    }

    /// Changes the state, and tells the room: open or closed, the votes, and who is here.
    fn change(&self, change: impl FnOnce(&mut State)) -> Result<(), Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let mut text = String::from(if state.closed { "closed" } else { "open" });
        for (at, choice) in CHOICES.iter().enumerate() {
            let votes = state.votes.iter().filter(|vote| **vote == Some(at)).count();
            text += &format!("\n{} {}", votes, choice);
        }
        let members = self.room.members();
        let here = (self.first..).zip(PEOPLE).filter(|one| members.contains(&one.0.into()));
        text.extend(here.map(|(_, (name, _))| format!("\nhere {}", name)));
        self.room.send(text).map(drop)
    }

    fn visit(&self, request: &Request) -> Result<Response, Error> {
        let person = self.person(request)?;
        let answer = request.upgrade(&[], |client| {
            client.send(format!("you {}", PEOPLE[person].0))?;
            let _ = self.room.join_here(); // a session may be in more topics than this one
            self.change(|_| {})?;
            while let Some(message) = client.receive()? {
                let vote = CHOICES.iter().position(|choice| message.as_text() == Some(choice));
                self.change(|state| match vote {
                    _ if state.closed => {}
                    Some(_) => state.votes[person] = vote,
                    None => state.closed = person == 0 && message.as_text() == Some("close"),
                })?;
            }
            Ok(())
        });
        // However the conversation has ended: also after a `?`, or a panic.
        self.change(|_| {}).and(answer)
    }
}

/// Users and topics are those of the whole process, so two polls must not share their numbers.
fn server(first: i64) -> Server {
    let (room, state) = (Comms::topic(format!("poll/{}", first)), Mutex::default());
    let poll = Arc::new(Poll { first, room, state });
    let (front, login) = (Arc::clone(&poll), Arc::clone(&poll));
    let page = |_: &Request| Ok(Response::new().html(include_str!("pages/poll.html")));
    Server::new(vec![
        Handler::get("/", move |from: &Request| front.person(from).and_then(|_| page(from))),
        Handler::get("/login", page),
        Handler::post("/login", move |from: &Request| login.login(from)),
        Handler::get("/votes", move |from: &Request| poll.visit(from)),
    ])
    .limits(Limits { messages_per_second: 20, message: 100, ..Limits::default() })
}

fn main() -> Result<(), Error> {
    server(1).launch()
}

#[cfg(test)]
#[path = "poll/tests.rs"]
mod tests;
