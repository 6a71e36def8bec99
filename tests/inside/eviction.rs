//! Which connection makes room for a newcomer, which newcomer gets the slot, and what becomes of a
//! request that crosses.

use super::checks::conversation::HANDSHAKE;
use super::served::{routes, service};
use super::{Script, Stub};
use crate::ground::limits::{Limits, SILENT};
use crate::ground::peer::Peer;
use crate::net::reader::Socket;
use crate::server::connection::serve;
use crate::server::connections::{Connections, SlotGuard};
use crate::websocket::close::{CloseCode, CloseFrame};
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

fn connections(connections: usize, connections_per_address: usize) -> Arc<Connections> {
    Connections::new(&Limits { connections, connections_per_address, ..Limits::default() })
}

/// A connection from an address, or from one of a proxy's.
struct Admitted {
    stub: Arc<Stub>,
    slot: Option<SlotGuard>,
}

fn guard(connections: &Arc<Connections>, ip: &str, proxy: bool) -> Admitted {
    let stub = Stub::new(Script::default());
    let peer = Peer::from(ip.parse::<IpAddr>().expect("an address"));
    let slot = connections.admit(stub.clone(), &peer, proxy);
    Admitted { stub, slot }
}

impl Admitted {
    /// Makes it idle, later than all that were before.
    fn idle(self, first: bool) -> Admitted {
        let now = Instant::now();
        while Instant::now() == now {}
        self.slot.as_ref().expect("it was admitted").set_idle(first);
        self
    }

    fn was_asked(&self) -> bool {
        self.stub.script().receives_no_more
    }
}

/// Has a newcomer wait on a thread of its own.
fn newcomer(connections: &Arc<Connections>) -> JoinHandle<Admitted> {
    let connections = Arc::clone(connections);
    std::thread::spawn(move || guard(&connections, "192.0.2.2", false))
}

fn wait_until(so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < PATIENCE, "it never happened");
        std::thread::yield_now();
    }
}

/// Returns which of them were asked to make room.
fn asked(all: &[&Admitted]) -> Vec<bool> {
    all.iter().map(|admitted| admitted.was_asked()).collect()
}

#[test]
fn the_longest_idle_of_the_newcomers_network_makes_room_first_and_then_the_longest_idle() {
    let connections = connections(5, 0);
    let [busy, stranger, own, own_younger, again] =
        ["fd00::1", "fd00:1::1", "fd00::2", "fd00::3", "fd00::4"].map(|ip| {
            let admitted = guard(&connections, ip, false);
            admitted.idle(false)
        });
    assert!(!busy.slot.as_ref().expect("room").set_busy(), "nobody asked it to end");
    // A request later it is the youngest.
    again.slot.as_ref().expect("room").set_busy();
    let again = again.idle(false);
    let all = [&busy, &stranger, &own, &own_younger, &again];
    // None leaves, so each newcomer is refused, and has asked one.
    for (newcomer, expected) in [
        ("fd00::9", [false, false, true, false, false]),
        ("fd00:9::", [false, true, true, false, false]),
        ("fd00:9::", [false, true, true, true, false]),
        ("fd00:1::9", [false, true, true, true, true]),
        ("fd00::9", [false, true, true, true, true]),
    ] {
        assert!(guard(&connections, newcomer, false).slot.is_none());
        assert_eq!(asked(&all), expected, "after {}", newcomer);
    }
    assert!(own.slot.as_ref().expect("room").set_busy(), "it knows that it is to end");
}

#[test]
fn where_an_address_has_all_its_slots_only_one_of_its_own_connections_makes_room() {
    let connections = connections(0, 1);
    let stranger = guard(&connections, "192.0.2.2", false).idle(false);
    let proxy = guard(&connections, "192.0.2.1", true).idle(false);
    let own = guard(&connections, "192.0.2.1", false).idle(false);
    for _ in 0..2 {
        assert!(guard(&connections, "192.0.2.1", false).slot.is_none());
        assert_eq!(asked(&[&stranger, &proxy, &own]), [false, false, true]);
    }
    assert!(guard(&connections, "192.0.2.3", false).slot.is_some(), "another address has room");
    assert_eq!(asked(&[&stranger, &proxy, &own]), [false, false, true]);
}

#[test]
fn a_connection_that_has_just_come_has_its_time_to_send_something() {
    let connections = connections(1, 0);
    let begun = Instant::now();
    let silent = guard(&connections, "192.0.2.1", false).idle(true);
    let mut newcomer = guard(&connections, "192.0.2.1", false);
    assert!(!silent.was_asked() || begun.elapsed() >= SILENT);
    while !silent.was_asked() {
        assert!(newcomer.slot.is_none() && begun.elapsed() < PATIENCE);
        newcomer = guard(&connections, "192.0.2.1", false);
    }
    assert!(begun.elapsed() >= SILENT);
}

