//! Plays rows against an echo server, and says which of them went wrong and what was heard.

use crate::loopback::{masked, Client, Running};
use crate::row::{End, Row};
use sockling::limits::Limits;
use sockling::prelude::*;
use std::io::Write;
use std::net::{Shutdown, SocketAddr};
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::time::Duration;

/// Rows that are played at a time: they wait more than they work.
const WORKERS: usize = 16;

/// Bytes of a conversation that are shown.
const SHOWN: usize = 120;

struct Echo;

impl WebsocketController for Echo {
    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        Comms::websocket(client).send(message)?;
        Ok(())
    }
}

impl Controller for Echo {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

/// Limits that no row reaches on a machine that is busy with other things: a ping of the server's,
/// or a timeout, would be heard as a fault.
fn patient() -> Limits {
    let minute = Duration::from_secs(60);
    Limits {
        head_timeout: minute,
        message_timeout: minute,
        write_timeout: minute,
        close_timeout: minute,
        ping_interval: Duration::ZERO,
        ..Limits::default()
    }
}

/// Panics with a line for each row that went wrong.
pub fn check(rows: &[Row]) {
    let faults = faults(rows);
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), rows.len(), faults.join("\n"));
}

/// Plays the rows, each on a connection of its own; returns what went wrong, in their order.
pub fn faults(rows: &[Row]) -> Vec<String> {
    let server = Running::start(Server::new(vec![Handler::new("/ws", Echo)]).limits(patient()));
    let address = server.address;
    let play = |rows: &[Row]| -> Vec<String> {
        rows.iter().filter_map(|row| fault(row, address)).collect()
    };
    std::thread::scope(|scope| {
        let shares = rows.chunks((rows.len() + WORKERS - 1) / WORKERS);
        let workers: Vec<_> = shares.map(|share| scope.spawn(move || play(share))).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    })
}

/// Returns what went wrong, if anything did.
fn fault(row: &Row, address: SocketAddr) -> Option<String> {
    let expected = row.turns.iter().flat_map(|turn| turn.hears.concat()).collect::<Vec<u8>>();
    let mut heard = Vec::new();
    // The client panics when nothing comes for too long.
    let played = catch_unwind(AssertUnwindSafe(|| play(row, address, &mut heard)));
    let right = played.is_ok()
        && heard.strip_prefix(&*expected).map_or(false, |rest| is_end(row.end, rest));
    if right {
        return None;
    }
    let late = played.err().map_or(String::new(), |panic| match panic.downcast::<String>() {
        Ok(text) => format!(", then {}", text.chars().take(4 * SHOWN).collect::<String>()),
        Err(_) => ", then a panic".to_string(),
    });
    let (expected, heard) = (show(&expected), show(&heard));
    Some(format!("{}: expected {} and {:?}, heard {}{}", row.id, expected, row.end, heard, late))
}

/// Notes all that comes back until the connection ends.
fn play(row: &Row, address: SocketAddr, heard: &mut Vec<u8>) {
    let mut client = Client::websocket(address, "/ws", "");
    for turn in &row.turns {
        // A server that has refused may have ended the connection too, and takes no more. What it
        // said before is what counts.
        let _ = turn.writes.iter().try_for_each(|bytes| client.stream.write_all(bytes));
        for frame in &turn.hears {
            let bytes = client.bytes(frame.len());
            heard.extend_from_slice(&bytes);
            if bytes != *frame {
                // Have it end the connection, to hear the rest.
                let _ = client.stream.shutdown(Shutdown::Write);
                heard.extend(client.read_to_end());
                return;
            }
        }
    }
    if let End::Fine = row.end {
        let _ = client.stream.write_all(&masked(0x88, b"\x03\xe8"));
    }
    heard.extend(client.read_to_end());
}

/// Returns whether this is all that may come after the frames of a row.
fn is_end(end: End, rest: &[u8]) -> bool {
    match (end, rest) {
        (End::Fine, rest) => rest == b"\x88\x02\x03\xe8",
        (End::Closed, rest) => rest.is_empty(),
        (End::Refused(code), [0x88, length @ 2..=125, high, low, reason @ ..]) => {
            u16::from_be_bytes([*high, *low]) == code
                && reason.len() + 2 == usize::from(*length)
                && std::str::from_utf8(reason).is_ok()
        }
        (End::Refused(_), _) => false,
    }
}

fn show(bytes: &[u8]) -> String {
    match bytes.len() {
        0 => "nothing".to_string(),
        length if length > SHOWN => {
            format!("{}.. ({} bytes)", bytes[..SHOWN].escape_ascii(), length)
        }
        _ => bytes.escape_ascii().to_string(),
    }
}
