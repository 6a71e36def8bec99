//! The two traits that an application implements.

use crate::error::Error;
use crate::ground::system::apart;
use crate::http::response::Response;
use crate::server::conversation::{Connection, Next};
use crate::server::request::Request;
use crate::server::upgrade;
use crate::session::id::SessionId;
use crate::websocket::close::CloseFrame;
use crate::websocket::message::Message;
use std::sync::Arc;

pub use crate::comms::broadcast::Broadcast;
pub use crate::comms::websocket::Websocket;

/// Answers the requests of a [`Handler`](crate::http::Handler). A closure `|request: &Request| ...` is a controller too; its
/// parameter needs the type.
///
/// One controller serves many connections, each on a thread of its own.
///
/// ```
/// use sockling::prelude::*;
///
/// struct Hello;
///
/// impl Controller for Hello {
///     fn handle(&self, request: &Request) -> Result<Response, Error> {
///         let name = request.query("name").unwrap_or_else(|| "you".to_string());
///         Ok(Response::new().text(format!("hello {}", name)))
///     }
/// }
/// assert_eq!(Hello.handle(&Request::get("/?name=Ada"))?.content(), b"hello Ada");
/// # Ok::<(), Error>(())
/// ```
pub trait Controller: Send + Sync {
    /// Returns the answer to a request. An error is logged and answered with its
    /// [`status`](Error::status), which is 500 unless the client caused it. A panic is answered
    /// with 500, and the connection is closed.
    fn handle(&self, request: &Request) -> Result<Response, Error>;
}

/// Shares a controller between routes, or with the rest of the application.
impl<C: Controller + ?Sized> Controller for Arc<C> {
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        (**self).handle(request)
    }
}

impl<F> Controller for F
where
    F: Fn(&Request) -> Result<Response, Error> + Send + Sync,
{
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        self(request)
    }
}

/// Handles the WebSockets of a route. Every method has a default.
///
/// A type must implement [`Controller`] too. Derive
/// [`macros::WebsocketController`](crate::macros), or write the last lines of this example:
///
/// ```
/// use sockling::prelude::*;
///
/// struct Echo;
///
/// impl WebsocketController for Echo {
///     fn protocols(&self) -> &[&str] {
///         &["echo.v1"]
///     }
///
///     fn handle_connection(&self, client: &SessionId) -> Result<(), Error> {
///         Comms::websocket(client).send("hello")?;
///         Ok(())
///     }
///
///     fn handle_disconnection(&self, _: &SessionId, close: Option<&CloseFrame>) -> Result<(), Error> {
///         log::info!("gone: {:?}", close.map(|close| close.code));
///         Ok(())
///     }
///
///     fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
///         Comms::websocket(client).send(message)?;
///         Ok(())
///     }
/// }
///
/// impl Controller for Echo {
///     fn handle(&self, request: &Request) -> Result<Response, Error> {
///         WebsocketController::handle(self, request)
///     }
/// }
/// ```
///
/// The `client` of each method is a session: all tabs of a browser, or all browsers of a user. What
/// is sent to [`Comms::websocket(client)`](crate::Comms::websocket) goes to each of them, and a close
/// closes them all. [`Comms::here()`](crate::Comms::here) is the one WebSocket whose handler runs, and
/// mostly what an answer, or the end after a bad message, is meant for:
///
/// ```
/// use sockling::prelude::*;
///
/// #[derive(Default, macros::WebsocketController)]
/// struct Sum;
///
/// impl WebsocketController for Sum {
///     fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
///         let tab = Comms::here().ok_or("no connection")?;
///         match message.as_text().and_then(|text| text.parse::<u32>().ok()) {
///             Some(number) => Comms::websocket(client).send(format!("one tab has {}", number))?,
///             None => tab.close(CloseCode::UNSUPPORTED_DATA, "a number, please")?, // not its other tabs
///         };
///         Ok(())
///     }
/// }
/// ```
///
/// An error of `handle_connection` or `handle_message` is logged and closes that connection with
/// the error's [`close_code`](Error::close_code), which is 1011 unless the client caused it. A
/// panic closes it with 1011.
///
/// Where both traits are in scope, call `handle` as `Controller::handle(&echo, request)`.
pub trait WebsocketController: Controller {
    /// Called when a client has connected and messages can be sent to it.
    fn handle_connection(&self, client: &SessionId) -> Result<(), Error> {
        let _ = client;
        Ok(())
    }

    /// Called with each message of a client, in order. The client's next message waits until this
    /// returns.
    ///
    /// Nothing is read from the client meanwhile: its pings are not answered, and none are sent. A
    /// proxy or a client that expects a sign of life ends the connection after 20 to 60 s. So leave
    /// whatever may take more than a few seconds to another thread, which sends the result through
    /// [`Comms`](crate::Comms). [The guide](crate::guide::reliability#handlers-that-take-long)
    /// shows how.
    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        let _ = (client, message);
        Ok(())
    }

    /// Called exactly once for each call of `handle_connection`, when nothing can be sent to this
    /// connection any more. `close` is the client's Close frame, or `None` if it sent none.
    fn handle_disconnection(
        &self,
        client: &SessionId,
        close: Option<&CloseFrame>,
    ) -> Result<(), Error> {
        let _ = (client, close);
        Ok(())
    }

    /// Returns the subprotocols that this controller speaks, in order of preference. The first one
    /// that the client offers is chosen (RFC 6455, 4.2.2, item 5). Default: none.
    fn protocols(&self) -> &[&str] {
        &[]
    }

    /// Opens the WebSocket and runs the whole conversation. Returns the 101 when that is over, or
    /// the refusal of a request that does not open a WebSocket.
    ///
    /// A controller that calls this can check the request first and refuse it, and a controller
    /// that is made for the call holds the state of one connection. A request without a connection,
    /// as in a test, gets the 101 and no conversation.
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        let mut talk = |client: &mut Connection| {
            let id = client.session_id();
            apart(|| self.handle_connection(&id))?;
            // Its error was logged, and decides, as soon as it was found.
            while let Next::Message(message) = client.next(None) {
                apart(|| self.handle_message(&id, message))?;
            }
            Ok(())
        };
        let mut after_end = |id: &SessionId, close: Option<&CloseFrame>| {
            apart(|| self.handle_disconnection(id, close))
        };
        upgrade::run(request, self.protocols(), &mut talk, &mut after_end)
    }
}
