//! What other processes send: turns an envelope into a call of the dispatch that stays in this
//! process.

use crate::comms::dispatch::{end_login, ended_by, send, To};
use crate::comms::process::set_relay;
use crate::comms::registry;
use crate::error::Error;
use crate::relay::adapter::{Inward, Relay, Relayed};
use crate::relay::channel::{Bits, Channel};
use crate::relay::envelope::{Content, Envelope, Target};
use crate::session::keys::SessionKeys;

/// Sets the relay of this process and starts it. Errors: those of
/// [`Comms::relay`](crate::Comms::relay).
pub(crate) fn start_relay(relay: Box<dyn Relay>) -> Result<(), Error> {
    let node = Bits(SessionKeys::random()?.draw());
    let relayed = Relayed::new(relay, node, Box::new(Inbound));
    set_relay(Some(relayed.clone()))?;
    // Started after it is set, so that it is either told of a session that connects meanwhile, or
    // finds it among the channels that are wanted.
    relayed.start().map_err(|error| {
        drop(set_relay(None));
        error
    })
}

/// The part of this process that the adapter of a relay reaches.
struct Inbound;

impl Inward for Inbound {
    fn wants(&self, channel: &Channel) -> bool {
        registry::wants(channel)
    }

    fn wanted(&self) -> Vec<Channel> {
        registry::wanted()
    }

    fn deliver(&self, envelope: &Envelope) {
        let Envelope { target, content, .. } = *envelope;
        match (target, content) {
            (Target::Session(name), Content::Ended { login, issued, reason }) => {
                end_login(To::Local, name.into(), ended_by(login, issued), reason);
            }
            // A client that does not read was dealt with, counted and logged on the way.
            _ => drop(send(To::Local(target), content, None)),
        }
    }
}