#[test]
fn a_slot_that_becomes_free_goes_to_the_newcomer_that_waits_and_not_to_a_later_one() {
    let connections = connections(1, 0);
    // A newcomer that is not woken in time is refused, and all begins again.
    for _ in 0..100 {
        let leaving = guard(&connections, "192.0.2.1", false).idle(false);
        let waits = newcomer(&connections);
        wait_until(|| leaving.was_asked());
        drop(leaving);
        let later = guard(&connections, "192.0.2.3", false);
        if waits.join().expect("no panic").slot.is_some() {
            assert!(later.slot.is_none(), "there is one slot");
            return;
        }
    }
    panic!("never given");
}

#[test]
fn a_connection_that_becomes_idle_while_a_newcomer_waits_makes_room_at_once() {
    let connections = connections(1, 0);
    // As above.
    for _ in 0..100 {
        let busy = guard(&connections, "192.0.2.1", false);
        let waits = newcomer(&connections);
        wait_until(|| connections.seeking.load(Ordering::Relaxed) == 1 || waits.is_finished());
        connections.len(); // after which it has looked for an idle one, and waits
        assert!(!busy.was_asked());
        let busy = busy.idle(false);
        wait_until(|| busy.was_asked() || waits.is_finished());
        drop(busy);
        if waits.join().expect("no panic").slot.is_some() {
            return;
        }
    }
    panic!("never given");
}

#[test]
fn newcomers_that_wait_are_refused_when_the_server_closes() {
    let connections = connections(1, 0);
    let leaving = guard(&connections, "192.0.2.1", false);
    let waits = newcomer(&connections);
    wait_until(|| connections.seeking.load(Ordering::Relaxed) == 1 || waits.is_finished());
    connections.close(&CloseFrame { code: CloseCode::GOING_AWAY, reason: String::new() });
    drop(leaving);
    assert!(waits.join().expect("no panic").slot.is_none());
    assert_eq!((connections.len(), connections.seeking.load(Ordering::Relaxed)), (0, 0));
}

/// What has a connection end that is idle after an answer.
#[derive(Clone, Copy, Debug)]
enum Asks {
    Newcomer,
    Shutdown,
}

const GET: &[u8] = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

/// Returns what a connection writes after its first answer when it is then asked to end and this
/// crosses, a piece for each time that it finds the end.
fn crossing(asks: Asks, crosses: &[&'static [u8]]) -> String {
    let limits = Limits { connections: 1, ..Limits::default() };
    let script = Script { crosses: crosses.iter().copied().collect(), ..staying(GET) };
    let stub = while_served(script, limits, |stub, connections| {
        wait_until(|| stub.script().output.ends_with(b"\r\n\r\n"));
        match asks {
            // A newcomer that gives up before the connection has ended is followed by another one.
            Asks::Newcomer => {
                wait_until(|| guard(connections, "192.0.2.2", false).slot.is_some());
            }
            Asks::Shutdown => {
                let reason = String::new();
                connections.close(&CloseFrame { code: CloseCode::GOING_AWAY, reason });
            }
        }
    });
    let output = String::from_utf8(stub.script().output.clone()).expect("text");
    let (first, rest) = output.split_once("\r\n\r\n").expect("an answer");
    assert!(first.starts_with("HTTP/1.1 200 OK\r\n") && !first.contains("close"), "{}", first);
    rest.to_string()
}

#[test]
fn a_connection_that_is_asked_to_end_and_to_which_nothing_crosses_ends_silently() {
    for asks in [Asks::Newcomer, Asks::Shutdown] {
        assert_eq!(crossing(asks, &[]), "", "{:?}", asks);
    }
}

/// Returns a client that sends this and stays.
fn staying(input: &[u8]) -> Script {
    Script { input: input.iter().copied().collect(), stays: true, ..Script::default() }
}

/// Serves a client until its connection is over, while `then` runs. Returns its stub.
fn while_served(
    client: Script,
    limits: Limits,
    then: impl FnOnce(&Stub, &Arc<Connections>),
) -> Arc<Stub> {
    let (connections, service) = (Connections::new(&limits), service(limits));
    let stub = Stub::new(client);
    let peer = Peer::from(IpAddr::from([192, 0, 2, 1]));
    let slot = connections.admit(stub.clone(), &peer, false).expect("room");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Moved, so that it ends with the connection.
            let slot = slot;
            serve(&routes().0, &service, Socket::new(stub.clone(), 4096), &slot);
        });
        then(&stub, &connections);
    });
    stub
}

/// Serves a client that sends this and stays, until what follows the server's end of the connection
/// has been done with its stub.
fn while_parting(input: &[u8], limits: Limits, then: impl FnOnce(&Stub, &Arc<Connections>)) {
    while_served(staying(input), limits, |stub, connections| {
        wait_until(|| stub.script().unread_at_end.is_some());
        then(stub, connections);
        stub.script().stays = false;
    });
}

