//! From the other processes: what an adapter asks for and brings.
//!
//! ```text
//! send ──▶ those in this process, at once
//!     └──▶ envelope ──▶ relay ──▶ engine ──▶ relay ──▶ Link::deliver ──▶ those in that process
//! ```
//!
//! The engine brings a process its own envelopes too, and it drops them by the node in them.

use crate::comms::dispatch;
use crate::comms::registry::{self, listeners_of, members};
use crate::ground::logger::log_line;
use crate::relay::adapter::{Gap, Link};
use crate::relay::channel::Channel;
use crate::relay::envelope::{Content, Envelope, EnvelopeError, Target};
use crate::session::id::SessionId;
use crate::session::revoked::Ended;
use crate::websocket::close::CloseFrame;
use crate::websocket::message::Message;

impl Link {
    /// Returns whether this process wants what comes on a channel.
    pub fn wants(&self, channel: &str) -> bool {
        Channel::parse(channel).map_or(false, |channel| registry::wants(&channel))
    }

    /// Returns the channels that this process wants, in no order: for an adapter that has just
    /// connected.
    pub fn wanted(&self) -> Vec<String> {
        registry::wanted().iter().map(Channel::name).collect()
    }

    /// Gives what came on a channel to those who are in this process. What this process sent itself is
    /// dropped, and so is, counted in [`Stats::relay_refused`](crate::Stats::relay_refused), what is no
    /// envelope or stands on another's channel. A client that has just stopped reading holds the
    /// caller up for some milliseconds, each time that it stops, and for some more while more is sent
    /// to it in its first 100 ms than may wait.
    pub fn deliver(&self, channel: &str, bytes: &[u8]) {
        let relay = match registry::relay() {
            Some(relay) => relay,
            None => return,
        };
        let relayed = relay.relayed();
        let envelope = Envelope::parse(bytes).and_then(|envelope| {
            let fits = envelope.channel() == channel;
            fits.then_some(envelope).ok_or(EnvelopeError::Kind)
        });
        match envelope {
            Ok(envelope) if envelope.node == relayed.node => {}
            Ok(envelope) => {
                relayed.passed().received += 1;
                serve(&envelope);
            }
            Err(error) => {
                let first = {
                    let mut passed = relayed.passed();
                    passed.refused += 1;
                    passed.refused == 1
                };
                if first {
                    log_line!(Warn, "other processes sent {}; more will only be counted", error);
                }
            }
        }
    }

    /// Logs and counts that messages may be missing.
    pub fn gap(&self, gap: &Gap) {
        log_line!(Warn, "relay: {}", gap);
        if let Some(relay) = registry::relay() {
            relay.relayed().passed().gaps += 1;
        }
    }
}

fn serve(envelope: &Envelope) {
    let message = match envelope.content {
        Content::Text(text) => Message::from(text),
        Content::Binary(bytes) => Message::from(bytes),
        Content::Close { code, reason } => {
            let close = CloseFrame { code, reason: reason.to_string() };
            match envelope.target {
                Target::Session(name) => dispatch::close_session(members(&name.into()), &close),
                Target::Everybody { except } => {
                    dispatch::close_everybody(except.map(SessionId::from).as_ref(), &close)
                }
                // No envelope says so.
                Target::Topic { .. } => 0,
            };
            return;
        }
        Content::Ended { login, issued, reason } => {
            if let Target::Session(name) = envelope.target {
                let ended = match login {
                    Some(login) => Ended::Login(login.0, issued),
                    None => Ended::UpTo(issued),
                };
                dispatch::end_login(&name.into(), ended, reason);
            }
            return;
        }
    };
    match envelope.target {
        Target::Session(name) => {
            let id = SessionId::from(name);
            // A client that does not read is dealt with, counted and logged where it is found.
            let _ = dispatch::to_session(members(&id), &listeners_of(&id), &message, None);
        }
        Target::Everybody { except } => {
            dispatch::to_everybody(except.map(SessionId::from).as_ref(), &message);
        }
        Target::Topic { name, except } => {
            // No topic has a name that is too long, so nobody here misses it.
            let except = except.map(SessionId::from);
            let _ = dispatch::to_topic(name, except.as_ref(), None, message, false);
        }
    }
}
