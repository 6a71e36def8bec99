//! The server asks the browser, and its code waits where the answer is needed: a conversation in
//! straight lines. Each question has a time, after which the connection is closed.
//!
//! Try it: `cargo run --example ask`, open the address that it prints, and answer. Open
//! `/?seconds=3` for less time, and let a question pass.

use sockling::prelude::*;
use std::time::{Duration, Instant};

const QUESTIONS: [(&str, &str); 3] = [
    ("What is the opcode of a ping?", "9"),
    ("How many bytes has a masking key?", "4"),
    ("Which close code is the normal one?", "1000"),
];

/// Sends a question and waits for the answer. An error of this kind ends the conversation with its
/// close code.
fn ask(client: &mut Connection, question: &str, longest: Duration) -> Result<String, Error> {
    client.send(question)?;
    let close = match client.receive_timeout(longest)? {
        Next::Message(Message::Text(answer)) => return Ok(answer),
        Next::Message(_) => CloseFrame::new(CloseCode::UNSUPPORTED_DATA, "an answer is text")?,
        Next::Timeout => CloseFrame::new(CloseCode(4000), "no answer in time")?,
        Next::Closed => return Err(Error::Gone),
    };
    Err(close.into())
}

/// One call is one conversation: what it knows is in local variables.
fn quiz(client: &mut Connection, longest: Duration) -> Result<(), Error> {
    let asked = Instant::now();
    // The page's script answers this one, and a person the others.
    let zone = ask(client, "zone?", longest)?;
    let ms = asked.elapsed().as_secs_f64() * 1000.0;
    client
        .send(format!("say Your browser answered in {:.1} ms. Its time zone is {}.", ms, zone))?;
    let name = ask(client, "ask What is your name?", longest)?;
    let mut right = 0;
    for (question, wanted) in QUESTIONS {
        if ask(client, &format!("ask {}", question), longest)?.trim() == wanted {
            right += 1;
            client.send("say That is right.")?;
        } else {
            client.send(format!("say No, {}.", wanted))?;
        }
    }
    client.send(format!("say {} right answers of {}, {}.", right, QUESTIONS.len(), name))
}

fn main() -> Result<(), Error> {
    let page = |_: &Request| Ok(Response::new().html(include_str!("pages/ask.html")));
    let quiz = |request: &Request| {
        let seconds = request.query("seconds").and_then(|text| text.parse().ok()).unwrap_or(30);
        let longest = Duration::from_secs(seconds);
        request.upgrade(&[], |client| quiz(client, longest))
    };
    Server::new(vec![Handler::new("/quiz", quiz), Handler::new("/", page)]).launch()
}
