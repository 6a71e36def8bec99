//! The handle to a topic: to join it, to leave it, and to send to its members.

use crate::comms::dispatch::{send, send_to_others, To};
use crate::comms::global::Comms;
use crate::comms::process::bounds;
use crate::comms::registry::{join_topic, with_topics};
use crate::comms::websocket::Websocket;
use crate::error::Error;
use crate::net::batch;
use crate::net::outbox::Outbox;
use crate::relay::envelope::{Content, Target};
use crate::session::id::SessionId;
use crate::websocket::close::{CloseCode, CloseFrame};
use crate::websocket::message::Outgoing;
use std::sync::Arc;

/// A handle to a topic: a name that sessions subscribe to, on all routes and servers of the process
/// and, with [`Comms::relay`](crate::Comms::relay), in other processes. The handle holds the name
/// and the number of messages to keep. A topic exists while it has a member, and costs nothing
/// before and after. A session may be in [`Limits::topics_per_session`] topics, and a name may have
/// [`Limits::topic_name`] bytes.
///
/// ```
/// use sockling::prelude::*;
///
/// struct Chat;
///
/// impl WebsocketController for Chat {
///     fn handle_connection(&self, _: &SessionId) -> Result<(), Error> {
///         let room = Comms::topic("room/7").keep(20);
///         room.join_here(); // this tab; the last 20 messages come first
///         room.send_others("somebody came in")?;
///         Ok(())
///     }
///
///     fn handle_message(&self, _: &SessionId, message: Message) -> Result<(), Error> {
///         Comms::topic("room/7").send(message)?;
///         Ok(())
///     }
/// }
/// # impl Controller for Chat {
/// #     fn handle(&self, request: &Request) -> Result<Response, Error> {
/// #         WebsocketController::handle(self, request)
/// #     }
/// # }
/// assert_eq!(Comms::topic("room/7").send("is anybody there?")?, 0);
///
/// // A session that has a receiver needs no WebSocket.
/// let ada = SessionId::from(1);
/// let receiver = Comms::receiver(&ada);
/// let room: sockling::Topic = Comms::topic("room/8");
/// assert!(room.subscribe(&ada) && !room.is_empty());
/// assert_eq!((room.members(), room.len()), (vec![ada], 1));
/// room.send("hey")?;
/// assert_eq!(receiver.try_recv(), Some("hey".into()));
/// room.send_except(&ada, "Ada is here")?; // to all tabs of all other members
/// assert!(room.unsubscribe(&ada));
/// assert!(room.join(&Comms::websocket(ada)) && room.leave(&Comms::websocket(ada)));
/// assert_eq!(room.close(CloseCode::NORMAL, "closing time")?, 0); // of no WebSocket
/// assert!(!room.join_here() && !room.leave_here()); // this thread serves no WebSocket
/// assert!(Comms::topic("a name without an end ".repeat(100)).send("hey").is_err());
/// # Ok::<(), Error>(())
/// ```
///
/// [`Limits::topics_per_session`]: crate::limits::Limits::topics_per_session
/// [`Limits::topic_name`]: crate::limits::Limits::topic_name
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    name: Arc<str>,
    keep: Option<usize>,
}

impl Comms {
    /// Returns a handle to a topic: to the sessions that subscribed to this name.
    pub fn topic(name: impl Into<String>) -> Topic {
        Topic { name: name.into().into(), keep: None }
    }
}

impl Topic {
    /// Has the topic keep its last messages, up to this number and [`TOPIC_KEEPS`] bytes, for later
    /// subscribers. A new member gets them in order and before any newer message: the newest that
    /// fit into its [`Limits::backlog`]; the others are counted in [`Stats::dropped`]. A message
    /// that was sent to all but one session is not kept for that session. All topics together keep
    /// [`Limits::topics_keep`] bytes; the oldest message of any topic is dropped first.
    ///
    /// The number takes effect when this handle subscribes, joins or sends, and lasts until another
    /// handle sets another number or the last member leaves; then what was kept is dropped. Each
    /// process keeps messages for its own members.
    ///
    /// [`TOPIC_KEEPS`]: crate::limits::TOPIC_KEEPS
    /// [`Limits::backlog`]: crate::limits::Limits::backlog
    /// [`Limits::topics_keep`]: crate::limits::Limits::topics_keep
    /// [`Stats::dropped`]: crate::Stats::dropped
    #[must_use]
    pub fn keep(mut self, messages: usize) -> Topic {
        self.keep = Some(messages);
        self
    }

