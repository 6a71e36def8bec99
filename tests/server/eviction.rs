//! A full server: idle connections make room for newcomers, and nothing else does.
//!
//! A newcomer waits for 100 ms, which may be too short for a busy machine to end an idle
//! connection. So what must be served is asked for again after a 503, and the deadlines that would
//! end an idle connection by themselves are longer than any test.

use super::loopback::wire::transports;
use super::loopback::{upgrade_request, wait_until, Client, Reply, Running, PATIENCE};
use super::{held, Told};
use sockling::limits::Limits;
use sockling::prelude::*;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const NEVER: Duration = Duration::from_secs(600);

fn limits(connections: usize) -> Limits {
    Limits { connections, head_timeout: NEVER, idle_timeout: NEVER, ..Limits::default() }
}

fn start(limits: Limits) -> Running {
    let hello = |_: &Request| Ok(Response::new().text("hello"));
    let routes = vec![Handler::new("/ws", Told::new().0), Handler::new("/", hello)];
    Running::start(Server::new(routes).limits(limits))
}

/// Returns a connection that is kept alive after one answer.
fn idle(address: SocketAddr) -> Client {
    let mut client = Client::connect(address);
    assert_eq!(client.get("/", "").status, 200);
    client
}

/// Sends a request on a new connection, again after each 503. Returns the connection, and how many
/// attempts it took.
fn admitted(address: SocketAddr, request: &str) -> (Client, Reply, usize) {
    let begun = Instant::now();
    for attempt in 1.. {
        let mut client = Client::connect(address);
        client.send(request.as_bytes());
        // Of a crowd that is refused, not all are told so.
        if matches!(client.stream.peek(&mut [0]), Ok(1)) {
            let reply = client.reply();
            if reply.status != 503 {
                return (client, reply, attempt);
            }
        }
        assert!(begun.elapsed() < PATIENCE, "refused {} times", attempt);
    }
    unreachable!()
}

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn has_ended(client: &mut Client) -> bool {
    client.stream.set_nonblocking(true).expect("a socket option");
    let peeked = client.stream.peek(&mut [0]).map_err(|error| error.kind());
    client.stream.set_nonblocking(false).expect("a socket option");
    !matches!(peeked, Ok(1) | Err(ErrorKind::WouldBlock))
}

fn assert_echoes(client: &mut Client) {
    client.text("still here");
    assert_eq!(client.next_text(), "still here");
}

#[test]
fn an_idle_connection_makes_room_for_a_newcomer_and_ends_silently() {
    let running = start(limits(3));
    let mut websockets = [(); 2].map(|()| Client::websocket(running.address, "/ws", ""));
    let mut first = idle(running.address);
    for _ in 0..5 {
        let (newcomer, reply, _) = admitted(running.address, GET);
        assert_eq!((reply.status, reply.header("connection")), (200, Some("keep-alive")));
        first.assert_end();
        first = newcomer;
    }
    websockets.iter_mut().for_each(assert_echoes);
}

#[test]
fn websockets_running_handlers_and_begun_requests_do_not_make_room() {
    let (held, wait_for_entry, release) = held();
    let echo = |request: &Request| Ok(Response::new().body(request.body()));
    let routes = vec![
        Handler::new("/ws", Told::new().0),
        Handler::new("/held", held),
        Handler::new("/", echo),
    ];
    let running = Running::start(Server::new(routes).limits(limits(3)));
    let mut websocket = Client::websocket(running.address, "/ws", "");
    // All three have been idle before.
    let mut handled = idle(running.address);
    handled.send(b"GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n");
    wait_for_entry.recv_timeout(PATIENCE).expect("the handler runs");
    let mut uploading = idle(running.address);
    uploading.send(
        b"POST / HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n",
    );
    assert_eq!(uploading.reply().status, 100);

    let begun = Instant::now();
    let mut refused = Client::connect(running.address);
    let reply = refused.get("/", "");
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")));
    assert!(begun.elapsed() >= Duration::from_millis(100), "it waited for {:?}", begun.elapsed());
    refused.assert_end();

    release.send(()).expect("the handler waits");
    uploading.send(b"body");
    for (client, text) in [(&mut handled, "finished"), (&mut uploading, "body")] {
        let reply = client.reply();
        assert_eq!((reply.text(), reply.header("connection")), (text, Some("keep-alive")));
    }
    assert_echoes(&mut websocket);
}

