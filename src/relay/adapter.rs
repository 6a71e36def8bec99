//! What carries messages between processes: the trait of an adapter, and what it tells.

use crate::error::Error;
use crate::ground::logger::log_line;
use crate::relay::channel::Channel;
use crate::relay::envelope::{Content, Envelope, Target};
use crate::session::id::SessionId;
use crate::session::name::Bits;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// An adapter for an engine that carries envelopes from each process to those that want them, by
/// channels: [`Comms::relay`](crate::Comms::relay) takes it.
///
/// It is called by threads that serve clients, so no method may wait for the engine: there is a queue
/// of a bounded length before it.
///
/// ```
/// use sockling::prelude::*;
/// use sockling::relay::{Bits, Content, Envelope, Gap, Link, Relay, Target};
/// use std::sync::mpsc::{channel, Sender};
/// use std::sync::Mutex;
///
/// /// Takes what is for everybody, and carries it nowhere.
/// struct Nowhere(Mutex<Sender<Link>>);
///
/// impl Relay for Nowhere {
///     fn start(&self, link: Link) -> Result<(), Error> {
///         assert_eq!(link.wanted(), ["all"]); // what to subscribe to
///         self.0.lock().map_err(|_| "it panicked")?.send(link).map_err(Error::other)
///     }
///
///     fn publish(&self, channel: &str, _envelope: Vec<u8>) -> Result<(), Error> {
///         if channel == "all" { Ok(()) } else { Err("there is no room".into()) }
///     }
///
///     fn lost(&self, _channel: &str) {} // an engine carries to the others that there is a gap
///
///     fn changed(&self, _channel: &str) {}
/// }
///
/// let (sender, links) = channel();
/// Comms::relay(Nowhere(Mutex::new(sender)))?;
/// assert_eq!(Comms::notify().send("hey")?, 0); // in this process
/// assert_eq!(Comms::websocket(7).send("hey")?, 0);
/// assert_eq!((Comms::stats().relay_out, Comms::stats().relay_lost), (1, 1));
///
/// // What its thread does that reads from the engine.
/// let link = links.recv().map_err(Error::other)?;
/// let user = Comms::receiver(7);
/// assert!(link.wants("u.7") && !link.wants("u.8"));
/// let (target, content) = (Target::Everybody { except: None }, Content::Text("from elsewhere"));
/// let envelope = Envelope { node: Bits([9; 16]), target, content };
/// link.deliver("all", &envelope.to_bytes().map_err(Error::other)?);
/// assert_eq!(user.try_recv(), Some("from elsewhere".into()));
/// link.gap(&Gap { from: std::time::SystemTime::now(), to: None, reason: "it is away".into() });
/// assert_eq!(Comms::stats().relay_gaps, 1);
/// # Ok::<(), Error>(())
/// ```
pub trait Relay: Send + Sync {
    /// Begins, and keeps the link, to which it gives what arrives. Called once. Error: nothing can
    /// ever be carried; an engine that is away for now is none.
    fn start(&self, link: Link) -> Result<(), Error>;

    /// Takes an envelope for a channel, to be carried in the order in which a thread gives them.
    /// Error: there is no room; it is then counted in [`Stats::relay_lost`](crate::Stats::relay_lost)
    /// and lost.
    fn publish(&self, channel: &str, envelope: Vec<u8>) -> Result<(), Error>;

    /// Hears that a message for a channel was lost before it could be given: it is too long for an
    /// envelope. It is counted already; the adapter tells of it as of what it had no room for, so that
    /// the other processes hear of a [`Gap`]. Does nothing unless it is implemented.
    fn lost(&self, _channel: &str) {}

    /// Hears that this process may have begun to want a channel, or want it no more;
    /// [`Link::wants`] says how it is when it is asked, so several changes may be taken as one.
    fn changed(&self, channel: &str);
}

/// The way from an adapter into this process.
#[derive(Clone, Debug)]
pub struct Link(pub(crate) ());

/// Messages between two moments may be missing: the engine was away, or more was sent than it took.
///
/// ```
/// use sockling::relay::Gap;
/// use std::time::{Duration, UNIX_EPOCH};
///
/// let to = Some(UNIX_EPOCH + Duration::from_secs(3));
/// let gap = Gap { from: UNIX_EPOCH, to, reason: "the engine was away".to_string() };
/// assert_eq!(gap.to_string(), "messages of 3.0 s may be missing: the engine was away");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// From when on; before, nothing was missing.
    pub from: SystemTime,
    /// Until when; `None` while it goes on.
    pub to: Option<SystemTime>,
    /// Why, in words.
    pub reason: String,
}

impl fmt::Display for Gap {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let end = self.to.unwrap_or_else(SystemTime::now);
        let seconds = end.duration_since(self.from).unwrap_or_default().as_secs_f64();
        let goes_on = if self.to.is_none() { "; it goes on" } else { "" };
        let reason = &self.reason;
        write!(out, "messages of {:.1} s may be missing: {}{}", seconds, reason, goes_on)
    }
}

/// What the rest of the library sees of a relay: a program that sets none has no code for it.
pub(crate) trait Outward: Send + Sync {
    /// Tells the other processes.
    fn publish(&self, target: Target, content: Content);
    /// Says that these sessions and topics came to this process or left it.
    fn changed(&self, sessions: &[SessionId], topics: &[Arc<str>]);
    fn relayed(&self) -> &Relayed;
}

/// A relay that was set.
pub(crate) struct Relayed {
    pub relay: Box<dyn Relay>,
    /// What this process is called in envelopes.
    pub node: Bits,
    passed: Mutex<Passed>,
}

/// What has passed, in all.
#[derive(Clone, Copy, Default)]
pub(crate) struct Passed {
    pub out: u64,
    pub lost: u64,
    pub received: u64,
    pub refused: u64,
    pub gaps: u64,
}

impl Relayed {
    pub fn new(relay: Box<dyn Relay>, node: Bits) -> Relayed {
        Relayed { relay, node, passed: Mutex::default() }
    }

    /// What has passed. Locked for a moment.
    pub fn passed(&self) -> MutexGuard<'_, Passed> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outward for Relayed {
    fn publish(&self, target: Target, content: Content) {
        let envelope = Envelope { node: self.node, target, content };
        let taken = match envelope.to_bytes() {
            Ok(bytes) => self.relay.publish(&envelope.channel(), bytes).is_ok(),
            Err(error) => {
                log_line!(Warn, "not sent to other processes: {}", error);
                self.relay.lost(&envelope.channel());
                false
            }
        };
        match taken {
            true => self.passed().out += 1,
            // The adapter tells of it by a gap; here it could be a line for every message.
            false => self.passed().lost += 1,
        }
    }

    fn changed(&self, sessions: &[SessionId], topics: &[Arc<str>]) {
        let sessions = sessions.iter().map(|id| Channel::Session(id.into()));
        let topics = topics.iter().map(|name| Channel::Topic(name.to_string()));
        sessions.chain(topics).for_each(|channel| self.relay.changed(&channel.name()));
    }

    fn relayed(&self) -> &Relayed {
        self
    }
}
