//! Who gets a message: open WebSockets, by session. The lists are shared and never changed, so who
//! sends clones one `Arc` under the registry's lock and unlocks.

use crate::error::Error;
use crate::net::batch;
use crate::net::outbox::{Full, Outbox};
use crate::session::id::SessionId;
use crate::websocket::close::CloseFrame;
use crate::websocket::message::Message;
use std::sync::Arc;
use std::time::Instant;

/// The open WebSockets of one session.
pub(crate) type Members = Arc<[Member]>;
/// Those of some sessions, or of all.
pub(crate) type Recipients = Arc<[(SessionId, Members)]>;

#[derive(Clone)]
pub(crate) struct Member {
    pub outbox: Arc<Outbox>,
    /// The login (or guest) whose cookie opened it, and when it was issued.
    pub login: [u8; 16],
    pub issued: u64,
}

/// Sends a message to each but those of one session, and returns how many took it.
pub(crate) fn send(to: &Recipients, except: Option<&SessionId>, message: &Message) -> usize {
    batch::deliver_all(but(to, except), &message.frame()).0
}

/// Sends a Close frame to each but those of one session, and returns how many got none before.
pub(crate) fn close(to: &Recipients, except: Option<&SessionId>, close: &CloseFrame) -> usize {
    batch::close_all(but(to, except), close)
}

/// Sends a message to the WebSockets of one session, for which it waits for room until the deadline
/// if there is one, and returns how many took it. Error: [`Error::Full`] when none did and one does
/// not read.
pub(crate) fn send_to_one(
    to: &[Member],
    message: &Message,
    deadline: Option<Instant>,
) -> Result<usize, Error> {
    let frame = message.frame();
    let sent = match deadline {
        None => batch::deliver_all(outboxes(to), &frame),
        Some(deadline) => batch::deliver_patiently(outboxes(to), &frame, deadline),
    };
    match sent {
        (0, Some(Full { peer, waiting, closed })) => Err(Error::Full { peer, waiting, closed }),
        (taken, _) => Ok(taken),
    }
}

pub(crate) fn outboxes(members: &[Member]) -> impl Iterator<Item = &Arc<Outbox>> {
    members.iter().map(|member| &member.outbox)
}

fn but<'a>(
    to: &'a Recipients,
    except: Option<&'a SessionId>,
) -> impl Iterator<Item = &'a Arc<Outbox>> {
    let wanted = move |(id, _): &&(SessionId, Members)| except != Some(id);
    to.iter().filter(wanted).flat_map(|(_, members)| outboxes(members))
}
