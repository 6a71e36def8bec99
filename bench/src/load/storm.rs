//! Connect, upgrade, one echo, close: some at a time, one after the other.

use crate::load::connection::Connection;
use crate::load::frames::{frame, OpCode, Ring};
use crate::load::open::{is_whole_head, REQUEST};
use crate::load::wait::Waiter;
use crate::load::{wrong, Load};
use crate::servers::Wire;
use mio::net::TcpStream;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Instant;

pub struct Storm {
    waiter: Waiter,
    visits: Vec<Visit>,
    script: Script,
    done: u64,
}

/// What all visits have in common.
struct Script {
    address: SocketAddr,
    wire: Wire,
    ring: Ring,
    goodbye: Vec<u8>,
}

struct Visit {
    stream: Connection<TcpStream>,
    step: Step,
    /// What came in this step.
    received: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Connecting,
    Upgrading,
    Echoing,
    Closing,
}

impl Storm {
    pub fn new(address: SocketAddr, wire: Wire, ring: Ring, visitors: usize) -> io::Result<Storm> {
        let goodbye = frame(OpCode::Close, &1000_u16.to_be_bytes(), Some([1, 2, 3, 4]));
        let script = Script { address, wire, ring, goodbye };
        let waiter = Waiter::new()?;
        let mut visits = Vec::new();
        for index in 0..visitors {
            let mut visit = Visit::new(address, wire)?;
            waiter.add(&mut visit.stream.tcp, index)?;
            visits.push(visit);
        }
        Ok(Storm { waiter, visits, script, done: 0 })
    }
}

impl Load for Storm {
    fn run_until(&mut self, end: Instant) -> io::Result<()> {
        let Storm { waiter, visits, script, done } = self;
        while Instant::now() < end {
            let mut over = Vec::new();
            waiter.wait(end, |index| {
                if visits[index].go_on(script)? {
                    over.push(index);
                }
                Ok(())
            })?;
            for index in over {
                *done += 1;
                visits[index] = Visit::new(script.address, script.wire)?;
                waiter.add(&mut visits[index].stream.tcp, index)?;
            }
        }
        Ok(())
    }

    fn done(&self) -> f64 {
        self.done as f64
    }

    fn in_flight(&self) -> f64 {
        self.visits.len() as f64
    }
}

impl Visit {
    fn new(address: SocketAddr, wire: Wire) -> io::Result<Visit> {
        let stream = Connection::new(TcpStream::connect(address)?, wire)?;
        Ok(Visit { stream, step: Step::Connecting, received: Vec::new() })
    }

    /// Does what can be done. Returns whether the visit is over.
    fn go_on(&mut self, script: &Script) -> io::Result<bool> {
        if self.step == Step::Connecting {
            match self.stream.tcp.peer_addr() {
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(false),
                result => result?,
            };
            self.stream.tcp.set_nodelay(true)?;
            match script.wire {
                Wire::Raw => self.say(Step::Echoing, script.message())?,
                _ => self.say(Step::Upgrading, REQUEST)?,
            }
        }
        let mut buffer = [0; 4096];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return self.is_over(script.wire),
                Ok(count) => self.received.extend(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
            self.judge(script)?;
        }
    }

    /// Looks at what came, and goes on to the next step when it is all.
    fn judge(&mut self, script: &Script) -> io::Result<()> {
        match self.step {
            Step::Upgrading if is_whole_head(&self.received)? => {
                self.say(Step::Echoing, script.message())
            }
            Step::Echoing if self.received.len() as u64 >= script.ring.reply_length => {
                let right = self.received.len() as u64 == script.ring.reply_length
                    && script.ring.matches(0, &self.received);
                match script.wire {
                    _ if !right => Err(wrong("a reply is not what was sent")),
                    Wire::Raw => {
                        self.step = Step::Closing;
                        self.received.clear();
                        self.stream.tcp.shutdown(Shutdown::Write)
                    }
                    _ => self.say(Step::Closing, &script.goodbye),
                }
            }
            _ => Ok(()),
        }
    }

    /// Few bytes into an empty socket: it takes all.
    fn say(&mut self, next: Step, bytes: &[u8]) -> io::Result<()> {
        self.step = next;
        self.received.clear();
        self.stream.write_all(bytes)
    }

    /// The server has ended its side: after its own Close frame, or too early.
    fn is_over(&self, wire: Wire) -> io::Result<bool> {
        let said_goodbye = match wire {
            Wire::Raw => self.received.is_empty(),
            _ => self.received.starts_with(b"\x88\x02\x03\xe8"),
        };
        if self.step == Step::Closing && said_goodbye {
            Ok(true)
        } else {
            Err(wrong(format!("the server has closed while {:?}", self.step)))
        }
    }
}

impl Script {
    fn message(&self) -> &[u8] {
        self.ring.to_send(0, self.ring.sent_by(1))
    }
}
