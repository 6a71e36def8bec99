//! The server: a child process, so that its figures in /proc are its own. It tells its addresses
//! on stdout, and answers there what it is asked on stdin, one line each.

use crate::poll;
use sockling::limits::Limits;
use sockling::prelude::*;
use std::io::BufRead;
use std::panic::panic_any;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Mutex;
use std::time::Duration;

/// Servers in the process, each on a loopback address of its own. A client that ends first leaves
/// its port in TIME_WAIT for a minute, and there are about 28,000 ports for each address of a
/// server: so four have enough for 100,000 clients of which all do that at once. Of ours, two in
/// eleven do: the others are closed first by the server, or reset, which leaves no port behind.
pub const DOORS: usize = 4;
/// Most connections of each.
pub const ROOM: usize = 100;
/// How long a head, a message and a write may take; the rest of the limits is the default.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of what is sent to a client that will not read it.
pub const PIECE: usize = 16 * 1024;
/// Threads that send in the accounting, and the clients that they send to: users 1 to 16.
pub const SENDERS: usize = 8;
pub const USERS: usize = 16;
/// Users who pause, and for whom the senders wait when so many bytes wait for them.
pub const PACED: std::ops::Range<usize> = 4..8;
const PACE: usize = 128 * 1024;

const ON_PURPOSE: &str = "on purpose";

pub static OPENED: AtomicU64 = AtomicU64::new(0);
pub static ENDED: AtomicU64 = AtomicU64::new(0);
/// Panics that nobody asked for.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Echoes, and does as it is told by some messages.
struct Desk;

impl WebsocketController for Desk {
    fn handle_connection(&self, _: &SessionId) -> Result<(), Error> {
        OPENED.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        match message.as_text() {
            Some("panic") => panic_any(ON_PURPOSE),
            Some("big") => Comms::websocket(client).send(piece(0))?,
            _ => Comms::websocket(client).send(message)?,
        };
        Ok(())
    }

    fn handle_disconnection(&self, _: &SessionId, _: Option<&CloseFrame>) -> Result<(), Error> {
        ENDED.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

impl Controller for Desk {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

/// Sends to the client's WebSocket until it is cut off; answers how many pieces were taken.
fn flood(request: &Request) -> Result<Response, Error> {
    let id = request.session_id();
    for number in 0..4096 {
        match Comms::websocket(id).send(piece(number)) {
            Ok(1) => {}
            Err(Error::Full { .. }) => return Ok(Response::new().text(number.to_string())),
            other => return Err(format!("after {} pieces: {:?}", number, other).into()),
        }
    }
    Err("64 MiB were taken for a client that does not read".into())
}

/// Returns a piece of the flood, which can be told from others.
pub fn piece(number: u32) -> Vec<u8> {
    let mut piece = vec![number as u8; PIECE];
    piece[..4].copy_from_slice(&number.to_be_bytes());
    piece
}

fn user(request: &Request) -> Result<Response, Error> {
    request.login(request.parameter("number")?.parse::<i64>().map_err(Error::other)?);
    Controller::handle(&Desk, request)
}

fn server() -> Server {
    let echo = |request: &Request| Ok(Response::new().body(request.body()));
    let big = |_: &Request| Ok(Response::new().body(piece(0)));
    let panic = |_: &Request| -> Result<Response, Error> { panic_any(ON_PURPOSE) };
    let routes = vec![
        Handler::new("/ws", Desk),
        Handler::new("/user/:number", user),
        Handler::new("/echo", echo),
        Handler::new("/big", big),
        Handler::new("/panic", panic),
        Handler::new("/flood", flood),
        Handler::new("/poll", poll::vote),
        Handler::post("/login", poll::login),
    ];
    Server::new(routes).limits(Limits {
        connections: ROOM,
        head_timeout: PATIENCE,
        message_timeout: PATIENCE,
        write_timeout: PATIENCE,
        // Who only listens, as in the accounting, answers no ping.
        ping_interval: Duration::ZERO,
        ..Limits::default()
    })
}

/// Serves until stdin says `end`, or ends: then the parent has.
pub fn serve() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        if panic.payload().downcast_ref() != Some(&ON_PURPOSE) {
            let line = panic.to_string().replace('\n', " ");
            PANICS.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(line);
        }
    }));
    let (mut handles, mut threads, mut addresses) = (Vec::new(), Vec::new(), Vec::new());
    for door in 1..=DOORS {
        let listening = server().bind(format!("127.0.0.{}:0", door)).expect("a free port");
        handles.push(listening.handle());
        addresses.push(listening.address().to_string());
        threads.push(std::thread::spawn(move || listening.serve().expect("a thread")));
    }
    println!("{}", addresses.join(" "));
    let mut lines = std::io::stdin().lock().lines();
    while let Some(Ok(line)) = lines.next() {
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("counts", _) => println!("{}", counts()),
            ("send", count) => println!("{}", send(count.parse().expect("a number"))),
            _ => {
                let stuck: usize = handles.iter().map(|handle| handle.shutdown().len()).sum();
                threads.into_iter().for_each(|thread| thread.join().expect("serve ends"));
                drop(handles);
                println!("{}", stuck);
                // The parent looks at what is left, and ends stdin.
                drop(lines.next());
                return ExitCode::SUCCESS;
            }
        }
    }
    ExitCode::FAILURE
}

