//! What other processes send: an envelope becomes a call of the one dispatch, which then stays in this
//! process.

use crate::comms::dispatch::{end_login, ended_by, send, To};
use crate::comms::process::set_relay;
use crate::comms::registry;
use crate::error::Error;
use crate::relay::adapter::{Inward, Relay, Relayed};
use crate::relay::channel::{Bits, Channel};
use crate::relay::envelope::{Content, Envelope, Target};
use crate::session::keys::SessionKeys;

/// Sets the relay of this process and starts it. Errors: those of [`Comms::relay`](crate::Comms::relay).
pub(crate) fn start_relay(relay: Box<dyn Relay>) -> Result<(), Error> {
    let node = Bits(SessionKeys::random()?.draw());
    let relayed = Relayed::new(relay, node, Box::new(Inbound));
    set_relay(Some(relayed.clone()))?;
    // Started after it is set: of a session that comes meanwhile it is told, or it is in what it asks for.
    relayed.start().map_err(|error| {
        drop(set_relay(None));
        error
    })
}

/// What the adapter of a relay reaches of this process.
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
                end_login(To::Here, name.into(), ended_by(login, issued), reason);
            }
            // A client that does not read is dealt with, counted and logged where it is found.
            _ => drop(send(To::Here(target), content, None)),
        }
    }
}
