//! The compressed forms in which a message is sent: at most two, one for the largest window and one
//! for all smaller ones, each made by the first receiver that needs it. So no message is compressed
//! more than twice, whatever windows its receivers have negotiated. Without the feature `deflate`
//! there are none.

#[cfg(feature = "deflate")]
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The windows of the forms, in bits. The smaller one is for every client that allows 9 to 14 bits: a
/// window may be smaller than agreed (RFC 7692, 7.1.2.1). One of 8 bits, which hardly any client asks
/// for, would double the time for all of these.
#[cfg(feature = "deflate")]
pub(crate) const WINDOWS: [u8; 2] = [15, 9];

/// The forms of one message, each of which is shorter than the message.
#[derive(Debug, Default)]
pub(crate) struct Forms {
    /// For each window, the form, once it is known. Locked to look it up and to note one, never to
    /// compress.
    #[cfg(feature = "deflate")]
    made: Mutex<[Option<Form>; 2]>,
}

/// A compressed payload, or `None` where it is not shorter.
#[cfg(feature = "deflate")]
pub(crate) type Form = Option<Arc<[u8]>>;

/// Returns the place of the form for a client that allows this window, or `None` if messages go to it
/// as they are.
#[cfg(feature = "deflate")]
#[inline]
pub(crate) fn place(window: u8) -> Option<usize> {
    WINDOWS.iter().position(|least| *least <= window)
}

#[cfg(feature = "deflate")]
impl Forms {
    /// Returns the form at a place, once it is known.
    pub fn get(&self, place: usize) -> Option<Form> {
        self.made()[place].clone()
    }

    /// Notes the form at a place, and returns it, or the one that another thread has noted meanwhile.
    pub fn add(&self, place: usize, form: Form) -> Form {
        self.made()[place].get_or_insert(form).clone()
    }

    fn made(&self) -> MutexGuard<'_, [Option<Form>; 2]> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
