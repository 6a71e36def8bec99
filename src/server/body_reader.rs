//! Reading the body of a request piece by piece, in the handler.

use crate::error::Error;
use crate::http::body::BodyError;
use crate::server::incoming::{Incoming, On};
use crate::server::request::{Request, Wire};
use std::io::{self, Read};

/// Reads the body of a request, from [`Request::reader`].
///
/// Its errors hold a [`BodyError`]. A body that is cut short is one of them, never an end. After an
/// error, every further read returns it again, and the connection ends behind the answer.
pub struct BodyReader<'a> {
    request: &'a Request,
}

impl Request {
    /// Returns a reader of the body: the bytes as they were sent, with chunks joined. What to do with
    /// a Content-Encoding is up to the handler.
    ///
    /// In a route that [streams](crate::http::Handler::streams), a read blocks until there are bytes,
    /// for [`Limits::body_timeout`](crate::limits::Limits::body_timeout) at most, to which those that
    /// have come add time; what the handler does between two reads does not count. The first read of at
    /// least one byte sends `100 Continue` to a client that waits for it (RFC 9110, 10.1.1). In other
    /// routes, and in a request that is made for a test, the body is in memory.
    ///
    /// A body of more than `limit` bytes, or more than the route takes, is [`BodyError::TooLarge`]:
    /// here, before any of it is read, if the client has announced the length, and otherwise in the
    /// read that meets the excess. A handler that returns the error answers 413.
    ///
    /// There is one reader at a time. One that is made after another was dropped goes on where that
    /// one has stopped.
    ///
    /// ```
    /// use sockling::http::BodyReader;
    /// use sockling::prelude::*;
    /// use std::io;
    ///
    /// fn upload(request: &Request) -> Result<Response, Error> {
    ///     if request.header("authorization") != Some("Bearer secret") {
    ///         return Ok(Response::unauthorized()); // before a byte of the body has been asked for
    ///     }
    ///     let mut body: BodyReader = request.reader(256 * 1024 * 1024)?;
    ///     let bytes = io::copy(&mut body, &mut io::sink())?;
    ///     Ok(Response::new().text(format!("{} bytes", bytes)))
    /// }
    /// let route = Handler::put("/firmware", upload).streams().limit(256 * 1024 * 1024);
    ///
    /// let image = Request::post("/firmware", vec![0; 1000]);
    /// assert_eq!(upload(&image)?.status(), 401);
    /// let image = image.with_header("Authorization", "Bearer secret");
    /// assert_eq!(upload(&image)?.content(), b"1000 bytes");
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`BodyError::TooLarge`], and [`Error::Setting`] while another reader exists.
    pub fn reader(&self, limit: u64) -> Result<BodyReader<'_>, Error> {
        let mut wire = self.lock_wire();
        if wire.reading {
            let text = "the request's body has a reader already, and there is one at a time";
            return Err(Error::Setting(text.to_string()));
        }
        let left = (self.body.len() - wire.position) as u64;
        match &mut wire.incoming {
            Some(incoming) => incoming.allow(limit)?,
            None if left > limit => return Err(BodyError::TooLarge.into()),
            None => {}
        }
        wire.reading = true;
        drop(wire);
        Ok(BodyReader { request: self })
    }

    /// Returns the rest of the body, of at most as many bytes as the route takes: all of it, unless a
    /// reader has taken some. Blocks until it is there, and has the errors of a
    /// [`reader`](Request::reader).
    ///
    /// ```
    /// use sockling::prelude::*;
    ///
    /// let note = |request: &Request| match request.header("authorization") {
    ///     None => Ok(Response::unauthorized()),
    ///     Some(_) => Ok(Response::new().body(request.read_body()?)),
    /// };
    /// let route = Handler::post("/note", note).streams().limit(4096);
    /// let request = Request::post("/note", "hey").with_header("Authorization", "Bearer secret");
    /// assert_eq!(note.handle(&request)?.content(), b"hey");
    /// # Ok::<(), Error>(())
    /// ```
    pub fn read_body(&self) -> Result<Vec<u8>, Error> {
        let reader = self.reader(u64::MAX)?;
        match reader.on_the_way(Incoming::read_whole) {
            Some(body) => Ok(body?),
            None => Ok(reader.in_memory(usize::MAX).to_vec()),
        }
    }
}

impl BodyReader<'_> {
    /// Calls `read` if the body is still on its way.
    fn on_the_way<T>(&self, read: impl FnOnce(&mut Incoming, &mut On) -> T) -> Option<T> {
        // Held while the client is asked, so that no answer begins meanwhile, and not while it sends.
        let outcome = self.request.lock_outcome();
        let mut wire = self.request.lock_wire();
        let Wire { socket, incoming, .. } = &mut *wire;
        match (incoming, socket, &self.request.slot) {
            (Some(incoming), Some(socket), Some(slot)) => {
                let limits = &self.request.service.shared.limits;
                let mut on = On { socket, slot, limits };
                incoming.ask(&on, outcome.sent.is_some());
                drop(outcome);
                Some(read(incoming, &mut on))
            }
            _ => None,
        }
    }

    /// Returns the next bytes of a body that is in memory.
    fn in_memory(&self, most: usize) -> &[u8] {
        let position = &mut self.request.lock_wire().position;
        let rest = &self.request.body[*position..];
        let next = &rest[..rest.len().min(most)];
        *position += next.len();
        next
    }
}

impl Read for BodyReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.on_the_way(|incoming, on| {
            let most = buffer.len();
            let mut copy = |bytes: &[u8]| buffer[..bytes.len()].copy_from_slice(bytes);
            incoming.read(on, most, &mut copy)
        });
        match read {
            Some(read) => Ok(read?),
            None => {
                let bytes = self.in_memory(buffer.len());
                buffer[..bytes.len()].copy_from_slice(bytes);
                Ok(bytes.len())
            }
        }
    }
}

impl std::fmt::Debug for BodyReader<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(out, "BodyReader({:?})", self.request)
    }
}

impl Drop for BodyReader<'_> {
    fn drop(&mut self) {
        self.request.lock_wire().reading = false;
    }
}
