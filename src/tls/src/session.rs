//! The cryptography of a stream, over rustls without its buffers.
//!
//! rustls decrypts a record where it lies, and gives its plaintext in a vector, which is copied to
//! the front of the same buffer. What waits here is a record that has not come whole, plaintext for
//! which the caller had no room, and what is owed to the peer. Each gives its memory back when it is
//! empty.
//!
//! While rustls has half a message of the handshake, each call must show it that half again, or it
//! panics. So the residue stays here, where a writer finds it, and never in the buffer of a reader.

use super::stream::Out;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, UnbufferedConnectionCommon, UnbufferedStatus, WriteTraffic,
};
use rustls::ProtocolVersion;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};
use std::ops::Deref;

/// The most plaintext that one lock of the session seals: the other direction waits meanwhile, for
/// some 25 microseconds.
pub(crate) const LOT: usize = 32 * 1024;
/// The most plaintext in one record (RFC 8446, 5.1).
pub(crate) const RECORD: usize = 16 * 1024;
/// More than what a record adds to its plaintext, with two updates of the keys in front of it.
const AROUND: usize = 128;
/// The head of a record, and the most that a record with it takes (RFC 5246, 6.2.3).
const HEAD: usize = 5;
const WIRE: usize = HEAD + RECORD + 2048;
/// The most ciphertext of one message of the handshake.
const HANDSHAKE: usize = 0xffff;

/// A session of rustls: the server's, or in the tests a client's.
pub trait Unbuffered: Deref<Target = UnbufferedConnectionCommon<Self::Data>> + Send {
    type Data;
    /// Whether what follows a handshake of TLS 1.3 can wait: tickets, not the end of the handshake.
    const OWES_TICKETS: bool;

    fn process<'c, 'i>(
        &'c mut self,
        ciphertext: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Unbuffered for UnbufferedServerConnection {
    type Data = ServerConnectionData;
    const OWES_TICKETS: bool = true;

    fn process<'c, 'i>(
        &'c mut self,
        ciphertext: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(ciphertext)
    }
}

/// The state of the cryptography.
pub(crate) struct Session<S> {
    pub(crate) tls: S,
    /// The first error. The session reads nothing after it.
    pub(crate) failed: Option<rustls::Error>,
    /// Whether the peer has said that nothing follows.
    ended: bool,
    /// Ciphertext of a record or a message that has not come whole. While rustls has half a message
    /// it must be shown this with each call.
    residue: Vec<u8>,
    /// Where in it the record begins that is not whole.
    at: usize,
    /// Plaintext for which a caller had no room.
    plaintext: VecDeque<u8>,
    /// What must leave in front of what is written next.
    pub(crate) owed: Vec<u8>,
}

/// What to do with what is owed where rustls is ready to seal.
type Then<'a, Data> = &'a mut dyn FnMut(&mut WriteTraffic<'_, Data>, &mut Vec<u8>);

/// What a step has used of the ciphertext and given of plaintext, and whether another may follow.
struct Step {
    used: usize,
    given: usize,
    goes_on: bool,
}

impl<S: Unbuffered> Session<S> {
    pub(crate) fn new(tls: S) -> Session<S> {
        let (residue, plaintext, owed) = (Vec::new(), VecDeque::new(), Vec::new());
        Session { tls, failed: None, ended: false, residue, at: 0, plaintext, owed }
    }

    /// Lets rustls go on with this ciphertext, up to the next record that has plaintext, which goes
    /// into `room` and behind what waits already. Calls `then` where rustls is ready to seal.
    fn step(&mut self, ciphertext: &mut [u8], room: &mut [u8], then: Then<'_, S::Data>) -> Step {
        let UnbufferedStatus { discard, state, .. } = self.tls.process(ciphertext);
        let mut step = Step { used: discard, given: 0, goes_on: true };
        match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(Ok(record)) = traffic.next_record() {
                    step.used += record.discard;
                    step.given +=
                        hand(&mut self.plaintext, record.payload, &mut room[step.given..]);
                }
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                if let Err(EncodeError::InsufficientSize(size)) = data.encode(&mut []) {
                    append(&mut self.owed, size.required_size, |to| data.encode(to));
                }
            }
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                then(&mut traffic, &mut self.owed);
                step.goes_on = false;
            }
            Ok(ConnectionState::PeerClosed) => {
                self.ended = true;
                step.goes_on = false;
            }
            Ok(_) => step.goes_on = false,
            Err(error) => {
                self.failed = Some(error);
                step.goes_on = false;
            }
        }
        step
    }

