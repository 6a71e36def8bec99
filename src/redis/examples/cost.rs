//! What the relay costs: a send to somebody here with and without it, a send to another process, and
//! beside them what Redis does by itself. All in one run on one machine, rounds interleaved.
//!
//! `cargo run --release --manifest-path src/redis/Cargo.toml --example cost`; it needs `redis-server`
//! and `redis-benchmark`.

#[path = "../tests/cluster/engine.rs"]
#[allow(dead_code)] // a part of it
mod engine;
#[path = "../../../tests/loopback/mod.rs"]
mod loopback;

use engine::Engine;
use loopback::child::Child;
use loopback::Client;
use sockling::limits::Limits;
use sockling::prelude::*;
use sockling_redis::{Handle, Redis};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const ROUNDS: usize = 9;
/// Messages of a round of calls: the queue here holds them.
const CALLS: u32 = 100_000;
/// Messages of a round that goes to another process.
const MANY: u32 = 200_000;
/// Messages whose way is timed, and the pause between them.
const TIMED: u32 = 2_000;
const PAUSE: Duration = Duration::from_millis(1);
/// Bytes of a message.
const LENGTH: usize = 125;

struct Quiet;

impl WebsocketController for Quiet {}

impl Controller for Quiet {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        WebsocketController::handle(self, request)
    }
}

fn nanoseconds() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}

/// Returns a message that tells when it was sent.
fn message() -> String {
    format!("{:<1$}", nanoseconds(), LENGTH)
}

/// One process; `$COST_REDIS` is empty for one without a relay.
fn serve(url: &str) -> Result<(), Error> {
    let mut handle = None;
    if !url.is_empty() {
        let redis = Redis::new(url)?.queue(2 * CALLS as usize, usize::MAX);
        handle = Some(redis.handle());
        Comms::relay(redis)?;
    }
    let login = |request: &Request| {
        let user: i64 = request.parameter("user")?.parse().map_err(Error::other)?;
        Ok(request.login(user).text("in"))
    };
    let watched = handle.clone();
    let ready = move |_: &Request| {
        let wait = |handle: &Handle| handle.wait_until_ready(Duration::from_secs(20));
        Ok(Response::new().text(watched.as_ref().is_none_or(wait).to_string()))
    };
    let run = move |request: &Request| {
        let orders = String::from_utf8_lossy(request.body()).into_owned();
        let mut words = orders.split(' ');
        let order = words.next().unwrap_or("");
        let user: i64 = words.next().unwrap_or("").parse().map_err(Error::other)?;
        let to = Comms::websocket(user);
        let begun = Instant::now();
        match order {
            // The time of the calls alone.
            "calls" => {
                let text = message();
                for _ in 0..CALLS {
                    to.send(text.as_str())?;
                }
            }
            // As fast as Redis takes them.
            "many" => {
                let text = message();
                for number in 0..MANY {
                    if number % 64 == 0 {
                        let waiting = || handle.as_ref().map_or(0, |handle| handle.waiting().0);
                        while waiting() > 8_000 {
                            sleep(Duration::from_micros(100));
                        }
                    }
                    to.send(text.as_str())?;
                }
            }
            "timed" => {
                for _ in 0..TIMED {
                    to.send(message())?;
                    sleep(PAUSE);
                }
            }
            _ => return Err("no such order".into()),
        }
        let took = begun.elapsed();
        if let Some(handle) = &handle {
            handle.flush(Duration::from_secs(20));
        }
        Ok(Response::new().text(format!("{} {}", took.as_nanos(), Comms::stats().relay_lost)))
    };
    let routes = vec![
        Handler::new("/ws", Quiet),
        Handler::new("/login/:user", login),
        Handler::new("/run", run),
        Handler::new("/ready", ready),
    ];
    let keys = SessionKeys::new(["a key that only this program knows"])?;
    // The clients here answer no pings.
    let limits = Limits { ping_interval: Duration::ZERO, ..Limits::default() };
    let listening = Server::new(routes).limits(limits).session_keys(keys).bind("127.0.0.1:0")?;
    println!("listening on {}", listening.address());
    listening.serve()
}

struct Node(Child);

impl Node {
    fn start(url: &str) -> Node {
        let mut command = Command::new(std::env::current_exe().expect("a path"));
        command.env("COST_REDIS", url).stderr(Stdio::null());
        Node(Child::start(&mut command))
    }

    fn client(&self, user: i64) -> Client {
        let reply = Client::connect(self.0.address).get(&format!("/login/{}", user), "");
        let cookie = format!("Cookie: {}\r\n", reply.cookie().expect("a login"));
        Client::websocket(self.0.address, "/ws", &cookie)
    }

    /// Returns how long it took, in nanoseconds.
    fn run(&self, order: &str, user: i64) -> f64 {
        let orders = format!("{} {}", order, user);
        let reply = Client::connect(self.0.address).post("/run", "", &orders);
        let (took, lost) = reply.text().split_once(' ').expect("two numbers");
        assert_eq!(lost, "0", "messages were lost");
        took.parse().expect("a number")
    }
}

/// Reads so many messages in a thread of its own while something runs, and returns their times on the
/// way, in microseconds, sorted; and how long all took.
fn hear(client: &mut Client, count: u32, run: impl FnOnce()) -> (Vec<f64>, Duration) {
    let begun = Instant::now();
    let mut times = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let time = |_| {
                let text = client.next_text();
                let sent: u128 = text.trim().parse().expect("a number");
                nanoseconds().saturating_sub(sent) as f64 / 1000.0
            };
            (0..count).map(time).collect::<Vec<f64>>()
        });
        run();
        reader.join().expect("no panic")
    });
    let took = begun.elapsed();
    times.sort_by(f64::total_cmp);
    (times, took)
}

