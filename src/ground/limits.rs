//! Every bound that the server keeps, with its default and its reason.
//!
//! A peer can make the server wait, remember and work; each field says how long, how much and how
//! often. What few people will want to turn is a named constant below the struct.

use std::time::Duration;

/// The bounds of one server. Sizes are bytes, counts are `usize`, times are [`Duration`]s. Where a
/// field does not say that 0 is no ceiling, 0 allows nothing.
///
/// ```
/// use sockling::limits::Limits;
/// use std::time::Duration;
///
/// let limits = Limits { message: 64 * 1024, idle_timeout: Duration::from_secs(5), ..Limits::default() };
/// assert_eq!(limits.body, 1024 * 1024);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest request line, in bytes without its CRLF. Over it: 414. Default 8,192, which leaves
    /// room for the 8,000 bytes that RFC 9112, section 3 recommends.
    pub request_line: usize,
    /// Largest header section (all field lines with their CRLFs), in bytes; trailers count by the
    /// same number. Over it: 431. Default 16 KiB: it is in memory until the request is answered.
    pub headers: usize,
    /// Most header fields in a request, and most trailers. Over it: 431. Default 100.
    pub header_count: usize,
    /// Largest request body, in bytes, after chunks are joined. Over it: 413, before the body is
    /// read. Default 1 MiB.
    pub body: usize,
    /// Largest WebSocket message, in bytes, and so the largest frame. A header that claims more
    /// ends the connection with 1009 before its payload is read. Default 1 MiB.
    pub message: usize,
    /// Most frames in one message. Over it: 1008. Default 16,384: empty fragments cost nothing to
    /// send and would never end otherwise.
    pub fragments: usize,
    /// Most messages and pings of one WebSocket in a second, on average; a second's worth may come at
    /// once. Over it: 1008. Messages that waited while a handler ran, up to a minute, are not held
    /// against their client.
    /// Default 0: no ceiling.
    pub messages_per_second: u32,
    /// Most bytes that wait for a client that does not read, beside the lot that is being written.
    /// Over it the sender gets [`Error::Full`](crate::Error::Full), and `overflow` says what
    /// becomes of the client. Default 1 MiB. One message is always taken, whatever its size; and a
    /// client that has been behind for less than 100 ms only slows its senders down, who may then
    /// pass the bound a little.
    pub backlog: usize,
    /// Most messages that wait for a client that does not read; same consequence as `backlog`.
    /// Default 1,024: small messages are dear by count.
    pub backlog_messages: usize,
    /// What becomes of a client, or of the message, when too much waits. Default
    /// [`Overflow::Close`].
    pub overflow: Overflow,
    /// Most bytes that wait for all clients of a server together. Over it, `overflow` holds for
    /// clients that already do not read when more is sent to them. Default 64 MiB.
    pub total_backlog: usize,
    /// Largest read buffer of a connection, in bytes, above which what waits for it is written in
    /// the middle of a batch, or, when it does not read, it is not read from. Default 64 KiB; a
    /// connection begins with 2 KiB, and more makes no copy cheaper. Request heads may need more.
    pub buffer: usize,
    /// Stack of a connection's thread, in bytes. Default 1 MiB; only pages that were touched
    /// take memory.
    pub stack: usize,
    /// Most connections at a time. For one more, the connection that has been idle longest makes
    /// room, one of the same address first: one that waits for its next request, or that has sent
    /// nothing for a second after the accept. When none does within 100 ms, it gets 503. Default
    /// 1,000: the usual soft limit of descriptors is 1,024. 0 is no ceiling. Each has a thread, and
    /// one more while it does not read what it is sent.
    pub connections: usize,
    /// Most connections at a time from one IPv4 address or one IPv6 /64, which is the least that a
    /// subscriber is given. For one more, an idle one of the same address makes room, or it gets
    /// 503, as with `connections`. Default 0, no ceiling: behind a proxy all clients have one
    /// address. A connection from a [trusted proxy](crate::http::Server::trusted_proxy) counts for
    /// a client from the head of its request until the answer is written; a WebSocket, until it
    /// ends.
    pub connections_per_address: usize,
    /// Most WebSockets of one session (a browser's tabs); one more gets 429. Default 16. 0 is no
    /// ceiling.
    pub connections_per_session: usize,
    /// Most topics that one session is in at a time, with all its WebSockets. A client that may name
    /// topics could otherwise make as many as it likes: a further one is refused
    /// ([`Topic::subscribe`](crate::Topic::subscribe)). Default 1,000. Topics belong to the process: of
    /// several servers in it the largest of this bound and of the next two holds.
    pub topics_per_session: usize,
    /// Longest name of a topic, in bytes. A session does not get into one with a longer name, and to
    /// send to it is [`Error::TopicName`](crate::Error::TopicName). Default 255.
    pub topic_name: usize,
    /// Most bytes of messages that all topics together keep for later members, each message with
    /// [`KEPT_EACH`]; the oldest of any topic go first. Default 4 MiB.
    pub topics_keep: usize,
    /// Most requests on one connection; the last answer says `Connection: close`. Default 1,000.
    /// 0 is no ceiling.
    pub requests_per_connection: usize,
    /// Longest wait for a whole request head, from its first byte (for the first request: from
    /// the accept). A total: a byte now and then does not extend it. Over it: 408, or a silent
    /// close when no byte came. Default 10 s.
    pub head_timeout: Duration,
    /// Longest wait for a whole request body, a total, to which a body gets the time that its
    /// size takes at [`BODY_RATE`]. Over it: 408. Default 30 s.
    pub body_timeout: Duration,
    /// Longest wait for a whole WebSocket message once its first byte came, a total. Over it:
    /// 1008. Default 30 s.
    pub message_timeout: Duration,
    /// Longest write of one answer, or of one lot of waiting messages, a total, to which a lot
    /// gets the time that its size takes at [`WRITE_RATE`]. Over it the socket is shut.
    /// Default 30 s.
    pub write_timeout: Duration,
    /// Longest wait for the next request on a connection that is kept alive. Default 15 s. On a
    /// full server it may end sooner: see `connections`.
    pub idle_timeout: Duration,
    /// Longest wait for the peer's Close frame after the server's own. Then the socket is shut.
    /// Default 5 s.
    pub close_timeout: Duration,
    /// Silence after which a WebSocket is pinged. Default 20 s. Zero: no heartbeat, and a peer
    /// that vanished without a word stays until a write fails.
    pub ping_interval: Duration,
    /// Silence after a ping that ends the connection. Any byte counts as life. A ping waits behind
    /// what was written before: for that, up to `write_timeout` is added, at [`WRITE_RATE`].
    /// Default 20 s.
    pub pong_timeout: Duration,
    /// Longest that a graceful shutdown waits for handlers and clients before it shuts their
    /// sockets. Default 10 s.
    pub drain_timeout: Duration,
}

