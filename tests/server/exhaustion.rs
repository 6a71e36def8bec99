//! A system that has no descriptors or threads left. What is tried is in a child process, since its
//! limits hold for all of a process.
#![cfg(target_os = "linux")]

use super::loopback::child::{limited, Child};
use super::loopback::wire::Wire;
use super::loopback::{bind, wait_until, Client, PATIENCE};
use super::Told;
use sockling::limits::Limits;
use sockling::prelude::*;
use std::fs;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

/// Stack of a child's threads, so large that few fit into a small address space.
const STACK: usize = 64 * 1024 * 1024;

/// The server of this file's tests. Not a test: they start it.
#[test]
#[ignore]
fn child() {
    let (told, _) = Told::new();
    let hello = |_: &Request| Ok(Response::new().text("hello"));
    let routes = vec![Handler::new("/ws", told), Handler::new("/", hello)];
    let limits =
        Limits { connections: 0, stack: STACK, head_timeout: PATIENCE, ..Limits::default() };
    let listening = bind(Server::new(routes).limits(limits));
    println!("\nlistening on {}", listening.address());
    listening.serve().expect("a thread");
}

/// What is tried where there are no descriptors. Not a test: one starts it.
#[test]
#[ignore]
fn child_without_descriptors() {
    let draw = || [SessionKeys::random(), SessionKeys::new(["a key that is long enough"])];
    let opened: Vec<_> = (0..100).map_while(|_| fs::File::open("/dev/null").ok()).collect();
    assert!(opened.len() < 100, "there is a limit");
    for keys in draw() {
        assert!(matches!(keys, Err(Error::Entropy(_))), "{:?}", keys);
    }
    assert!(matches!(Server::new(Vec::new()).bind("127.0.0.1:0"), Err(Error::Bind { .. })));
    drop(opened);
    assert!(draw().iter().all(Result::is_ok));
    println!("\nas it should be");
}

fn start(limit: &str) -> Child {
    Child::start(&mut limited(limit, "exhaustion::child"))
}

#[test]
fn without_descriptors_the_server_neither_dies_nor_spins_and_later_serves_the_clients_that_waited()
{
    let server = start("-n 40");
    let mut inside: Vec<Client> = Vec::new();
    // More than there are descriptors for: the system takes them in, the server cannot.
    let mut waiting: Vec<Client> = (0..60).map(|_| Client::connect(server.address)).collect();
    let ask = |client: &mut Client| {
        client.send(super::loopback::upgrade_request("/ws", "").as_bytes());
    };
    waiting.iter_mut().for_each(ask);
    // The first ones are served, in the order in which they came.
    while inside.len() < 20 {
        let mut client = waiting.remove(0);
        assert_eq!(client.reply().status, 101);
        inside.push(client);
    }
    let before = server.ticks();
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        inside[7].text("still here");
        assert_eq!(inside[7].next_text(), "still here");
        std::thread::sleep(Duration::from_millis(20));
    }
    let ticks = server.ticks() - before;
    assert!(ticks < 20, "{} hundredths of a second of work in a second", ticks);
    // A client that leaves makes room for one that waits.
    inside.clear();
    for client in &mut waiting[..15] {
        assert_eq!(client.reply().status, 101);
    }
}

#[test]
fn without_threads_a_client_is_told_503_and_the_server_goes_on() {
    // Room for about ten stacks.
    let server = start("-v 900000");
    let mut inside: Vec<Client> = Vec::new();
    let refusal = loop {
        let (client, reply) = Client::upgrade(server.address, "/ws", "");
        match reply.status {
            101 => inside.push(client),
            _ => break reply,
        }
        assert!(inside.len() < 20, "they do not fit");
    };
    assert_eq!((refusal.status, refusal.header("retry-after")), (503, Some("1")));
    assert!(inside.len() >= 3, "{} fitted", inside.len());
    for _ in 0..20 {
        assert_eq!(Client::connect(server.address).get("/", "").status, 503);
    }
    for client in &mut inside {
        client.text("still here");
        assert_eq!(client.next_text(), "still here");
    }
    let threads = server.status("Threads");
    inside.truncate(1);
    wait_until("there is room again", || {
        Client::connect(server.address).get("/", "").status == 200
    });
    assert!(server.status("Threads") <= threads);
}

#[test]
fn without_random_numbers_there_are_no_keys_and_later_there_are() {
    let output =
        limited("-n 40", "exhaustion::child_without_descriptors").output().expect("a shell");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("as it should be"), "{}", text);
}

#[test]
fn without_even_one_thread_serve_is_an_error_and_nobody_listens() {
    // More than any system has.
    let limits = Limits { stack: usize::MAX / 4, ..Limits::default() };
    let listening = bind(Server::new(Vec::new()).limits(limits));
    let address = listening.address();
    let handle = listening.handle();
    let (tell, told) = channel();
    std::thread::spawn(move || tell.send(listening.serve()));
    let served = told.recv_timeout(PATIENCE).expect("it returns");
    assert!(matches!(served, Err(Error::Io(_))), "{:?}", served);
    assert!(Wire::connect(address).is_err(), "nobody listens");
    assert_eq!(handle.shutdown(), []);
}
