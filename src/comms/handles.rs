//! Sending to any client from anywhere: from a handler, or from a thread that has nothing to do
//! with the server.

use crate::comms::dispatch;
use crate::comms::mailbox::Mailbox;
use crate::comms::receiver::Receiver;
use crate::comms::recipients::Members;
use crate::comms::registry::{self, everyone, is_relayed, listeners_of, members, sessions};
use crate::comms::stats::Stats;
use crate::comms::topic::Topic;
use crate::error::Error;
use crate::net::batch;
use crate::net::outbox::Outbox;
use crate::net::stream::after;
use crate::relay::adapter::Relay;
use crate::relay::envelope::{Content, Target};
use crate::session::id::SessionId;
use crate::websocket::close::{CloseCode, CloseFrame};
use crate::websocket::message::Message;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// The way to all clients of all servers in this process, and with [`Comms::relay`] in others.
///
/// ```
/// use sockling::prelude::*;
///
/// let id = Request::get("/").session_id();
/// std::thread::spawn(move || {
///     assert_eq!(Comms::websocket(&id).send("hey there")?, 0); // nobody is connected
///     Comms::notify().send("hey all")?;
///     Ok::<(), Error>(())
/// })
/// .join().unwrap()?;
///
/// // What else can be asked for; nobody is here.
/// assert_eq!((Comms::connections(), Comms::sessions(), Comms::is_connected(7)), (0, vec![], false));
/// assert_eq!(Comms::stats().messages_out, 0);
/// let user = Comms::receiver(7); // gets what is sent to user 7
/// Comms::topic("news").subscribe(&7.into());
/// Comms::topic("news").send("read all about it")?;
/// assert_eq!(user.try_recv(), Some("read all about it".into()));
/// Comms::flush(); // in a handler: what was sent so far leaves before the rest of it runs
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Comms;

impl Comms {
    /// Has a relay carry to other processes what is sent here, and here what is sent there: to
    /// sessions, to topics, to everybody, their closing too, and the end of logins. Called once, before
    /// a server is bound; each server then needs [`Server::session_keys`], the same on every process.
    /// See [`guide::beyond_one_host`](crate::guide::beyond_one_host).
    ///
    /// Errors: [`Error::Setting`] when there is a relay, or a server was bound;
    /// [`Error::Entropy`]; and that of [`Relay::start`].
    ///
    /// ```
    /// use sockling::prelude::*;
    /// use sockling::relay::Relay;
    ///
    /// fn start(relay: impl Relay + 'static) -> Result<(), Error> {
    ///     Comms::relay(relay)?;
    ///     let keys = SessionKeys::new(["the same on every process, and nowhere else"])?;
    ///     Server::new(Vec::new()).session_keys(keys).launch()
    /// }
    /// ```
    ///
    /// [`Server::session_keys`]: crate::http::Server::session_keys
    pub fn relay(relay: impl Relay + 'static) -> Result<(), Error> {
        registry::start_relay(Box::new(relay))
    }

    /// Returns the handle to a session's WebSockets: by its id, or by a user's number.
    pub fn websocket(id: impl Into<SessionId>) -> Websocket {
        Websocket { to: To::Session(id.into()) }
    }

    /// Returns the handle to the one WebSocket whose handler runs on this thread, for what should
    /// not go to the session's other tabs; `None` on other threads, in `handle_disconnection`, and in
    /// a test without a socket.
    ///
    /// ```
    /// use sockling::prelude::*;
    ///
    /// struct Parrot;
    ///
    /// impl WebsocketController for Parrot {
    ///     fn handle_message(&self, _: &SessionId, message: Message) -> Result<(), Error> {
    ///         Comms::here().ok_or("nobody speaks")?.send(message)?;
    ///         Ok(())
    ///     }
    /// }
    /// assert!(Comms::here().is_none());
    /// # impl Controller for Parrot {
    /// #     fn handle(&self, request: &Request) -> Result<Response, Error> {
    /// #         WebsocketController::handle(self, request)
    /// #     }
    /// # }
    /// ```
    pub fn here() -> Option<Websocket> {
        let own = batch::own().filter(|own| own.is_served())?;
        Some(Websocket { to: To::One(Arc::downgrade(&own)) })
    }

    /// Returns whether the WebSocket whose `handle_disconnection` runs on this thread was the last
    /// of its session. Of several that end at once, one is the last.
    ///
    /// ```
    /// use sockling::prelude::*;
    ///
    /// struct Presence;
    ///
    /// impl WebsocketController for Presence {
    ///     fn handle_disconnection(&self, client: &SessionId, _: Option<&CloseFrame>) -> Result<(), Error> {
    ///         if Comms::was_last() {
    ///             Comms::broadcast(client).send("somebody left")?;
    ///         }
    ///         Ok(())
    ///     }
    /// }
    /// assert!(!Comms::was_last());
    /// # impl Controller for Presence {
    /// #     fn handle(&self, request: &Request) -> Result<Response, Error> {
    /// #         WebsocketController::handle(self, request)
    /// #     }
    /// # }
    /// ```
    pub fn was_last() -> bool {
        batch::own().map_or(false, |own| own.was_last())
    }

