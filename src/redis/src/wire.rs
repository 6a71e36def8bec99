//! One connection to Redis: commands, and what comes back, each with a time that is a total.
//!
//! The `redis` crate packs the commands and reads the answers. Its own connection is not used: its
//! timeout is one for each read, its pipelines go on to read every answer after one has not come, and
//! its `PubSub` cannot subscribe while it reads. An error is always the end of the connection here.

use crate::bounds::ANSWER;
use crate::stream::{End, Stream};
use redis::{cmd, ErrorKind, Parser, RedisError, RedisResult, ServerError, Value};
use std::time::Duration;

pub(crate) struct Wire {
    stream: Box<dyn Stream>,
    /// Of the stream.
    end: End,
    parser: Parser,
}

/// What comes on a connection that subscribes.
#[derive(Debug, PartialEq)]
pub(crate) enum Event {
    Message {
        channel: Vec<u8>,
        payload: Vec<u8>,
    },
    /// A SUBSCRIBE or UNSUBSCRIBE of this channel has taken effect.
    Confirmed(Vec<u8>),
    /// A command was refused.
    Refused(ServerError),
}

impl Wire {
    /// Takes a stream that has just been connected, in what is left of the time for that.
    pub fn new(
        stream: Box<dyn Stream>,
        end: End,
        login: Option<(Option<&str>, &str)>,
    ) -> RedisResult<Wire> {
        let mut wire = Wire { stream, end, parser: Parser::new() };
        if let Some((user, password)) = login {
            wire.send(&cmd("AUTH").arg(user).arg(password).get_packed_command())?;
            match wire.value()? {
                Value::Okay => {}
                Value::ServerError(error) => return Err(error.into()),
                _ => return Err(unexpected()),
            }
        }
        Ok(wire)
    }

    /// Publishes messages, each of a channel and a payload, and returns which of them Redis took.
    /// Error: the connection is of no more use, and any of them may have arrived or not.
    pub fn publish<'a>(
        &mut self,
        messages: impl Iterator<Item = (String, &'a [u8])>,
    ) -> RedisResult<Vec<bool>> {
        let (mut bytes, mut count) = (Vec::new(), 0);
        for (channel, payload) in messages {
            cmd("PUBLISH").arg(channel).arg(payload).write_packed_command(&mut bytes);
            count += 1;
        }
        self.end.set(ANSWER);
        self.send(&bytes)?;
        let mut taken = Vec::with_capacity(count);
        for _ in 0..count {
            match self.value()? {
                Value::Int(_) => taken.push(true),
                Value::ServerError(error) => {
                    if !taken.contains(&false) {
                        sockling::log::warn!("Redis refused a message: {:?}", error);
                    }
                    taken.push(false);
                }
                _ => return Err(unexpected()),
            }
        }
        Ok(taken)
    }

    /// Returns how many have subscribed to a channel; `None` when Redis does not say. Error: the
    /// connection is of no more use.
    pub fn subscribers(&mut self, channel: &str) -> RedisResult<Option<usize>> {
        self.end.set(ANSWER);
        self.send(&cmd("PUBSUB").arg("NUMSUB").arg(channel).get_packed_command())?;
        match self.value()? {
            Value::Array(parts) => match parts[..] {
                [_, Value::Int(count)] => Ok(usize::try_from(count).ok()),
                _ => Err(unexpected()),
            },
            Value::ServerError(_) => Ok(None),
            _ => Err(unexpected()),
        }
    }

    /// Sends `SUBSCRIBE` or `UNSUBSCRIBE` with these channels.
    pub fn subscribe<'a>(
        &mut self,
        command: &str,
        channels: impl Iterator<Item = &'a String>,
    ) -> RedisResult<()> {
        let mut command = cmd(command);
        for channel in channels {
            command.arg(channel);
        }
        self.end.set(ANSWER);
        self.send(&command.get_packed_command())
    }

    /// Waits for what comes next, which is to be whole after so long. Error: the connection is of no
    /// more use.
    pub fn receive(&mut self, longest: Duration) -> RedisResult<Event> {
        self.end.set(longest);
        match self.value()? {
            Value::ServerError(error) => Ok(Event::Refused(error)),
            Value::Array(parts) => event(parts).ok_or_else(unexpected),
            _ => Err(unexpected()),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> RedisResult<()> {
        self.stream.write_all(bytes)?;
        Ok(self.stream.flush()?)
    }

    fn value(&mut self) -> RedisResult<Value> {
        self.parser.parse_value(&mut self.stream)
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

pub(crate) fn unexpected() -> RedisError {
    RedisError::from((ErrorKind::UnexpectedReturnType, "an answer to no question"))
}
