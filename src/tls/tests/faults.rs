//! Clients that break a handshake off, talk nonsense or plain HTTP, or never go on; and those that
//! are served all the same.

#[path = "../src/handshake.rs"]
mod handshake;
mod kit;
#[path = "../src/session.rs"]
mod session;
#[path = "../src/stream.rs"]
mod stream;

use kit::{
    client_config, client_session, connect, connect_with, made, quiet, receive_all, send, Running,
    PATIENCE, TLS12, TLS13,
};
use sockling::limits::Limits;
use sockling::net::{Peer, Stream};
use sockling::prelude::*;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use stream::Encrypted;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

fn page(request: &Request) -> Result<Response, Error> {
    let secure = request.is_secure();
    Ok(request.login(7301).text(format!("secure: {}\n", secure)))
}

fn start(limits: Limits) -> Running {
    quiet();
    Running::start(Server::new(vec![Handler::new("/", page)]).limits(limits))
}

fn assert_serves(address: SocketAddr) {
    let client = connect(address);
    send(&client, GET);
    let answer = receive_all(&client);
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", answer.escape_ascii());
}

fn tcp(address: SocketAddr) -> TcpStream {
    let tcp = TcpStream::connect(address).expect("it listens");
    tcp.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    tcp
}

/// Reads what comes until the connection ends, by a reset too.
fn rest(mut tcp: &TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    match tcp.read_to_end(&mut all) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("no end: {}", error),
        _ => all,
    }
}

/// A stream that sends so many bytes and then nothing more.
struct Cut(TcpStream, Arc<AtomicUsize>);

impl Stream for Cut {
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(&mut &self.0, buffer)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.1.load(Ordering::SeqCst);
        let taken = Write::write(&mut &self.0, &bytes[..bytes.len().min(left)])?;
        self.1.fetch_sub(taken, Ordering::SeqCst);
        if taken < bytes.len() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        Ok(taken)
    }

    fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        Stream::set_read_timeout(&self.0, timeout)
    }

    fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        Stream::set_write_timeout(&self.0, timeout)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.0.shutdown(how)
    }
}

/// Runs a client's handshake of which so many bytes are sent. Returns its connection and how many of
/// them were left.
fn cut_off(
    address: SocketAddr,
    version: &'static rustls::SupportedProtocolVersion,
    bytes: usize,
) -> (TcpStream, usize) {
    let (tcp, left) = (tcp(address), Arc::new(AtomicUsize::new(bytes)));
    let inner = Cut(tcp.try_clone().expect("a descriptor"), Arc::clone(&left));
    let session = client_session(client_config(made(), &[version]), "localhost");
    let client = Encrypted::new(Box::new(inner), Peer::named("the server"), session);
    let _ = client.open(Instant::now() + PATIENCE);
    (tcp, left.load(Ordering::SeqCst))
}

#[test]
fn a_handshake_that_ends_at_any_byte_costs_its_own_connection_and_nothing_more() {
    let server = start(Limits::default());
    for version in [&TLS13, &TLS12] {
        let all = 100_000 - cut_off(server.address, version, 100_000).1;
        for bytes in (0..all).step_by(23).chain(all - 3..all) {
            let (tcp, _) = cut_off(server.address, version, bytes);
            tcp.shutdown(Shutdown::Write).expect("it is open");
            rest(&tcp);
        }
    }
    assert_serves(server.address);
}

#[test]
fn a_handshake_that_stops_at_any_byte_ends_with_the_time_for_a_head() {
    let limits = Limits { head_timeout: Duration::from_millis(300), ..Limits::default() };
    let server = start(limits);
    for version in [&TLS13, &TLS12] {
        let all = 100_000 - cut_off(server.address, version, 100_000).1;
        let cut: Vec<TcpStream> =
            (0..all).step_by(41).map(|bytes| cut_off(server.address, version, bytes).0).collect();
        for tcp in &cut {
            rest(tcp);
        }
    }
    assert_serves(server.address);
}