/// Returns the WebSockets in the session map, those that were opened and ended in all, and panics.
fn counts() -> String {
    // Who is there is told, but nobody should be.
    let open = Comms::notify().send("who is here?").expect("a broadcast never fails");
    let (opened, ended) = (OPENED.load(Ordering::Relaxed), ENDED.load(Ordering::Relaxed));
    let panics = PANICS.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    format!("{} {} {} {}", open, opened, ended, panics.join("; "))
}

/// Sends so many messages from each thread to each user, and closes those who are left. Returns
/// three numbers for each user and thread: how many messages were taken, how often it was told that
/// the client does not read, and that nobody is there.
fn send(count: u32) -> String {
    let send_all = move |sender: usize| {
        let mut tallies = [[0; 3]; USERS];
        for number in 0..count {
            for (user, [taken, full, nobody]) in (0..).zip(&mut tallies) {
                let client = Comms::websocket(user as i64 + 1);
                while PACED.contains(&user) && client.backlog() > PACE {
                    std::thread::sleep(Duration::from_millis(1));
                }
                match client.send(message(sender, number)) {
                    Ok(1) => *taken += 1,
                    Err(Error::Full { .. }) => *full += 1,
                    Ok(0) => *nobody += 1,
                    other => panic!("{:?}", other),
                }
            }
        }
        tallies
    };
    let senders: Vec<_> =
        (0..SENDERS).map(|sender| std::thread::spawn(move || send_all(sender))).collect();
    let tallies: Vec<_> = senders.into_iter().map(|sender| sender.join().expect("sent")).collect();
    for user in 1..=USERS as i64 {
        Comms::websocket(user).close(CloseCode::NORMAL, "all is sent").expect("a good code");
    }
    let users = (0..USERS).flat_map(|user| tallies.iter().flat_map(move |of| of[user]));
    users.map(|number: u32| number.to_string()).collect::<Vec<_>>().join(" ")
}

/// Returns a message: sender, number, bytes that follow from both, and a checksum. One in a
/// hundred is long: when the system has room for a part of it, the rest has to follow at once.
pub fn message(sender: usize, number: u32) -> Vec<u8> {
    let most = if number as usize % 100 == sender { 100_000 } else { 1_000 };
    let length = 5 + (number as usize * 371 + sender * 101) % most;
    let mut message = vec![sender as u8 ^ number as u8; length];
    message[0] = sender as u8;
    message[1..5].copy_from_slice(&number.to_be_bytes());
    message.extend_from_slice(&checksum(&message).to_be_bytes());
    message
}

/// FNV-1a, 32 bits.
pub fn checksum(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    bytes.iter().fold(0x811c_9dc5, step)
}