/// Prints the median of the rounds, the lowest and the highest.
fn row(what: &str, unit: &str, mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let (low, middle, high) = (values[0], values[values.len() / 2], values[values.len() - 1]);
    println!("| {} | {:.2} ({:.2}-{:.2}) {} |", what, middle, low, high, unit);
    middle
}

/// Returns what `redis-benchmark` says of PUBLISH, in thousands a second.
fn floor(engine: &Engine, options: &[&str]) -> f64 {
    let output = Command::new("redis-benchmark")
        .args(engine.arguments())
        .args(["-n", "200000", "-q"])
        .args(options)
        .args(["PUBLISH", "channel", &"x".repeat(LENGTH)])
        .output()
        .expect("redis-benchmark");
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "\n");
    let line = text.lines().rfind(|line| line.contains("requests per second")).expect("a figure");
    let (before, _) = line.split_once(" requests per second").expect("a figure");
    before.rsplit(' ').next().and_then(|rate| rate.parse().ok()).map_or(0.0, |rate: f64| rate / 1e3)
}

/// Returns the times of messages from one plain connection to another.
fn plain(engine: &Engine) -> Vec<f64> {
    let client = redis::Client::open(engine.url()).expect("a URL");
    let mut publishing = client.get_connection().expect("it answers");
    let mut subscribing = client.get_connection().expect("it answers");
    let mut times = std::thread::scope(|scope| {
        let (ready, subscribed) = std::sync::mpsc::channel();
        let reader = scope.spawn(move || {
            let mut pubsub = subscribing.as_pubsub();
            pubsub.subscribe("channel").expect("it answers");
            ready.send(()).expect("somebody waits");
            let time = |_| {
                let message = pubsub.get_message().expect("one comes");
                let text: String = message.get_payload().expect("text");
                nanoseconds().saturating_sub(text.trim().parse().expect("a number")) as f64 / 1e3
            };
            (0..TIMED).map(time).collect::<Vec<f64>>()
        });
        subscribed.recv().expect("it subscribes");
        for _ in 0..TIMED {
            let publish = redis::cmd("PUBLISH").arg("channel").arg(message()).to_owned();
            publish.exec(&mut publishing).expect("it answers");
            sleep(PAUSE);
        }
        reader.join().expect("no panic")
    });
    times.sort_by(f64::total_cmp);
    times
}

fn main() {
    if let Ok(url) = std::env::var("COST_REDIS") {
        return serve(&url).expect("it serves");
    }
    let engine = Engine::start().expect("a redis-server");
    let alone = Node::start("");
    let [one, other] = [(); 2].map(|()| Node::start(&engine.url()));
    let (mut without, mut with, mut far) = (alone.client(1), one.client(1), other.client(2));
    for node in [&one, &other] {
        assert_eq!(Client::connect(node.0.address).get("/ready", "").text(), "true");
    }

    let mut figures = vec![Vec::new(); 8];
    let mut ways: [Vec<Vec<f64>>; 3] = Default::default();
    for _ in 0..ROUNDS {
        let per_call = |took: f64| took / 1000.0 / f64::from(CALLS);
        hear(&mut without, CALLS, || figures[0].push(per_call(alone.run("calls", 1))));
        hear(&mut with, CALLS, || figures[1].push(per_call(one.run("calls", 1))));
        figures[2].push(per_call(alone.run("calls", 9)));
        figures[3].push(per_call(one.run("calls", 9)));
        let thousands = |took: Duration| f64::from(MANY) / 1000.0 / took.as_secs_f64();
        let took = hear(&mut without, MANY, || _ = alone.run("many", 1)).1;
        figures[4].push(thousands(took));
        let took = hear(&mut far, MANY, || _ = one.run("many", 2)).1;
        figures[5].push(thousands(took));
        figures[6].push(floor(&engine, &["-c", "1", "-P", "256"]));
        figures[7].push(floor(&engine, &["-c", "50", "-P", "1"]));
        ways[0].push(hear(&mut without, TIMED, || _ = alone.run("timed", 1)).0);
        ways[1].push(hear(&mut far, TIMED, || _ = one.run("timed", 2)).0);
        ways[2].push(plain(&engine));
    }
    println!("| {} bytes; median of {} rounds (lowest-highest) | |\n|---|--:|", LENGTH, ROUNDS);
    let mut figures = figures.into_iter();
    let mut next = |what, unit| row(what, unit, figures.next().unwrap_or_default());
    let local = next("a send to one client here, without a relay", "us");
    let relayed = next("a send to one client here, with a relay", "us");
    next("a send to nobody here, without a relay", "us");
    next("a send to nobody here, with a relay", "us");
    next("to a client of the same process", "thousand/s");
    let across = next("to a client of another process", "thousand/s");
    let floor = next("redis-benchmark PUBLISH, 1 connection, 256 at once", "thousand/s");
    next("redis-benchmark PUBLISH, 50 connections", "thousand/s");
    println!("\na send here costs x {:.2} with a relay", relayed / local);
    println!("across: x {:.2} of redis-benchmark with one connection\n", across / floor);
    println!("| on the way, one each millisecond | p50 us | p99 us |\n|---|--:|--:|");
    let names = ["the same process", "another process", "Redis alone, to one that has subscribed"];
    for (name, rounds) in names.iter().zip(ways) {
        let of = |part: f64| {
            let mut values: Vec<f64> =
                rounds.iter().map(|times| times[(times.len() as f64 * part) as usize]).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        println!("| {} | {:.0} | {:.0} |", name, of(0.5), of(0.99));
    }
}