#[test]
fn garbage_is_refused_with_an_alert_or_without() {
    let server = start(Limits::default());
    let mut noise = Vec::new();
    let mut state = 7301_u32;
    for _ in 0..1_000_000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.push((state >> 24) as u8);
    }
    noise[0] = 0xff;
    let record = |kind: u8, length: u16, body: &[u8]| {
        [&[kind, 3, 1], &length.to_be_bytes()[..], body].concat()
    };
    for bytes in [
        noise.clone(),
        vec![0; 1000],
        record(22, 512, &noise[..512]),
        record(22, 0, &[]).repeat(100),
        record(22, 0xffff, &noise[..1000]),
        record(23, 100, &noise[..100]),
        record(21, 2, &[2, 40]),
        record(20, 1, &[1]).repeat(1000),
        // A hello of SSL 2.
        b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10".repeat(5),
    ] {
        let client = tcp(server.address);
        let mut writer = &client;
        // An error means that the server has ended before it was told everything.
        let _ = writer.write_all(&bytes).and_then(|()| client.shutdown(Shutdown::Write));
        let answer = rest(&client);
        assert!(answer.is_empty() || answer[0] == 21, "{}", answer.escape_ascii());
    }
    assert_serves(server.address);
}

#[test]
fn plain_http_is_answered_with_400_in_plain_text() {
    let server = start(Limits::default());
    let body = "x".repeat(1_000_000);
    for request in [
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_string(),
        format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n{}", body),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_string(),
    ] {
        let mut client = tcp(server.address);
        client.write_all(request.as_bytes()).expect("the server reads and drops");
        client.shutdown(Shutdown::Write).expect("it is open");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("no reset");
        let (head, text) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{}", head);
        assert!(head.contains("\r\nContent-Type: text/plain; charset=utf-8\r\n"), "{}", head);
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", text.len())), "{}", head);
        assert_eq!(text, "This port speaks HTTPS only.\n");
    }
    assert_serves(server.address);
}

#[test]
fn a_client_hello_of_64_kib_is_read_whole_and_a_longer_one_refused() {
    let server = start(Limits::default());
    let mut config = client_config(made(), &[&TLS13]);
    let names = (0..250).map(|number| format!("{:0>250}", number).into_bytes());
    config.alpn_protocols = names.chain([b"http/1.1".to_vec()]).collect();
    let client = connect_with(server.address, config, "localhost").expect("a handshake");
    send(&client, GET);
    assert!(receive_all(&client).starts_with(b"HTTP/1.1 200 "));

    // A message of 16 MiB, in records of 16 KiB.
    let client = tcp(server.address);
    let mut hello = vec![1, 0xff, 0xff, 0xff, 3, 3];
    hello.resize(16 * 1024, 0);
    let mut writer = &client;
    for _ in 0..100 {
        let record = [&[22, 3, 1, 0x40, 0][..], &hello].concat();
        if writer.write_all(&record).is_err() {
            break;
        }
        hello.fill(0);
    }
    let _ = client.shutdown(Shutdown::Write);
    let answer = rest(&client);
    assert!(answer.is_empty() || answer[0] == 21, "{}", answer.escape_ascii());
    assert_serves(server.address);
}

#[test]
fn half_open_handshakes_fill_no_server_and_are_refused_without_plain_text() {
    // `SOCKLING_TLS_HALF_OPEN=1000` for more.
    let count = std::env::var("SOCKLING_TLS_HALF_OPEN");
    let count: usize = count.map_or(200, |count| count.parse().expect("a number"));
    let server = start(Limits { connections: count / 4, ..Limits::default() });
    let hello = [&[22, 3, 1, 2, 0, 1][..], &[0; 100]].concat();
    let half_open: Vec<TcpStream> = (0..count)
        .map(|_| {
            let client = tcp(server.address);
            // An error means that it was refused already.
            let _ = (&client).write_all(&hello);
            client
        })
        .collect();
    // One that goes on is served, though none of them ends.
    let end = Instant::now() + PATIENCE;
    loop {
        let config = client_config(made(), &[&TLS13]);
        if let Ok(client) = connect_with(server.address, config, "localhost") {
            send(&client, GET);
            assert!(receive_all(&client).starts_with(b"HTTP/1.1 200 "));
            break;
        }
        assert!(Instant::now() < end, "half-open handshakes keep the server full");
    }
    drop(server);
    for client in &half_open {
        let answer = rest(client);
        assert!(answer.is_empty() || answer[0] == 21, "{}", answer.escape_ascii());
    }
}

