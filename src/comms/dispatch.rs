//! The one path on which anything is sent: finds the WebSockets and receivers that are meant,
//! publishes to the other processes if there is a relay, and then gives the frame to each
//! WebSocket.
//!
//! ```text
//! handles ──┐             ┌──▶ relay ──▶ engine ──▶ other processes
//! inbound ──┼──▶ send ────┤
//! logout  ──┘     ▲       └──▶ mailboxes and outboxes of this process
//!                 │
//!              registry
//! ```

use crate::comms::mailbox::Mailbox;
use crate::comms::process::{is_relayed, relay};
use crate::comms::registry::{
    everyone, has_receivers, look_up, mailboxes, outboxes, topic_members,
};
use crate::comms::topics::Outboxes;
use crate::error::Error;
use crate::net::batch::{close_all, deliver_all, deliver_patiently, own};
use crate::net::outbox::{Full, Outbox};
use crate::relay::channel::Bits;
use crate::relay::envelope::{Content, Target};
use crate::session::id::SessionId;
use crate::session::revoked::{self, Ended};
use crate::websocket::close::{CloseCode, CloseFrame};
use crate::websocket::forms::Forms;
use crate::websocket::frame::{Frame, OpCode};
#[cfg(feature = "deflate")]
use crate::websocket::message::KeptMessage;
use crate::websocket::message::Outgoing;
use std::slice::from_ref;
use std::sync::{Arc, Weak};
use std::time::Instant;

