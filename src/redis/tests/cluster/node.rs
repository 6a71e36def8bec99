//! One process: a server whose clients can have it send to others.

use crate::loopback::child::Child;
use crate::loopback::Client;
use sockling::limits::{Limits, ENVELOPE};
use sockling::prelude::*;
use sockling::Receiver;
use sockling_redis::{Handle, Redis};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

pub const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
const KEY: &str = "a key that only the processes of this test know";

static GAPS: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// Who is only listened to.
static CROWD: Mutex<Vec<Receiver>> = Mutex::new(Vec::new());

#[derive(Clone, Copy, Default)]
pub struct Options {
    /// Messages and bytes that wait for Redis at most.
    pub queue: Option<(usize, usize)>,
}

/// Seen from the test.
pub struct Node {
    pub process: Child,
}

#[derive(Debug)]
pub struct Stats {
    pub lost: u64,
    pub refused: u64,
    pub received: u64,
    pub gaps: u64,
    pub dropped: u64,
}

impl Node {
    pub fn start(urls: &str, options: Options) -> Node {
        let mut command = Command::new(std::env::current_exe().expect("a path"));
        command.args(["--exact", "a_process", "--ignored", "--nocapture"]);
        // It ends when this end of the pipe does.
        command.stdin(Stdio::piped()).env("NODE_REDIS", urls);
        if let Some((messages, bytes)) = options.queue {
            command.env("NODE_QUEUE", format!("{} {}", messages, bytes));
        }
        Node { process: Child::start(&mut command) }
    }

    /// Returns the Cookie line of a new login.
    pub fn login(&self, user: usize) -> String {
        let reply = Client::connect(self.process.address).get(&format!("/login/{}", user), "");
        format!("Cookie: {}\r\n", reply.cookie().expect("a login"))
    }

    pub fn get(&self, path: &str, cookie: &str) -> String {
        Client::connect(self.process.address).get(path, cookie).text().to_string()
    }

    pub fn client(&self, cookie: &str) -> Client {
        Client::websocket(self.process.address, "/ws", cookie)
    }

    /// Has the process do what the lines say, in this order, on one thread. Returns what the last says.
    pub fn run(&self, orders: &str) -> String {
        let reply = Client::connect(self.process.address).post("/do", "", orders);
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.text().to_string()
    }

    pub fn wait_until_ready(&self) {
        // Each waits for 20 s, which is little for thirty thousand channels on a busy machine.
        assert!((0..6).any(|_| self.get("/ready", "") == "true"));
    }

    pub fn gaps(&self) -> Vec<String> {
        self.get("/gaps", "").lines().map(str::to_string).collect()
    }

    pub fn stats(&self) -> Stats {
        let text = self.get("/stats", "");
        let numbers: Vec<u64> =
            text.split(' ').map(|number| number.parse().expect("a number")).collect();
        let [lost, refused, received, gaps, dropped] = numbers[..].try_into().expect("five");
        Stats { lost, refused, received, gaps, dropped }
    }
}

/// What the process does.
pub fn run() {
    let Ok(urls) = std::env::var("NODE_REDIS") else { return };
    std::thread::spawn(|| {
        std::io::stdin().lines().for_each(drop);
        std::process::exit(0);
    });
    let mut urls = urls.split(' ');
    let mut redis = Redis::new(urls.next().expect("a URL")).expect("a URL");
    for url in urls {
        redis = redis.shard(url).expect("a URL");
    }
    if let Ok(queue) = std::env::var("NODE_QUEUE") {
        let (messages, bytes) = queue.split_once(' ').expect("two numbers");
        redis = redis.queue(messages.parse().expect("a number"), bytes.parse().expect("a number"));
    }
    let redis = redis.on_gap(|gap| {
        let when = if gap.to.is_some() { "ends" } else { "begins" };
        GAPS.lock().expect("no panic").push(format!("{}: {}", when, gap.reason));
    });
    let handle = redis.handle();
    Comms::relay(redis).expect("it is the first");
    let limits = Limits {
        ping_interval: Duration::ZERO,
        write_timeout: WRITE_TIMEOUT,
        connections: 0,
        ..Limits::default()
    };
    let server = Server::new(routes(handle)).limits(limits);
    let server = server.session_keys(SessionKeys::new([KEY]).expect("it is long"));
    let listening = server.bind("127.0.0.1:0").expect("a free port");
    println!("listening on {}", listening.address());
    listening.serve().expect("a thread");
}

