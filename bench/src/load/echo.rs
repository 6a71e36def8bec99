//! Echo: each connection keeps a number of messages in flight, and sends one for each reply.

use crate::load::connection::Connection;
use crate::load::frames::Ring;
use crate::load::wait::{read_all, write_some, Waiter};
use crate::load::{wrong, Load};
use mio::net::TcpStream;
use std::io;
use std::time::Instant;

pub struct Echo {
    waiter: Waiter,
    clients: Vec<Client>,
    ring: Ring,
    in_flight: u64,
    buffer: Vec<u8>,
    /// What came back, on all connections.
    received: u64,
}

struct Client {
    stream: Connection<TcpStream>,
    /// Bytes so far.
    sent: u64,
    /// Where it is in the ring's replies.
    received: u64,
}

impl Echo {
    pub fn new(
        streams: Vec<Connection<std::net::TcpStream>>,
        ring: Ring,
        in_flight: u64,
    ) -> io::Result<Echo> {
        let waiter = Waiter::new()?;
        let streams = waiter.adopt(streams)?;
        let clients =
            streams.into_iter().map(|stream| Client { stream, sent: 0, received: 0 }).collect();
        Ok(Echo { waiter, clients, ring, in_flight, buffer: vec![0; 256 * 1024], received: 0 })
    }

    /// Returns how many replies in a hundred were not compressed, where they should be.
    pub fn plain(&self) -> Option<f64> {
        self.ring.plain().map(|plain| plain as f64 * 100.0 / self.done())
    }
}

impl Load for Echo {
    fn run_until(&mut self, end: Instant) -> io::Result<()> {
        let Echo { waiter, clients, ring, in_flight, buffer, received } = self;
        while Instant::now() < end {
            // The first round of events says that all sockets can be written to.
            waiter.wait(end, |index| {
                let client = &mut clients[index];
                let before = client.received;
                client.read(ring, buffer)?;
                *received += client.received - before;
                client.write(ring, *in_flight)
            })?;
        }
        Ok(())
    }

    fn done(&self) -> f64 {
        self.received as f64 / self.ring.reply_length as f64
    }

    fn in_flight(&self) -> f64 {
        self.clients.len() as f64 * self.in_flight as f64
    }
}

impl Client {
    fn read(&mut self, ring: &Ring, buffer: &mut [u8]) -> io::Result<()> {
        let received = &mut self.received;
        read_all(&mut self.stream, buffer, |bytes| {
            let after = ring.after(*received, bytes);
            *received = after.ok_or_else(|| wrong("a reply is not what was sent"))?;
            Ok(())
        })
    }

    fn write(&mut self, ring: &Ring, in_flight: u64) -> io::Result<()> {
        let replies = self.received / ring.reply_length;
        let may_send = ring.sent_by(replies + in_flight);
        while self.sent < may_send {
            match write_some(&mut self.stream, ring.to_send(self.sent, may_send))? {
                0 => return Ok(()),
                count => self.sent += count as u64,
            }
        }
        Ok(())
    }
}
