//! One connection to Redis, each step with a deadline.
//!
//! The crate's own ways are not used where they do not fit. Its pipelines go on to read every answer
//! after one has not come, each for the whole timeout. Its `PubSub` cannot subscribe while it reads.
//! And after a read that timed out, its connection skips the next thing that comes, which could be a
//! message: so a read that times out is always the end of the connection here, and so is one that a
//! signal interrupts (a process that is stopped and goes on, a profiler), for the same reason.

use crate::bounds::ANSWER;
use redis::{cmd, Connection, ErrorKind, RedisError, RedisResult, Value};
use std::time::{Duration, Instant};

pub(crate) struct Wire(Connection);

/// What comes on a connection that subscribes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Message {
        channel: Vec<u8>,
        payload: Vec<u8>,
    },
    /// A SUBSCRIBE or UNSUBSCRIBE of this channel has taken effect.
    Confirmed(Vec<u8>),
}

impl Wire {
    /// Takes a connection on which every read ends after so long.
    pub fn new(connection: Connection, silence: Duration) -> RedisResult<Wire> {
        connection.set_read_timeout(Some(silence))?;
        connection.set_write_timeout(Some(ANSWER))?;
        Ok(Wire(connection))
    }

    /// Publishes messages, each of a channel and a payload, and returns which of them Redis took.
    /// Error: the connection is of no more use, and any of them may have arrived or not.
    pub fn publish<'a>(
        &mut self,
        messages: impl Iterator<Item = (String, &'a [u8])>,
    ) -> RedisResult<Vec<bool>> {
        let (mut octets, mut count) = (Vec::new(), 0);
        for (channel, payload) in messages {
            cmd("PUBLISH").arg(channel).arg(payload).write_packed_command(&mut octets);
            count += 1;
        }
        let begun = Instant::now();
        self.0.send_packed_command(&octets)?;
        let mut taken = Vec::with_capacity(count);
        for _ in 0..count {
            match self.0.recv_response()? {
                Value::Int(_) => taken.push(true),
                Value::ServerError(error) => {
                    if !taken.contains(&false) {
                        sockling::log::warn!("Redis refused a message: {:?}", error);
                    }
                    taken.push(false);
                }
                _ => return Err(unexpected()),
            }
            if begun.elapsed() > ANSWER {
                return Err(RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut)));
            }
        }
        Ok(taken)
    }

    /// Returns how many have subscribed to a channel; `None` when Redis does not say. Error: the
    /// connection is of no more use.
    pub fn subscribers(&mut self, channel: &str) -> RedisResult<Option<usize>> {
        let ask = cmd("PUBSUB").arg("NUMSUB").arg(channel).get_packed_command();
        self.0.send_packed_command(&ask)?;
        match self.0.recv_response()? {
            Value::Array(parts) => match parts[..] {
                [_, Value::Int(count)] => Ok(usize::try_from(count).ok()),
                _ => Err(unexpected()),
            },
            Value::ServerError(_) => Ok(None),
            _ => Err(unexpected()),
        }
    }

    /// Sends `SUBSCRIBE` or `UNSUBSCRIBE` with these channels.
    pub fn subscribe(&mut self, command: &str, channels: &[String]) -> RedisResult<()> {
        self.0.send_packed_command(&cmd(command).arg(channels).get_packed_command())
    }

    /// Waits for what comes next. Error: the connection is of no more use.
    pub fn receive(&mut self) -> RedisResult<Event> {
        match self.0.recv_response()? {
            Value::ServerError(error) => Err(error.into()),
            Value::Array(parts) => event(parts).ok_or_else(unexpected),
            _ => Err(unexpected()),
        }
    }
}

fn event(parts: Vec<Value>) -> Option<Event> {
    let [kind, channel, payload] = <[Value; 3]>::try_from(parts).ok()?;
    match (kind, channel, payload) {
        (Value::BulkString(kind), Value::BulkString(channel), Value::BulkString(payload)) => {
            (kind == b"message").then_some(Event::Message { channel, payload })
        }
        (Value::BulkString(kind), Value::BulkString(channel), Value::Int(_)) => {
            let answers = kind == b"subscribe" || kind == b"unsubscribe";
            answers.then_some(Event::Confirmed(channel))
        }
        _ => None,
    }
}

fn unexpected() -> RedisError {
    RedisError::from((ErrorKind::UnexpectedReturnType, "an answer to no question"))
}
