//! A server at an address of the system's choice, and a client that sends and sees every byte.

#![allow(dead_code)] // each test binary uses a part of it
#![allow(unexpected_cfgs)] // a package with a transport of its own has a feature

pub mod child;
pub mod wire;

use sockling::http::{Listening, Server, ServerHandle};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Once;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use wire::Wire;

/// How long anything is waited for before a test fails. Far more than a slow machine needs.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A server that runs until it is dropped.
pub struct Running {
    pub address: SocketAddr,
    pub handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub fn start(server: Server) -> Running {
        Running::serve(bind(server))
    }

    pub fn serve(listening: Listening) -> Running {
        let (address, handle) = (wire::address(&listening), listening.handle());
        let thread = std::thread::spawn(move || listening.serve().expect("a thread"));
        Running { address, handle, thread: Some(thread) }
    }

    /// Waits until `serve` has returned.
    pub fn join(mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().expect("serve does not panic");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.handle.shutdown();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Binds a server to a free address of the transport that the test runs over.
pub fn bind(server: Server) -> Listening {
    wire::bind(server).expect("a free address")
}

/// Turns the log off, which `cargo test` does not capture: a thread of the library's own writes it.
/// Every test that binds a server calls it first. `SOCKLING_LOG=info cargo test` shows the log.
pub fn quiet() {
    wire::alone();
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if std::env::var_os("SOCKLING_LOG").is_none() {
            std::env::set_var("SOCKLING_LOG", "off");
        }
    });
}

/// Waits until something is so.
pub fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < end, "never happened: {}", what);
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The end of a connection, as a client sees it.
pub struct Client {
    pub stream: Wire,
    unread: Vec<u8>,
}

/// A response.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (known, value) = line.split_once(": ")?;
            known.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body of text")
    }

    /// Returns what a browser would send back as its Cookie field.
    pub fn cookie(&self) -> Option<String> {
        self.header("set-cookie").map(|value| value.split(';').next().unwrap_or("").to_string())
    }
}

