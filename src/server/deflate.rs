//! The settings of compression, and what they mean for one WebSocket that opens.

use crate::error::Error;
use crate::ground::limits::Limits;
use crate::http::response::Response;
use crate::net::compressors::Compressors;
use crate::server::request::{Agree, Request};
use crate::websocket::deflate::COMPRESSOR;
use crate::websocket::extension::negotiate;
use crate::websocket::inflate::INFLATER;
use std::fmt;
use std::sync::Arc;

/// The settings of the compression of WebSocket messages (permessage-deflate, RFC 7692), which
/// [`Server::deflate`](crate::http::Server::deflate) switches on. The page
/// [`guide::compression`](crate::guide::compression) says when it helps, and when it hurts.
///
/// Each message is compressed by itself, in both directions, so that no connection holds a window:
/// the server always asks its clients to do so (`client_no_context_takeover`). A message to many is
/// compressed once, and once more if some of them allow a smaller window only; a message that does not
/// shrink goes as it is.
///
/// ```
/// use sockling::limits::Limits;
/// use sockling::prelude::*;
/// use sockling::websocket::Deflate;
///
/// let deflate = Deflate::default()
///     .level(1)
///     .smallest(512)
///     .compressors(2)
///     .decline(|request: &Request| request.query("plain").is_some());
/// let most = deflate.most_memory(&Limits::small()).unwrap();
/// assert!(most > Limits::small().most_memory().unwrap() + 2 * 320 * 1024);
///
/// let server = Server::new(vec![]).limits(Limits::small()).deflate(deflate);
/// assert!(server.bind("127.0.0.1:0").is_ok());
/// # Ok::<(), Error>(())
/// ```
pub struct Deflate {
    level: u8,
    smallest: usize,
    compressors: usize,
    decline: Option<Box<Decline>>,
}

/// Returns whether compression is declined to a client.
type Decline = dyn Fn(&Request) -> bool + Send + Sync;

impl Default for Deflate {
    fn default() -> Deflate {
        Deflate { level: 1, smallest: 256, compressors: 4, decline: None }
    }
}

impl Deflate {
    /// Sets the level, from 1 (fast) to 9 (small). Another one is reported by
    /// [`bind`](crate::http::Server::bind).
    ///
    /// Default: 1, because a message of 1 MiB that somebody made to be hard takes 8 ms then, and 95 ms
    /// at level 6 for a result that is a quarter smaller.
    #[must_use]
    pub fn level(mut self, level: u8) -> Deflate {
        self.level = level;
        self
    }

    /// Sets the length of the smallest message that is compressed, in bytes.
    ///
    /// Default: 256, because less mostly fits into one packet anyway.
    #[must_use]
    pub fn smallest(mut self, bytes: usize) -> Deflate {
        self.smallest = bytes;
        self
    }

    /// Sets the number of compressors, each of which takes 320 KiB from
    /// [`bind`](crate::http::Server::bind) on. A message that finds all of them in use goes as it is.
    /// With 0, nothing that the server sends is compressed.
    ///
    /// Default: 4, for a small host. A compressor is in use only while a thread compresses with it
    /// (32 us for 16 KiB), so more than there are processors are of little use.
    #[must_use]
    pub fn compressors(mut self, number: usize) -> Deflate {
        self.compressors = number;
        self
    }

    /// Declines compression to the clients for whose opening handshake this returns true: those that
    /// offer it and fail with it. It runs on the connection's thread, behind the checks of the
    /// handshake.
    #[must_use]
    pub fn decline(
        mut self,
        decline: impl Fn(&Request) -> bool + Send + Sync + 'static,
    ) -> Deflate {
        self.decline = Some(Box::new(decline));
        self
    }

    /// Returns [`Limits::most_memory`] of a server with this compression: with the compressors; for
    /// each connection an inflater, the two compressed forms of one message, and one that is being
    /// made; and the two forms of each message that topics keep.
    pub fn most_memory(&self, limits: &Limits) -> Option<usize> {
        // While a form is made, it may have twice the room that it needs.
        let forms = limits.message.saturating_mul(4);
        let each = limits.connections.saturating_mul(forms.saturating_add(INFLATER));
        let all = self.compressors.saturating_mul(COMPRESSOR).saturating_add(each);
        // What the forms take beside their bytes is less than what a kept message counts for beside
        // its own (`MESSAGE_OVERHEAD`).
        let kept = limits.topics_keep.saturating_mul(2);
        Some(limits.most_memory()?.saturating_add(all).saturating_add(kept))
    }

    /// Makes the compressors.
    pub(crate) fn start(&self) -> Result<Arc<Compressors>, Error> {
        if !(1..=9).contains(&self.level) {
            return Err(Error::Setting(format!("{} is not a level from 1 to 9", self.level)));
        }
        Ok(Compressors::new(self.level, self.smallest, self.compressors)?)
    }

    /// Returns what agrees with a client about compression.
    pub(crate) fn into_agree(self) -> Arc<Agree> {
        Arc::new(move |request, response| self.agree(request, response))
    }

    #[inline(never)]
    fn agree(&self, request: &Request, response: &mut Response) -> u8 {
        let agreed = negotiate(request.headers().get_all("sec-websocket-extensions"));
        match agreed.filter(|_| !self.decline.as_ref().map_or(false, |decline| decline(request))) {
            Some(agreed) => {
                let plain = std::mem::take(response);
                *response = plain.header("Sec-WebSocket-Extensions", &agreed.answer);
                agreed.window
            }
            None => 0,
        }
    }
}

impl fmt::Debug for Deflate {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let Deflate { level, smallest, compressors, .. } = self;
        write!(out, "Deflate(level {}, from {} bytes, {})", level, smallest, compressors)
    }
}