/// What is done when more is sent to a client that does not read than may wait for it.
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
    /// The client's socket is shut: it comes back and begins anew, and misses nothing unknowingly.
    Close,
    /// The message is dropped, and the sender told by the number that took it, or by an error when
    /// nobody did: for clients that may miss some, such as those that show a changing figure. Close
    /// frames are not dropped, and of pongs the newest is kept. A client that takes nothing for
    /// `write_timeout` is closed all the same.
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
            idle_timeout: Duration::from_secs(15),
            close_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(20),
            pong_timeout: Duration::from_secs(20),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

impl Limits {
    /// Returns bounds for a machine with 64 MiB of memory: by [`most_memory`](Limits::most_memory)
    /// the library takes less than 24 MiB of it, whatever its clients do, and leaves the rest to the
    /// system, whose sockets are not counted, and to the application. Times are the default ones.
    ///
    /// | field | value | why |
    /// |---|--:|---|
    /// | `connections` | 100 | one takes up to 172 KiB by the numbers below; an idle one takes 15 |
    /// | `stack` | 64 KiB | a handler that panics with a backtrace needs 32; two may be needed where nothing is optimized |
    /// | `buffer` | 8 KiB | a batch of some messages; more only makes large batches cheaper |
    /// | `message` | 16 KiB | it is in memory twice: as it came, and as it is sent on |
    /// | `body` | 16 KiB | so is a body, while its buffer grows |
    /// | `request_line` | 4 KiB | pages of small machines have short paths |
    /// | `headers` | 8 KiB | what browsers send with some cookies is half of it |
    /// | `header_count` | 64 | browsers send 20 |
    /// | `fragments` | 1,024 | more than one for every 16 bytes of a message serves nobody |
    /// | `backlog` | 64 KiB | four messages, or a second on a slow line |
    /// | `backlog_messages` | 256 | of as many bytes as a small message and its place take |
    /// | `total_backlog` | 4 MiB | as much as all clients may have waiting, were half of them slow |
    /// | `connections_per_session` | 8 | the tabs of one browser |
    /// | `topics_per_session` | 20 | each takes up to 1 KiB, for each session |
    /// | `topics_keep` | 512 KiB | some hundred messages for those who come later |
    /// | `requests_per_connection` | 100 | a connection that is kept takes the place of another |
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

