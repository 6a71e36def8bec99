//! Eight threads send to sixteen clients: eight read, four of them with pauses, four stop reading,
//! four leave. Every message that was taken arrives once and in order, or its connection ended.

use crate::behaviours::open;
use crate::child::Child;
use crate::loopback::Client;
use crate::report::{grouped, progress, Report};
use crate::server::{checksum, message, PACED, SENDERS, USERS};
use std::io::{BufReader, Read};
use std::panic::resume_unwind;
use std::sync::mpsc::{channel, Receiver};
use std::thread::ScopedJoinHandle;
use std::time::{Duration, Instant};

/// Messages of each sender to each client: for a client that does not read, several times what the
/// system holds for it.
const MESSAGES: u32 = 10_000;

/// How long a pause is, and after how many messages one is made: mostly long enough to be behind,
/// so that what waited for the client is then written by a thread of its own.
const PAUSE: (Duration, usize) = (Duration::from_millis(300), 10_000);
/// Clients that read all; as many others do not.
const READERS: usize = USERS / 2;

/// What a client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Reads,
    Pauses,
    /// Reads so many messages, and the rest when nothing is sent any more.
    Stops(usize),
    /// Reads so many messages and resets the connection.
    Leaves(usize),
}

fn role(user: usize) -> Role {
    match user.checked_sub(READERS) {
        None if PACED.contains(&user) => Role::Pauses,
        None => Role::Reads,
        Some(other) if other % 2 == 0 => Role::Stops(other * 10),
        Some(other) => Role::Leaves(other * 1_000),
    }
}

/// What a client got.
struct Got {
    /// Of each sender, all from number 0 on.
    messages: [u32; SENDERS],
    /// The code of the server's Close frame.
    close: Option<u16>,
}

impl Got {
    /// Reads so many messages, or until the end. Returns whether that has not come. Panics when one
    /// is not the next of its sender, or is not whole.
    fn read(&mut self, stream: &mut impl Read, most: usize) -> bool {
        for _ in 0..most {
            let (opcode, payload) = match frame(stream) {
                Some(frame) => frame,
                None => return false,
            };
            if opcode == 0x88 {
                self.close = Some(u16::from_be_bytes([payload[0], payload[1]]));
                return false;
            }
            assert_eq!(opcode, 0x82, "a binary message begins here");
            let (bytes, sum) = payload.split_at(payload.len() - 4);
            assert_eq!(checksum(bytes).to_be_bytes(), sum, "the bytes that were sent");
            let sender = usize::from(bytes[0]);
            let next = &mut self.messages[sender];
            let is_next = payload == message(sender, *next);
            assert!(is_next, "number {} of sender {} must come: {:?}", next, sender, payload);
            *next += 1;
        }
        true
    }
}

/// Reads a frame; `None` is the end, in order or not, also inside a frame.
fn frame(stream: &mut impl Read) -> Option<(u8, Vec<u8>)> {
    let mut header = [0; 2];
    stream.read_exact(&mut header).ok()?;
    let mut length = [0; 8];
    let at = match header[1] {
        126 => 6,
        127 => 0,
        short => {
            length[7] = short;
            8
        }
    };
    stream.read_exact(&mut length[at..]).ok()?;
    let mut payload = vec![0; u64::from_be_bytes(length) as usize];
    stream.read_exact(&mut payload).ok()?;
    Some((header[0], payload))
}

/// Is a client until its connection ends. `sent` ends when nothing is sent any more.
fn take(mut client: Client, role: Role, sent: &Receiver<()>) -> Got {
    let mut got = Got { messages: [0; SENDERS], close: None };
    let stream = client.stream.try_clone().expect("a descriptor");
    let mut stream = BufReader::with_capacity(64 * 1024, &stream);
    match role {
        Role::Reads => drop(got.read(&mut stream, usize::MAX)),
        Role::Pauses => {
            while got.read(&mut stream, PAUSE.1) {
                std::thread::sleep(PAUSE.0);
            }
        }
        Role::Stops(after) => {
            got.read(&mut stream, after);
            // Fails when the other end is dropped: that is what it says.
            let _ = sent.recv();
            got.read(&mut stream, usize::MAX);
        }
        Role::Leaves(after) => drop(got.read(&mut stream, after)),
    }
    if got.close.is_some() {
        client.frame(0x88, b"\x03\xe8");
    }
    got
}

pub fn run(child: &mut Child, report: &mut Report) {
    progress("accounting: the messages are sent");
    let begun = Instant::now();
    let open = |user| open(child.doors[user % child.doors.len()], &format!("/user/{}", user + 1)).0;
    let clients: Vec<Client> = (0..USERS).map(open).collect();
    let (line, got) = std::thread::scope(|scope| {
        let (mut ends, mut takers) = (Vec::new(), Vec::new());
        for (user, client) in clients.into_iter().enumerate() {
            let (end, sent) = channel();
            ends.push(end);
            takers.push(scope.spawn(move || take(client, role(user), &sent)));
        }
        let line = child.ask(&format!("send {}", MESSAGES));
        drop(ends);
        // A panic of a client is one of this part.
        let take =
            |taker: ScopedJoinHandle<_>| taker.join().unwrap_or_else(|why| resume_unwind(why));
        let got: Vec<Got> = takers.into_iter().map(take).collect();
        (line, got)
    });
    let seconds = begun.elapsed().as_secs_f64();
    let numbers: Vec<u32> = line.split(' ').map(|word| word.parse().expect("a number")).collect();
    assert_eq!(numbers.len(), USERS * SENDERS * 3);
    // What became of all that was sent to those who stop or leave.
    let (mut arrived, mut ended, mut full, mut nobody) = (0, 0, 0, 0);
    for (user, (got, tallies)) in got.iter().zip(numbers.chunks(SENDERS * 3)).enumerate() {
        let mut taken = 0;
        for (got, tally) in got.messages.iter().zip(tallies.chunks(3)) {
            assert_eq!(tally.iter().sum::<u32>(), MESSAGES, "each is taken or told: user {}", user);
            assert!(*got <= tally[0], "user {} got more than it was sent", user);
            taken += tally[0];
            if user >= READERS {
                arrived += got;
                ended += tally[0] - got;
                full += tally[1];
                nobody += tally[2];
            }
        }
        let all = taken == MESSAGES * SENDERS as u32;
        let whole = got.messages == [MESSAGES; SENDERS];
        let told = (all, whole, got.close);
        match role(user) {
            role @ (Role::Stops(_) | Role::Leaves(_)) => {
                assert_eq!(told, (false, false, None), "user {}: {:?}", user, role)
            }
            role => assert_eq!(told, (true, true, Some(1000)), "user {}: {:?}", user, role),
        }
    }
    let each = u64::from(MESSAGES) * SENDERS as u64 * READERS as u64;
    let all = format!("{} in {:.1} s", grouped(2 * each), seconds);
    report.row("messages sent, to 8 clients that read and 8 that stop or leave", &all, "");
    report.row("who reads: arrived once, whole and in order", &grouped(each), &grouped(each));
    let mut row = |what, count: u32, wanted| report.row(what, &grouped(count.into()), wanted);
    row("the others: arrived once, whole and in order", arrived, "");
    row("... taken, and lost when the connection ended", ended, "");
    row("... refused, it does not read (`Error::Full`)", full, "");
    row("... nobody is there (`Ok(0)`)", nobody, "all four together the same");
}
