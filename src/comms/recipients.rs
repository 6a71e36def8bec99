//! Who gets a message: open WebSockets. The lists are shared and never changed, so that a sender
//! clones one `Arc` under the registry's lock and unlocks.

use crate::error::Error;
use crate::net::batch;
use crate::net::outbox::{Full, Outbox};
use crate::session::id::SessionId;
use crate::websocket::close::CloseFrame;
use crate::websocket::message::Message;
use std::sync::Arc;
use std::time::Instant;

/// The open WebSockets of one session, of some or of all.
pub(crate) type Members = Arc<[Arc<Outbox>]>;

/// Sends a message to each but those of one session, and returns how many took it.
pub(crate) fn send(to: &[Arc<Outbox>], except: Option<&SessionId>, message: &Message) -> usize {
    batch::deliver_all(but(to, except), &message.frame()).0
}

/// Sends a Close frame to each but those of one session, and returns how many got none before.
pub(crate) fn close(to: &[Arc<Outbox>], except: Option<&SessionId>, close: &CloseFrame) -> usize {
    batch::close_all(but(to, except), close)
}

/// Sends a message to the WebSockets of one session, for which it waits for room until the deadline
/// if there is one, and returns how many took it. Error: [`Error::Full`] when none did and one does
/// not read.
pub(crate) fn send_to_one(
    to: &[Arc<Outbox>],
    message: &Message,
    deadline: Option<Instant>,
) -> Result<usize, Error> {
    let frame = message.frame();
    let sent = match deadline {
        None => batch::deliver_all(to.iter(), &frame),
        Some(deadline) => batch::deliver_patiently(to.iter(), &frame, deadline),
    };
    match sent {
        (0, Some(Full { peer, waiting, closed })) => Err(Error::Full { peer, waiting, closed }),
        (taken, _) => Ok(taken),
    }
}

fn but<'a>(
    to: &'a [Arc<Outbox>],
    except: Option<&'a SessionId>,
) -> impl Iterator<Item = &'a Arc<Outbox>> {
    to.iter().filter(move |outbox| except != Some(&outbox.session.id))
}
