//! The example as it is started: two clients talk over `wss`, and plain HTTP is sent to `https`.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

struct Chat {
    process: Child,
    folder: PathBuf,
    tls: SocketAddr,
    plain: SocketAddr,
}

impl Chat {
    fn start(name: &str) -> Chat {
        let name = format!("sockling-example-{}-{}", name, std::process::id());
        let folder = std::env::temp_dir().join(name);
        let mut process = Command::new(env!("CARGO_BIN_EXE_tls"))
            .env("CHAT_ADDR", "127.0.0.1:0")
            .env("CHAT_PLAIN_ADDR", "127.0.0.1:0")
            .env("CHAT_FOLDER", &folder)
            .env("SOCKLING_LOG", "info")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the example");
        let mut lines = BufReader::new(process.stderr.take().expect("a pipe")).lines();
        // The two servers say where they listen in any order.
        let (mut tls, mut plain) = (None, None);
        while tls.is_none() || plain.is_none() {
            let line = lines.next().expect("it says where it listens").expect("text");
            let port = |start: &str| {
                let (_, rest) = line.split_once(start)?;
                rest.trim_end_matches('/').parse::<u16>().ok()
            };
            tls = tls.or(port("listening on https://localhost:"));
            plain = plain.or(port("listening on http://localhost:"));
        }
        std::thread::spawn(move || lines.for_each(drop));
        let address = |port: Option<u16>| ([127, 0, 0, 1], port.expect("it is there")).into();
        Chat { process, folder, tls: address(tls), plain: address(plain) }
    }

    fn connect(&self) -> StreamOwned<ClientConnection, TcpStream> {
        let authority = self.folder.join("localhost-authority.pem");
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(authority).expect("a certificate"))
            .expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = "localhost".try_into().expect("a name");
        let session = ClientConnection::new(Arc::new(config), name).expect("a session");
        let tcp = TcpStream::connect(self.tls).expect("it listens");
        tcp.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        StreamOwned::new(session, tcp)
    }

    /// Opens a WebSocket of this name.
    fn enter(&self, name: &str) -> StreamOwned<ClientConnection, TcpStream> {
        let mut client = self.connect();
        let port = self.tls.port();
        write!(
            client,
            "GET /tea?name={} HTTP/1.1\r\nHost: localhost:{}\r\nOrigin: https://localhost:{}\r\n\
             Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            name, port, port
        )
        .expect("it reads");
        read_until(&mut client, "\r\n\r\n");
        client
    }

    fn ask_plainly(&self, target: &str, host: &str) -> String {
        let mut client = TcpStream::connect(self.plain).expect("it listens");
        client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        write!(client, "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", target, host)
            .expect("it reads");
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("text");
        answer
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Reads until this text comes, and returns everything up to there.
fn read_until(client: &mut impl Read, text: &str) -> String {
    let mut all = Vec::new();
    while !all.ends_with(text.as_bytes()) {
        let mut byte = [0];
        client.read_exact(&mut byte).expect("it sends");
        all.push(byte[0]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn two_clients_talk_over_wss() {
    let chat = Chat::start("talk");
    let (mut ada, mut grace) = (chat.enter("Ada"), chat.enter("Grace"));
    read_until(&mut ada, "Grace");
    // A text message with a mask of zeros.
    grace.write_all(b"\x81\x85\0\0\0\0hello").expect("it reads");
    for client in [&mut ada, &mut grace] {
        let said = read_until(client, "Grace\thello");
        assert!(said.contains("say\tguest-"), "{}", said);
    }
}

#[test]
fn plain_http_is_sent_to_the_same_path_at_the_port_of_tls() {
    let chat = Chat::start("plain");
    let port = chat.tls.port();
    for (host, name) in
        [("localhost:8080", "localhost"), ("localhost", "localhost"), ("[::1]:80", "[::1]")]
    {
        let answer = chat.ask_plainly("/tea%20caf%C3%A9?name=a%20b&c", host);
        let location = format!("Location: https://{}:{}/tea%20caf%C3%A9?name=a%20b&c", name, port);
        assert!(answer.starts_with("HTTP/1.1 308 "), "{}", answer);
        assert!(answer.contains(&format!("\r\n{}\r\n", location)), "{}", answer);
    }
    let answer = chat.ask_plainly("/", "elsewhere.example");
    assert!(answer.starts_with("HTTP/1.1 421 "), "{}", answer);
}
