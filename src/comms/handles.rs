//! Sending to any client from anywhere: from a handler, or from a thread that has nothing to do
//! with the server.

use crate::comms::broadcast::Broadcast;
use crate::comms::inbound;
use crate::comms::process::relay_counts;
use crate::comms::receiver::Receiver;
use crate::comms::registry::{self, census, everyone, outboxes};
use crate::comms::stats::Stats;
use crate::comms::topic::Topic;
use crate::comms::websocket::Websocket;
use crate::error::Error;
use crate::net::batch;
use crate::relay::adapter::Relay;
use crate::session::id::SessionId;

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
        inbound::start_relay(Box::new(relay))
    }

    /// Returns the handle to a session's WebSockets: by its id, or by a user's number.
    pub fn websocket(id: impl Into<SessionId>) -> Websocket {
        Websocket::of_session(id.into())
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
        Some(Websocket::of_connection(&own))
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
        Broadcast::new(Some(except.into()))
    }

    /// Returns the handle to the WebSockets of all sessions, of all routes and servers in the
    /// process, and of others by [`Comms::relay`].
    pub fn notify() -> Broadcast {
        Broadcast::new(None)
    }

    /// Returns whether a session has a WebSocket that is open, or whose close handshake is going on,
    /// in this process.
    pub fn is_connected(id: impl Into<SessionId>) -> bool {
        outboxes(&id.into()).is_some()
    }

    /// Returns the sessions that have a WebSocket in this process, in no order.
    pub fn sessions() -> Vec<SessionId> {
        registry::sessions()
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
        Stats::of(census(), relay_counts())
    }

    /// Writes at once what the running handler has sent. Without it, what a quick handler sends
    /// while its client's next message is already there is written together with the answers to
    /// that one.
    pub fn flush() {
        batch::flush();
    }
}