    /// Lets rustls go on with the residue for as long as it can. Returns how much plaintext went
    /// into the room.
    fn go_on(&mut self, room: &mut [u8], then: Then<'_, S::Data>) -> usize {
        let (mut residue, mut given) = (std::mem::take(&mut self.residue), 0);
        loop {
            let step = self.step(&mut residue, &mut room[given..], then);
            residue.drain(..step.used);
            self.at = self.at.saturating_sub(step.used);
            given += step.given;
            if !step.goes_on {
                self.residue = residue;
                return given;
            }
        }
    }

    /// Keeps ciphertext of which the rest has not come.
    fn keep(&mut self, ciphertext: &[u8]) {
        let most = if self.tls.is_handshaking() { HANDSHAKE } else { WIRE };
        if self.residue.len() + ciphertext.len() > most {
            let error = "a message does not end where it must";
            self.failed.get_or_insert_with(|| rustls::Error::General(error.to_string()));
            return;
        }
        if self.residue.is_empty() {
            let missing = record(ciphertext).err().unwrap_or(0);
            self.residue.reserve_exact(ciphertext.len() + missing);
        }
        self.residue.extend_from_slice(ciphertext);
    }

    /// Returns how many bytes must follow until the last record of the residue is whole, or its head.
    fn missing(&mut self) -> usize {
        loop {
            match record(&self.residue[self.at..]) {
                Ok(length) => self.at += length,
                Err(missing) => {
                    if self.at == 0 {
                        self.residue.reserve_exact(missing);
                    }
                    return missing;
                }
            }
        }
    }

    /// Decrypts the `got` bytes at `from` into the front of the same buffer. Returns how much
    /// plaintext there is.
    pub(crate) fn decrypt(&mut self, buffer: &mut [u8], from: usize, got: usize) -> usize {
        let (mut used, mut given, end, mut goes_on) = (from, 0, from + got, true);
        while goes_on && !self.ended && self.failed.is_none() {
            let (front, rest) = buffer[..end].split_at_mut(used);
            if self.residue.is_empty() {
                let step = self.step(rest, &mut front[given..], &mut |_, _| {});
                given += step.given;
                used += step.used;
                goes_on = step.goes_on;
                if !goes_on {
                    self.keep(&rest[step.used..]);
                }
            } else {
                goes_on = !rest.is_empty();
                let more = self.missing().min(rest.len());
                self.keep(&rest[..more]);
                used += more;
                given += self.go_on(&mut buffer[given..used], &mut |_, _| {});
            }
        }
        if self.residue.is_empty() || self.ended || self.failed.is_some() {
            (self.residue, self.at) = (Vec::new(), 0);
        }
        given + self.give(&mut buffer[given..])
    }

    /// Moves plaintext that waits into the buffer, and returns how much.
    pub(crate) fn give(&mut self, buffer: &mut [u8]) -> usize {
        let given = hand(&mut self.plaintext, &[], buffer);
        if self.plaintext.is_empty() {
            self.plaintext = VecDeque::new();
        }
        given
    }

    /// Takes back plaintext that was given too early.
    pub(crate) fn take_back(&mut self, plaintext: &[u8]) {
        let behind = std::mem::take(&mut self.plaintext);
        self.plaintext = plaintext.iter().copied().chain(behind).collect();
    }