    /// Returns the most bytes that these bounds let connections take: each its whole stack, a head, a
    /// body or message, full buffers and its topics, and all together what waits for clients that do
    /// not read, what topics keep, and the log's queue. `None` without a ceiling on connections.
    ///
    /// Not counted: the program; what handlers allocate, the bodies of their responses included, to
    /// which the library adds 16 KiB at most; up to [`RECEIVER_BYTES`] for each
    /// [`Receiver`](crate::Receiver); and what the system holds for sockets, up to some megabytes for a
    /// client that does not read.
    pub fn most_memory(&self) -> Option<usize> {
        let head = self.request_line.saturating_add(self.headers);
        // A buffer that is full doubles: the read buffer for a head, and a body's own.
        let read = self.buffer.max(head.saturating_mul(2));
        let received = self.body.saturating_mul(2).max(self.message);
        // A batch's answers; one message is taken whatever waits; and a thread that writes. Instead, in
        // HTTP, an answer that is joined with its head.
        let sent = self.buffer.saturating_add(self.message).saturating_add(WRITER).max(JOINED);
        let topics = self.topics_per_session.saturating_mul(self.topic_name.saturating_add(TOPIC));
        let sum =
            |parts: &[usize]| parts.iter().fold(0, |sum: usize, part| sum.saturating_add(*part));
        let each = sum(&[self.stack, read, head, received, sent, topics]);
        let connections = self.connections.saturating_mul(each);
        let all = sum(&[connections, self.total_backlog, self.topics_keep, LOG_QUEUE]);
        (self.connections > 0).then_some(all)
    }
}

/// Returns whether there may be one more where there are so many; 0 is no ceiling.
pub(crate) fn has_room(most: usize, count: usize) -> bool {
    most == 0 || count < most
}

/// What a topic takes beside its name and what it keeps, with its first member, in bytes.
const TOPIC: usize = 768;
/// What a thread takes of its stack that writes for a client that does not read, in bytes.
const WRITER: usize = 16 * 1024;

