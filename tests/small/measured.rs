//! Servers in processes of their own, with the limits of a small host, and what they take.
#![cfg(target_os = "linux")]

use super::loopback::child::{limited, Child};
use super::loopback::{bind, wait_until, Client};
use super::MIB;
use sockling::limits::{Limits, Overflow};
use sockling::prelude::*;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

/// Uses much of its stack, and does as it is told by a text: `topics 7` gets into as many topics as it
/// may, of which nobody else is in.
struct Deep;

impl WebsocketController for Deep {
    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        if let Some(own) = message.as_text().and_then(|text| text.strip_prefix("topics ")) {
            let name = |number: usize| format!("{}/{}{}", number, "x".repeat(240), own);
            let inside = (0..1000).take_while(|number| topic(name(*number)).join_here()).count();
            Comms::websocket(client).send(format!("in {} topics", inside))?;
            return Ok(());
        }
        let mut local = [0u8; 24 * 1024];
        local.iter_mut().zip(message.as_bytes().iter().cycle()).for_each(|(to, from)| *to = *from);
        match message.as_text() {
            Some("panic") => {
                println!("{:>8.3} and {:?}, {}", 1.5, [Some(1), None], local[7]);
                let none: Vec<u8> = Vec::new();
                println!("{}", none[local.len()]);
            }
            _ => drop(Comms::websocket(client).send(format!("{} bytes", local.len()))?),
        }
        Ok(())
    }
}

