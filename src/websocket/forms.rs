//! The compressed forms in which a message is sent: one for each window size that its receivers have
//! negotiated, made by the first receiver that needs it. Without the feature `deflate` there are none.

#[cfg(feature = "deflate")]
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The forms of one message, which are together no longer than the message.
#[derive(Debug, Default)]
pub(crate) struct Forms {
    /// The form for each window size, in bits, or `None` where the message goes as it is. Locked to
    /// look it up and to add one, never to compress.
    #[cfg(feature = "deflate")]
    made: Mutex<Vec<(u8, Form)>>,
}

/// A compressed payload, or `None` where it is not shorter.
#[cfg(feature = "deflate")]
pub(crate) type Form = Option<Arc<[u8]>>;

#[cfg(feature = "deflate")]
impl Forms {
    /// Returns the form for a window size, once it has been made.
    pub fn get(&self, window: u8) -> Option<Form> {
        let made = self.made();
        made.iter().find(|(of, _)| *of == window).map(|(_, form)| form.clone())
    }

    /// Returns how long a further form of a message of this length may be, in bytes: it has to be
    /// shorter than the message, and all forms together must not be longer.
    pub fn room(&self, message: usize) -> usize {
        let used: usize =
            self.made().iter().flat_map(|(_, form)| form).map(|form| form.len()).sum();
        message.saturating_sub(used.max(1))
    }

    /// Adds the form for a window size, and returns it, or the one that another thread has added
    /// meanwhile.
    pub fn add(&self, window: u8, form: Form) -> Form {
        let mut made = self.made();
        if let Some((_, form)) = made.iter().find(|(of, _)| *of == window) {
            return form.clone();
        }
        made.push((window, form.clone()));
        form
    }

    fn made(&self) -> MutexGuard<'_, Vec<(u8, Form)>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
