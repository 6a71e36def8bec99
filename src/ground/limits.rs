//! Every bound that the server keeps, with its default and its reason.
//!
//! A client can make the server wait, use memory, and do work. Each field of [`Limits`] bounds one
//! of these; the constants below it are bounds that few applications would want to change. Nothing
//! here refuses anything: the module that keeps a bound does.

use std::time::Duration;

/// The bounds of one server: sizes in bytes, numbers, and [`Duration`]s. A bound of 0 allows
/// nothing, unless its field says that 0 means no limit.
///
/// ```
/// use sockling::limits::Limits;
/// use std::time::Duration;
///
/// let idle_timeout = Duration::from_secs(5);
/// let limits = Limits { message: 64 * 1024, idle_timeout, ..Limits::default() };
/// assert_eq!(limits.body, 1024 * 1024);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest request line, in bytes without its CRLF. A longer one is answered with 414.
    ///
    /// Default: 8,192, which leaves room for the 8,000 bytes that RFC 9112, section 3 recommends.
    pub request_line: usize,
    /// The largest header section, in bytes: all field lines with their CRLFs. The same number
    /// bounds the trailer section. A larger one is answered with 431.
    ///
    /// Default: 16 KiB, because the fields stay in memory until the request is answered.
    pub headers: usize,
    /// The most field lines in a header section, and in a trailer section. More are answered with
    /// 431.
    ///
    /// Default: 100; browsers send about 20.
    pub header_count: usize,
    /// The largest request body, in bytes of content, without the framing of its chunks. A larger
    /// one is answered with 413, before the excess is read. A route may have
    /// [a limit of its own](crate::http::Handler::limit), smaller or larger.
    ///
    /// Default: 1 MiB, because the handler gets the body as a whole, in memory.
    pub body: usize,
    /// The largest WebSocket message, in bytes, and so also the largest frame. A frame header that
    /// announces more closes the connection with 1009, before the payload is read.
    ///
    /// Default: 1 MiB, because the handler gets the message as a whole, in memory.
    pub message: usize,
    /// The most frames in one message. More close the connection with 1008.
    ///
    /// Default: 16,384. Without this bound, a message of empty fragments could go on for ever.
    pub fragments: usize,
    /// The most messages and pings that one WebSocket may send, per second on average; a burst may
    /// have as many as one second allows. More close the connection with 1008. Messages that
    /// accumulate while a handler runs, for up to a minute, do not count as a burst.
    ///
    /// Default: 0, which means no limit, because a client that sends too fast is slowed down by its
    /// own handler.
    pub messages_per_second: u32,
    /// The most bytes that wait for a client that does not read, not counting those that are being
    /// written. When more is sent, the sender gets [`Error::Full`](crate::Error::Full), and
    /// [`overflow`](Limits::overflow) decides what happens to the client. One message is always
    /// taken, whatever its size. In the first 100 ms in which a client does not read, its senders
    /// are slowed down instead, and may exceed the bound a little.
    ///
    /// Default: 1 MiB, the size of the largest message.
    pub backlog: usize,
    /// The most messages that wait for a client that does not read, with the same consequences as
    /// [`backlog`](Limits::backlog).
    ///
    /// Default: 1,024, because many small messages cost more than their bytes.
    pub backlog_messages: usize,
    /// What happens when more is sent to a client that does not read than its backlog holds.
    ///
    /// Default: [`Overflow::Close`], because a client that reconnects knows that it missed
    /// something.
    pub overflow: Overflow,
    /// The most bytes that wait for all clients of a server together, except for one message each.
    /// When it is exceeded, a send waits up to 20 ms in all. Then every client for which something
    /// waits already misses the message, which is counted, and [`overflow`](Limits::overflow) applies
    /// to those that have not kept up for 100 ms.
    ///
    /// Default: 64 MiB, the full backlogs of 64 clients.
    pub total_backlog: usize,
    /// The largest read buffer of a connection, in bytes; a request head may need more. It also
    /// bounds the answers in one batch: beyond it they are written before the batch ends, or, if
    /// the client does not read, the server stops reading from the client. An answer that
    /// [streams](crate::http::Request::stream) leaves in pieces of as many bytes.
    ///
    /// Default: 64 KiB, beyond which copying gets no cheaper. A connection starts with
    /// [`READ_BUFFER`] bytes.
    pub buffer: usize,
    /// The stack of a connection's thread, in bytes.
    ///
    /// Default: 1 MiB, of which only the pages that are touched take memory.
    pub stack: usize,
    /// The most connections at the same time. A further one takes the place of the connection that
    /// has been idle the longest, preferably one from the same address: one that waits for its next
    /// request, that has sent nothing for a second after it was accepted, or that has not ended a
    /// second after its last answer. If no place is free within 100 ms, the new connection gets 503.
    ///
    /// Default: 1,000, because the usual soft limit of file descriptors is 1,024. 0 means no limit.
    /// Each connection has one thread, and a second one while its client does not read.
    pub connections: usize,
    /// The most connections at the same time from one IPv4 address or one IPv6 /64, the smallest
    /// network that a subscriber is given. A further one takes the place of an idle one from the
    /// same address, or gets 503, as with [`connections`](Limits::connections). A connection from a
    /// [trusted proxy](crate::http::Server::trusted_proxy) counts for its client from the head of a
    /// request until the answer is written; a WebSocket counts until it ends.
    ///
    /// Default: 0, which means no limit, because behind a proxy all clients have the same address.
    pub connections_per_address: usize,
    /// The most WebSockets of one session, such as the tabs of a browser. A further one gets 429.
    ///
    /// Default: 16, enough for the tabs of one browser. 0 means no limit.
    pub connections_per_session: usize,
    /// The most topics that one session, with all its WebSockets, is a member of. A further one is
    /// refused ([`Topic::subscribe`](crate::Topic::subscribe)).
    ///
    /// Default: 1,000. Without this bound, a client that can name topics could create any number of
    /// them. Topics belong to the process: of several servers in one process, the largest value of
    /// this field applies, and likewise of the next two.
    pub topics_per_session: usize,
    /// The longest name of a topic, in bytes. Joining a topic with a longer name is refused, and
    /// sending to it is [`Error::TopicName`](crate::Error::TopicName).
    ///
    /// Default: 255, because a client may choose the name, which stays in memory.
    pub topic_name: usize,
    /// The most bytes of messages that all topics together keep for later members, each with
    /// [`MESSAGE_OVERHEAD`]. Beyond it, the oldest message of any topic is dropped.
    ///
    /// Default: 4 MiB, the messages of 16 topics that each keep as much as one may
    /// ([`TOPIC_KEEPS`]).
    pub topics_keep: usize,
    /// The most requests on one connection. The last answer has `Connection: close`.
    ///
    /// Default: 1,000, by which the cost of opening the connection no longer matters. 0 means no
    /// limit.
    pub requests_per_connection: usize,
    /// The longest time for a whole request head, from its first byte; for the first request, from
    /// the accept. It is a total, which a byte now and then does not extend. A head that takes
    /// longer is answered with 408; if no byte arrived, the connection is closed without an answer.
    ///
    /// Default: 10 s, enough for a slow network and a lost packet.
    pub head_timeout: Duration,
    /// The longest time for a whole request body from the end of its head: a total, to which the
    /// bytes that have arrived add what they take at [`min_rate`](Limits::min_rate). A body that
    /// takes longer is answered with 408. Of a body that [streams](crate::http::Handler::streams),
    /// only the time counts in which the handler waits for the client.
    ///
    /// Default: 30 s, which bridges a short interruption of the network.
    pub body_timeout: Duration,
    /// The longest time for a whole WebSocket message from its first byte: a total, to which the
    /// bytes that have arrived add what they take at [`min_rate`](Limits::min_rate). A message that
    /// takes longer closes the connection with 1008.
    ///
    /// Default: 30 s, which bridges a short interruption of the network.
    pub message_timeout: Duration,
    /// The longest time for writing one answer, or one batch of waiting messages: a total, to which
    /// the bytes that the client has taken add what they take at [`min_rate`](Limits::min_rate).
    /// After that the socket is shut down. Of an answer that
    /// [streams](crate::http::Request::stream), only the time counts in which bytes wait for the
    /// client.
    ///
    /// Default: 30 s, which bridges a short interruption of the network.
    pub write_timeout: Duration,
    /// The slowest rate, in bytes per second, at which a client may send or take what is larger
    /// than a timeout covers. Each byte of progress adds to the time for a body, a message or an
    /// answer what it takes at this rate, [`CREDIT`] at most in advance; a client that makes no
    /// progress gains nothing. The bytes
    /// that were written since the client was last heard add to the wait for a pong and for a Close
    /// frame in the same way, because both travel behind them. 0 counts as 1.
    ///
    /// Default: 8 KiB, the rate of a 64 kbit/s line. A body of 1 MiB may thus hold a thread for
    /// some two and a half minutes.
    pub min_rate: usize,
    /// The longest wait for the next request on a persistent connection. After that the connection
    /// is closed; on a full server it may be closed sooner (see
    /// [`connections`](Limits::connections)). Answers announce it in whole seconds, rounded down, as
    /// `Keep-Alive: timeout=`; less than a second is not announced.
    ///
    /// A proxy that keeps connections to the server must close an idle one before the server does
    /// ([behind a proxy](crate::guide::small_host#behind-a-proxy)).
    ///
    /// Default: 15 s, because an idle connection still holds a thread.
    pub idle_timeout: Duration,
    /// The longest wait for the client's Close frame after the server's own has been written. The
    /// bytes that were written since the client was last heard, of which the system may hold some
    /// megabytes, add what they take at [`min_rate`](Limits::min_rate). After that the socket is
    /// shut down.
    ///
    /// Default: 5 s, because a browser answers at once.
    pub close_timeout: Duration,
    /// The silence after which the server pings a WebSocket. Zero means no pings; a client that
    /// vanished then keeps its connection until a write fails.
    ///
    /// Default: 20 s, well under the 60 s after which nginx ends a silent connection.
    pub ping_interval: Duration,
    /// The silence after a ping that ends the connection with 1011. Any byte from the client ends
    /// the silence. A ping waits behind what was sent before it; for that, up to
    /// [`write_timeout`](Limits::write_timeout) is added, at [`min_rate`](Limits::min_rate).
    ///
    /// Default: 20 s, so that the server notices within 40 s that a client has vanished.
    pub pong_timeout: Duration,
    /// The longest that a graceful shutdown waits for handlers and clients. After that it
    /// shuts down their sockets.
    ///
    /// Default: 10 s, so that a stuck handler cannot hold up the end of the process for long.
    pub drain_timeout: Duration,
}