impl Controller for Deep {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

/// Returns a topic that keeps what it may.
fn topic(name: String) -> sockling::Topic {
    Comms::topic(name).keep(1000)
}

/// Returns limits that end no client while a slow machine opens and asks all the others.
fn unhurried(limits: Limits) -> Limits {
    let never = Duration::from_secs(600);
    Limits {
        message_timeout: never,
        write_timeout: never,
        ping_interval: never,
        pong_timeout: never,
        ..limits
    }
}

fn listen(limits: Limits, routes: Vec<Handler>) {
    let listening = bind(Server::new(routes).limits(limits));
    println!("\nlistening on {}", listening.address());
    listening.serve().expect("a thread");
}

/// Fills what topics keep and a receiver, and sends to everybody until no more may wait. Answers with
/// the bytes that wait.
fn fill(_: &Request) -> Result<Response, Error> {
    let message = vec![7; 16 * 1024];
    let receiver = Comms::receiver(7);
    for number in 0..200 {
        let name = format!("kept/{}", number % 20);
        assert!(topic(name.clone()).subscribe(&7.into()));
        topic(name).send(&message[..])?;
    }
    assert!(receiver.missed() > 0, "it is full");
    std::mem::forget(receiver);
    let mut before = 0;
    // A round that changes nothing, while much waits, is the last.
    loop {
        for _ in 0..50 {
            Comms::notify().send(&message[..])?;
        }
        let waiting = Comms::stats().waiting;
        if waiting == before && waiting > MIB {
            return Ok(Response::new().text(waiting.to_string()));
        }
        before = waiting;
    }
}

/// Not a test: one starts it.
#[test]
#[ignore]
fn child_small() {
    // Those who do not read stay, so that all of them are full.
    let limits = Limits { overflow: Overflow::Drop, ..unhurried(Limits::small()) };
    listen(limits, vec![Handler::new("/ws", Deep), Handler::new("/fill", fill)]);
}

#[test]
fn clients_that_take_all_they_may_take_no_more_than_the_small_limits_promise() {
    let server = Child::start(&mut limited("-c 0", "measured::child_small"));
    let limits = Limits::small();
    let before = server.status("VmRSS");
    let padding = format!("X-Padding: {}\r\n", "p".repeat(limits.headers - 300));
    let mut clients: Vec<Client> = (1..limits.connections)
        .map(|_| Client::websocket(server.address, "/ws", &padding))
        .collect();
    for client in &mut clients {
        // As much stack as the handler takes, and a message of which the last byte does not come.
        client.text("deep");
        assert_eq!(client.next_text(), "24576 bytes");
        client.text(&format!("topics {}", client.stream.local_addr().expect("a port").port()));
        assert_eq!(client.next_text(), format!("in {} topics", limits.topics_per_session));
        client.send(b"\x82\xfe\x40\x00\0\0\0\0");
        client.send(&vec![7; limits.message - 1]);
    }
    // The last place.
    let waiting: usize =
        Client::connect(server.address).get("/fill", "").text().parse().expect("a number");
    assert!(waiting <= limits.total_backlog + limits.connections * limits.message, "{}", waiting);
    assert!(waiting >= limits.total_backlog / 2, "{} bytes wait", waiting);
    let taken = (server.status("VmHWM") - before) * 1024;
    let promised = limits.most_memory().expect("a ceiling");
    println!("{} KiB taken, {} KiB promised", taken / 1024, promised / 1024);
    assert!(taken <= promised, "{} bytes taken, {} promised", taken, promised);
    assert!(taken >= promised / 3, "{} bytes taken: it was not full", taken);

    // The server goes on: the place is free again, and beyond it nobody is let in.
    let mut last = None;
    wait_until("the place is free", || {
        let (client, reply) = Client::upgrade(server.address, "/ws", "");
        last = Some(client).filter(|_| reply.status == 101);
        last.is_some()
    });
    let mut last = last.expect("a client");
    let refusal = Client::upgrade(server.address, "/ws", "").1;
    assert_eq!((refusal.status, refusal.header("retry-after")), (503, Some("1")));
    last.text("still here");
    assert_eq!(last.next_text(), "24576 bytes");
}

const LARGE: usize = 8 * MIB;

/// Not a test: one starts it.
#[test]
#[ignore]
fn child_with_large_answers() {
    let large = |_: &Request| Ok(Response::new().body(vec![7; LARGE]));
    listen(unhurried(Limits::default()), vec![Handler::new("/large", large)]);
}

#[test]
fn an_answer_that_a_client_does_not_read_is_in_memory_once() {
    const CLIENTS: usize = 12;
    let server = Child::start(&mut limited("-c 0", "measured::child_with_large_answers"));
    let before = server.status("VmRSS");
    let clients: Vec<Client> = (0..CLIENTS)
        .map(|_| {
            let mut client = Client::connect(server.address);
            client.send(b"GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n");
            assert_eq!(client.bytes(15), b"HTTP/1.1 200 OK");
            client
        })
        .collect();
    let taken = (server.status("VmHWM") - before) * 1024;
    println!("{} answers of {} KiB take {} KiB", CLIENTS, LARGE / 1024, taken / 1024);
    let most = CLIENTS * (LARGE + MIB);
    assert!((CLIENTS * LARGE..=most).contains(&taken), "{} bytes", taken);
    drop(clients);
}

/// The firmware image of a device: 200 MiB, or less in a build that is not optimized.
const IMAGE: u64 = if cfg!(debug_assertions) { 24 * 1024 * 1024 } else { 200 * 1024 * 1024 };

/// Takes an image and gives one out, in pieces.
fn listen_for_images(limits: Limits) {
    let take = |request: &Request| {
        let bytes = io::copy(&mut request.reader(IMAGE)?, &mut io::sink())?;
        Ok(Response::new().text(bytes.to_string()))
    };
    let give = |request: &Request| {
        let response = match request.query("chunked") {
            None => Response::new().length(IMAGE),
            Some(_) => Response::new(),
        };
        request.stream(response, |body| io::copy(&mut io::repeat(7).take(IMAGE), body).map(drop))
    };
    let put = Handler::put("/image", take).streams().limit(IMAGE);
    listen(limits, vec![put, Handler::get("/image", give)]);
}

/// Not a test: one starts it.
#[test]
#[ignore]
fn child_with_images() {
    listen_for_images(Limits::default());
}

/// Not a test: one starts it.
#[test]
#[ignore]
fn child_with_images_on_a_small_host() {
    listen_for_images(Limits::small());
}

/// Sends an image and fetches two, of which one comes in chunks of this length, and checks what comes.
fn move_images(address: SocketAddr, chunk: usize) {
    let mut client = Client::connect(address);
    let piece = vec![7; 256 * 1024];
    let head = "PUT /image HTTP/1.1\r\nHost: localhost\r\nContent-Length:";
    client.send(format!("{} {}\r\n\r\n", head, IMAGE).as_bytes());
    (0..IMAGE / piece.len() as u64).for_each(|_| client.send(&piece));
    assert_eq!(client.reply().text(), IMAGE.to_string());
    let get = |target: &str| format!("GET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", target);
    client.send(get("/image").as_bytes());
    assert_eq!(client.reply_head().header("content-length"), Some(&*IMAGE.to_string()));
    assert_eq!(count(&mut client, IMAGE), IMAGE);
    client.send(get("/image?chunked").as_bytes());
    assert_eq!(client.reply_head().header("transfer-encoding"), Some("chunked"));
    let framing = format!("{:x}\r\n\r\n", chunk).len();
    let chunked = IMAGE + IMAGE / chunk as u64 * framing as u64 + 5;
    assert_eq!(count(&mut client, chunked), IMAGE);
    assert_eq!(client.get("/", "").status, 404, "the connection goes on");
}

/// Reads so many bytes, and returns how many of them are of an image.
fn count(client: &mut Client, bytes: u64) -> u64 {
    let (mut left, mut of_image) = (bytes, 0);
    while left > 0 {
        let piece = client.bytes(left.min(64 * 1024) as usize);
        assert!(!piece.is_empty(), "{} bytes are missing", left);
        left -= piece.len() as u64;
        of_image += piece.iter().filter(|byte| **byte == 7).count() as u64;
    }
    of_image
}

#[test]
fn three_clients_that_move_an_image_each_way_at_once_take_4_mib() {
    for (child, limits) in [
        ("measured::child_with_images", Limits::default()),
        ("measured::child_with_images_on_a_small_host", Limits::small()),
    ] {
        let server = Child::start(&mut limited("-c 0", child));
        assert_eq!(Client::connect(server.address).get("/", "").status, 404);
        let before = server.status("VmRSS");
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| move_images(server.address, limits.buffer));
            }
        });
        let taken = server.status("VmHWM") - before;
        println!("{}: {} KiB for three clients with images", child, taken);
        assert!(taken <= 4 * 1024, "{} KiB", taken);
    }
}

