//! Deadlines are totals, and ceilings are told.

use super::loopback::{masked, wait_until, Client, Running};
use super::{fast, Told};
use sockling::limits::Limits;
use sockling::prelude::*;
use std::io::Write;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn start(limits: Limits) -> Running {
    let (told, _) = Told::new();
    let hello = |_: &Request| Ok(Response::new().text("hello"));
    Running::start(
        Server::new(vec![Handler::new("/ws", told), Handler::new("/", hello)]).limits(limits),
    )
}

/// Sends an octet every few milliseconds until the server has enough; returns when that was.
fn drip(client: &Client, octets: &[u8]) -> Duration {
    let begun = Instant::now();
    for octet in octets.iter().cycle() {
        if (&client.stream).write_all(&[*octet]).is_err()
            || begun.elapsed() > Duration::from_secs(20)
        {
            break;
        }
        std::thread::sleep(Duration::from_millis(3));
        client.stream.set_nonblocking(true).expect("a socket option");
        let told = client.stream.peek(&mut [0]).is_ok();
        client.stream.set_nonblocking(false).expect("a socket option");
        if told {
            break;
        }
    }
    begun.elapsed()
}

#[test]
fn octets_now_and_then_do_not_extend_the_deadline_of_a_head() {
    let running = start(fast());
    let mut client = Client::connect(running.address);
    client.send(b"GET / HTTP/1.1\r\nX: ");
    let took = drip(&client, b"a");
    assert_eq!(client.reply().status, 408);
    assert!(took >= Duration::from_millis(900), "{:?}", took);
}

#[test]
fn octets_now_and_then_do_not_extend_the_deadline_of_a_body() {
    let running = start(fast());
    let mut client = Client::connect(running.address);
    client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n");
    let took = drip(&client, b"a");
    assert_eq!(client.reply().status, 408);
    assert!(took >= Duration::from_millis(900), "{:?}", took);
}

#[test]
fn octets_now_and_then_do_not_extend_the_deadline_of_a_message() {
    let running = start(Limits { ping_interval: Duration::ZERO, ..fast() });
    let mut client = Client::websocket(running.address, "/ws", "");
    client.send(&masked(0x82, &[0; 1000])[..8]);
    let took = drip(&client, b"a");
    assert_eq!(client.next_close(), (1008, "the message took too long".to_string()));
    assert!(took >= Duration::from_millis(900), "{:?}", took);
}

#[test]
fn a_client_that_says_nothing_is_dropped_without_a_word() {
    let running = start(fast());
    Client::connect(running.address).assert_end();
    // The same between two requests.
    let mut client = Client::connect(running.address);
    assert_eq!(client.get("/", "").status, 200);
    client.assert_end();
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
fn one_connection_more_than_an_address_may_have_is_503() {
    let running = start(Limits { connections_per_address: 2, ..Limits::default() });
    let _inside: Vec<Client> =
        (0..2).map(|_| Client::websocket(running.address, "/ws", "")).collect();
    assert_eq!(Client::connect(running.address).get("/", "").status, 503);
}

#[test]
fn a_client_that_does_not_read_an_answer_is_cut_off_in_time() {
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let large = Arc::new(vec![7u8; 32 * 1024 * 1024]);
    let answer = move |_: &Request| {
        tell.lock().map_err(|_| "poisoned")?.send(()).map_err(Error::other)?;
        Ok(Response::new().body(large.to_vec()))
    };
    // 32 MiB at 16 KiB a second would take long; so the body is what may not be counted on.
    let limits = Limits { connections: 1, ..fast() };
    let running = Running::start(Server::new(vec![Handler::new("/", answer)]).limits(limits));
    let mut client = Client::connect(running.address);
    client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    told.recv().expect("the handler ran");
    // A shutdown does not wait for it either.
    let stuck = running.handle.shutdown();
    assert_eq!(stuck.len(), 1);
    assert_eq!(stuck[0].path, None);
    running.join();
}

#[test]
fn reads_that_end_inside_pings_are_no_message_that_takes_too_long() {
    let running = start(fast());
    let mut client = Client::websocket(running.address, "/ws", "");
    let ping = masked(0x89, b"abcd");
    client.send(&ping[..5]);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1500) {
        // The end of one and the begin of the next.
        client.send(&[&ping[5..], &ping[..5]].concat());
        assert_eq!(client.next().opcode, 10);
    }
    client.send(&ping[5..]);
    assert_eq!(client.next().opcode, 10);
}