    /// Returns the handle to a topic: to the sessions that subscribed to this name.
    pub fn topic(name: impl Into<String>) -> Topic {
        Topic::new(name.into())
    }

    /// Returns the handle to the WebSockets of all sessions but this one, of all routes and servers
    /// in the process, and of others by [`Comms::relay`]. For those of one room there is
    /// [`Comms::topic`].
    pub fn broadcast(except: impl Into<SessionId>) -> Broadcast {
        Broadcast { except: Some(except.into()), local: false }
    }

    /// Returns the handle to the WebSockets of all sessions, of all routes and servers in the
    /// process, and of others by [`Comms::relay`].
    pub fn notify() -> Broadcast {
        Broadcast { except: None, local: false }
    }

    /// Returns whether a session has a WebSocket that is open, or whose close handshake is going on,
    /// in this process.
    pub fn is_connected(id: impl Into<SessionId>) -> bool {
        members(&id.into()).is_some()
    }

    /// Returns the sessions that have a WebSocket in this process, in no order.
    pub fn sessions() -> Vec<SessionId> {
        sessions()
    }

    /// Returns how many WebSockets are open in this process.
    pub fn connections() -> usize {
        everyone().len()
    }

    /// Returns what gets all that is sent to a session from now on, beside its WebSockets and
    /// without them: to its id or user's number, to topics that it subscribed to, to everybody;
    /// also by other processes, and not what is sent to one of its WebSockets. To subscribe to
    /// topics the session then needs no WebSocket.
    pub fn receiver(id: impl Into<SessionId>) -> Receiver {
        Receiver::new(id.into())
    }

    /// Returns counts of all servers of the process: connections, messages, bytes, drops.
    pub fn stats() -> Stats {
        Stats::take()
    }

    /// Writes at once what the running handler has sent. Without it, what a quick handler sends
    /// while its client's next message is already there is written together with the answers to
    /// that one.
    pub fn flush() {
        batch::flush();
    }
}

/// The handle to the WebSockets of one session (a browser's tabs, or all browsers of a user), or to one
/// of them. It holds no connection open, so it can be kept while clients come and go.
///
/// ```
/// use sockling::controller::Websocket;
/// use sockling::prelude::*;
/// use std::time::Duration;
///
/// let user: Websocket = Comms::websocket(7);
/// assert!(!user.is_connected() && user.backlog() == 0);
/// assert_eq!(user.send_timeout("hey", Duration::from_secs(1))?, 0);
/// assert_eq!(user.close(CloseCode::NORMAL, "bye")?, 0);
/// assert!(user.close(CloseCode::ABNORMAL, "").is_err()); // may not be sent
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone)]
pub struct Websocket {
    to: To,
}

#[derive(Clone)]
enum To {
    Session(SessionId),
    One(Weak<Outbox>),
}

impl Websocket {
    fn members(&self) -> Option<Members> {
        match &self.to {
            To::Session(id) => members(id),
            To::One(one) => Some(Arc::new([one.upgrade().filter(|one| one.is_served())?])),
        }
    }

    /// Sends a message to each WebSocket of the session and returns how many took it; 0 when
    /// nobody is connected. Messages of one thread to one client arrive in order, and never in
    /// pieces of each other.
    ///
    /// With [`Comms::relay`] it goes to the session's WebSockets of other processes too, which are not
    /// counted: 0 then says that nobody is connected here. What goes to one WebSocket stays here.
    ///
    /// A client that has just stopped reading holds the sender up for some milliseconds, once; in a
    /// broadcast that is one client, in a loop of sends it is each. One that does not read is cut
    /// off when too much waits for it ([`Limits::backlog`]), or the message is dropped
    /// ([`Limits::overflow`]); from its own handler, `send` waits instead, so a handler holds no
    /// lock of the application's meanwhile. Error: [`Error::Full`] when nobody took the message and
    /// somebody does not read.
    ///
    /// [`Limits::backlog`]: crate::limits::Limits::backlog
    /// [`Limits::overflow`]: crate::limits::Limits::overflow
    pub fn send(&self, message: impl Into<Message>) -> Result<usize, Error> {
        self.send_until(message, None)
    }

    /// Sends a message like [`send`](Websocket::send), and waits for room, so long at most: for a
    /// thread that streams much to one client. Of several tabs it waits for each in turn. A client
    /// that takes nothing for [`Limits::write_timeout`](crate::limits::Limits::write_timeout) ends
    /// meanwhile. Error: [`Error::Full`] when the time is over and nobody took the message; nobody
    /// is cut off for it.
    pub fn send_timeout(
        &self,
        message: impl Into<Message>,
        longest: Duration,
    ) -> Result<usize, Error> {
        self.send_until(message, Some(after(longest)))
    }