#[test]
fn a_crowd_of_browsers_is_served_by_a_small_server_whose_connections_are_all_idle() {
    let small = Limits { head_timeout: NEVER, idle_timeout: NEVER, ..Limits::small() };
    let running = start(small);
    let mut browsers: Vec<Client> = Vec::new();
    // 17 of them with six connections each are two connections too many.
    for _ in 0..20 * 6 {
        let (client, reply, _) = admitted(running.address, GET);
        assert_eq!(reply.status, 200);
        browsers.push(client);
    }
    // A client may see its end a moment after the next one was admitted in its place.
    wait_until("at most 100 connections are left", || {
        browsers.iter_mut().filter_map(|client| (!has_ended(client)).then_some(())).count() <= 100
    });
}

#[test]
fn newcomers_in_parallel_are_all_served_and_each_evicts_one_connection_at_most() {
    const NEWCOMERS: usize = 50;
    let running = start(limits(60));
    let mut idle: Vec<Client> = (0..60).map(|_| idle(running.address)).collect();
    let upgrade = upgrade_request("/ws", "");
    let mut newcomers: Vec<(Client, usize)> = std::thread::scope(|scope| {
        let newcomer = || {
            let (client, reply, attempts) = admitted(running.address, &upgrade);
            assert_eq!(reply.status, 101);
            (client, attempts)
        };
        let threads: Vec<_> = (0..NEWCOMERS).map(|_| scope.spawn(newcomer)).collect();
        threads.into_iter().map(|thread| thread.join().expect("it is served")).collect()
    });
    let attempts: usize = newcomers.iter().map(|(_, attempts)| attempts).sum();
    let mut ended = 0;
    wait_until("as many have ended as had to", || {
        ended = idle.iter_mut().map(|client| usize::from(has_ended(client))).sum();
        ended >= NEWCOMERS
    });
    assert!(ended <= attempts, "{} ended for {}", ended, attempts);
    newcomers.iter_mut().for_each(|(client, _)| assert_echoes(client));
}

#[test]
fn an_address_that_is_full_of_idle_connections_makes_room_for_its_own() {
    let running = start(Limits { connections_per_address: 2, ..limits(0) });
    let mut websocket = Client::websocket(running.address, "/ws", "");
    let mut first = idle(running.address);
    assert_eq!(admitted(running.address, GET).1.status, 200);
    first.assert_end();
    assert_echoes(&mut websocket);
}

#[test]
fn connections_that_have_never_sent_anything_make_room_too() {
    let running = start(limits(2));
    let mut silent = [(); 2].map(|()| Client::connect(running.address));
    // Kept, so that each needs a slot of its own.
    let _inside = [(); 2].map(|()| {
        let (client, reply, _) = admitted(running.address, &upgrade_request("/ws", ""));
        assert_eq!(reply.status, 101);
        client
    });
    silent.iter_mut().for_each(Client::assert_end);
}

transports! {
    all {
        an_idle_connection_makes_room_for_a_newcomer_and_ends_silently
        websockets_running_handlers_and_begun_requests_do_not_make_room
        a_crowd_of_browsers_is_served_by_a_small_server_whose_connections_are_all_idle
        newcomers_in_parallel_are_all_served_and_each_evicts_one_connection_at_most
        connections_that_have_never_sent_anything_make_room_too
    }
    only over TCP: "only addresses are counted" {
        an_address_that_is_full_of_idle_connections_makes_room_for_its_own
    }
}
