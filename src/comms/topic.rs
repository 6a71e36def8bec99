//! The face of a topic: who is in a room, and what is said there.

use crate::comms::dispatch::{send, To};
use crate::comms::process::bounds;
use crate::comms::registry::{join_topic, with_topics};
use crate::error::Error;
use crate::net::batch;
use crate::net::outbox::Outbox;
use crate::relay::envelope::{Content, Target};
use crate::session::id::SessionId;
use crate::websocket::message::Message;
use std::sync::Arc;

/// The handle to a topic: a name that sessions subscribe to, for all routes and servers of the
/// process, and of others by [`Comms::relay`](crate::Comms::relay). It holds that name, and how
/// many messages to keep. A topic is there while it has a member, and costs nothing before and
/// after. A session may be in [`Limits::topics_per_session`] topics, and a name may have
/// [`Limits::topic_name`] bytes.
///
/// ```
/// use sockling::prelude::*;
///
/// struct Chat;
///
/// impl WebsocketController for Chat {
///     fn handle_connection(&self, client: &SessionId) -> Result<(), Error> {
///         let room = Comms::topic("room/7").keep(20);
///         room.subscribe(client); // the last 20 messages come first
///         room.send_except(client, "somebody came in")?;
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
/// // A session that is listened to needs no WebSocket.
/// let ada = SessionId::from(1);
/// let heard = Comms::receiver(&ada);
/// let room: sockling::Topic = Comms::topic("room/8");
/// assert!(room.subscribe(&ada) && !room.is_empty());
/// assert_eq!((room.members(), room.len()), (vec![ada], 1));
/// room.send("hey")?;
/// assert_eq!(heard.try_recv(), Some("hey".into()));
/// assert!(room.unsubscribe(&ada));
/// assert!(!room.join_here() && !room.leave_here()); // no WebSocket is served on this thread
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

impl Topic {
    pub(crate) fn new(name: String) -> Topic {
        Topic { name: name.into(), keep: None }
    }

    /// Has the topic keep its last messages, so many and at most [`TOPIC_KEEPS`] bytes of them, for
    /// those who subscribe later. What they get first is in order, and nothing newer comes before it. A
    /// newcomer gets the newest of them that fit into its [`Limits::backlog`]; those that do not are
    /// counted in [`Stats::dropped`]. What was sent to all but a session is not kept for that one. All
    /// topics together keep [`Limits::topics_keep`] bytes; the oldest messages of any topic go first.
    ///
    /// It takes effect when this handle subscribes, joins or sends, and lasts until another handle
    /// says another number, or the last member has gone; what was kept goes with that one. Each process
    /// keeps for its own members.
    ///
    /// [`TOPIC_KEEPS`]: crate::limits::TOPIC_KEEPS
    /// [`Limits::backlog`]: crate::limits::Limits::backlog
    /// [`Limits::topics_keep`]: crate::limits::Limits::topics_keep
    /// [`Stats::dropped`]: crate::Stats::dropped
    pub fn keep(mut self, messages: usize) -> Topic {
        self.keep = Some(messages);
        self
    }

    /// Makes a session a member, with all its WebSockets and those that it opens later, until it
    /// unsubscribes or its last one has gone. A later one gets what is kept before its
    /// `handle_connection`, on whatever route it opens. Returns whether it is a member now: not
    /// when it has no WebSocket, is in as many topics as a session may be, or the name is too long.
    pub fn subscribe(&self, id: &SessionId) -> bool {
        let new = join_topic(&self.name, id, None, self.keep);
        self.write(new)
    }

    /// Takes a session out, with all that it has there. Returns whether it was in. What others are
    /// just sending may still come, and a second time to who comes back at once and gets what is
    /// kept.
    pub fn unsubscribe(&self, id: &SessionId) -> bool {
        with_topics(|topics, _| topics.leave(&self.name, id, None))
    }

    /// Makes the one WebSocket whose handler runs on this thread a member, until it leaves or ends:
    /// two tabs in two rooms get one room each. It changes nothing in a session that has subscribed.
    /// Returns whether it is a member now: not on a thread that serves no WebSocket, as in a test
    /// without one, and not where [`subscribe`](Topic::subscribe) would refuse it.
    pub fn join_here(&self) -> bool {
        match batch::own() {
            Some(own) => self.write(join_topic(&self.name, &own.session.id, Some(&own), self.keep)),
            None => false,
        }
    }

    /// Ends what [`join_here`](Topic::join_here) began. Returns whether it had begun. What others are
    /// just sending may still come.
    pub fn leave_here(&self) -> bool {
        match batch::own() {
            Some(own) => {
                with_topics(|topics, _| topics.leave(&self.name, &own.session.id, Some(&own)))
            }
            None => false,
        }
    }

    /// Sends a message to each member's WebSockets, once to each, and returns how many took it. A
    /// client that does not read is cut off, or misses it, and is not counted; it never makes this
    /// fail. Members in other processes are not counted. Error: [`Error::TopicName`] when the name is
    /// longer than a topic's may be.
    pub fn send(&self, message: impl Into<Message>) -> Result<usize, Error> {
        self.send_to(None, message.into())
    }

    /// Sends a message to all members but one session; otherwise like [`send`](Topic::send).
    pub fn send_except(
        &self,
        except: &SessionId,
        message: impl Into<Message>,
    ) -> Result<usize, Error> {
        self.send_to(Some(except), message.into())
    }

    /// Not inlined: what a handler's frame holds lies beneath all that it calls.
    #[inline(never)]
    fn send_to(&self, except: Option<&SessionId>, message: Message) -> Result<usize, Error> {
        let (bytes, most) = (self.name.len(), bounds().name);
        if bytes > most {
            return Err(Error::TopicName { bytes, most });
        }
        if self.keep.is_some() {
            with_topics(|topics, _| topics.keep_so_many(&self.name, self.keep));
        }
        let target = Target::Topic { name: &self.name, except: except.map(Into::into) };
        send(To::Everywhere(target), Content::from(&message), None)
    }

    /// Returns the sessions that are members in this process, with all or some of their WebSockets, in
    /// no order.
    pub fn members(&self) -> Vec<SessionId> {
        with_topics(|topics, _| topics.members(&self.name))
    }

    /// Returns how many sessions are members in this process.
    pub fn len(&self) -> usize {
        with_topics(|topics, _| topics.len_of(&self.name))
    }

    /// Returns whether nobody is a member in this process.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Writes what new members get first.
    fn write(&self, new: Option<Vec<Arc<Outbox>>>) -> bool {
        let joined = new.is_some();
        batch::write_list(new.unwrap_or_default());
        joined
    }
}