    /// Not inlined: what a handler's frame holds lies beneath all that it calls.
    #[inline(never)]
    fn send_until(
        &self,
        message: impl Into<Message>,
        deadline: Option<Instant>,
    ) -> Result<usize, Error> {
        // Looked up first: a message to nobody is not worth encoding.
        let (members, mailboxes) = (self.members(), self.listeners());
        let elsewhere = self.elsewhere();
        if members.is_none() && mailboxes.is_empty() && elsewhere.is_none() {
            return Ok(0);
        }
        let message = message.into();
        if let Some(session) = elsewhere {
            // First, since a client here may be waited for.
            registry::publish(session, Content::from(&message));
        }
        dispatch::to_session(members, &mailboxes, &message, deadline)
    }

    fn listeners(&self) -> Vec<Mailbox> {
        match &self.to {
            To::Session(id) => listeners_of(id),
            To::One(_) => Vec::new(),
        }
    }

    /// Returns the session for the envelope, if other processes are told.
    fn elsewhere(&self) -> Option<Target<'static>> {
        match &self.to {
            To::Session(id) if is_relayed() => Some(Target::Session(id.into())),
            _ => None,
        }
    }

    /// Ends each WebSocket of the session with a Close frame, after what was sent before, and
    /// returns how many in this process. A client that does not answer within
    /// [`Limits::close_timeout`] is cut off. Error: [`Error::Close`] for a code that may not be
    /// sent (RFC 6455, 7.4.1); a reason of more than 123 bytes is cut.
    ///
    /// [`Limits::close_timeout`]: crate::limits::Limits::close_timeout
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<usize, Error> {
        let close = CloseFrame::new(code, reason)?;
        if let Some(session) = self.elsewhere() {
            registry::publish(session, Content::Close { code, reason: &close.reason });
        }
        Ok(dispatch::close_session(self.members(), &close))
    }

    /// Returns whether the session has a WebSocket that is open, or whose close handshake is going
    /// on, in this process; whether this is so of the one connection.
    pub fn is_connected(&self) -> bool {
        self.members().is_some()
    }

    /// Returns the bytes, with those of frame headers, that wait for the session's clients in this
    /// process, so that a producer can pace itself. What the system holds for a socket is not counted.
    pub fn backlog(&self) -> usize {
        let members = self.members();
        members.map_or(0, |members| members.iter().map(|outbox| outbox.backlog()).sum())
    }
}

impl std::fmt::Debug for Websocket {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        match &self.to {
            To::Session(id) => write!(out, "Websocket({})", id),
            To::One(_) => out.write_str("Websocket(one connection)"),
        }
    }
}

/// The handle to the WebSockets of everybody, or of everybody but one session.
///
/// ```
/// use sockling::controller::Broadcast;
/// use sockling::prelude::*;
///
/// let all: Broadcast = Comms::notify();
/// assert_eq!(all.send("back in five minutes")?, 0); // nobody is connected
/// assert_eq!(all.close(CloseCode::SERVICE_RESTART, "")?, 0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broadcast {
    except: Option<SessionId>,
    local: bool,
}

impl Broadcast {
    /// Keeps it in this process: for what each process tells its own clients, such as a
    /// [`Gap`](crate::relay::Gap).
    ///
    /// ```
    /// use sockling::prelude::*;
    ///
    /// assert_eq!(Comms::notify().local().send("load anew")?, 0); // nobody is connected
    /// # Ok::<(), Error>(())
    /// ```
    pub fn local(mut self) -> Broadcast {
        self.local = true;
        self
    }

    /// Returns everybody for the envelope, if other processes are told.
    fn elsewhere(&self) -> Option<Target<'static>> {
        let everybody = || Target::Everybody { except: self.except.as_ref().map(Into::into) };
        (is_relayed() && !self.local).then(everybody)
    }

    /// Sends a message to each WebSocket and returns how many took it. A client that does not
    /// read is cut off, or misses it, and is not counted; it never makes the broadcast fail, which is
    /// always `Ok`. Those of other processes ([`Comms::relay`]) are not counted.
    pub fn send(&self, message: impl Into<Message>) -> Result<usize, Error> {
        let (except, message) = (self.except.as_ref(), message.into());
        if let Some(everybody) = self.elsewhere() {
            registry::publish(everybody, Content::from(&message));
        }
        Ok(dispatch::to_everybody(except, &message))
    }

    /// Ends each WebSocket with a Close frame and returns how many in this process. Error: as for
    /// [`Websocket::close`].
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<usize, Error> {
        let close = CloseFrame::new(code, reason)?;
        if let Some(everybody) = self.elsewhere() {
            registry::publish(everybody, Content::Close { code, reason: &close.reason });
        }
        Ok(dispatch::close_everybody(self.except.as_ref(), &close))
    }
}
