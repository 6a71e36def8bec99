//! The opening handshake of a WebSocket, and the run of its conversation.
//!
//! ```text
//! register ── write the 101 ── the application's part, over a `Connection` ── the end of it
//! ```
//!
//! The order of the steps matters. The 101 is the first thing in the outbox, so nothing can
//! overtake it. The outbox is registered before the 101 is written, so a client that has its 101
//! can be reached by every sender. The slot learns of the WebSocket before that, too, so a shutdown
//! can close it; if the server was closing already, this thread sends the Close frame itself (see
//! `connections`).
//!
//! The application's part is one call, in which a panic is caught once. Whatever it returns, the
//! connection has left the map and its socket is shut before its caller is told of the end.

use crate::comms::registry::{self, NotJoined};
use crate::error::Error;
use crate::ground::logger::log_line;
use crate::ground::system::{contained, unix_seconds};
use crate::http::headers::Headers;
use crate::http::response::Response;
use crate::net::batch;
use crate::net::outbox::Outbox;
use crate::server::conversation::Connection;
use crate::server::request::Request;
use crate::session::id::SessionId;
use crate::websocket::close::{CloseCode, CloseFrame};
use crate::websocket::handshake::{accept, Refusal};
use std::sync::Arc;

/// The application's part of a conversation.
pub(crate) type Talk<'a> = &'a mut dyn FnMut(&mut Connection) -> Result<(), Error>;

/// What is called after the end, with the client's Close frame if it sent one.
pub(crate) type AfterEnd<'a> =
    &'a mut dyn FnMut(&SessionId, Option<&CloseFrame>) -> Result<(), Error>;

impl Request {
    /// Opens a WebSocket and runs a conversation over it, in straight-line code. Returns the 101
    /// when that is over, or the refusal of a request that does not open a WebSocket; it is the
    /// answer to return from the handler.
    ///
    /// `protocols` lists the subprotocols that the conversation speaks, in order of preference. The
    /// first one that the client offers is chosen (RFC 6455, 4.2.2, item 5).
    ///
    /// When the closure returns `Ok`, the connection is closed with 1000, and after an error with
    /// the error's [`close_code`](Error::close_code); after a panic, with 1011. A connection that
    /// has ended before stays as it ended.
    ///
    /// Code behind the call runs however the conversation has ended, after an error or a panic too,
    /// and the WebSocket has left its session and topics by then. Code at the end of the closure
    /// does not: a `?` passes it by. Where nothing was opened, the status of the answer is not 101.
    ///
    /// ```
    /// use sockling::prelude::*;
    ///
    /// fn visit(request: &Request) -> Result<Response, Error> {
    ///     let answer = request.upgrade(&[], |client| {
    ///         if !Comms::topic("room").join_here() {
    ///             return Err("the session is in too many topics".into());
    ///         }
    ///         while client.receive()?.is_some() {}
    ///         Ok(())
    ///     });
    ///     Comms::topic("room").send(format!("{} here", Comms::topic("room").len()))?;
    ///     answer
    /// }
    /// let handler = Handler::get("/room", visit);
    /// ```
    ///
    /// A closure that is written in place needs no types. One that is kept in a variable does:
    /// `|client: &mut Connection| ..`. The state of one connection is local variables of the
    /// closure; what all connections share is captured by the handler around it.
    ///
    /// A request that came over no connection, as in a test of one handler, gets the 101 and no
    /// conversation. The origin is checked by this call, so code in front of it also runs for a
    /// page that is refused.
    ///
    /// ```
    /// use sockling::prelude::*;
    /// use std::sync::atomic::{AtomicUsize, Ordering};
    /// use std::sync::Arc;
    ///
    /// let visits = Arc::new(AtomicUsize::new(0));
    /// let count = move |request: &Request| {
    ///     if request.query("key").as_deref() != Some("secret") {
    ///         return Ok(Response::unauthorized());
    ///     }
    ///     let visit = visits.fetch_add(1, Ordering::Relaxed);
    ///     request.upgrade(&["count.v1"], |client| {
    ///         let mut messages = 0;
    ///         while client.receive()?.is_some() {
    ///             messages += 1;
    ///             client.send(format!("message {} of visit {}", messages, visit))?;
    ///         }
    ///         Ok(())
    ///     })
    /// };
    /// let handler = Handler::new("/count", count);
    /// ```
    ///
    /// # Errors
    ///
    /// Those of the session: [`Error::Entropy`].
    pub fn upgrade(
        &self,
        protocols: &[&str],
        conversation: impl FnOnce(&mut Connection) -> Result<(), Error>,
    ) -> Result<Response, Error> {
        let mut conversation = Some(conversation);
        let mut talk = |client: &mut Connection| {
            client.wake_at_end();
            conversation.take().map_or(Ok(()), |talk| talk(client))
        };
        run(self, protocols, &mut talk, &mut |_, _| Ok(()))
    }
}

