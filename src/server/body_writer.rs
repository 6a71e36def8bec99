//! Writing an answer while the handler produces it.
//!
//! ```text
//! stream ── the closure writes ── a full buffer, or a flush ── the closure ends ── the last bytes
//!             into the buffer      the head, and a piece         Ok      Err
//!                                                                 │       └── before the head: the error
//!                                                                 │           is answered; behind it,
//!                                                                 │           the connection ends
//!                                                                 └── and the end of the chunks
//! ```
//!
//! The head leaves with the first piece, so that an error before it can still be answered. From then
//! on nothing but the body is written: if that does not become whole, its framing does not either, and
//! the client can tell (RFC 9112, 8).

use crate::comms::mailbox::Place;
use crate::error::Error;
use crate::ground::logger::log_line;
use crate::ground::system::unix_seconds;
use crate::http::body::BodyError;
use crate::http::head::Method;
use crate::http::response::Response;
use crate::net::stream::{write_part, Stream, Waited};
use crate::server::connections::Slot;
use crate::server::request::{Request, Sent, Wire};
use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::time::Duration;

/// What produces the body of an answer.
type Produce<'a> = &'a mut dyn FnMut(&mut BodyWriter) -> io::Result<()>;

impl Request {
    /// Sends an answer whose body the closure writes, and returns when it is out. What this returns is
    /// the handler's answer.
    ///
    /// The closure runs inside the handler, so it may borrow what the handler has. The body of
    /// `response`, if it has one, goes first. With [`Response::length`] the answer has a
    /// Content-Length; otherwise it is chunked, or, to an HTTP/1.0 client, ends with the connection.
    ///
    /// To send a file, take the length from the handle, since a log may grow while it is sent:
    ///
    /// ```
    /// use sockling::prelude::*;
    /// use std::{fs::File, io, io::Read};
    ///
    /// fn log(request: &Request) -> Result<Response, Error> {
    ///     let file = File::open("Cargo.toml")?;
    ///     let length = file.metadata()?.len();
    ///     let response = Response::new().header("Content-Type", "text/plain").length(length);
    ///     request.stream(response, |body| io::copy(&mut file.take(length), body).map(drop))
    /// }
    /// // A request that is made for a test has no client: the answer is collected.
    /// assert_eq!(log(&Request::get("/log"))?.content(), std::fs::read("Cargo.toml")?);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// The head leaves with the first bytes: when a piece is full
    /// ([`Limits::buffer`](crate::limits::Limits::buffer), 64 KiB by default), or at a flush. Fields
    /// and cookies are settled before the closure runs, so [`login`](Request::login)
    /// and [`session_id`](Request::session_id) must be called before.
    ///
    /// A handler that sends much while it has not read all of its request's body works only with
    /// clients that read meanwhile; most send their whole request first.
    ///
    /// # Errors
    ///
    /// That of the closure, and one if it has written less than the length. If no byte was sent, a
    /// handler that returns it answers with its status; otherwise the connection ends, before the
    /// answer is whole. A client of HTTP/1.0 cannot tell an answer that was cut short from a whole one,
    /// unless that has a length. Also [`Error::Response`] for a field that must not be sent, and
    /// [`Error::Setting`] if the request was answered already.
    ///
    /// An answer to HEAD, and one with 204, 205, or 304, has no body; then the closure does not run.
    pub fn stream(
        &self,
        response: Response,
        write: impl FnOnce(&mut BodyWriter) -> io::Result<()>,
    ) -> Result<Response, Error> {
        let mut write = Some(write);
        stream(self, response, &mut |body| write.take().map_or(Ok(()), |write| write(body)))
    }
}

fn stream(request: &Request, response: Response, produce: Produce) -> Result<Response, Error> {
    if request.method() == Method::Head || [204, 205, 304].contains(&response.status()) {
        return Ok(response.head_only());
    }
    let (response, first) = response.split();
    let mut body = BodyWriter::new(request, response)?;
    let written = body.write_all(&first).and_then(|()| produce(&mut body));
    written.and_then(|()| body.finish())?;
    Ok(body.answer())
}

/// Writes the body of an answer, in [`Request::stream`].
///
/// Small writes are joined, and [`flush`](Write::flush) sends what has been written. An empty write
/// writes nothing. Both block while the client does not read, until the wait exceeds
/// [`Limits::write_timeout`](crate::limits::Limits::write_timeout) and what the bytes that it takes
/// add; time in which nothing waits for the client does not count, so a quiet stream may last for
/// hours. They fail when the client has gone, for more bytes than the announced length, of which none
/// is sent, and from the start of a shutdown.
pub struct BodyWriter<'a> {
    request: &'a Request,
    response: Response,
    /// The connection; without one, what is written stays in the buffer.
    to: Option<(Arc<dyn Stream>, &'a Slot)>,
    /// The head up to the framing, until it is out.
    head: Option<Vec<u8>>,
    /// The bytes that may still be written, if the length is announced.
    left: Option<u64>,
    chunked: bool,
    /// The login whose cookie the head has, or needs not have.
    login: Option<[u8; 16]>,
    /// Whether the client has gone, or has not read in time.
    lost: bool,
    /// Room for the size of a chunk, and the bytes that wait.
    buffer: Vec<u8>,
    waited: Waited,
}

