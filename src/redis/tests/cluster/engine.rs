//! A `redis-server` on a free port of loopback, and a connection that says anything to it.

use crate::loopback::{wait_until, PATIENCE};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

const PASSWORD: &str = "a password";

/// Runs until it is dropped.
pub struct Engine {
    port: u16,
    process: Child,
}

impl Engine {
    /// Returns `None`, with a word to the log, where there is no `redis-server`.
    pub fn start() -> Option<Engine> {
        if Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_err() {
            let required = std::env::var_os("SOCKLING_REDIS_TESTS").is_some();
            assert!(!required, "there is no redis-server");
            eprintln!("SKIPPED: there is no redis-server; `apt-get install redis-server` has one");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let port = port.expect("a free port").port();
        let engine = Engine { port, process: serve(port) };
        engine.wait_until_it_answers();
        Some(engine)
    }

    pub fn url(&self) -> String {
        self.url_by(self.port)
    }

    /// Returns the URL by another port, from which there is a way to it.
    pub fn url_by(&self, port: u16) -> String {
        format!("redis://:{}@127.0.0.1:{}/", PASSWORD.replace(' ', "%20"), port)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes a user by a line of `redis.conf`, and returns the URL for it.
    pub fn user(&self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').skip(1).collect();
        let mut connection = self.connect();
        let mut command: Vec<&[u8]> = vec![b"ACL", b"SETUSER"];
        command.extend(words.iter().map(|word| word.as_bytes()));
        connection.say(&command);
        assert_eq!(connection.line(), "+OK");
        let password = words.iter().find_map(|word| word.strip_prefix('>')).expect("one");
        format!("redis://{}:{}@127.0.0.1:{}/", words[0], password, self.port)
    }

    /// Has it do this, which it answers with `OK` or a number.
    pub fn command(&self, words: &[&str]) {
        let mut connection = self.connect();
        connection.say(&words.iter().map(|word| word.as_bytes()).collect::<Vec<_>>());
        let answer = connection.line();
        assert!(answer == "+OK" || answer.starts_with(':'), "{}", answer);
    }

    /// Returns what `redis-benchmark` is to be told.
    pub fn arguments(&self) -> Vec<String> {
        ["-p", &self.port.to_string(), "-a", PASSWORD].map(str::to_string).to_vec()
    }

    /// Ends it as a crash does.
    pub fn kill(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    /// Starts it again, on the same port.
    pub fn restart(&mut self) {
        self.process = serve(self.port);
        self.wait_until_it_answers();
    }

    pub fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.expect("a shell's tools").success());
    }

    pub fn connect(&self) -> Connection {
        self.try_connect().expect("it answers")
    }

    /// Returns the names of the channels that somebody has subscribed to.
    pub fn channels(&self) -> Vec<String> {
        let mut connection = self.connect();
        connection.say(&[b"PUBSUB", b"CHANNELS"]);
        let count: usize = connection.line()[1..].parse().expect("a number");
        let bulk = |connection: &mut Connection| {
            connection.line();
            connection.line()
        };
        (0..count).map(|_| bulk(&mut connection)).collect()
    }

    fn try_connect(&self) -> Option<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        let mut connection = Connection(BufReader::new(stream));
        connection.say(&[b"AUTH", PASSWORD.as_bytes()]);
        (connection.line() == "+OK").then_some(connection)
    }

    fn wait_until_it_answers(&self) {
        wait_until("Redis answers", || self.try_connect().is_some());
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Fails when it has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn serve(port: u16) -> Child {
    let port = port.to_string();
    Command::new("redis-server")
        .args(["--port", &port, "--bind", "127.0.0.1", "--requirepass", PASSWORD])
        .args(["--save", "", "--appendonly", "no", "--proto-max-bulk-len", "2mb"])
        .stdout(Stdio::null())
        .spawn()
        .expect("a redis-server")
}

pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Returns how many subscribers got it.
    pub fn publish(&mut self, channel: &str, payload: &[u8]) -> usize {
        self.try_publish(channel, payload).expect("it was published")
    }

    /// Returns `None` when Redis refuses it.
    pub fn try_publish(&mut self, channel: &str, payload: &[u8]) -> Option<usize> {
        self.say(&[b"PUBLISH", channel.as_bytes(), payload]);
        self.line().strip_prefix(':').map(|count| count.parse().expect("a number"))
    }

    /// Publishes all of these at once, and awaits the answers.
    pub fn publish_all(&mut self, channel: &str, payloads: &[String]) {
        let stream = self.0.get_ref().try_clone().expect("a descriptor");
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut all = Vec::new();
                for payload in payloads {
                    packed(&mut all, &[b"PUBLISH", channel.as_bytes(), payload.as_bytes()]);
                }
                (&stream).write_all(&all).expect("it reads");
            });
            for _ in payloads {
                assert!(self.line().starts_with(':'));
            }
        });
    }

    fn say(&mut self, words: &[&[u8]]) {
        let mut bytes = Vec::new();
        packed(&mut bytes, words);
        // Fails where Redis does not want to hear it.
        let _ = self.0.get_mut().write_all(&bytes);
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        // Fails when Redis has ended the connection.
        let _ = self.0.by_ref().take(4096).read_line(&mut line);
        line.trim_end().to_string()
    }
}

fn packed(bytes: &mut Vec<u8>, words: &[&[u8]]) {
    bytes.extend(format!("*{}\r\n", words.len()).bytes());
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).bytes());
        bytes.extend_from_slice(word);
        bytes.extend(b"\r\n");
    }
}