#[test]
fn on_the_small_stack_a_handler_prints_formats_and_panics_also_with_a_backtrace() {
    for backtrace in ["0", "1", "full"] {
        let mut command = limited("-c 0", "measured::child_small");
        command.env("RUST_BACKTRACE", backtrace).env("SOCKLING_LOG", "info").stderr(Stdio::piped());
        let mut server = Child::start(&mut command);
        let mut other = Client::websocket(server.address, "/ws", "");
        let mut client = Client::websocket(server.address, "/ws", "");
        client.text("panic");
        assert_eq!(client.next_close().0, 1011, "backtrace {}", backtrace);
        other.text("still here");
        assert_eq!(other.next_text(), "24576 bytes", "backtrace {}", backtrace);
        let mut told = String::new();
        let stderr = server.stderr();
        drop(server);
        stderr.take(MIB as u64).read_to_string(&mut told).expect("text");
        assert!(told.contains("index out of bounds"), "{}", told);
        assert_eq!(told.contains("stack backtrace:"), backtrace != "0", "{}", told);
    }
}

/// Not a test: one starts it.
#[test]
#[ignore]
fn child_with_default_stacks() {
    listen(unhurried(Limits::default()), vec![Handler::new("/ws", Echo)]);
}

/// Not a test: one starts it.
#[test]
#[ignore]
fn child_with_small_stacks() {
    let limits = Limits { connections: 0, stack: Limits::small().stack, ..Limits::default() };
    listen(unhurried(limits), vec![Handler::new("/ws", Echo)]);
}

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

/// Address space of a process where addresses have 32 bits, at the least: 2 GiB, as on MIPS. Stacks
/// take of it what they may become, and memory only what they are.
const ADDRESSES: &str = "-n 6000 && ulimit -v 2097152";

/// Opens so many WebSockets, has each echo a message, and holds what the server takes for them all
/// against a bound in MiB.
fn hold(server: &str, connections: usize, most: usize) {
    let server = Child::start(&mut limited(ADDRESSES, server));
    let mut clients: Vec<Client> = Vec::new();
    for _ in 0..connections {
        let mut client = Client::websocket(server.address, "/ws", "");
        client.text("hello");
        assert_eq!(client.next_text(), "hello");
        clients.push(client);
    }
    let (memory, threads) = (server.status("VmRSS"), server.status("Threads"));
    println!("{} silent connections: {} KiB in all, {} threads", connections, memory, threads);
    assert!(memory <= most * 1024, "{} KiB", memory);
    // One each, those who wait for the next one, the log's, and the process's first two.
    assert!(threads <= connections + 8 + 3, "{} threads", threads);
    for client in &mut clients {
        client.text("still here");
        assert_eq!(client.next_text(), "still here");
    }
}

/// Not a test: one starts it, with as many descriptors as it needs.
#[test]
#[ignore]
fn child_that_holds_1000() {
    hold("measured::child_with_default_stacks", 1000, 24);
}

/// Not a test: one starts it, with as many descriptors as it needs.
#[test]
#[ignore]
fn child_that_holds_5000() {
    hold("measured::child_with_small_stacks", 5000, 90);
}

/// What is touched of a stack is for a build that is optimized.
#[test]
#[cfg_attr(debug_assertions, ignore)]
fn in_two_gib_of_addresses_1000_connections_take_24_mib_and_5000_take_90() {
    for child in ["measured::child_that_holds_1000", "measured::child_that_holds_5000"] {
        let output = limited("-n 6000", child).output().expect("a shell");
        let (told, wrong) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}\n{}", told, wrong);
        told.lines().filter(|line| line.contains("silent")).for_each(|line| println!("{}", line));
    }
}