    /// Makes a session a member, with all its WebSockets and those that it opens later, until it
    /// unsubscribes or its last WebSocket has gone. A later WebSocket, on whatever route, gets the
    /// kept messages before its `handle_connection` is called.
    ///
    /// Returns whether the session is a member now: `false` when it has neither a WebSocket nor a
    /// receiver, is in as many topics as it may be, or the name is too long.
    pub fn subscribe(&self, id: &SessionId) -> bool {
        let new = join_topic(&self.name, id, None, self.keep);
        self.write(new)
    }

    /// Removes a session with all its WebSockets. Returns whether it was a member. A message that
    /// is being sent at the same time may still arrive, and arrive twice if the session subscribes
    /// again at once and gets what was kept.
    pub fn unsubscribe(&self, id: &SessionId) -> bool {
        with_topics(|topics, _| topics.leave(&self.name, id, None))
    }

    /// Makes the one WebSocket whose handler runs on this thread a member, until it leaves or ends:
    /// two tabs in two rooms get one room each. It changes nothing when the session has subscribed.
    ///
    /// Returns whether the WebSocket is a member now: `false` on a thread that serves no WebSocket,
    /// as in a test without a socket, and where [`subscribe`](Topic::subscribe) would return
    /// `false`.
    #[must_use = "the WebSocket is no member if this is false"]
    pub fn join_here(&self) -> bool {
        Comms::here().map_or(false, |here| self.join(&here))
    }

    /// Ends the membership that [`join_here`](Topic::join_here) began. Returns whether there was
    /// one. A message that is being sent at the same time may still arrive.
    pub fn leave_here(&self) -> bool {
        Comms::here().map_or(false, |here| self.leave(&here))
    }

    /// Makes the one WebSocket of a handle a member, like [`join_here`](Topic::join_here), but from
    /// any thread. With a handle to a session, does what [`subscribe`](Topic::subscribe) does.
    ///
    /// Returns whether the WebSocket, or the session, is a member now: `false` for a handle to a
    /// WebSocket that has ended, and where `subscribe` would return `false`.
    ///
    /// ```
    /// use sockling::controller::Websocket;
    /// use sockling::prelude::*;
    /// use std::sync::mpsc::Receiver;
    ///
    /// /// Puts two players into each game; a handler sends the handle of `Comms::here()`.
    /// fn pair(waiting: Receiver<Websocket>) -> Result<(), Error> {
    ///     let mut games = (1..).map(|number| Comms::topic(format!("game/{}", number)));
    ///     while let (Ok(one), Ok(other)) = (waiting.recv(), waiting.recv()) {
    ///         let game = games.next().ok_or("no more games")?;
    ///         if game.join(&one) && game.join(&other) {
    ///             game.send("begin")?;
    ///         } else {
    ///             game.close(CloseCode::NORMAL, "the other player has gone")?;
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    #[must_use = "the WebSocket is no member if this is false"]
    pub fn join(&self, websocket: &Websocket) -> bool {
        match websocket.member() {
            Some((id, one)) => self.write(join_topic(&self.name, &id, one.as_ref(), self.keep)),
            None => false,
        }
    }

    /// Ends the membership that [`join`](Topic::join) of such a handle began. Returns whether there
    /// was one. A message that is being sent at the same time may still arrive.
    pub fn leave(&self, websocket: &Websocket) -> bool {
        websocket.member().map_or(false, |(id, one)| {
            with_topics(|topics, _| topics.leave(&self.name, &id, one.as_ref()))
        })
    }

