//! Compresses the payload of a message (RFC 7692, 7.2.1), each by itself: nothing of one message is
//! ever a part of another (no context takeover).
//!
//! ```text
//! window of 2^15   payload ─▶ blocks ─▶ full flush
//! of 2^n           2^n bytes ─▶ blocks ─▶ full flush,  the next 2^n bytes ─▶ blocks ─▶ full flush, ..
//!                                          └ 00 00 ff ff, of which the last is left out
//! ```
//!
//! A full flush forgets what came before it, so no distance reaches over one: the client needs a
//! window of 2^n bytes and no more. The same flush ends each message in place of `reset`, which would
//! take more time and a stack frame of some hundred KiB.

use miniz_oxide::deflate::core::{
    compress_to_output, create_comp_flags_from_zip_params, CompressorOxide, TDEFLFlush, TDEFLStatus,
};

/// The bits of the largest window.
pub(crate) const WINDOW: u8 = 15;
/// The memory of a compressor, in bytes.
pub(crate) const COMPRESSOR: usize = 320 * 1024;
/// The stack on which one is made, in bytes: up to 73 KiB are used with optimization, and 302 KiB
/// without.
pub(crate) const MAKING: usize = 512 * 1024;
/// The end of a flush, which the receiver adds (7.2.1).
pub(crate) const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The most full flushes in one message. Each costs some 10 us, so that a small window makes messages
/// twenty times as dear: a longer one goes to such a client as it is.
const FLUSHES: usize = 256;
/// The bytes and flushes after which a compressor is replaced, whose counters may have 32 bits. In tests
/// inside the library they come soon.
pub(crate) const LIFE: u32 = if cfg!(test) { 1 << 22 } else { 1 << 31 };
/// The longest message that is compressed, in bytes: so its last one does not overflow the counters.
const LONGEST: usize = 1 << 30;

pub(crate) struct Compressor {
    core: Box<CompressorOxide>,
    /// The part of `LIFE` that is left.
    life: u32,
}

impl Compressor {
    /// Returns a compressor of a level from 1 to 9. Takes a stack of [`MAKING`] bytes.
    #[inline(never)]
    pub fn new(level: u8) -> Compressor {
        // No window, or a negative one, means that there is no zlib header.
        let flags = create_comp_flags_from_zip_params(level.into(), -i32::from(WINDOW), 0);
        Compressor { core: Box::new(CompressorOxide::new(flags)), life: LIFE }
    }

    /// Returns whether it may be used for another message.
    pub fn lasts(&self) -> bool {
        self.life > 0
    }

    /// Returns the payload in the form for a window of this many bits, or `None` if that is longer
    /// than `most`.
    #[inline(never)]
    pub fn compress(&mut self, payload: &[u8], window: u8, most: usize) -> Option<Vec<u8>> {
        let flushes = if window < WINDOW { payload.len() >> window } else { 0 };
        if flushes > FLUSHES || payload.len() > LONGEST {
            return None;
        }
        let piece = if window < WINDOW { 1 << window } else { usize::MAX };
        let (mut form, mut fits) = (Vec::new(), true);
        let most = most.saturating_add(TAIL.len());
        for piece in payload.chunks(piece) {
            // Whether it fits or not: only after a flush is the compressor ready for another message.
            let take = |bytes: &[u8]| {
                fits = fits && bytes.len() <= most - form.len();
                if fits {
                    form.extend_from_slice(bytes);
                }
                true
            };
            let (status, _) = compress_to_output(&mut self.core, piece, TDEFLFlush::Full, take);
            self.life = self.life.saturating_sub(1 + piece.len() as u32);
            if status != TDEFLStatus::Okay {
                self.life = 0;
                return None;
            }
            if !fits {
                return None;
            }
        }
        let length = form.len().checked_sub(TAIL.len()).filter(|_| form.ends_with(&TAIL))?;
        form.truncate(length);
        Some(form)
    }
}