/// A frame from the server.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    pub opcode: u8,
    pub payload: Vec<u8>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        Client::over(Wire::connect(address).expect("the server listens"))
    }

    pub fn over(stream: Wire) -> Client {
        Client { stream, unread: Vec::new() }
    }

    /// Opens a WebSocket; `fields` are further lines of the request, each with its CRLF.
    pub fn websocket(address: SocketAddr, path: &str, fields: &str) -> Client {
        let (client, reply) = Client::upgrade(address, path, fields);
        assert_eq!(reply.status, 101, "{}", reply.head);
        client
    }

    /// Asks for a WebSocket, and returns the answer whatever it is.
    pub fn upgrade(address: SocketAddr, path: &str, fields: &str) -> (Client, Reply) {
        let mut client = Client::connect(address);
        client.send(upgrade_request(path, fields).as_bytes());
        let reply = client.reply();
        (client, reply)
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    pub fn get(&mut self, target: &str, fields: &str) -> Reply {
        let request = format!("GET {} HTTP/1.1\r\nHost: localhost\r\n{}\r\n", target, fields);
        self.send(request.as_bytes());
        self.reply()
    }

    pub fn post(&mut self, target: &str, fields: &str, body: &str) -> Reply {
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: localhost\r\n{}Content-Length: {}\r\n\r\n{}",
            target,
            fields,
            body.len(),
            body
        );
        self.send(request.as_bytes());
        self.reply()
    }

    pub fn reply(&mut self) -> Reply {
        self.reply_to("GET")
    }

    pub fn reply_to(&mut self, method: &str) -> Reply {
        let mut reply = self.reply_head();
        let length =
            reply.header("content-length").map_or(0, |value| value.parse().expect("a number"));
        if method != "HEAD" {
            self.need(length);
            reply.body = self.unread.drain(..length).collect();
        }
        reply
    }

    /// Returns an answer of which the body is still to be read.
    pub fn reply_head(&mut self) -> Reply {
        let end = loop {
            match self.unread.windows(4).position(|four| four == b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => assert!(self.more() > 0, "the server closed before a whole head"),
            }
        };
        let head = String::from_utf8(self.unread.drain(..end).collect()).expect("a head of text");
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
        Reply { status, head, body: Vec::new() }
    }

    /// Sends a masked frame in one write.
    pub fn frame(&mut self, first: u8, payload: &[u8]) {
        self.send(&masked(first, payload));
    }

    pub fn text(&mut self, text: &str) {
        self.frame(0x81, text.as_bytes());
    }

    /// Returns the next frame that is no ping.
    pub fn next(&mut self) -> Frame {
        loop {
            let frame = self.any_frame();
            if frame.opcode != 9 {
                return frame;
            }
        }
    }

    pub fn any_frame(&mut self) -> Frame {
        self.need(2);
        assert_eq!(self.unread[0] & 0x70, 0, "reserved bits are never set");
        assert_eq!(self.unread[1] & 0x80, 0, "a server never masks");
        let (length, header) = match self.unread[1] {
            126 => {
                self.need(4);
                (u16::from_be_bytes([self.unread[2], self.unread[3]]) as usize, 4)
            }
            127 => {
                self.need(10);
                let mut length = [0; 8];
                length.copy_from_slice(&self.unread[2..10]);
                (u64::from_be_bytes(length) as usize, 10)
            }
            short => (short as usize, 2),
        };
        self.need(header + length);
        let frame: Vec<u8> = self.unread.drain(..header + length).collect();
        Frame { opcode: frame[0] & 15, payload: frame[header..].to_vec() }
    }

    pub fn next_text(&mut self) -> String {
        let frame = self.next();
        assert_eq!(frame.opcode, 1, "{:?}", frame);
        String::from_utf8(frame.payload).expect("UTF-8")
    }

    /// Returns code and reason of the Close frame that must come next.
    pub fn next_close(&mut self) -> (u16, String) {
        let frame = self.next();
        assert_eq!(frame.opcode, 8, "{:?}", frame);
        match &*frame.payload {
            [] => (1005, String::new()),
            [high, low, reason @ ..] => (
                u16::from_be_bytes([*high, *low]),
                String::from_utf8(reason.to_vec()).expect("UTF-8"),
            ),
            [_] => panic!("half a close code"),
        }
    }

    /// Asserts that the server ends the connection and sends nothing before.
    pub fn assert_end(&mut self) {
        assert_eq!(self.unread, b"", "bytes before the end");
        assert_eq!(self.more(), 0, "bytes before the end: {:?}", self.unread);
    }

    /// Drops what comes until the connection ends.
    pub fn read_to_end(&mut self) -> Vec<u8> {
        while self.more() > 0 {}
        std::mem::take(&mut self.unread)
    }

    /// Returns the text that comes up to and with this one.
    pub fn next_until(&mut self, end: &str) -> String {
        let found = |bytes: &[u8]| bytes.windows(end.len()).position(|part| part == end.as_bytes());
        while found(&self.unread).is_none() {
            assert!(self.more() > 0, "the server closed: \"{}\"", self.unread.escape_ascii());
        }
        let used = found(&self.unread).unwrap_or(0) + end.len();
        String::from_utf8(self.unread.drain(..used).collect()).expect("UTF-8")
    }

    /// Returns so many bytes, or what comes until the end.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count && self.more() > 0 {}
        let count = count.min(self.unread.len());
        self.unread.drain(..count).collect()
    }

    pub fn shut_write(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("the connection is open");
    }

    fn need(&mut self, bytes: usize) {
        while self.unread.len() < bytes {
            assert!(self.more() > 0, "the server closed: {:?}", self.unread);
        }
    }

    /// Reads once; 0 is the end, in order or by a reset.
    fn more(&mut self) -> usize {
        let mut buffer = [0; 64 * 1024];
        let mut read = self.stream.read(&mut buffer);
        // After the process was stopped, it goes on.
        while matches!(&read, Err(error) if error.kind() == ErrorKind::Interrupted) {
            read = self.stream.read(&mut buffer);
        }
        match read {
            Ok(bytes) => {
                self.unread.extend_from_slice(&buffer[..bytes]);
                bytes
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => {
                panic!("waited too long: {}, after \"{}\"", error, self.unread.escape_ascii())
            }
        }
    }
}

/// Returns a frame with this first byte, masked with a key of the RFC's example.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        medium @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&key);
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

pub fn upgrade_request(path: &str, fields: &str) -> String {
    format!(
        "GET {} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{}\r\n",
        path, fields
    )
}