#[test]
fn a_connection_that_waits_for_its_client_to_read_the_last_answer_makes_room() {
    let idle_timeout = Duration::from_millis(50);
    let limits = Limits { connections: 1, idle_timeout, ..Limits::default() };
    // What ends the connection: the client, the idle timeout, an invalid head.
    for input in [&b"GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"[..], GET, b"GET\r\n"]
    {
        let begun = Instant::now();
        while_parting(input, limits.clone(), |stub, connections| {
            wait_until(|| guard(connections, "192.0.2.2", false).slot.is_some());
            // It was asked, and has not ended by itself.
            assert!(stub.script().receives_no_more && begun.elapsed() >= SILENT);
        });
    }
}

#[test]
fn a_request_that_comes_after_the_idle_timeout_is_read_so_that_no_reset_takes_the_last_answer() {
    let idle_timeout = Duration::from_millis(50);
    let limits = Limits { idle_timeout, ..Limits::default() };
    while_parting(GET, limits, |stub, _| {
        stub.script().input.extend(GET);
        wait_until(|| stub.script().input.is_empty());
        let answers = stub.script().output.windows(5).filter(|five| five == b"HTTP/").count();
        assert_eq!(answers, 1, "it came too late");
    });
}

#[test]
fn a_request_that_crosses_is_answered_and_its_answer_says_that_the_connection_closes() {
    const POST: &[u8] = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n";
    const CHUNKED: &[u8] = b"POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    for asks in [Asks::Newcomer, Asks::Shutdown] {
        for (crosses, body) in [
            (&[GET][..], ""),
            (&[&GET[..9], &GET[9..]], ""),
            (&[POST, b"bo", b"dy"], "body"),
            (&[CHUNKED, b"4\r\nbody", b"\r\n0\r\n\r\n"], "body"),
            // The rest comes late: some looks find nothing.
            (&[&GET[..9], b"", b"", &GET[9..]], ""),
            (&[POST, b"", b"", b"", b"body"], "body"),
        ] {
            let answer = crossing(asks, crosses);
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{:?} {}", asks, answer);
            assert!(answer.contains("\r\nConnection: close\r\n"), "{:?} {}", asks, answer);
            assert!(answer.ends_with(&format!("\r\n\r\n{}", body)), "{:?} {}", asks, answer);
        }
    }
}

#[test]
fn a_request_that_crosses_is_answered_by_a_stream_unless_the_server_shuts_down() {
    const STREAM: &[u8] = b"GET /stream HTTP/1.1\r\nHost: h\r\n\r\n";
    let answer = crossing(Asks::Newcomer, &[STREAM]);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{}", answer);
    assert!(answer.contains("\r\nConnection: close\r\n"), "{}", answer);
    assert!(answer.ends_with("\r\n\r\n1\r\n!\r\n0\r\n\r\n"), "{}", answer);
    let answer = crossing(Asks::Shutdown, &[STREAM]);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{}", answer);
}

#[test]
fn a_request_whose_beginning_crosses_and_whose_rest_does_not_is_told_503_and_not_asked_for_it() {
    const POST: &[u8] = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n";
    const EXPECTS: &[u8] =
        b"POST /a HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    for asks in [Asks::Newcomer, Asks::Shutdown] {
        for crosses in [&[&GET[..9]][..], &[POST, b"bo"], &[EXPECTS]] {
            let answer = crossing(asks, crosses);
            assert!(answer.starts_with("HTTP/1.1 503 "), "{:?} {}", asks, answer);
            assert!(answer.contains("\r\nConnection: close\r\n"), "{:?} {}", asks, answer);
        }
    }
}

#[test]
fn a_websocket_cannot_open_on_a_connection_that_is_to_end_and_is_told_so() {
    for asks in [Asks::Newcomer, Asks::Shutdown] {
        let answer = crossing(asks, &[HANDSHAKE]);
        assert!(answer.starts_with("HTTP/1.1 503 "), "{}", answer);
        assert!(answer.contains("\r\nRetry-After: 1\r\n"), "{}", answer);
        assert!(answer.contains("\r\nConnection: close\r\n"), "{}", answer);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn linux_delivers_what_arrives_after_the_receiving_side_was_shut() {
    use crate::net::stream::Stream;
    use std::io::Write;
    use std::net::{Shutdown, TcpListener, TcpStream};

    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut client =
        TcpStream::connect(listener.local_addr().expect("it is bound")).expect("it listens");
    let (stream, _) = listener.accept().expect("a connection");
    let stream: Arc<dyn Stream> = Arc::new(stream);
    stream.set_read_timeout(PATIENCE).expect("a socket option");
    stream.shutdown(Shutdown::Read).expect("it is open");
    let mut buffer = [0; 64];
    assert_eq!(stream.read(&mut buffer).expect("no failure"), 0);
    client.write_all(GET).expect("it reads");
    let begun = Instant::now();
    let bytes = loop {
        match stream.read(&mut buffer).expect("no failure") {
            0 => assert!(begun.elapsed() < PATIENCE, "it never comes"),
            bytes => break bytes,
        }
    };
    assert_eq!(&buffer[..bytes], GET);
}