const ANSWERED: &str = "the request has been answered already";

/// The end of a chunk's data, and the chunk of no bytes that ends the body (RFC 9112, 7.1).
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";
/// The length of the longest line with the size of a chunk.
const SIZE_LINE: usize = "ffffffffffffffff\r\n".len();

impl<'a> BodyWriter<'a> {
    fn new(request: &'a Request, response: Response) -> Result<BodyWriter<'a>, Error> {
        let to = match &request.slot {
            None => None,
            Some(slot) if request.is_free(&request.lock_outcome()) => {
                Some((Arc::clone(&slot.stream), &**slot))
            }
            _ => return Err(Error::Setting(ANSWERED.to_string())),
        };
        let login = request.login_so_far();
        let response = if to.is_some() { request.for_session(response) } else { response };
        let left = response.announced();
        let chunked = left.is_none() && request.head.http11;
        let head = Some(response.stream_head(chunked, unix_seconds())?);
        let (lost, buffer, waited) = (false, vec![0; SIZE_LINE], Waited::default());
        Ok(BodyWriter { request, response, to, head, left, chunked, login, lost, buffer, waited })
    }

    /// Fails if the client has closed the connection, even its sending side alone, or if a shutdown
    /// has begun; otherwise does nothing. For a handler that has nothing to write for long: without
    /// writing, nothing else notices. Blocks for a few milliseconds at most. A client that was
    /// unplugged is found only by a write that it does not take in time.
    ///
    /// Up to [`Limits::buffer`](crate::limits::Limits::buffer) bytes of further requests wait; a client
    /// that sends more of them is given up. Behind as much of a body that the handler does not read,
    /// the end is not seen.
    ///
    /// ```
    /// use sockling::prelude::*;
    /// use sockling::http::BodyWriter;
    /// use std::{io::Write, time::Duration};
    ///
    /// let events = |request: &Request| {
    ///     let receiver = Comms::receiver(request.session_id());
    ///     let response = Response::new().header("Content-Type", "text/event-stream");
    ///     request.stream(response, |body: &mut BodyWriter| loop {
    ///         match receiver.recv_timeout(Duration::from_secs(1)) {
    ///             Some(message) => write!(body, "data: {}\n\n", message.as_text().unwrap_or(""))?,
    ///             None => body.poll()?,
    ///         }
    ///         body.flush()?;
    ///     })
    /// };
    /// let route = Handler::get("/events", events);
    /// ```
    pub fn poll(&mut self) -> io::Result<()> {
        self.check()?;
        let mut wire = self.request.try_wire();
        let most = self.request.service.shared.limits.buffer;
        let (socket, incoming) = match wire.as_deref_mut() {
            Some(Wire { socket, incoming, .. }) => (socket.as_mut(), incoming.as_ref()),
            None => (None, None),
        };
        let ended = match socket {
            // There is no client, or another thread is reading, and notices.
            None => false,
            // The rest of a body has to wait, and hides the end. Further requests may not: a client
            // could go, and leave a handler behind that never notices.
            Some(socket) if socket.has_unread(most) => incoming.map_or(true, |body| body.is_done()),
            Some(socket) => match socket.fill_within(Duration::from_millis(1)) {
                Ok(bytes) => bytes == 0,
                Err(error) => error.kind() != ErrorKind::TimedOut,
            },
        };
        drop(wire);
        // A shutdown ends the input, too.
        self.check()?;
        match ended {
            true => Err(self.lose(io::Error::new(ErrorKind::BrokenPipe, "the client has gone"))),
            false => Ok(()),
        }
    }

    /// Returns the length of a full piece, in bytes.
    fn piece(&self) -> usize {
        self.request.service.shared.limits.buffer.max(1)
    }

    /// Returns an error if nothing more can be written.
    fn check(&self) -> io::Result<()> {
        match &self.to {
            _ if self.lost => Err(ErrorKind::BrokenPipe.into()),
            Some((_, slot)) if slot.server_closes() => Err(BodyError::Closing.into()),
            _ => Ok(()),
        }
    }

    /// Notes that the client is lost, for whatever becomes of the error.
    fn lose(&mut self, error: io::Error) -> io::Error {
        self.request.lock_outcome().lost = true;
        self.lost = true;
        error
    }

    /// Sends what waits, after the head if that is not out yet, and before the end of the chunks if
    /// it is the `last` piece.
    fn send(&mut self, last: bool) -> io::Result<()> {
        let stream = match &self.to {
            Some((stream, _)) => Arc::clone(stream),
            None => return Ok(()),
        };
        let (bytes, mut start) = (self.buffer.len() - SIZE_LINE, SIZE_LINE);
        if self.chunked && bytes > 0 {
            let line = format!("{:x}\r\n", bytes);
            start -= line.len();
            self.buffer[start..SIZE_LINE].copy_from_slice(line.as_bytes());
            self.buffer.extend_from_slice(&LAST_CHUNK[..2]);
        }
        if self.chunked && last {
            self.buffer.extend_from_slice(&LAST_CHUNK[2..]);
        }
        let head = self.begin()?;
        let limits = &self.request.service.shared.limits;
        let mut write = |bytes: &[u8]| {
            write_part(&*stream, bytes, limits.write_timeout, limits, &mut self.waited)
        };
        let written = match head {
            Some(mut head) => {
                head.extend_from_slice(&self.buffer[start..]);
                write(&head)
            }
            None => write(&self.buffer[start..]),
        };
        self.buffer.truncate(SIZE_LINE);
        written.map_err(|error| self.lose(error))
    }

    /// Returns the whole head, the first time: from here on nothing else can be answered. Error: the
    /// closure has answered in another way meanwhile.
    fn begin(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut head = match self.head.take() {
            Some(head) => head,
            None => return Ok(None),
        };
        let status = self.response.status();
        let endless = self.left.is_none() && !self.chunked;
        let close = endless || self.request.ends_connection(&self.response);
        let idle_timeout = self.request.service.shared.limits.idle_timeout;
        self.response.put_connection(&mut head, (!close).then_some(idle_timeout.as_secs()));
        let sent = Sent { status, whole: false, close, log: log_end };
        if !self.request.set_sent(sent, self.login) {
            self.lost = true;
            return Err(io::Error::new(ErrorKind::Other, ANSWERED));
        }
        Ok(Some(head))
    }

    /// Sends the rest, if the body is as long as was announced.
    fn finish(&mut self) -> io::Result<()> {
        if let Some(left @ 1..) = self.left {
            let text = format!("the answer is {} bytes shorter than its announced length", left);
            return Err(io::Error::new(ErrorKind::UnexpectedEof, text));
        }
        if self.lost {
            return Err(ErrorKind::BrokenPipe.into());
        }
        self.send(true)?;
        if let Some(sent) = &mut self.request.lock_outcome().sent {
            sent.whole = true;
        }
        Ok(())
    }

    /// Returns the answer that was sent, or, in a request that no client sent, the one that was
    /// collected.
    fn answer(mut self) -> Response {
        let body = self.buffer.split_off(SIZE_LINE);
        self.response.with_content(body)
    }
}

impl Write for BodyWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.check()?;
        let room = match &self.to {
            Some(_) => self.piece() - (self.buffer.len() - SIZE_LINE),
            None => bytes.len(),
        };
        let taken = bytes.len().min(room);
        if let Some(left) = &mut self.left {
            if bytes.len() as u64 > *left {
                let text = "the answer is longer than its announced length";
                return Err(io::Error::new(ErrorKind::InvalidInput, text));
            }
            *left -= taken as u64;
        }
        // Otherwise the framing behind a full piece would double the buffer.
        self.buffer.reserve(taken + LAST_CHUNK.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if taken == room && taken > 0 {
            self.send(false)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.check()?;
        if self.head.is_some() || self.buffer.len() > SIZE_LINE {
            self.send(false)?;
        }
        Ok(())
    }
}

/// Logs what has gone wrong behind the head of an answer.
fn log_end(request: &Request, answer: Option<Result<Response, Error>>) {
    if request.set_cookie().is_some() {
        log_line!(
            Error,
            "the handler of {:?} asked for a session behind the head of its answer, so that its \
             cookie was not sent",
            request
        );
    }
    let whole = request.lock_outcome().sent.map_or(false, |sent| sent.whole);
    let end = if whole { "was followed by a failure" } else { "ended early" };
    match answer {
        Some(Ok(_)) => {}
        Some(Err(error)) => {
            let (level, why) = (request.level_of(&error), error.into_text());
            log_line!(level, "the answer to {:?} {}: {:?}", request, end, why);
        }
        None => log_line!(Error, "the answer to {:?} {}: its handler panicked", request, end),
    }
}
