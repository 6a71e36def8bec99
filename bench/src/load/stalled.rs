//! The server broadcasts; some clients read at once, some never do.
//!
//! Each message carries its number and the time when it was made, so a reader can tell how late it
//! is. Server and reader are processes of one machine and share its clock.

use crate::load::connection::Connection;
use crate::load::wait::{read_all, Waiter};
use crate::load::{wrong, SILENCE};
use crate::proc::{read_line, Process};
use crate::stats::percentile;
use nix::sys::socket::{setsockopt, sockopt::RcvBuf};
use std::io::{self, Read};
use std::net::TcpStream;
use std::str::FromStr;
use std::sync::mpsc::{channel, TryRecvError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What the server is to broadcast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Order {
    pub messages: u64,
    pub size: usize,
    pub interval: Duration,
}

/// What the server says of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Told {
    /// The longest call of `send`.
    pub longest: Duration,
    /// How many clients took a message, at most and at least.
    pub most: usize,
    pub least: usize,
}

/// What came out.
pub struct Outcome {
    pub p99: Duration,
    pub told: Told,
    /// How many of the stalled clients found their connection closed.
    pub closed: usize,
}

const HEADER: usize = 4;
const STAMP: usize = 16;

impl Order {
    pub fn to_line(self) -> String {
        format!("{} {} {}", self.messages, self.size, self.interval.as_micros())
    }

    pub fn from_line(line: &str) -> io::Result<Order> {
        let mut words = line.split_whitespace();
        let (messages, size) = (number(words.next())?, number(words.next())?);
        Ok(Order { messages, size, interval: Duration::from_micros(number(words.next())?) })
    }

    /// Returns a message: its number, the time, and letters.
    pub fn payload(&self, number: u64) -> Vec<u8> {
        let mut payload = vec![b'z'; self.size];
        payload[..8].copy_from_slice(&number.to_be_bytes());
        payload[8..STAMP].copy_from_slice(&now().to_be_bytes());
        payload
    }
}

impl Told {
    pub fn to_line(self) -> String {
        format!("{} {} {}", self.longest.as_micros(), self.most, self.least)
    }

    pub fn from_line(line: &str) -> io::Result<Told> {
        let mut words = line.split_whitespace();
        let longest = Duration::from_micros(number(words.next())?);
        Ok(Told { longest, most: number(words.next())?, least: number(words.next())? })
    }
}

fn number<N: FromStr>(word: Option<&str>) -> io::Result<N> {
    word.and_then(|word| word.parse().ok()).ok_or_else(|| wrong("a line without its numbers"))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// Has the server broadcast to readers, and to clients that do not read.
pub fn run(
    server: &mut Process,
    readers: Vec<Connection<TcpStream>>,
    stalled: Vec<Connection<TcpStream>>,
    order: &Order,
) -> io::Result<Outcome> {
    for stream in &stalled {
        // The system would take tens of MiB for them, and none would be stalled.
        setsockopt(&stream.tcp, RcvBuf, &(64 * 1024))?;
    }
    let mut waiter = Waiter::new()?;
    let streams = waiter.adopt(readers)?;
    let mut readers: Vec<_> =
        streams.into_iter().map(|stream| (stream, Reader::new(order))).collect();

    let mut stdout = server.take_stdout()?;
    let (answer, told) = channel();
    std::thread::spawn(move || answer.send(read_line(&mut stdout)));
    server.tell(&order.to_line())?;

    let mut buffer = vec![0; 256 * 1024];
    let mut latencies = Vec::new();
    let told = loop {
        let end = Instant::now() + Duration::from_millis(20);
        waiter.wait(end, |index| {
            let (stream, reader) = &mut readers[index];
            read_all(stream, &mut buffer, |bytes| reader.take(bytes, now(), &mut latencies))
        })?;
        let all_read = readers.iter().all(|(_, reader)| reader.number == order.messages);
        match told.try_recv() {
            Ok(line) => break Told::from_line(&line?)?,
            Err(TryRecvError::Disconnected) => return Err(wrong("the server has ended")),
            Err(TryRecvError::Empty) if all_read => std::thread::sleep(Duration::from_millis(1)),
            Err(TryRecvError::Empty) => {}
        }
    };
    let give_up = Instant::now() + SILENCE;
    while readers.iter().any(|(_, reader)| reader.number < order.messages) {
        if Instant::now() > give_up {
            return Err(wrong("a client that reads did not get everything"));
        }
        waiter.wait(give_up, |index| {
            let (stream, reader) = &mut readers[index];
            read_all(stream, &mut buffer, |bytes| reader.take(bytes, now(), &mut latencies))
        })?;
    }
    let p99 = percentile(&mut latencies, 99.0).unwrap_or(0);
    let closed = stalled.iter().filter(|stream| is_closed(&stream.tcp)).count();
    Ok(Outcome { p99: Duration::from_micros(p99.into()), told, closed })
}

/// Reads to the end. A server that still held the connection would leave this waiting.
fn is_closed(mut stream: &TcpStream) -> bool {
    let mut buffer = vec![0; 256 * 1024];
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() == io::ErrorKind::ConnectionReset,
        }
    }
}

