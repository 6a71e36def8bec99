//! [`Comms`]: where everything begins that sends, from a handler or from any other thread. The
//! functions that return a handle, such as `Comms::websocket`, stand in the file of that handle.

use crate::comms::inbound;
use crate::comms::process::relay_counts;
use crate::comms::registry::{self, census, everyone, outboxes};
use crate::comms::stats::Stats;
use crate::error::Error;
use crate::net::batch;
use crate::relay::adapter::Relay;
use crate::session::id::SessionId;

/// Reaches every client of every server in this process and, with [`Comms::relay`], in other
/// processes.
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
/// // What else it tells; no client is connected.
/// assert_eq!((Comms::connections(), Comms::sessions(), Comms::is_connected(7)), (0, vec![], false));
/// assert_eq!(Comms::stats().messages_out, 0);
/// let user = Comms::receiver(7); // gets what is sent to user 7
/// Comms::topic("news").subscribe(&7.into());
/// Comms::topic("news").send("read all about it")?;
/// assert_eq!(user.try_recv(), Some("read all about it".into()));
/// Comms::flush(); // in a handler: writes what was sent so far before the rest of it runs
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Comms;

impl Comms {
    /// Starts a relay, which carries what is sent in one process to the others: messages to
    /// sessions, to topics and to everybody, Close frames, and the end of logins. Call it once,
    /// before a server is bound; each server then needs [`Server::session_keys`], the same in every
    /// process. See [`guide::beyond_one_host`](crate::guide::beyond_one_host).
    ///
    /// Errors: [`Error::Setting`] when there is a relay already or a server has been bound;
    /// [`Error::Entropy`]; and those of [`Relay::start`].
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

    /// Returns whether a session has a WebSocket in this process. A WebSocket counts until
    /// `handle_disconnection`, before which it leaves its session.
    pub fn is_connected(id: impl Into<SessionId>) -> bool {
        outboxes(&id.into()).is_some()
    }

    /// Returns the sessions that have a WebSocket in this process, in no particular order.
    pub fn sessions() -> Vec<SessionId> {
        registry::sessions()
    }

    /// Returns how many WebSockets are open in this process.
    pub fn connections() -> usize {
        everyone().len()
    }

    /// Returns the counts of all servers of the process: connections, messages, bytes, drops.
    pub fn stats() -> Stats {
        Stats::of(census(), relay_counts())
    }

    /// Writes now what the running handler has sent. Without it, when the client's next message has
    /// already arrived, what a quick handler sends is written together with the answers to that
    /// message.
    pub fn flush() {
        batch::flush();
    }
}