#[test]
fn alpn_is_http_1_1_or_none_and_otherwise_alert_120() {
    let server = start(Limits::default());
    let connect = |names: &[&str]| {
        let mut config = client_config(made(), &[&TLS13, &TLS12]);
        config.alpn_protocols = names.iter().map(|name| name.as_bytes().to_vec()).collect();
        connect_with(server.address, config, "localhost")
    };
    for (names, chosen) in [
        (&[][..], None),
        (&["h2", "http/1.1"], Some("http/1.1")),
        (&["http/1.1"], Some("http/1.1")),
    ] {
        let client = connect(names).expect("a handshake");
        let session = client.session.lock().expect("no panic");
        assert_eq!(session.tls.alpn_protocol(), chosen.map(str::as_bytes));
    }
    let error = connect(&["h2", "http/1.0"]).err().expect("an alert").to_string();
    assert!(error.contains("NoApplicationProtocol"), "{}", error);
}

#[test]
fn every_name_gets_the_first_certificate_and_an_address_does_too() {
    let server = start(Limits::default());
    for name in ["localhost", "127.0.0.1"] {
        let config = client_config(made(), &[&TLS13]);
        connect_with(server.address, config, name).expect("it is in the certificate");
    }
    let config = client_config(made(), &[&TLS13]);
    let error = connect_with(server.address, config, "elsewhere.example").err().expect("its name");
    // The client refuses what it was shown; the server has not refused the name.
    assert!(error.to_string().contains("not valid for name"), "{}", error);
}

#[test]
fn requests_are_secure_and_so_are_cookies() {
    let server = start(Limits::default());
    let client = connect(server.address);
    send(&client, GET);
    let answer = String::from_utf8(receive_all(&client)).expect("text");
    assert!(answer.ends_with("secure: true\n"), "{}", answer);
    let cookie = answer.lines().find(|line| line.starts_with("Set-Cookie: ")).expect("a cookie");
    assert!(cookie.contains("; Secure"), "{}", cookie);
}

#[test]
fn the_farewell_of_a_client_is_a_half_close_and_what_is_owed_goes_out() {
    let server = start(Limits::default());
    for version in [&TLS13, &TLS12] {
        let config = client_config(made(), &[version]);
        let client = connect_with(server.address, config, "localhost").expect("a handshake");
        send(&client, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        client.shutdown(Shutdown::Write).expect("it is open");
        let answer = receive_all(&client);
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", answer.escape_ascii());
        // `receive_all` has found the server's farewell, not a cut.
        assert!(answer.ends_with(b"secure: true\n"));
    }
}

#[test]
fn a_second_connection_resumes_the_session_of_the_first() {
    quiet();
    let folder = kit::folder("tickets", &[("chain.pem", &made().chain), ("key.pem", &made().key)]);
    let tcp = sockling::net::Tcp::bind("127.0.0.1:0").expect("a free port");
    let tls = sockling_tls::Tls::from_pem(tcp, folder.join("chain.pem"), folder.join("key.pem"));
    let server = Server::new(vec![Handler::new("/", page)]).listen(tls.expect("they fit"));
    let server = Running::serve(server.expect("it listens"));
    std::fs::remove_dir_all(folder).expect("the folder is there");
    for version in [&TLS13, &TLS12] {
        let config = client_config(made(), &[version]);
        let kind = |config: rustls::ClientConfig| {
            let client = connect_with(server.address, config, "localhost").expect("a handshake");
            send(&client, GET);
            receive_all(&client);
            let kind = client.session.lock().expect("no panic").tls.handshake_kind();
            kind
        };
        assert_eq!(kind(config.clone()), Some(rustls::HandshakeKind::Full));
        assert_eq!(kind(config), Some(rustls::HandshakeKind::Resumed));
    }
}
