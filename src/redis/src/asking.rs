//! What Redis is asked to subscribe to on one connection.
//!
//! One command is under way at a time. So Redis never holds more answers than it does messages for a
//! process that writes and does not read, which it would cut off; and a refusal is known to be that
//! command's. Of a SUBSCRIBE that is refused each half is asked for by itself, until the channel is
//! found that Redis does not want: the others are not deaf for its sake.

use crate::bounds::{BATCH_BYTES, CHANNELS};
use crate::wire::Wire;
use redis::RedisResult;
use std::collections::{BTreeSet, HashSet, VecDeque};

#[derive(Default)]
pub(crate) struct Asking {
    next: VecDeque<Command>,
    under_way: Option<Command>,
    /// Channels that are wanted and that Redis has refused.
    refused: HashSet<String>,
    /// It has refused one at least.
    has_refused: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Subscribe,
    Unsubscribe,
}

struct Command {
    verb: Verb,
    /// Those that are not answered yet.
    channels: BTreeSet<String>,
}

impl Asking {
    /// Adds what is to be asked, in commands of a bounded length.
    pub fn ask(&mut self, verb: Verb, channels: Vec<String>) {
        let (mut channels, mut bytes) = (channels.into_iter().peekable(), 0);
        let mut some = BTreeSet::new();
        while let Some(channel) = channels.next() {
            bytes += channel.len();
            some.insert(channel);
            if some.len() == CHANNELS || bytes >= BATCH_BYTES || channels.peek().is_none() {
                self.next.push_back(Command { verb, channels: std::mem::take(&mut some) });
                bytes = 0;
            }
        }
    }

    /// Sends the next command, if the one before it is answered.
    pub fn send(&mut self, wire: &mut Wire) -> RedisResult<()> {
        match self.begin() {
            Some(command) => wire.subscribe(command.verb.name(), command.channels.iter()),
            None => Ok(()),
        }
    }

    /// Returns whether all is answered.
    pub fn is_idle(&self) -> bool {
        self.under_way.is_none() && self.next.is_empty()
    }

    fn begin(&mut self) -> Option<&Command> {
        if self.under_way.is_some() {
            return None;
        }
        self.under_way = self.next.pop_front();
        self.under_way.as_ref()
    }

    /// Notes that a channel's SUBSCRIBE or UNSUBSCRIBE has taken effect. Returns whether it was asked
    /// for.
    pub fn confirmed(&mut self, channel: &str) -> bool {
        let Some(command) = &mut self.under_way else { return false };
        let asked = command.channels.remove(channel);
        if command.channels.is_empty() {
            self.under_way = None;
        }
        asked
    }

    /// Notes that Redis has refused the command that is under way. Returns how many channels that
    /// answers for good; `None` when there is no command, or it has this channel, without which
    /// nothing works.
    pub fn refused(&mut self, needed: &str) -> Option<usize> {
        let mut command = self.under_way.take()?;
        if command.channels.contains(needed) {
            return None;
        }
        let count = command.channels.len();
        match (command.verb, count) {
            // It goes on to come, and is for nobody.
            (Verb::Unsubscribe, _) => Some(count),
            (Verb::Subscribe, 1) => {
                self.has_refused = true;
                self.refused.extend(command.channels);
                Some(1)
            }
            (Verb::Subscribe, _) => {
                let middle = command.channels.iter().nth(count / 2).cloned()?;
                let half = command.channels.split_off(&middle);
                self.next.push_front(Command { verb: command.verb, channels: half });
                self.next.push_front(command);
                Some(0)
            }
        }
    }

    /// Notes that a channel is wanted no more. Returns whether Redis had refused it: then there is
    /// nothing to unsubscribe from.
    pub fn forget(&mut self, channel: &str) -> bool {
        self.refused.remove(channel)
    }

    /// Returns whether Redis has refused a channel on this connection, also one that is wanted no more.
    pub fn has_refused(&self) -> bool {
        self.has_refused
    }

    /// Returns how many channels are wanted and refused.
    pub fn count_refused(&self) -> usize {
        self.refused.len()
    }
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Verb::Subscribe => "SUBSCRIBE",
            Verb::Unsubscribe => "UNSUBSCRIBE",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(numbers: std::ops::Range<usize>) -> Vec<String> {
        numbers.map(|number| format!("{:04}", number)).collect()
    }

    #[test]
    fn one_command_at_a_time_is_bounded_in_channels_and_bytes() {
        let mut asking = Asking::default();
        asking.ask(Verb::Subscribe, names(0..CHANNELS + 1));
        asking.ask(Verb::Unsubscribe, vec!["x".repeat(BATCH_BYTES), "y".to_string()]);
        let mut lengths = Vec::new();
        while let Some(command) = asking.begin() {
            let channels: Vec<String> = command.channels.iter().cloned().collect();
            lengths.push(channels.len());
            for channel in channels {
                assert!(asking.begin().is_none(), "it is not answered");
                assert!(!asking.confirmed("another") && asking.confirmed(&channel));
            }
        }
        assert_eq!(lengths, [CHANNELS, 1, 1, 1]);
    }

    #[test]
    fn what_is_refused_is_found_and_the_others_are_subscribed_to() {
        let mut asking = Asking::default();
        asking.ask(Verb::Subscribe, names(0..100));
        let unwanted = ["0000", "0041", "0042", "0099"];
        let (mut confirmed, mut refused, mut commands) = (0, 0, 0);
        while let Some(command) = asking.begin() {
            commands += 1;
            let channels: Vec<String> = command.channels.iter().cloned().collect();
            match channels.iter().any(|channel| unwanted.contains(&&**channel)) {
                true => refused += asking.refused("needed").expect("it was asked"),
                false => {
                    let mut all = channels.iter();
                    confirmed += all.by_ref().filter(|channel| asking.confirmed(channel)).count();
                }
            }
        }
        assert_eq!((confirmed, refused, asking.count_refused()), (96, 4, 4));
        assert!(commands < 60, "{}", commands);
        // One is wanted no more.
        assert!(asking.forget("0041") && !asking.forget("0041") && !asking.forget("0001"));
        assert_eq!((asking.count_refused(), asking.has_refused()), (3, true));
        // To go on to hear what nobody wants is no loss.
        asking.ask(Verb::Unsubscribe, names(1..4));
        assert!(asking.begin().is_some());
        assert_eq!((asking.refused("needed"), asking.count_refused()), (Some(3), 3));
        assert!(asking.is_idle());
    }

    #[test]
    fn a_refusal_of_nothing_or_of_what_is_needed_is_the_end() {
        let mut asking = Asking::default();
        assert_eq!(asking.refused("needed"), None);
        asking.ask(Verb::Subscribe, vec!["needed".to_string(), "other".to_string()]);
        assert!(asking.begin().is_some());
        assert_eq!(asking.refused("needed"), None);
    }
}