fn routes(handle: Handle) -> Vec<Handler> {
    let (ready, is_ready) = (handle.clone(), handle.clone());
    let text = |text: String| Ok(Response::new().text(text));
    let login = move |request: &Request| {
        let user: i64 = request.parameter("user")?.parse().map_err(Error::other)?;
        Ok(request.login(user).text("in"))
    };
    let stats = move |_: &Request| {
        let s = Comms::stats();
        let numbers = [s.relay_lost, s.relay_refused, s.relay_in, s.relay_gaps, s.dropped];
        text(numbers.map(|number| number.to_string()).join(" "))
    };
    vec![
        Handler::new("/ws", Member),
        Handler::new("/login/:user", login),
        Handler::new("/logout", |request: &Request| Ok(request.logout().text("out"))),
        Handler::new("/who", move |request: &Request| text(request.session_id().to_string())),
        Handler::new("/ready", move |_: &Request| {
            text(ready.wait_until_ready(Duration::from_secs(20)).to_string())
        }),
        Handler::new("/is_ready", move |_: &Request| text(is_ready.is_ready().to_string())),
        Handler::new("/gaps", move |_: &Request| text(GAPS.lock().expect("no panic").join("\n"))),
        Handler::new("/stats", stats),
        Handler::new("/do", move |request: &Request| {
            let orders = std::str::from_utf8(request.body()).map_err(Error::other)?;
            let mut last = String::new();
            for order in orders.lines() {
                last = obey(order, &handle)?;
            }
            text(last)
        }),
    ]
}

fn keys() -> Result<SessionKeys, Error> {
    SessionKeys::new([KEY])
}

/// Returns a session by what `name` answers.
fn session(name: &str) -> Result<SessionId, Error> {
    match name.strip_prefix("user-") {
        Some(user) => Ok(user.parse::<i64>().map_err(Error::other)?.into()),
        None => SessionId::from_token(name, &keys()?),
    }
}

fn obey(order: &str, handle: &Handle) -> Result<String, Error> {
    let mut words = order.splitn(3, ' ');
    let [order, to, text] = [(); 3].map(|()| words.next().unwrap_or(""));
    let sent = match order {
        "one" => Comms::websocket(session(to)?).send(text)?,
        "topic" => Comms::topic(to).send(text)?,
        "all" if to == "-" => Comms::notify().send(text)?,
        "all" => Comms::broadcast(session(to)?).send(text)?,
        "close" => Comms::websocket(session(to)?).close(CloseCode(4000), text)?,
        "long" => Comms::websocket(session(to)?).send("x".repeat(ENVELOPE))?,
        // So many sessions are each in a thousand topics with long names.
        "crowd" => {
            for user in 1..=to.parse::<i64>().map_err(Error::other)? {
                let user = SessionId::from(-user);
                CROWD.lock().expect("no panic").push(Comms::receiver(user));
                for number in 0..1000 {
                    let name = format!("{}{} {}", "\n".repeat(230), user, number);
                    if !Comms::topic(&name).subscribe(&user) {
                        return Err("it cannot join".into());
                    }
                }
            }
            return Ok("they are in".to_string());
        }
        "processes" => return Ok(handle.processes().to_string()),
        "flush" => return Ok(handle.flush(Duration::from_secs(20)).to_string()),
        "stream" => {
            let (to, text) = (Comms::websocket(session(to)?), text.split_once(' '));
            let (name, milliseconds) = text.ok_or("a name and a time")?;
            let time = Duration::from_millis(milliseconds.parse().map_err(Error::other)?);
            let (begun, mut number) = (Instant::now(), 0);
            while begun.elapsed() < time {
                to.send(format!("{} {}", name, number))?;
                number += 1;
                std::thread::sleep(Duration::from_micros(100));
            }
            return Ok(number.to_string());
        }
        "drip" => {
            let (to, milliseconds) = (Comms::websocket(session(to)?), text);
            let time = Duration::from_millis(milliseconds.parse().map_err(Error::other)?);
            let begun = Instant::now();
            while begun.elapsed() < time {
                to.send("drop")?;
                std::thread::sleep(Duration::from_millis(100));
            }
            return Ok("dry".to_string());
        }
        "flood" => {
            let to = Comms::websocket(session(to)?);
            let filling = "x".repeat(1024);
            let mut longest = Duration::ZERO;
            for number in 0..text.parse::<u32>().map_err(Error::other)? {
                let begun = Instant::now();
                to.send(format!("{} {}", number, filling))?;
                longest = longest.max(begun.elapsed());
            }
            return Ok(longest.as_micros().to_string());
        }
        _ => return Err("no such order".into()),
    };
    Ok(sent.to_string())
}

struct Member;

impl WebsocketController for Member {
    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        let text = message.as_text().unwrap_or("");
        let answer = match (text.split_once(' '), client) {
            (Some(("join", topic)), _) => Comms::topic(topic).subscribe(client).to_string(),
            (_, SessionId::Authenticated(_)) => client.to_string(),
            _ => client.to_token(&keys()?),
        };
        Comms::here().ok_or("this is a handler")?.send(answer)?;
        Ok(())
    }
}

impl Controller for Member {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}