/// Empty lines that are skipped before a request line (RFC 9112, 2.2). More is 400.
pub const LEADING_CRLFS: usize = 2;
/// Most hexadecimal digits in a chunk size: what fits 64 bits. Over it: 400.
pub const CHUNK_SIZE_DIGITS: usize = 16;
/// Most bytes of chunk extensions in one body, all chunks together. Over it: 400. They are
/// skipped, so they could otherwise carry an endless request past the body limit.
pub const CHUNK_EXTENSIONS: usize = 4 * 1024;
/// Most name-value pairs that are looked at in a request's cookies; the rest is ignored.
pub const COOKIE_PAIRS: usize = 64;
/// Longest cookie value, in bytes; a longer one is ignored.
pub const COOKIE_VALUE: usize = 4 * 1024;
/// Bytes a second at which a request body may arrive at the slowest, beyond `body_timeout`.
pub const BODY_RATE: u64 = 500;
/// Bytes a second at which an answer may leave at the slowest, beyond `write_timeout`.
pub const WRITE_RATE: u64 = 16 * 1024;
/// Longest that a client may go on sending after the last answer. What it sends is read and
/// dropped, so that it can read that answer: closing a socket with unread input resets the
/// connection (RFC 9112, 9.6). No bound on the bytes: a client in the middle of a large upload
/// would see a reset in place of 413 or 1009.
pub const LINGER: Duration = Duration::from_secs(5);
/// Silence after which it is not waited for any more.
pub const LINGER_QUIET: Duration = Duration::from_millis(500);
/// Time that a write may hold the sending thread: about two scheduler ticks. Then a thread of its
/// own takes the write over.
pub const DIRECT_WRITE: Duration = Duration::from_millis(8);
/// Longest that one send, to however many clients, waits for less to wait for all clients of the
/// server, once that is more than `total_backlog`.
pub const TOTAL_WAIT: Duration = Duration::from_millis(20);
/// Longest that a newcomer waits for a place when all are taken. Then it gets 503.
pub const WAIT_FOR_PLACE: Duration = Duration::from_millis(100);
/// Silence after the accept from which on a connection that has sent nothing may have to make room.
/// A request that is on its way arrives in less, even if its first packet is lost.
pub const SILENT: Duration = Duration::from_secs(1);
/// Time between the shutting of a connection's receiving side and the last look for a request that
/// crosses. A newcomer waits for it, so it is a small part of `WAIT_FOR_PLACE`.
pub const CROSSING: Duration = Duration::from_millis(10);
/// Longest wait for the rest of a request whose beginning crossed. Then it is told 503.
pub const REST_CROSSING: Duration = Duration::from_secs(1);
/// First read buffer of a connection, and what a quiet one has, in bytes.
pub const READ_BUFFER: usize = 2 * 1024;
/// Threads that wait in `accept` at a time; newcomers to a full server that wait at a time although
/// no connection is idle (further ones are refused at once); and refused connections that are
/// told so at a time (further ones are dropped).
pub const SPARE_THREADS: usize = 8;
/// Life of a session cookie without a request, in seconds: four weeks.
pub const SESSION_LIFE: u64 = 28 * 24 * 60 * 60;
/// Most ended logins that are remembered until their cookies expire, of users and of guests each.
/// When a user's would be one too many, the one that was issued first is dropped, and with it every
/// user's login that was issued up to then ends: a cookie that was ended is never good again. Of
/// guests the oldest is dropped.
pub const REVOKED: usize = 16 * 1024;
/// Most ended logins of one user that are remembered one by one. One more, and every login of this
/// user that was issued up to the latest of them is ended: so no account can fill the list.
pub const REVOKED_PER_USER: usize = 8;
/// Most bytes of an envelope between processes: a message of the default largest size, with its
/// topic. What is longer is not relayed, which is a gap for the other processes, and what comes longer
/// is dropped; both are counted.
pub const ENVELOPE: usize = 1024 * 1024 + 4 * 1024;
/// Messages that wait in a [`Receiver`](crate::Receiver) at most.
pub const RECEIVER: usize = 1024;
/// Bytes of messages that wait in a [`Receiver`](crate::Receiver) at most, each message with
/// [`KEPT_EACH`]; one message is always taken.
pub const RECEIVER_BYTES: usize = 1024 * 1024;
/// Most bytes of an HTTP answer that are joined with its head into one write. A longer body is
/// written from where the application put it.
pub const JOINED: usize = 16 * 1024;
/// Most bytes of messages that one topic keeps for those who come later, each with
/// [`KEPT_EACH`]; the oldest go first.
pub const TOPIC_KEEPS: usize = 256 * 1024;
/// Bytes that a kept message counts for beyond its own.
pub const KEPT_EACH: usize = 128;
/// Longest log line of the library's own, in bytes; a longer one is cut. An application's error may
/// quote what a client sent.
pub const LOG_LINE: usize = 1024;
/// Lines of one kind that are logged at once, however fast they come.
pub const LOG_BURST: u32 = 50;
/// Pace at which further lines of this kind are logged. The rest is left out, and counted.
pub const LOG_PACE: Duration = Duration::from_secs(2);
/// How long after the first line that was left out their count is logged.
pub const LOG_REPORT: Duration = Duration::from_secs(10);
/// Most bytes of log lines that wait for stderr, or for the application's logger. Further lines are
/// dropped, and counted: no client's thread waits for a log that nobody reads.
pub const LOG_QUEUE: usize = 64 * 1024;
/// Longest that the end of a server waits for the log lines that are queued.
pub const LOG_FLUSH: Duration = Duration::from_millis(100);