/// What happens when more is sent to a client that does not read than its backlog holds.
///
/// ```
/// use sockling::limits::{Limits, Overflow};
///
/// let figures = Limits { overflow: Overflow::Drop, ..Limits::default() };
/// assert_eq!(Limits::default().overflow, Overflow::Close);
/// # assert_ne!(figures, Limits::default());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The server shuts down the client's socket. The client reconnects and starts afresh, and so
    /// misses nothing without noticing; except that, while [`total_backlog`](Limits::total_backlog)
    /// is exceeded, a client that stopped reading less than 100 ms ago misses messages, which are
    /// counted.
    Close,
    /// The server drops the message. The sender learns of it by the number of receivers, or by an
    /// error if there are none. This suits clients that may miss a message, such as a page that
    /// shows a changing figure. Close frames are never dropped, and of pongs the newest is kept. A
    /// client that takes nothing for [`write_timeout`](Limits::write_timeout) is cut off all the
    /// same.
    Drop,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            request_line: 8 * 1024,
            headers: 16 * 1024,
            header_count: 100,
            body: 1024 * 1024,
            message: 1024 * 1024,
            fragments: 16 * 1024,
            messages_per_second: 0,
            backlog: 1024 * 1024,
            backlog_messages: 1024,
            overflow: Overflow::Close,
            total_backlog: 64 * 1024 * 1024,
            buffer: 64 * 1024,
            stack: 1024 * 1024,
            connections: 1000,
            connections_per_address: 0,
            connections_per_session: 16,
            topics_per_session: 1000,
            topic_name: 255,
            topics_keep: 4 * 1024 * 1024,
            requests_per_connection: 1000,
            head_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            message_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            min_rate: 8 * 1024,
            idle_timeout: Duration::from_secs(15),
            close_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(20),
            pong_timeout: Duration::from_secs(20),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// Returns limits for a machine with 64 MiB of memory. By [`most_memory`](Limits::most_memory),
    /// the library takes less than 24 MiB of it, whatever its clients do. The rest is for the
    /// application and for the system, whose buffers for sockets are not counted. The timeouts are
    /// the default ones.
    ///
    /// | field | value | reason |
    /// |---|--:|---|
    /// | `connections` | 100 | with these limits, one takes at most 172 KiB, and an idle one 15 KiB |
    /// | `stack` | 64 KiB | a handler that panics with a backtrace needs 32 KiB; without optimization, twice that |
    /// | `buffer` | 8 KiB | a batch of several messages; more only makes large batches cheaper |
    /// | `message` | 16 KiB | it is in memory twice: as it was received, and as it is sent on |
    /// | `body` | 16 KiB | it is in memory twice while its buffer grows |
    /// | `request_line` | 4 KiB | the pages of small machines have short paths |
    /// | `headers` | 8 KiB | twice what a browser sends with several cookies |
    /// | `header_count` | 64 | a browser sends about 20 |
    /// | `fragments` | 1,024 | no client needs more than one for every 16 bytes of a message |
    /// | `backlog` | 64 KiB | four messages, or one second on a slow network |
    /// | `backlog_messages` | 256 | that many messages of 256 bytes fill the backlog |
    /// | `total_backlog` | 4 MiB | more than half of the clients with a full backlog |
    /// | `connections_per_session` | 8 | the tabs of one browser |
    /// | `topics_per_session` | 20 | each takes up to 1 KiB per session |
    /// | `topics_keep` | 512 KiB | several hundred messages for later members |
    /// | `requests_per_connection` | 100 | a persistent connection takes the place of another one |
    ///
    /// ```
    /// use sockling::limits::Limits;
    ///
    /// let limits = Limits { connections: 50, ..Limits::small() };
    /// assert!(limits.most_memory().unwrap() < 16 * 1024 * 1024);
    /// ```
    pub fn small() -> Limits {
        Limits {
            request_line: 4 * 1024,
            headers: 8 * 1024,
            header_count: 64,
            body: 16 * 1024,
            message: 16 * 1024,
            fragments: 1024,
            backlog: 64 * 1024,
            backlog_messages: 256,
            total_backlog: 4 * 1024 * 1024,
            buffer: 8 * 1024,
            stack: 64 * 1024,
            connections: 100,
            connections_per_session: 8,
            topics_per_session: 20,
            topics_keep: 512 * 1024,
            requests_per_connection: 100,
            ..Limits::default()
        }
    }

    /// Returns the most memory that the library takes with these limits, in bytes, or `None`
    /// without a limit on [`connections`](Limits::connections). The sum counts for each connection
    /// its whole stack, a head, a body or a message, full buffers, and its topics; and for all
    /// connections together the total backlog, the messages that topics keep, and the log's queue.
    ///
    /// It does not count the program itself; the bodies of routes with
    /// [a larger limit](crate::http::Handler::limit), each of which is in memory once, or one and a
    /// half times while it grows, unless it [streams](crate::http::Handler::streams); what handlers
    /// allocate, including the bodies of their responses, to which the library adds at most
    /// 16 KiB; compression, for which `Deflate::most_memory` is the sum; up to [`RECEIVER_BYTES`] for
    /// each [`Receiver`](crate::Receiver); and the system's
    /// buffers for sockets, which may take several megabytes for a client that does not read.
    pub fn most_memory(&self) -> Option<usize> {
        let head = self.request_line.saturating_add(self.headers);
        // A full buffer doubles: the read buffer for a head, and the buffer of a body.
        let read = self.buffer.max(head.saturating_mul(2));
        let received = self.body.saturating_mul(2).max(self.message);
        // On a WebSocket, the answers of a batch, one message that is taken in any case, and a
        // thread that writes; in HTTP, a piece of an answer that streams, or an answer that is joined
        // with its head.
        let sent = self.buffer.saturating_add(self.message).saturating_add(WRITER).max(JOINED);
        let topics = self.topics_per_session.saturating_mul(self.topic_name.saturating_add(TOPIC));
        let sum =
            |parts: &[usize]| parts.iter().fold(0, |sum: usize, part| sum.saturating_add(*part));
        let each = sum(&[self.stack, read, head, received, sent, topics]);
        let connections = self.connections.saturating_mul(each);
        let all = sum(&[connections, self.total_backlog, self.topics_keep, LOG_QUEUE]);
        (self.connections > 0).then_some(all)
    }

    /// Returns the time that so many bytes of progress earn.
    pub(crate) fn earned(&self, bytes: usize) -> Duration {
        Duration::from_micros(
            (bytes as u64).saturating_mul(1_000_000) / self.min_rate.max(1) as u64,
        )
    }
}