/// Answers the opening handshake and, when the request came over a connection, runs the whole
/// conversation. Returns the 101, or the refusal, for which the socket is left in the request.
pub(crate) fn run(
    request: &Request,
    protocols: &[&str],
    talk: Talk,
    after_end: AfterEnd,
) -> Result<Response, Error> {
    let opened = handshake(request, protocols).and_then(|response| open(request, response));
    let mut connection = match opened {
        Ok(connection) => connection,
        Err(answer) => return *answer,
    };
    let result = contained(|| talk(&mut connection));
    let close = connection.conclude(result);
    tell(&connection, close.as_ref(), after_end);
    // The client has its 101, with all fields; this one is written to nobody.
    Ok(Response::new().code(101))
}

#[inline(never)]
fn tell(connection: &Connection, close: Option<&CloseFrame>, after_end: AfterEnd) {
    let told = contained(|| after_end(&connection.session_id(), close));
    match told {
        Some(Ok(())) => {}
        Some(Err(error)) => drop(connection.failed(error)),
        None => drop(connection.panicked()),
    }
}

/// What is answered instead of a conversation. In a box, because it would lie on the stack beneath
/// the conversation.
type Answer = Box<Result<Response, Error>>;

/// Opens the WebSocket. The error is the answer to a request that opens none.
#[inline(never)]
fn open(request: &Request, response: Box<Response>) -> Result<Box<Connection>, Answer> {
    #[cfg(feature = "deflate")]
    let (mut response, mut window) = (response, 0);
    #[cfg(feature = "deflate")]
    if let Some(agree) = &request.service.agree {
        window = agree(request, &mut response);
    }
    let taken = request.take_socket();
    let (slot, socket) = match (&request.slot, taken) {
        (Some(slot), Some(socket)) => (slot, socket),
        _ => return Err(Box::new(Ok(*response))),
    };
    let first =
        response.encode_upgrade(unix_seconds()).map_err(|error| Box::new(Err(error.into())))?;
    let stream = Arc::clone(socket.stream());
    let shared = Arc::clone(&request.service.shared);
    let most = shared.limits.connections_per_session;
    // Registered, and known to the slot, before the 101 is written: a client that has it is
    // reachable.
    let outbox = Outbox::new(request.session(), stream, request.peer(), shared, first);
    #[cfg(feature = "deflate")]
    outbox.set_window(window);
    let registration = match registry::join(&outbox, most) {
        Ok(registration) => registration,
        Err(refused) => {
            request.lock_wire().socket = Some(socket);
            return Err(Box::new(Ok(refuse_to_join(request, refused))));
        }
    };
    if slot.upgrade(&outbox) {
        batch::close_all(vec![Arc::clone(&outbox)], &going_away());
    }
    if !outbox.open() {
        return Err(Box::new(Ok(*response)));
    }
    log_open(request, &response);
    let protocol = response.headers().get_str(PROTOCOL);
    let (path, peer) = (request.path(), request.peer());
    Ok(Connection::new(path, peer, protocol, slot, socket, outbox, registration))
}

const PROTOCOL: &str = "sec-websocket-protocol";

/// Returns the 101, with the session's cookie if the client has to be given one.
#[inline(never)]
fn handshake(request: &Request, protocols: &[&str]) -> Result<Box<Response>, Answer> {
    let response = match accept(&request.head, &request.service.origins, protocols) {
        Ok(response) => Box::new(response),
        Err(refusal) => return Err(Box::new(Ok(refuse(request, refusal)))),
    };
    request.session();
    Ok(match request.set_cookie() {
        Some(cookie) => Box::new(response.header("Set-Cookie", &cookie)),
        None => response,
    })
}

#[inline(never)]
fn log_open(request: &Request, response: &Response) {
    let has_one =
        |headers: &Headers| headers.get(PROTOCOL).map_or(false, |value| !value.is_empty());
    if has_one(request.headers()) && !has_one(response.headers()) {
        // Most clients then fail, and the application sees a WebSocket that ends at once. What was
        // offered is not logged, since it may be the token of a login.
        log_line!(
            Info,
            "opened a WebSocket ({:?}) without a subprotocol: \
             WebsocketController::protocols has none that the client offers",
            request
        );
    }
    let (id, path, peer) = (request.session_id(), request.path(), request.peer());
    log_line!(Debug, "{} connected to {:?} from {}", id, path, peer);
}

fn refuse_to_join(request: &Request, refused: NotJoined) -> Response {
    let status = match refused {
        NotJoined::TooMany => 429,
        NotJoined::Revoked => 403,
    };
    log_line!(Info, "refused a WebSocket ({:?}) with {}: {}", request, status, refused);
    Response::of_status(status)
}

/// Logs why a handshake is refused and, for a page of another origin, how to allow it. Returns the
/// answer.
fn refuse(request: &Request, refusal: Refusal) -> Response {
    let allow = match (refusal, request.header("origin")) {
        (Refusal::Origin, Some(origin)) => {
            format!("; to allow it: Server::allowed_origins([{:?}])", origin)
        }
        _ => String::new(),
    };
    let status = refusal.status();
    log_line!(Info, "refused a WebSocket ({:?}) with {}: {}{}", request, status, refusal, allow);
    refusal.response()
}

/// Returns the Close frame that a shutdown sends.
pub(crate) fn going_away() -> CloseFrame {
    CloseFrame { code: CloseCode::GOING_AWAY, reason: "the server shuts down".to_string() }
}
