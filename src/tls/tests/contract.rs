//! The contract of a stream: an encrypted one keeps it over each transport, with TLS 1.3 and 1.2,
//! and over streams that tear what passes.

#[path = "../src/handshake.rs"]
mod handshake;
mod kit;
#[path = "../src/session.rs"]
mod session;
#[path = "../src/stream.rs"]
mod stream;

use kit::{client_over, server_over, TLS12, TLS13};
use rustls::SupportedProtocolVersion;
use sockling::net::Stream;
use sockling::testing::{conformance, Memory, Tearing};
use std::net::{TcpListener, TcpStream};

fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let far = TcpStream::connect(listener.local_addr().expect("an address")).expect("it listens");
    (listener.accept().expect("a client").0, far)
}

fn keeps_the_contract<S: Stream + 'static>(
    pair: fn() -> (S, S),
    version: &'static SupportedProtocolVersion,
) {
    conformance(|| {
        let (near, far) = pair();
        let near = server_over(Box::new(near), &[version]);
        (Box::new(near), Box::new(client_over(Box::new(far), &[version])))
    });
    for seed in [1, 2, 3] {
        conformance(|| {
            let (near, far) = pair();
            let near = server_over(Box::new(Tearing::new(near, seed)), &[version]);
            (Box::new(near), Box::new(client_over(Box::new(far), &[version])))
        });
    }
}

#[test]
fn over_tcp_it_keeps_the_contract() {
    keeps_the_contract(tcp, &TLS13);
}

#[test]
fn over_tcp_with_tls_1_2_it_keeps_the_contract() {
    keeps_the_contract(tcp, &TLS12);
}

#[cfg(unix)]
#[test]
fn over_a_unix_socket_it_keeps_the_contract() {
    keeps_the_contract(|| std::os::unix::net::UnixStream::pair().expect("descriptors"), &TLS13);
}

#[test]
fn in_memory_it_keeps_the_contract() {
    keeps_the_contract(Memory::pair, &TLS13);
}

#[test]
fn in_memory_with_tls_1_2_it_keeps_the_contract() {
    keeps_the_contract(Memory::pair, &TLS12);
}

#[test]
fn a_stream_that_tears_what_it_gives_to_an_encrypted_one_keeps_the_contract() {
    for seed in [4, 5, 6] {
        conformance(|| {
            let (near, far) = Memory::pair();
            let near = server_over(Box::new(Tearing::new(near, seed)), &[&TLS13]);
            let far = client_over(Box::new(far), &[&TLS13]);
            (Box::new(Tearing::new(near, seed)), Box::new(far))
        });
    }
}

#[test]
fn an_encrypted_stream_around_an_encrypted_one_keeps_the_contract() {
    conformance(|| {
        let (near, far) = Memory::pair();
        let near = server_over(Box::new(near), &[&TLS13]);
        let far = client_over(Box::new(far), &[&TLS13]);
        kit::open(&near, &far);
        let near = server_over(Box::new(near), &[&TLS12]);
        (Box::new(near), Box::new(client_over(Box::new(far), &[&TLS12])))
    });
}
