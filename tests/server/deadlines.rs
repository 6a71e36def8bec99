//! Deadlines are totals, and ceilings are told.

use super::loopback::wire::transports;
use super::loopback::{bind, masked, wait_until, Client, Frame, Running};
use super::{patient, Told};
use sockling::limits::Limits;
use sockling::prelude::*;
use std::io::Write;
use std::sync::mpsc::{channel, RecvTimeoutError};
use std::thread::Builder;
use std::time::{Duration, Instant};

fn server(limits: Limits) -> Server {
    let (told, _) = Told::new();
    let hello = |_: &Request| Ok(Response::new().text("hello"));
    Server::new(vec![Handler::new("/ws", told), Handler::new("/", hello)]).limits(limits)
}

fn start(limits: Limits) -> Running {
    Running::start(server(limits))
}

/// Starts a server and connects a client whose request is there before the server is: no deadline
/// can pass before it. Returns both after the answer.
fn start_and_ask(limits: Limits) -> (Running, Client) {
    let listening = bind(server(limits));
    let mut client = Client::connect(listening.address());
    client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let running = Running::serve(listening);
    assert_eq!(client.reply().status, 200);
    (running, client)
}

/// The one deadline of a case; the others are those of patient limits.
const SHORT: Duration = Duration::from_secs(1);
/// When the end of a case is late, whatever the machine.
const LATE: Duration = Duration::from_secs(20);

/// What has been before the deadline begins.
#[derive(Clone, Copy)]
enum Before {
    Connect,
    Answer,
    Websocket,
    /// The server has sent a Close frame.
    Close,
}

/// How a client sees the end.
#[derive(Clone, Copy)]
enum End {
    Status(u16),
    Code(u16),
    Silent,
}

impl Before {
    fn start(self, limits: Limits) -> (Running, Client) {
        if let Before::Answer = self {
            return start_and_ask(limits);
        }
        let running = start(limits);
        if let Before::Connect = self {
            let client = Client::connect(running.address);
            return (running, client);
        }
        let mut client = Client::websocket(running.address, "/ws", "");
        if let Before::Close = self {
            client.text("close");
            assert_eq!(client.next_close().0, 4000);
        }
        (running, client)
    }
}

impl End {
    fn wait(self, client: &mut Client) {
        match self {
            End::Status(status) => assert_eq!(client.reply().status, status),
            End::Silent => client.assert_end(),
            End::Code(code) => loop {
                match client.next() {
                    Frame { opcode: 10, .. } => {} // a ping of ours was answered
                    Frame { opcode: 8, payload } => {
                        break assert_eq!(payload[..2], code.to_be_bytes())
                    }
                    other => panic!("{:?}", other),
                }
            },
        }
    }
}

/// A name, what has been before, the limits, what is sent once and what again and again, the end.
type Case<'a> = (&'static str, Before, &'a Limits, &'static [u8], &'static [u8], End);

/// Sends a piece again and again while `wait` waits for the end, but not when that is late.
fn drip(client: &mut Client, piece: &[u8], wait: impl FnOnce(&mut Client)) {
    let mut stream = client.stream.try_clone().expect("a second handle");
    let pause = Duration::from_millis(20);
    let (dropped_at_the_end, is_dropped) = channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let begun = Instant::now();
            while is_dropped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                // Fails when the server has ended the connection.
                if stream.write_all(piece).is_err() || begun.elapsed() > LATE {
                    break;
                }
            }
        });
        wait(client);
        drop(dropped_at_the_end); // also by a panic
    });
}

#[test]
fn each_deadline_is_a_total_and_ends_what_it_is_for_in_time() {
    let head = Limits { head_timeout: SHORT, ..patient() };
    let body = Limits { body_timeout: SHORT, ..patient() };
    // These do not wait for an answer to the Close frame.
    let told = Limits { close_timeout: Duration::ZERO, ..patient() };
    let message = Limits { message_timeout: SHORT, ..told.clone() };
    let idle = Limits { idle_timeout: SHORT, ..patient() };
    let close = Limits { close_timeout: SHORT, ..patient() };
    let pong = Limits { ping_interval: SHORT / 2, pong_timeout: SHORT / 2, ..told };
    let cases: [Case; 13] = [
        ("silence", Before::Connect, &head, b"", b"", End::Silent),
        ("a head", Before::Connect, &head, b"GET / HTTP/1.1\r\nX: ", b"a", End::Status(408)),
        ("an empty line", Before::Connect, &head, b"\r\n", b"", End::Status(408)),
        (
            "a handshake",
            Before::Connect,
            &head,
            b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\nX: ",
            b"a",
            End::Status(408),
        ),
        (
            "a body",
            Before::Connect,
            &body,
            b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n",
            b"a",
            End::Status(408),
        ),
        (
            "chunks",
            Before::Connect,
            &body,
            b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"1\r\na\r\n",
            End::Status(408),
        ),
        ("silence after an answer", Before::Answer, &idle, b"", b"", End::Silent),
        ("a second head", Before::Answer, &head, b"G", b"", End::Status(408)),
        ("half a frame", Before::Websocket, &message, b"\x82\xfe\x04\0", b"a", End::Code(1008)),
        (
            "empty fragments",
            Before::Websocket,
            &message,
            b"\x01\x80\0\0\0\0",
            b"\0\x80\0\0\0\0\x89\x80\0\0\0\0", // each with a ping behind it
            End::Code(1008),
        ),
        ("no pong", Before::Websocket, &pong, b"", b"", End::Code(1011)),
        ("no Close frame", Before::Close, &close, b"", b"", End::Silent),
        ("text in its place", Before::Close, &close, b"", b"\x81\x80\0\0\0\0", End::Silent),
    ];
    std::thread::scope(|scope| {
        for (what, before, limits, once, again, end) in cases {
            let named = Builder::new().name(what.to_string()); // for the text of a panic
            let case = move || {
                let begun = Instant::now();
                let (_running, mut client) = before.start(limits.clone());
                client.send(once);
                let mut took = Duration::ZERO;
                drip(&mut client, again, |client| {
                    end.wait(client);
                    took = begun.elapsed();
                });
                assert!(took >= SHORT && took < LATE, "{:?}", took);
                client.assert_end();
            };
            named.spawn_scoped(scope, case).expect("a thread");
        }
    });
}