    /// Sends a message to each WebSocket of each member, once, and returns how many in this process
    /// accepted it. Waits for no client, not even that of the handler that sends: a client that has
    /// just stopped reading delays it by 8 ms, once for all receivers, and too much that waits for
    /// all clients together by 20 ms. So it may be called with a lock of the application held.
    ///
    /// A client that does not read misses the message, which is counted in [`Stats::dropped`], or is
    /// cut off, as [`Limits::overflow`] says. It is not counted here, and never makes this fail.
    ///
    /// [`Limits::overflow`]: crate::limits::Limits::overflow
    /// [`Stats::dropped`]: crate::Stats::dropped
    ///
    /// Errors: [`Error::TopicName`] when the name is longer than [`Limits::topic_name`].
    ///
    /// [`Limits::topic_name`]: crate::limits::Limits::topic_name
    pub fn send(&self, message: impl Into<Outgoing>) -> Result<usize, Error> {
        self.send_to(None, message.into())
    }

    /// Sends a message like [`send`](Topic::send), which waits for no client, but not to the one
    /// WebSocket whose handler or conversation runs on this thread: the session's other tabs get it,
    /// if they are members. On any other thread, all members get it.
    ///
    /// What a topic keeps, it keeps for all: a tab that leaves and joins again gets its own message.
    pub fn send_others(&self, message: impl Into<Outgoing>) -> Result<usize, Error> {
        Ok(send_to_others(self.target(None)?, &message.into()))
    }

    /// Sends a message like [`send`](Topic::send), which waits for no client, but to all members
    /// except one session, with all its tabs.
    pub fn send_except(
        &self,
        except: &SessionId,
        message: impl Into<Outgoing>,
    ) -> Result<usize, Error> {
        self.send_to(Some(except), message.into())
    }

    /// Closes each WebSocket of each member with a Close frame, behind what was sent before, and
    /// returns how many in this process. A session that subscribed remains a member with what it
    /// opens later, while it has another WebSocket or a receiver.
    ///
    /// Errors: [`Error::Close`] for a code that must not be sent (RFC 6455, 7.4.1), and that of
    /// [`send`](Topic::send).
    pub fn close(&self, code: CloseCode, reason: &str) -> Result<usize, Error> {
        let CloseFrame { code, reason } = CloseFrame::new(code, reason)?;
        send(To::Everywhere(self.target(None)?), Content::Close { code, reason: &reason }, None)
    }

    /// Not inlined: what a handler's frame holds lies beneath all that it calls.
    #[inline(never)]
    fn send_to(&self, except: Option<&SessionId>, message: Outgoing) -> Result<usize, Error> {
        send(To::Everywhere(self.target(except)?), Content::from(&message), None)
    }

    /// Returns the members to send to, and has the topic keep as many messages as this handle says.
    fn target(&self, except: Option<&SessionId>) -> Result<Target<'_>, Error> {
        let (bytes, most) = (self.name.len(), bounds().name);
        if bytes > most {
            return Err(Error::TopicName { bytes, most });
        }
        if self.keep.is_some() {
            with_topics(|topics, _| topics.set_keep(&self.name, self.keep));
        }
        Ok(Target::Topic { name: &self.name, except: except.map(Into::into) })
    }

    /// Returns the sessions that are members in this process, with all or some of their WebSockets,
    /// in no particular order.
    pub fn members(&self) -> Vec<SessionId> {
        with_topics(|topics, _| topics.members(&self.name))
    }

    /// Returns the number of sessions that are members in this process.
    pub fn len(&self) -> usize {
        with_topics(|topics, _| topics.len_of(&self.name))
    }

    /// Returns whether the topic has no member in this process.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes what new members got first. Returns whether there was anything to join.
    fn write(&self, new: Option<Vec<Arc<Outbox>>>) -> bool {
        let joined = new.is_some();
        batch::write_list(new.unwrap_or_default());
        joined
    }
}
