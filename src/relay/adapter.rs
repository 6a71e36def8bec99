//! The trait of an adapter, which carries envelopes between processes, and the two interfaces
//! between it and the rest of the library.

use crate::error::Error;
use crate::ground::logger::log_line;
use crate::relay::channel::{Bits, Channel};
use crate::relay::envelope::{Content, Envelope, EnvelopeError, Target};
use crate::session::id::SessionId;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

/// An adapter for an engine that carries envelopes by channels, from each process to those that
/// want them. Start it with [`Comms::relay`](crate::Comms::relay).
///
/// Threads that serve clients call it, so no method may wait for the engine: an adapter puts
/// envelopes into a queue of bounded length.
///
/// ```
/// use sockling::prelude::*;
/// use sockling::relay::{Bits, Content, Envelope, Gap, Link, Relay, Target};
/// use std::sync::mpsc::{channel, Sender};
/// use std::sync::Mutex;
///
/// /// Accepts what is for everybody, and carries it nowhere.
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
///     fn lost(&self, _channel: &str) {} // an adapter tells the others of the gap
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
/// // What the thread that reads from the engine does.
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
    /// Starts the adapter, which keeps the link and gives it what arrives. Called once. Error: the
    /// adapter can never carry anything; an engine that cannot be reached for now is not an error.
    fn start(&self, link: Link) -> Result<(), Error>;

    /// Accepts an envelope for a channel. Envelopes from one thread are carried in the order of the
    /// calls. Error: there is no room; the envelope is lost and counted in
    /// [`Stats::relay_lost`](crate::Stats::relay_lost).
    fn publish(&self, channel: &str, envelope: Vec<u8>) -> Result<(), Error>;

    /// Called when a message for a channel was lost because it is too long for an envelope. It has
    /// been counted; the adapter reports it to the other processes as a [`Gap`], like an envelope
    /// for which it had no room. Does nothing by default.
    fn lost(&self, _channel: &str) {}

    /// Called when this process may have begun or ceased to want a channel. [`Link::wants`] tells
    /// the state at the time of its call, so an adapter may treat several changes as one.
    fn changed(&self, channel: &str);
}

/// The way from an adapter into this process. Clones lead to the same process.
#[derive(Clone)]
pub struct Link(Weak<Relayed>);

impl Link {
    /// Returns whether this process wants what comes on a channel: `false` for a text that names
    /// none.
    pub fn wants(&self, channel: &str) -> bool {
        let wanted = Channel::parse(channel).zip(self.0.upgrade());
        wanted.map_or(false, |(channel, relayed)| relayed.inward.wants(&channel))
    }

    /// Returns the channels that this process wants, in no order and perhaps with repetitions: for
    /// an adapter that has just connected.
    pub fn wanted(&self) -> Vec<String> {
        let wanted = self.0.upgrade().map_or(Vec::new(), |relayed| relayed.inward.wanted());
        wanted.iter().map(Channel::name).collect()
    }

    /// Gives what came on a channel to the clients of this process that it is for.
    ///
    /// An envelope that this process sent itself is dropped. So is what is not an envelope or
    /// arrives on a channel other than its own, which is counted in
    /// [`Stats::relay_refused`](crate::Stats::relay_refused).
    ///
    /// May block: a client that has just stopped reading delays the caller by some milliseconds,
    /// each time that it stops, and by some more while more is sent to it in its first 100 ms than
    /// may wait.
    pub fn deliver(&self, channel: &str, bytes: &[u8]) {
        let relayed = match self.0.upgrade() {
            Some(relayed) => relayed,
            None => return,
        };
        let envelope = Envelope::parse(bytes).and_then(|envelope| {
            let fits = envelope.channel() == channel;
            fits.then_some(envelope).ok_or(EnvelopeError::Kind)
        });
        match envelope {
            Ok(envelope) if envelope.node == relayed.node => {}
            Ok(envelope) => {
                relayed.counts().received += 1;
                relayed.inward.deliver(&envelope);
            }
            Err(error) => {
                let first = {
                    let mut counts = relayed.counts();
                    counts.refused += 1;
                    counts.refused == 1
                };
                if first {
                    log_line!(
                        Warn,
                        "relay: refused what came on channel {:?}: {}; more will only be counted",
                        channel,
                        error
                    );
                }
            }
        }
    }

    /// Logs that messages may be missing, and counts it in
    /// [`Stats::relay_gaps`](crate::Stats::relay_gaps).
    pub fn gap(&self, gap: &Gap) {
        log_line!(Warn, "relay: {}", gap);
        if let Some(relayed) = self.0.upgrade() {
            relayed.counts().gaps += 1;
        }
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("Link")
    }
}

/// A period of which messages may be missing: the engine could not be reached, or more was sent
/// than the adapter accepted.
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
    /// The beginning; no earlier message is missing.
    pub from: SystemTime,
    /// The end; `None` while the gap goes on.
    pub to: Option<SystemTime>,
    /// The cause, for the log.
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
    /// Says that this process may have begun or ceased to want the channels of these sessions and
    /// topics.
    fn changed(&self, sessions: &[SessionId], topics: &[Arc<str>]);
    /// Returns how much has passed.
    fn counts(&self) -> Counts;
}

/// What a relay sees of the rest of the library.
pub(crate) trait Inward: Send + Sync {
    /// Returns whether this process wants what comes on a channel.
    fn wants(&self, channel: &Channel) -> bool;
    /// Returns the channels that this process wants.
    fn wanted(&self) -> Vec<Channel>;
    /// Gives what another process sent to the clients that it is for.
    fn deliver(&self, envelope: &Envelope);
}

/// A relay that was set.
pub(crate) struct Relayed {
    relay: Box<dyn Relay>,
    /// The name of this process in envelopes.
    node: Bits,
    inward: Box<dyn Inward>,
    counts: Mutex<Counts>,
}

/// How many envelopes have passed, by what became of them, and how many gaps there were.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub out: u64,
    pub lost: u64,
    pub received: u64,
    pub refused: u64,
    pub gaps: u64,
}

impl Relayed {
    pub fn new(relay: Box<dyn Relay>, node: Bits, inward: Box<dyn Inward>) -> Arc<Relayed> {
        Arc::new(Relayed { relay, node, inward, counts: Mutex::default() })
    }

    /// Starts the adapter. Its link holds nothing: when the relay is dropped it leads nowhere.
    pub fn start(self: &Arc<Relayed>) -> Result<(), Error> {
        self.relay.start(Link(Arc::downgrade(self)))
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outward for Relayed {
    fn publish(&self, target: Target, content: Content) {
        let envelope = Envelope { node: self.node, target, content };
        let channel = envelope.channel();
        let taken = match envelope.to_bytes() {
            Ok(bytes) => self.relay.publish(&channel, bytes).is_ok(),
            Err(error) => {
                log_line!(Warn, "relay: not sent on channel {:?}: {}", channel, error);
                self.relay.lost(&channel);
                false
            }
        };
        match taken {
            true => self.counts().out += 1,
            // Not logged: the adapter reports a gap, and here it could be a line for every message.
            false => self.counts().lost += 1,
        }
    }

    fn changed(&self, sessions: &[SessionId], topics: &[Arc<str>]) {
        let sessions = sessions.iter().map(|id| Channel::Session(id.into()));
        let topics = topics.iter().map(|name| Channel::Topic(name.to_string()));
        sessions.chain(topics).for_each(|channel| self.relay.changed(&channel.name()));
    }

    fn counts(&self) -> Counts {
        *self.counts()
    }
}
