//! Server-sent events: a page's `EventSource` gets what its session and a topic are sent, over one HTTP
//! answer that does not end, and comes again by itself for what it has missed. Beside it, the same over
//! a WebSocket; the lesson says when to take which.
//!
//! Try it: `cargo run --example events`, open the address that it prints in two tabs, and send.
//! `curl -N localhost:8000/events` shows the bytes. A stream holds a thread and a place among
//! `Limits::connections`, and a browser has at most six to one host, in all its tabs together.

use sockling::prelude::*;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

/// How many events are kept for those who come again.
const KEPT: usize = 100;

/// The last events, since a topic without members keeps nothing. Locked while one is sent and while
/// somebody joins, so that all get each of them once and in one order.
static LOG: Mutex<Vec<(u64, String)>> = Mutex::new(Vec::new());

/// Returns a message, which is `id LF name LF data`, as an event (HTML, 9.2.6). A line break inside
/// must not begin a field: the data becomes several lines, and the id and the name stay one.
fn event(message: &str) -> String {
    let mut parts = message.splitn(3, '\n');
    let [id, name, data] = [(); 3].map(|()| parts.next().unwrap_or(""));
    let one_line = |text: &str| text.replace(['\r', '\n', '\0'], "");
    // An empty one would make the browser forget the last one.
    let id = if id.is_empty() { String::new() } else { format!("id: {}\n", one_line(id)) };
    let data = data.replace("\r\n", "\n").replace(['\r', '\n'], "\ndata: ");
    format!("{}event: {}\ndata: {}\n\n", id, one_line(name), data)
}

/// Sends the body to everybody, or to all tabs of the browser that asks; the latter is not kept.
fn send(request: &Request) -> Result<Response, Error> {
    request.check_origin()?;
    let text = String::from_utf8_lossy(request.body());
    if request.parameter("to")? == "me" {
        Comms::websocket(request.session_id()).send(format!("\nyou\n{}", text))?;
    } else {
        let mut log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
        // The first id is the time, so that after a restart they go on above those that pages know.
        let now = UNIX_EPOCH.elapsed().map_or(0, |now| now.as_millis() as u64);
        let id = log.last().map_or(now, |(last, _)| last + 1);
        let message = format!("{}\nnews\n{}", id, text);
        log.push((id, message.clone()));
        let old = log.len().saturating_sub(KEPT);
        log.drain(..old);
        // An error is a WebSocket that does not read. It was cut off, and its page comes again.
        let _ = Comms::topic("news").send(message);
    }
    Ok(Response::new().code(204))
}

/// Joins, and returns what was sent after the event that the client names: `EventSource` in a field
/// when it comes again, and a script in the query.
fn join<T>(request: &Request, join: impl FnOnce() -> T) -> (T, Vec<String>) {
    let seen = request.header("Last-Event-ID").map(str::to_string);
    let seen = seen.or_else(|| request.query("after")).and_then(|id| id.parse().ok());
    let log = LOG.lock().unwrap_or_else(PoisonError::into_inner);
    let missed = log.iter().filter(|(id, _)| Some(*id) > seen);
    (join(), missed.map(|(_, message)| message.clone()).collect())
}

/// Sends what the session and the topic are sent until the client goes.
pub fn stream(request: &Request) -> Result<Response, Error> {
    let id = request.session_id();
    let receive = || (Comms::receiver(id), Comms::topic("news").subscribe(&id));
    let ((receiver, _), missed) = join(request, receive);
    let response = Response::new()
        .header("Content-Type", "text/event-stream")
        .header("Cache-Control", "no-cache")
        .header("X-Accel-Buffering", "no"); // to nginx, which would wait for more
    request.stream(response, |body| {
        write!(body, "retry: 2000\n\n{}", missed.iter().map(|one| event(one)).collect::<String>())?;
        // What a client was too slow for is in the log, for which it comes again.
        while receiver.missed() == 0 {
            body.flush()?;
            match receiver.recv_timeout(Duration::from_secs(5)) {
                Some(message) => write!(body, "{}", event(message.as_text().unwrap_or("")))?,
                // `poll` fails when the client has gone, and at a shutdown. The line is a comment: it
                // shows proxies that the stream is in use, and finds a client that was unplugged.
                None => body.poll().and_then(|()| body.write_all(b":\n\n"))?,
            }
        }
        Ok(())
    })
}

/// The same over a WebSocket, to which those who send write by themselves.
fn socket(request: &Request) -> Result<Response, Error> {
    request.upgrade(&[], |client| {
        let (_, missed) = join(request, || Comms::topic("news").join_here());
        missed.into_iter().try_for_each(|message| client.send(message))?;
        // Others may have sent meanwhile: up to here, the page puts in order what has come.
        client.send("\nready\n")?;
        while client.receive()?.is_some() {}
        Ok(())
    })
}

fn main() -> Result<(), Error> {
    let page = |request: &Request| {
        request.session_id(); // all that the page asks for next has its cookie
        Ok(Response::new().html(include_str!("pages/events.html")))
    };
    Server::new(vec![
        Handler::post("/send/:to", send).limit(1000),
        Handler::get("/events", stream),
        Handler::get("/socket", socket),
        Handler::get("/", page),
    ])
    .launch()
}