/// Reads frames of one kind, and looks at each byte.
struct Reader {
    /// A whole frame; its stamp is not looked at.
    frame: Vec<u8>,
    stamp: [u8; STAMP],
    /// The place in the frame.
    at: usize,
    /// The number that must come next.
    number: u64,
}

impl Reader {
    fn new(order: &Order) -> Reader {
        let mut frame = vec![0x82, 126];
        frame.extend((order.size as u16).to_be_bytes());
        frame.extend(order.payload(0));
        Reader { frame, stamp: [0; STAMP], at: 0, number: 0 }
    }

    /// Takes bytes that came, and notes how late each message is, in microseconds.
    fn take(&mut self, mut bytes: &[u8], now: u64, latencies: &mut Vec<u32>) -> io::Result<()> {
        while !bytes.is_empty() {
            let in_stamp = (HEADER..HEADER + STAMP).contains(&self.at);
            let end = match self.at {
                at if at < HEADER => HEADER,
                _ if in_stamp => HEADER + STAMP,
                _ => self.frame.len(),
            };
            let (piece, rest) = bytes.split_at(bytes.len().min(end - self.at));
            let place = self.at..self.at + piece.len();
            if in_stamp {
                self.stamp[place.start - HEADER..place.end - HEADER].copy_from_slice(piece);
            } else if *piece != self.frame[place] {
                return Err(wrong("a client got something else than was broadcast"));
            }
            self.at += piece.len();
            bytes = rest;
            if self.at == self.frame.len() {
                self.at = 0;
                latencies.push(self.lateness(now)?);
            }
        }
        Ok(())
    }

    fn lateness(&mut self, now: u64) -> io::Result<u32> {
        let (number, made) = self.stamp.split_at(8);
        if *number != self.number.to_be_bytes() {
            return Err(wrong("a client missed a message"));
        }
        self.number += 1;
        let made = made.iter().fold(0, |all: u64, byte| all << 8 | u64::from(*byte));
        Ok((now.saturating_sub(made) / 1000) as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDER: Order = Order { messages: 3, size: 300, interval: Duration::from_micros(5) };

    fn stream() -> Vec<u8> {
        let frame = |number| {
            let mut frame = vec![0x82, 126, 1, 44];
            frame.extend(ORDER.payload(number));
            frame
        };
        (0..3).flat_map(frame).collect()
    }

    #[test]
    fn lines_tell_the_same() {
        assert_eq!(Order::from_line(&ORDER.to_line()).unwrap(), ORDER);
        let told = Told { longest: Duration::from_micros(9), most: 2, least: 1 };
        assert_eq!(Told::from_line(&told.to_line()).unwrap(), told);
        assert!(Told::from_line("1 2").is_err());
    }

    #[test]
    fn a_reader_takes_any_pieces() {
        for size in [1, 7, 304, 1000] {
            let (mut reader, mut latencies) = (Reader::new(&ORDER), Vec::new());
            for piece in stream().chunks(size) {
                reader.take(piece, now(), &mut latencies).unwrap();
            }
            assert_eq!((reader.number, latencies.len()), (3, 3));
        }
    }

    #[test]
    fn a_reader_sees_what_is_wrong() {
        let mut latencies = Vec::new();
        let bytes = stream();
        assert!(Reader::new(&ORDER).take(&bytes[304..], 0, &mut latencies).is_err());
        for at in [0, 3, 20, 303] {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            assert!(Reader::new(&ORDER).take(&bytes, 0, &mut latencies).is_err());
        }
    }
}