    /// Returns how reading has ended, if it has.
    pub(crate) fn end(&mut self) -> Option<io::Result<usize>> {
        if let Some(error) = &self.failed {
            return Some(Err(io::Error::new(ErrorKind::InvalidData, error.clone())));
        }
        if self.tls.is_handshaking() {
            return Some(Err(ErrorKind::NotConnected.into()));
        }
        self.ended.then_some(Ok(0))
    }

    /// Appends all that the session has to send to the lot.
    pub(crate) fn drain(&mut self, out: &mut Out) {
        while self.tls.wants_write() {
            self.step(&mut [], &mut [], &mut |_, _| {});
        }
        out.lot.append(&mut self.owed);
        self.owed = Vec::new();
    }

    /// Encrypts the front of these bytes into an empty lot, behind what the session owes the peer.
    pub(crate) fn seal(&mut self, bytes: &[u8], out: &mut Out) -> io::Result<()> {
        if self.tls.is_handshaking() {
            return Err(ErrorKind::NotConnected.into());
        }
        let bytes = &bytes[..bytes.len().min(LOT)];
        let mut sealed = false;
        if self.owed.is_empty() {
            std::mem::swap(&mut self.owed, &mut out.lot);
        }
        if self.failed.is_none() {
            self.go_on(&mut [], &mut |traffic, lot| {
                lot.reserve_exact(bytes.len() + (bytes.len() / RECORD + 1) * AROUND);
                sealed = bytes.chunks(RECORD).all(|record| {
                    let room = record.len() + AROUND;
                    let sealed = append(lot, room, |to| traffic.encrypt(record, to));
                    out.records.push_back((lot.len(), record.len()));
                    sealed
                });
            });
        }
        if !sealed {
            out.records.clear();
            return Err(ErrorKind::BrokenPipe.into());
        }
        out.lot = std::mem::take(&mut self.owed);
        Ok(())
    }

    /// Appends the farewell to what is owed, unless an alert has said it.
    pub(crate) fn say_farewell(&mut self) {
        if self.failed.is_none() {
            self.go_on(&mut [], &mut |traffic, lot| {
                append(lot, AROUND, |to| traffic.queue_close_notify(to));
            });
        }
    }

    /// Returns whether what waits in the session may wait for the next write: tickets, behind a
    /// handshake of TLS 1.3. One of TLS 1.2 ends with a record of the server.
    pub(crate) fn owes_tickets_alone(&self) -> bool {
        let (done, version) = (!self.tls.is_handshaking(), self.tls.protocol_version());
        done && S::OWES_TICKETS && version == Some(ProtocolVersion::TLSv1_3)
    }
}

/// Returns the length of the record at the front. Error: how many bytes must follow until it is whole,
/// or its head.
fn record(ciphertext: &[u8]) -> Result<usize, usize> {
    match ciphertext {
        [_, _, _, high, low, ..] => {
            let length = HEAD + usize::from(u16::from_be_bytes([*high, *low]));
            match length.saturating_sub(ciphertext.len()) {
                0 => Ok(length),
                missing => Err(missing),
            }
        }
        _ => Err(HEAD - ciphertext.len()),
    }
}

/// Moves what waits and then this plaintext into the room, and returns how much; the rest waits.
fn hand(waits: &mut VecDeque<u8>, plaintext: &[u8], room: &mut [u8]) -> usize {
    // It is memory, which does not fail.
    let given = waits.read(room).unwrap_or(0);
    let room = &mut room[given..];
    let most = if waits.is_empty() { plaintext.len().min(room.len()) } else { 0 };
    room[..most].copy_from_slice(&plaintext[..most]);
    waits.extend(&plaintext[most..]);
    given + most
}

/// Appends what is written into so much room. Returns whether anything could be.
fn append<E>(
    to: &mut Vec<u8>,
    room: usize,
    write: impl FnOnce(&mut [u8]) -> Result<usize, E>,
) -> bool {
    let at = to.len();
    to.resize(at + room, 0);
    let written = write(&mut to[at..]);
    to.truncate(at + *written.as_ref().unwrap_or(&0));
    written.is_ok()
}
