//! The handshake: what the connection's own thread does before the first byte, until a deadline.
//!
//! A client that speaks plain HTTP is told so in plain HTTP. Every client with which there is no
//! handshake gets the alert that says why, where it can still be written, and the time to read it.

use super::session::Unbuffered;
use super::stream::{is_passing, lock, write_until, Encrypted};
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::time::{Duration, Instant};

/// What is read at once. No message of a client's is longer as a rule, and less memory leaves
/// smaller gaps in the heap.
const PIECE: usize = 2 * 1024;
/// The longest wait for a client to take the reason, and for it to end its side after that.
const PARTING: Duration = Duration::from_millis(500);
/// The answer to plain HTTP.
const PLAIN: &str = "HTTP/1.1 400 Bad Request\r\n\
                     Content-Type: text/plain; charset=utf-8\r\n\
                     Content-Length: 29\r\n\
                     Connection: close\r\n\r\n\
                     This port speaks HTTPS only.\n";

impl<S: Unbuffered> Encrypted<S> {
    /// Runs the handshake. Changes the timeouts of the inner stream.
    pub(crate) fn shake_hands(&self, deadline: Instant) -> io::Result<()> {
        let mut buffer = vec![0; PIECE];
        let mut first = true;
        loop {
            self.write_handshake(deadline)?;
            if !lock(&self.session).tls.is_handshaking() {
                return Ok(());
            }
            let got = self.read_handshake(&mut buffer, deadline)?;
            if std::mem::take(&mut first) && is_plain(&buffer[..got]) {
                self.answer_plain(deadline);
                let why = "the client speaks plain HTTP";
                return Err(io::Error::new(ErrorKind::InvalidData, why));
            }
            self.take_handshake(&mut buffer, got).map_err(|error| {
                // The client may have gone, or may not read.
                let _ = self.write_handshake(parting(deadline));
                self.part(deadline);
                error
            })?;
        }
    }

    /// Takes what was read to the front of the buffer.
    fn take_handshake(&self, buffer: &mut [u8], got: usize) -> io::Result<()> {
        let mut session = lock(&self.session);
        let given = session.decrypt(buffer, 0, got);
        session.take_back(&buffer[..given]);
        match &session.failed {
            Some(error) => Err(io::Error::new(ErrorKind::InvalidData, error.clone())),
            None => Ok(()),
        }
    }

    /// Writes what the session has to send, unless the client need not wait for it.
    fn write_handshake(&self, deadline: Instant) -> io::Result<()> {
        let mut out = lock(&self.out);
        {
            let mut session = lock(&self.session);
            if session.failed.is_none() && session.owes_tickets_alone() {
                return Ok(());
            }
            session.drain(&mut out);
        }
        write_until(&*self.inner, &mut out, deadline)?;
        out.shrink();
        Ok(())
    }

    /// Reads once. Error: the client has ended, or has not sent anything by then.
    fn read_handshake(&self, buffer: &mut [u8], deadline: Instant) -> io::Result<usize> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            self.inner.set_read_timeout(left)?;
            match self.inner.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Err(error) if is_passing(&error) => {}
                result => return result,
            }
        }
    }

    fn answer_plain(&self, deadline: Instant) {
        // It fits into any buffer. An error means that the client has gone.
        let timeout = parting(deadline).saturating_duration_since(Instant::now());
        let written = self.inner.set_write_timeout(timeout);
        let _ = written.and_then(|()| self.inner.write(PLAIN.as_bytes()));
        self.part(deadline);
    }

    /// Ends the connection so that the client can read why: reads and drops what it sends until it
    /// ends, or a reset would take the reason from it.
    fn part(&self, deadline: Instant) {
        if self.inner.shutdown(Shutdown::Write).is_err() {
            return;
        }
        let (deadline, mut buffer) = (parting(deadline), vec![0; PIECE]);
        while self.read_handshake(&mut buffer, deadline).is_ok() {}
    }
}

/// Returns whether these first bytes of a client begin a request of plain HTTP. A record of TLS
/// begins with a byte below 0x40 (RFC 8446, 5.1).
fn is_plain(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(u8::is_ascii_uppercase)
}

fn parting(deadline: Instant) -> Instant {
    deadline.min(Instant::now() + PARTING)
}
