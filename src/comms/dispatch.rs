//! Sends to those who are in this process, with their WebSockets or by a receiver.

use crate::comms::mailbox::Mailbox;
use crate::comms::recipients::{self, Members};
use crate::comms::registry::{self, connections_of, everyone, is_relayed, publish, with_topics};
use crate::error::Error;
use crate::net::batch::close_all;
use crate::relay::envelope::{Content, Target};
use crate::session::id::SessionId;
use crate::session::revoked::{self, Ended};
use crate::websocket::close::{CloseCode, CloseFrame};
use crate::websocket::message::Message;
use std::sync::Arc;
use std::time::Instant;

/// Sends to a session that was looked up.
pub(crate) fn to_session(
    members: Option<Members>,
    mailboxes: &[Mailbox],
    message: &Message,
    deadline: Option<Instant>,
) -> Result<usize, Error> {
    mailboxes.iter().for_each(|mailbox| mailbox.give(message));
    members.map_or(Ok(0), |members| recipients::send_to_one(&members, message, deadline))
}

/// Sends to everybody, or to all but one session.
pub(crate) fn to_everybody(except: Option<&SessionId>, message: &Message) -> usize {
    registry::listeners_but(except).iter().for_each(|mailbox| mailbox.give(message));
    recipients::send(&everyone(), except, message)
}

/// Sends to a topic's members, or to all but one, and perhaps tells other processes; the topic keeps
/// the message if it keeps any. Error: its name is too long.
pub(crate) fn to_topic(
    name: &str,
    except: Option<&SessionId>,
    keep: Option<usize>,
    mut message: Message,
    elsewhere: bool,
) -> Result<usize, Error> {
    // The topic may keep it for long, and what it has in reserve would not be counted.
    message.shrink();
    let message = Arc::new(message);
    let recipients =
        with_topics(|topics, sessions| topics.send(name, &message, except, keep, sessions))?;
    if elsewhere && is_relayed() {
        // First, since a client here may be waited for.
        let target = Target::Topic { name, except: except.map(Into::into) };
        publish(target, Content::from(&*message));
    }
    registry::listeners_in(name, except).iter().for_each(|mailbox| mailbox.give(&message));
    Ok(recipients.map_or(0, |recipients| recipients::send(&recipients, except, &message)))
}

/// Closes the WebSockets of a session that was looked up.
pub(crate) fn close_session(members: Option<Members>, close: &CloseFrame) -> usize {
    members.map_or(0, |members| close_all(members.iter(), close))
}

/// Closes those of everybody, or of all but one session.
pub(crate) fn close_everybody(except: Option<&SessionId>, close: &CloseFrame) -> usize {
    recipients::close(&everyone(), except, close)
}

/// Ends logins of a session: their cookies are not taken again, their WebSockets are closed. Returns
/// what was ended, which may be more than was asked for.
pub(crate) fn end_login(id: &SessionId, ended: Ended, why: &str) -> Ended {
    let close = CloseFrame { code: CloseCode::POLICY_VIOLATION, reason: why.to_string() };
    // First on the list, then the WebSockets that are open: see `revoked`.
    let ended = revoked::end(id, ended);
    #[cfg(test)]
    crate::inside::pauses::at("the login is on the list");
    close_all(connections_of(id, ended).iter(), &close);
    ended
}