#[test]
fn what_is_in_time_is_not_cut_off_by_another_deadline() {
    const PAUSE: Duration = Duration::from_millis(1500);
    let short = Duration::from_millis(500);
    std::thread::scope(|scope| {
        // What has come of a body has earned time for the rest.
        scope.spawn(|| {
            let running = start(Limits { body_timeout: short, min_rate: 50, ..patient() });
            let mut client = Client::connect(running.address);
            let head = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 6000\r\n\r\n";
            client.send(&[&head[..], &[b'a'; 5000]].concat());
            std::thread::sleep(PAUSE);
            client.send(&[b'a'; 1000]);
            assert_eq!(client.reply().status, 200);
        });
        // The deadline of a head begins with the head.
        scope.spawn(|| {
            let (_running, mut client) = start_and_ask(Limits { head_timeout: short, ..patient() });
            std::thread::sleep(PAUSE);
            assert_eq!(client.get("/", "").status, 200);
        });
        // So does that of a message.
        scope.spawn(|| {
            let running = start(Limits { message_timeout: short, ..patient() });
            let mut client = Client::websocket(running.address, "/ws", "");
            for text in ["before", "after"] {
                client.text(text);
                assert_eq!(client.next_text(), text);
                std::thread::sleep(PAUSE / 2);
            }
        });
    });
}

#[test]
fn one_connection_more_than_there_may_be_is_503_until_one_ends() {
    let running = start(Limits { connections: 3, ..Limits::default() });
    let mut inside: Vec<Client> =
        (0..3).map(|_| Client::websocket(running.address, "/ws", "")).collect();
    let reply = Client::connect(running.address).get("/", "");
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    assert_eq!(reply.header("connection"), Some("close"));
    inside.pop();
    wait_until("there is room again", || {
        Client::connect(running.address).get("/", "").status == 200
    });
    inside[0].text("still here");
    assert_eq!(inside[0].next_text(), "still here");
}

#[test]
fn one_connection_more_than_an_address_may_have_is_503_until_one_ends() {
    let running = start(Limits { connections_per_address: 2, ..Limits::default() });
    let mut inside: Vec<Client> =
        (0..2).map(|_| Client::websocket(running.address, "/ws", "")).collect();
    assert_eq!(Client::connect(running.address).get("/", "").status, 503);
    inside.pop();
    wait_until("there is room again", || {
        Client::connect(running.address).get("/", "").status == 200
    });
}

#[test]
fn reads_that_end_inside_pings_are_no_message_that_takes_too_long() {
    let message_timeout = Duration::from_secs(3);
    let running = start(Limits { message_timeout, ..patient() });
    let mut client = Client::websocket(running.address, "/ws", "");
    let ping = masked(0x89, b"abcd");
    let begun = Instant::now();
    client.send(&ping[..5]);
    while begun.elapsed() < message_timeout + SHORT / 2 {
        // The end of one and the begin of the next.
        client.send(&[&ping[5..], &ping[..5]].concat());
        assert_eq!(client.next().opcode, 10);
    }
    client.send(&ping[5..]);
    assert_eq!(client.next().opcode, 10);
}

#[test]
fn a_pause_in_an_upload_that_is_refused_costs_the_client_no_answer() {
    let running = start(Limits { body: 10, ..patient() });
    let mut client = Client::connect(running.address);
    client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\nsome");
    // As on a mobile network.
    std::thread::sleep(SHORT);
    for _ in 0..10 {
        // Fails after a reset.
        client.send(&[b'x'; 100_000]);
    }
    let reply = client.reply();
    assert_eq!((reply.status, reply.header("connection")), (413, Some("close")));
    client.assert_end();
}

#[test]
fn an_answer_that_is_still_being_read_survives_the_idle_timeout_and_a_request_after_it() {
    const LENGTH: usize = 1_000_000;
    let idle_timeout = Duration::from_millis(20);
    let large = |_: &Request| Ok(Response::new().body(vec![b'x'; LENGTH]));
    let server = Server::new(vec![Handler::new("/", large)]);
    let running = Running::start(server.limits(Limits { idle_timeout, ..patient() }));
    let mut client = Client::connect(running.address);
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    client.send(request);
    std::thread::sleep(SHORT / 2);
    client.send(request);
    std::thread::sleep(SHORT / 2);
    assert!(client.read_to_end().ends_with(&[b'x'; LENGTH]));
}

transports! {
    all {
        each_deadline_is_a_total_and_ends_what_it_is_for_in_time
        what_is_in_time_is_not_cut_off_by_another_deadline
        one_connection_more_than_there_may_be_is_503_until_one_ends
        reads_that_end_inside_pings_are_no_message_that_takes_too_long
        a_pause_in_an_upload_that_is_refused_costs_the_client_no_answer
        an_answer_that_is_still_being_read_survives_the_idle_timeout_and_a_request_after_it
    }
    only over TCP: "only addresses are counted" {
        one_connection_more_than_an_address_may_have_is_503_until_one_ends
    }
}