/// Returns whether a further item fits under a limit; 0 means no limit.
pub(crate) fn has_room(most: usize, count: usize) -> bool {
    most == 0 || count < most
}

/// The memory of a topic with its first member, in bytes, besides its name and what it keeps.
const TOPIC: usize = 768;
/// The stack that a thread uses that writes to a client that does not read, in bytes.
const WRITER: usize = 16 * 1024;

/// The most empty lines that are skipped before a request line (RFC 9112, 2.2), because some
/// clients send one after a body. More are answered with 400.
pub const LEADING_CRLFS: usize = 2;
/// The most hexadecimal digits in a chunk size: as many as 64 bits hold. More are answered with
/// 400.
pub const CHUNK_SIZE_DIGITS: usize = 16;
/// The most bytes of chunk extensions in one body, of all chunks together. More are answered with
/// 400. Extensions are skipped, so without this bound they could make a body endless.
pub const CHUNK_EXTENSIONS: usize = 4 * 1024;
/// The longest cookie value, in bytes. A longer one is ignored. Browsers are required to store
/// cookies of this size (RFC 6265, 6.1).
pub const COOKIE_VALUE: usize = 4 * 1024;
/// The longest that a client may go on sending after the last answer. The server reads
/// and drops what arrives, so that the client can read that answer: closing a socket with unread
/// input resets the connection (RFC 9112, 9.6). There is no bound in bytes, because a client in the
/// middle of a large upload would then see a reset instead of 413 or 1009. On a full server, a
/// connection that waits like this makes room after [`SILENT`].
pub const LINGER: Duration = Duration::from_secs(5);
/// The longest that one write may hold the sending thread: about two ticks of the scheduler.
/// After that, a thread of its own takes over the write.
pub const DIRECT_WRITE: Duration = Duration::from_millis(8);
/// The longest that one send, to any number of clients, waits while more than
/// [`Limits::total_backlog`] waits for the clients of the server.
pub const TOTAL_WAIT: Duration = Duration::from_millis(20);
/// The longest that a new connection waits for a place on a full server. After that it
/// gets 503.
pub const WAIT_FOR_PLACE: Duration = Duration::from_millis(100);
/// The silence after the accept from which on a connection counts as idle, and may have to give up
/// its place. A first request arrives sooner, even if its first packet is lost.
pub const SILENT: Duration = Duration::from_secs(1);
/// The time between shutting down the receiving side of an idle connection and the last look for a
/// request that was sent at the same moment. A new connection waits meanwhile, so this is a small
/// part of [`WAIT_FOR_PLACE`].
pub const CROSSING: Duration = Duration::from_millis(10);
/// The longest wait for the rest of a request whose beginning arrived at that moment. After that it
/// is answered with 503.
pub const REST_CROSSING: Duration = Duration::from_secs(1);
/// The read buffer of a new or quiet connection, in bytes: small, because most connections are
/// quiet.
pub const READ_BUFFER: usize = 2 * 1024;
/// The most threads that wait in `accept` at the same time, so that a burst of clients finds
/// threads that have started already. Also the most new connections that wait for a place on a full
/// server although no connection is idle (further ones are refused at once), and the most refused
/// connections that are being told so (further ones are dropped).
pub const SPARE_THREADS: usize = 8;
/// The lifetime of a session cookie, in seconds: four weeks. A request that comes in the second
/// half of it renews the cookie.
pub const SESSION_LIFE: u64 = 28 * 24 * 60 * 60;
/// The most ended logins that are remembered until their cookies expire, of users and of guests
/// each. For one more login of a user, the login that was issued first is dropped, and all users'
/// logins that were issued up to then end with it, so that an ended cookie never becomes valid
/// again. For one more guest, the oldest is dropped.
pub const REVOKED: usize = 16 * 1024;
/// The most ended logins of one user that are remembered one by one. With one more, all logins of
/// this user that were issued up to the latest of them end, so that no account can fill the list.
pub const REVOKED_PER_USER: usize = 8;
/// The largest envelope between processes, in bytes: a message of the default largest size with its
/// topic. A longer one is not relayed, which is a gap for the other processes; a longer one that
/// arrives is dropped. Both are counted.
pub const ENVELOPE: usize = 1024 * 1024 + 4 * 1024;
/// The most messages that wait in a [`Receiver`](crate::Receiver), because the program may not be
/// reading it. Further ones are dropped.
pub const RECEIVER: usize = 1024;
/// The most bytes of messages that wait in a [`Receiver`](crate::Receiver), each message with
/// [`MESSAGE_OVERHEAD`]. One message is always taken.
pub const RECEIVER_BYTES: usize = 1024 * 1024;
/// The largest HTTP response that is copied into one write, in bytes, head included. The body of a
/// larger one is written from where the application put it.
pub const JOINED: usize = 16 * 1024;
/// The most bytes of progress that earn time in advance, at [`Limits::min_rate`]: by default, some two
/// minutes. Without this bound, a client that has sent or taken a large file fast could then pause for
/// hours.
pub const CREDIT: usize = 1024 * 1024;
/// The most unread bytes of a request's body that the server reads and drops behind the answer of a
/// handler that streams bodies and has left them unread, so that another request can follow. With
/// more, or with a chunked body, the connection ends, since a new one costs less.
pub const UNREAD: usize = 64 * 1024;
/// The most bytes of messages that one topic keeps for later members, each with
/// [`MESSAGE_OVERHEAD`]. Beyond it, the oldest are dropped.
pub const TOPIC_KEEPS: usize = 256 * 1024;
/// The bytes that a kept message counts for besides its payload: about what its bookkeeping takes.
pub const MESSAGE_OVERHEAD: usize = 128;
/// The longest of the library's own log lines, in bytes. A longer one is cut, because an error of
/// the application may quote what a client sent.
pub const LOG_LINE: usize = 1024;
/// The most log lines of one kind that are logged at once, however fast they come: enough to see
/// what happens.
pub const LOG_BURST: u32 = 50;
/// The interval at which further lines of this kind are logged, so that no client can flood the
/// log. The lines in between are left out and counted.
pub const LOG_PACE: Duration = Duration::from_secs(2);
/// The time after the first line that is left out at which their number is logged.
pub const LOG_REPORT: Duration = Duration::from_secs(10);
/// The most bytes of log lines that wait for stderr, or for the application's logger. Further lines
/// are dropped and counted, so that no thread that serves a client waits for the log.
pub const LOG_QUEUE: usize = 64 * 1024;
/// The longest that the end of a server waits for the queued log lines, so that a log
/// that nobody reads cannot hold it up.
pub const LOG_FLUSH: Duration = Duration::from_millis(100);
