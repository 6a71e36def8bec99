//! Broadcast: one member of a room speaks, all get it. A message is in flight until all have it.

use crate::load::connection::Connection;
use crate::load::frames::Ring;
use crate::load::wait::{read_all, write_some, Waiter};
use crate::load::{wrong, Load};
use mio::net::TcpStream;
use std::collections::VecDeque;
use std::io;
use std::time::Instant;

pub struct Room {
    waiter: Waiter,
    members: Vec<Member>,
    ring: Ring,
    buffer: Vec<u8>,
    received: u64,
    /// Bytes that the speaker, the first member, has sent.
    sent: u64,
    flight: Flight,
}

struct Member {
    stream: Connection<TcpStream>,
    received: u64,
}

/// Who has what.
struct Flight {
    /// Messages that all have.
    landed: u64,
    /// How many members have each message after those.
    counts: VecDeque<usize>,
    limit: usize,
}

impl Room {
    pub fn new(
        streams: Vec<Connection<std::net::TcpStream>>,
        ring: Ring,
        limit: usize,
    ) -> io::Result<Room> {
        let waiter = Waiter::new()?;
        let streams = waiter.adopt(streams)?;
        let members = streams.into_iter().map(|stream| Member { stream, received: 0 }).collect();
        let flight = Flight { landed: 0, counts: VecDeque::from(vec![0; limit]), limit };
        let buffer = vec![0; 256 * 1024];
        Ok(Room { waiter, members, ring, buffer, received: 0, sent: 0, flight })
    }

    /// Returns how many deliveries in a hundred were not compressed, where they should be.
    pub fn plain(&self) -> Option<f64> {
        self.ring.plain().map(|plain| plain as f64 * 100.0 / self.done())
    }

    fn speak(&mut self) -> io::Result<()> {
        let may_send = self.ring.sent_by(self.flight.landed + self.flight.limit as u64);
        while self.sent < may_send {
            let bytes = self.ring.to_send(self.sent, may_send);
            match write_some(&mut self.members[0].stream, bytes)? {
                0 => return Ok(()),
                count => self.sent += count as u64,
            }
        }
        Ok(())
    }
}

impl Load for Room {
    fn run_until(&mut self, end: Instant) -> io::Result<()> {
        while Instant::now() < end {
            self.speak()?;
            let Room { waiter, members, ring, buffer, received, flight, .. } = self;
            let everybody = members.len();
            waiter.wait(end, |index| {
                let member = &mut members[index];
                let before = member.received;
                read_all(&mut member.stream, buffer, |bytes| {
                    let after = ring.after(member.received, bytes);
                    let other = || wrong("a member got something else than was said");
                    member.received = after.ok_or_else(other)?;
                    Ok(())
                })?;
                *received += member.received - before;
                let reply = ring.reply_length;
                flight.note(before / reply, member.received / reply, everybody)
            })?;
        }
        Ok(())
    }

    fn done(&self) -> f64 {
        self.received as f64 / self.ring.reply_length as f64
    }

    fn in_flight(&self) -> f64 {
        self.members.len() as f64 * self.flight.limit as f64
    }
}

impl Flight {
    /// Notes that a member has the messages from the one number to before the other.
    fn note(&mut self, from: u64, to: u64, everybody: usize) -> io::Result<()> {
        for number in from..to {
            let count = self.counts.get_mut((number - self.landed) as usize);
            *count.ok_or_else(|| wrong("a member got more than was said"))? += 1;
        }
        while self.counts[0] == everybody {
            self.counts.pop_front();
            self.counts.push_back(0);
            self.landed += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_landed_when_all_have_it() {
        let mut flight = Flight { landed: 0, counts: VecDeque::from(vec![0; 2]), limit: 2 };
        flight.note(0, 2, 2).unwrap();
        assert_eq!(flight.landed, 0);
        flight.note(0, 1, 2).unwrap();
        assert_eq!(flight.landed, 1);
        flight.note(1, 2, 2).unwrap();
        assert_eq!((flight.landed, flight.counts), (2, VecDeque::from([0, 0])));
    }

    #[test]
    fn nobody_gets_what_was_not_said() {
        let mut flight = Flight { landed: 0, counts: VecDeque::from(vec![0; 2]), limit: 2 };
        assert!(flight.note(0, 3, 2).is_err());
    }
}
