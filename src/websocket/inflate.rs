//! Inflates a compressed message, in pieces of any size, as it arrives (RFC 7692, 7.2.2).
//!
//! ```text
//! fragments ─▶ blocks ─▶ the message      each piece is inflated at once, and kept nowhere
//!              at the end: 00 00 ff ff, which the client has left out, and an empty final block,
//!              at which everything must end: so a message that was cut short is told apart
//! ```
//!
//! What a client can make the server do is bounded three times: what a message inflates to counts
//! while it inflates, and ends it before the memory is taken; compressed bytes have a bound of their
//! own, since they may inflate to nothing; and blocks, since the tables of an empty one take more than
//! 1 us and 10 bits, have to be paid for: the client earns them with frames and bytes, and has some in
//! advance. That account goes on from message to message, or many small ones would have no bound.

use super::deflate::TAIL;
use miniz_oxide::inflate::core::inflate_flags::{
    TINFL_FLAG_HAS_MORE_INPUT, TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY,
    TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
};
use miniz_oxide::inflate::core::{decompress, DecompressorOxide};
use miniz_oxide::inflate::TINFLStatus;

/// The memory of an inflater, in bytes.
pub(crate) const INFLATER: usize = 11 * 1024;

/// What a block costs, in compressed bytes that pay for it. A sender that flushes within a frame, after
/// 26 bytes or more, pays its blocks by its bytes. With this price, the dearest bytes of a large message
/// cost some 110 ns each, and those of empty blocks would cost 800 without it; a byte of JSON costs 7.
/// A message of a few bytes takes some 3 us, whatever is in it.
const BLOCK: u32 = 16;
/// What a frame of a compressed message pays, since many senders flush at the end of each.
pub(crate) const FRAME: u32 = 2 * BLOCK;
/// What a connection has in advance, and the most that it can have.
pub(crate) const CREDIT: u32 = 1024 * BLOCK;
/// The first room for a message, in bytes. With less, inflating is slow.
const ROOM: usize = 1024;

const FLAGS: u32 = TINFL_FLAG_HAS_MORE_INPUT
    | TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF
    | TINFL_FLAG_STOP_ON_BLOCK_BOUNDARY;
/// An empty block that is stored, aligned to a byte, and final.
const FINAL: [u8; 5] = [1, 0, 0, 0xff, 0xff];

/// Why a message cannot be inflated.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It inflates to more than it may.
    TooBig,
    /// It has a block that nothing pays for.
    TooManyBlocks,
    /// It is not a whole message.
    Invalid,
}

/// Inflates one message.
pub(crate) struct Inflater {
    core: Box<DecompressorOxide>,
    /// The compressed bytes so far.
    taken: u64,
    /// What is left to pay for blocks, at most `CREDIT`.
    credit: u32,
    /// The number of bytes at the front of the message that are inflated. The rest is zeros, since
    /// room is made rarely and zeroed once: a message of fragments of one byte takes linear time.
    filled: usize,
    /// Whether the last block was a final one, and nothing has followed.
    done: bool,
}

impl std::fmt::Debug for Inflater {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(out, "Inflater({} to {} bytes)", self.taken, self.filled)
    }
}

/// Returns the most compressed bytes of a message of so many: half as much again, and 1 KiB. What does
/// not shrink is stored, in blocks with 5 bytes of overhead, and what is flushed after each 26 bytes,
/// as often as the price of blocks lets a sender do it, takes a quarter more.
pub(crate) fn most_compressed(message: usize) -> u64 {
    let message = message as u64;
    message.saturating_add(message / 2).saturating_add(1024)
}

impl Inflater {
    /// Returns what inflates the next message of a client that has so much to pay for blocks.
    #[inline(never)]
    pub fn new(credit: u32) -> Inflater {
        Inflater { core: Box::default(), taken: 0, credit, filled: 0, done: false }
    }

    /// Returns what the client has left to pay for blocks.
    pub fn credit(&self) -> u32 {
        self.credit
    }

    /// Returns the compressed bytes so far.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Notes that a further frame of the message begins.
    pub fn begin_frame(&mut self) {
        self.earn(FRAME);
    }

    /// Returns the number of bytes at the front of the message that are inflated.
    pub fn filled(&self) -> usize {
        self.filled
    }

    /// Inflates a piece to the end of a message, which may have `most` bytes.
    #[inline(never)]
    pub fn take(&mut self, piece: &[u8], message: &mut Vec<u8>, most: usize) -> Result<(), Fault> {
        self.taken += piece.len() as u64;
        self.inflate(piece, message, most)
    }

    /// Ends a message, whose room is cut off.
    #[inline(never)]
    pub fn end(&mut self, message: &mut Vec<u8>, most: usize) -> Result<(), Fault> {
        // Without any block there is nothing to complete (7.2.3.6 sends one byte for it).
        if self.taken > 0 {
            self.inflate(&TAIL, message, most)?;
            // After this tail a block must begin at a byte; anywhere else it is read as something
            // that does not end here. The client does not pay for this block.
            self.earn(BLOCK);
            self.inflate(&FINAL, message, most)?;
            if !self.done {
                return Err(Fault::Invalid);
            }
        }
        message.truncate(self.filled);
        Ok(())
    }

    fn inflate(
        &mut self,
        mut piece: &[u8],
        message: &mut Vec<u8>,
        most: usize,
    ) -> Result<(), Fault> {
        loop {
            if std::mem::take(&mut self.done) {
                if piece.is_empty() {
                    self.done = true;
                    return Ok(());
                }
                // What follows a final block begins anew (7.2.3.4).
                self.core.init();
            }
            let (status, used, made) =
                decompress(&mut self.core, piece, message, self.filled, FLAGS);
            piece = &piece[used..];
            self.earn(u32::try_from(used).unwrap_or(CREDIT));
            self.filled += made;
            // The room is one byte more than the message may have, or the end of the largest one
            // could not be told from the lack of room.
            if self.filled > most {
                return Err(Fault::TooBig);
            }
            match status {
                TINFLStatus::NeedsMoreInput => return Ok(()),
                TINFLStatus::HasMoreOutput => self.make_room(piece.len(), message, most),
                TINFLStatus::BlockBoundary => self.pay_block()?,
                TINFLStatus::Done => {
                    self.pay_block()?;
                    self.done = true;
                }
                _ => return Err(Fault::Invalid),
            }
        }
    }

    /// Makes room for twice as much as there is, or for four times the rest of a piece, up to one
    /// byte more than the message may have.
    fn make_room(&self, rest: usize, message: &mut Vec<u8>, most: usize) {
        let wanted = self.filled.max(rest.saturating_mul(4)).max(ROOM);
        let room = message.len().saturating_add(wanted).min(most.saturating_add(1));
        message.reserve_exact(room.saturating_sub(message.len()));
        message.resize(room, 0);
    }

    fn earn(&mut self, more: u32) {
        self.credit = self.credit.saturating_add(more).min(CREDIT);
    }

    fn pay_block(&mut self) -> Result<(), Fault> {
        self.credit = self.credit.checked_sub(BLOCK).ok_or(Fault::TooManyBlocks)?;
        Ok(())
    }
}