/// Where something is sent.
#[derive(Clone, Copy)]
pub(crate) enum To<'a> {
    /// To one WebSocket, which is of this process.
    Connection(&'a Weak<Outbox>),
    /// To a session in all processes: by reference, since most messages are sent so, and each form
    /// of an id that is written and read again costs as much as a lock.
    Session(&'a SessionId),
    /// To a target in this process.
    Local(Target<'a>),
    /// To a target in all processes, if there is a relay.
    Everywhere(Target<'a>),
}

/// The WebSockets of this process that are meant.
#[derive(Default)]
pub(crate) struct Found {
    one: Option<Arc<Outbox>>,
    many: Option<Outboxes>,
    except: Option<SessionId>,
    /// The receivers that are meant.
    mailboxes: Vec<Mailbox>,
    /// The message as a topic keeps it.
    #[cfg(feature = "deflate")]
    kept: Option<Arc<KeptMessage>>,
}

impl Found {
    pub fn outboxes(&self) -> impl Iterator<Item = &Arc<Outbox>> {
        let one = self.one.as_ref().map_or(&[][..], from_ref);
        let all = self.many.as_deref().unwrap_or(one).iter();
        all.filter(|outbox| match &self.except {
            None => true,
            Some(except) => *except != outbox.session.id,
        })
    }

    /// Returns the place for the compressed forms of the message, which a topic keeps with it.
    fn forms<'a>(&'a self, own: &'a Forms) -> &'a Forms {
        #[cfg(feature = "deflate")]
        let own = self.kept.as_ref().map_or(own, |kept| &kept.forms);
        own
    }
}

/// Sends, and returns how many WebSockets of this process accepted it. Until the deadline, if there
/// is one, the sender waits for room; otherwise only at its own WebSocket, for what is sent to that
/// or to its session. Error: [`Error::Full`] when the message is for a session or a
/// connection, no WebSocket accepted it, and a client does not read.
///
/// Not inlined, nor are the steps before a frame is written: what they need would lie beneath the
/// write.
#[inline(never)]
pub(crate) fn send(to: To, content: Content, until: Option<Instant>) -> Result<usize, Error> {
    let mut frame = match content {
        Content::Text(text) | Content::UncompressedText(text) => {
            Frame::new(OpCode::Text, text.as_bytes())
        }
        Content::Binary(bytes) | Content::UncompressedBinary(bytes) => {
            Frame::new(OpCode::Binary, bytes)
        }
        Content::Close { .. } | Content::Ended { .. } => return Ok(send_close(&to, &content)),
    };
    let (found, own) = (announce(&to, &content), Forms::default());
    frame.set_forms(found.forms(&own), content.compresses());
    let to_session = matches!(
        to,
        To::Connection(_)
            | To::Session(_)
            | To::Local(Target::Session(_))
            | To::Everywhere(Target::Session(_))
    );
    let (taken, full) = match until {
        None => deliver_all(found.outboxes(), &frame, to_session),
        Some(deadline) => deliver_patiently(found.outboxes(), &frame, deadline),
    };
    match full.filter(|_| to_session && taken == 0) {
        Some(Full { peer, waiting, closed }) => Err(Error::Full { peer, waiting, closed }),
        None => Ok(taken),
    }
}

/// Closes the WebSockets of a target, or those of an ended login. Returns their number.
#[inline(never)]
fn send_close(to: &To, content: &Content) -> usize {
    let found = announce(to, content);
    match *content {
        Content::Close { code, reason } => close(&found, None, code, reason),
        Content::Ended { login, issued, reason } => {
            let ended = Some(ended_by(login, issued));
            let closed = close(&found, ended, CloseCode::POLICY_VIOLATION, reason);
            // Only now: an adapter that fails must not keep them open.
            publish(to, content);
            closed
        }
        Content::Text(_)
        | Content::Binary(_)
        | Content::UncompressedText(_)
        | Content::UncompressedBinary(_) => 0,
    }
}

/// Sends a message to a target in all processes, but not to the WebSocket that this thread serves.
/// Returns how many WebSockets of this process accepted it.
#[inline(never)]
pub(crate) fn send_to_others(target: Target, message: &Outgoing) -> usize {
    let (own, content, forms) = (own(), Content::from(message), Forms::default());
    let found = announce(&To::Everywhere(target), &content);
    let frame = message.frame(found.forms(&forms));
    let is_other =
        |outbox: &&Arc<Outbox>| own.as_ref().map_or(true, |own| !Arc::ptr_eq(own, outbox));
    deliver_all(found.outboxes().filter(is_other), &frame, false).0
}

/// Finds the WebSockets, and gives the content to other processes and to receivers. This comes
/// first, since the sender may have to wait for a client of this process.
#[inline(never)]
fn announce(to: &To, content: &Content) -> Found {
    let found = find(to, Some(content));
    if !matches!(content, Content::Ended { .. }) {
        publish(to, content);
    }
    if !found.mailboxes.is_empty() {
        if let Some(message) = content.message() {
            found.mailboxes.iter().for_each(|mailbox| mailbox.give(&message));
        }
    }
    found
}

/// Gives the content to other processes, if it is for them and there is a relay.
#[inline(never)]
fn publish(to: &To, content: &Content) {
    // Asked first without a lock: most programs have none.
    if let Some(relay) = is_relayed().then(relay).flatten() {
        match *to {
            To::Session(id) => relay.publish(Target::Session(id.into()), *content),
            To::Everywhere(target) => relay.publish(target, *content),
            To::Connection(_) | To::Local(_) => {}
        }
    }
}

/// Closes WebSockets, or those of them that belong to ended logins.
#[inline(never)]
fn close(found: &Found, ended: Option<Ended>, code: CloseCode, reason: &str) -> usize {
    let covered = |outbox: &&Arc<Outbox>| ended.map_or(true, |ended| ended.covers(&outbox.session));
    let close = CloseFrame { code, reason: reason.to_string() };
    close_all(found.outboxes().filter(covered).cloned().collect(), &close)
}

/// Ends logins of a session: their cookies are no longer accepted, and their WebSockets are closed
/// with 1008. More may be ended than was asked for (see `revoked`), and other processes are told of
/// all of it.
pub(crate) fn end_login<'a>(to: fn(Target<'a>) -> To<'a>, id: SessionId, ended: Ended, why: &str) {
    // First on the list, then the WebSockets that are open: see `registry`.
    let ended = revoked::end(&id, ended);
    #[cfg(test)]
    crate::inside::pauses::at("the login is on the list");
    let (login, issued) = match ended {
        Ended::Login(login, issued) => (Some(Bits(login)), issued),
        Ended::UpTo(issued) => (None, issued),
    };
    let content = Content::Ended { login, issued, reason: why };
    // Closing never fails: only a message can meet a client that does not read.
    let _ = send(to(Target::Session((&id).into())), content, None);
}

/// Returns the ended logins that a [`Content::Ended`] names.
pub(crate) fn ended_by(login: Option<Bits>, issued: u64) -> Ended {
    login.map_or(Ended::UpTo(issued), |Bits(login)| Ended::Login(login, issued))
}

/// Returns the open WebSockets that get this content, and the receivers; without content, the
/// WebSockets of a session, a connection or everybody.
pub(crate) fn find(to: &To, content: Option<&Content>) -> Found {
    let target = match to {
        To::Connection(one) => {
            let one = one.upgrade().filter(|one| one.is_served());
            return Found { one, ..Found::default() };
        }
        To::Session(id) => return find_session(id, content),
        To::Local(target) | To::Everywhere(target) => target,
    };
    match *target {
        Target::Session(name) => find_session(&name.into(), content),
        Target::Everybody { except } => {
            let (many, except) = (Some(everyone()), except.map(Into::into));
            let mailboxes = receivers(content, None, except);
            Found { many, except, mailboxes, ..Found::default() }
        }
        Target::Topic { name, except } => {
            let except = except.map(Into::into);
            let members = content.map(|content| topic_members(name, *content, except));
            let members = members.unwrap_or_default();
            Found {
                one: None,
                many: members.outboxes,
                except,
                mailboxes: members.mailboxes,
                #[cfg(feature = "deflate")]
                kept: members.kept,
            }
        }
    }
}

fn find_session(id: &SessionId, content: Option<&Content>) -> Found {
    let many = match content {
        // Not what the thread remembers: see `registry`.
        Some(Content::Ended { .. }) => look_up(id),
        _ => outboxes(id),
    };
    Found { many, mailboxes: receivers(content, Some(*id), None), ..Found::default() }
}

/// Returns the mailboxes that get a message.
fn receivers(
    content: Option<&Content>,
    of: Option<SessionId>,
    except: Option<SessionId>,
) -> Vec<Mailbox> {
    match content {
        None | Some(Content::Close { .. } | Content::Ended { .. }) => Vec::new(),
        Some(_) if has_receivers() => mailboxes(of, except),
        Some(_) => Vec::new(),
    }
}
