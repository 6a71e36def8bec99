//! The two traits that an application implements.

use crate::error::Error;
use crate::ground::system::apart;
use crate::http::response::Response;
use crate::server::conversation::{self, Event};
use crate::server::request::Request;
use crate::session::id::SessionId;
use crate::websocket::close::CloseFrame;
use crate::websocket::message::Message;
use std::sync::Arc;

pub use crate::comms::broadcast::Broadcast;
pub use crate::comms::websocket::Websocket;

/// Answers requests, of whatever method. A closure `|request: &Request| ...` is a controller too;
/// its argument needs the type.
///
/// One controller serves many connections, each on its own thread.
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
    /// Returns the answer. An error is logged and answered with its
    /// [`status`](Error::status): 500 for all but those that a client caused. A panic is answered
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

/// Speaks with WebSocket clients. All methods have a default.
///
/// A type needs [`Controller`] as well: either the derive
/// [`macros::WebsocketController`](crate::macros) writes it, or these lines do:
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
/// An error of `handle_connection` or `handle_message` is logged and ends that connection with its
/// [`close_code`](Error::close_code): 1011 for all but those that a client caused. A panic is 1011.
///
/// Where both traits are imported, `handle` is called as `Controller::handle(&echo, request)`.
pub trait WebsocketController: Controller {
    /// Called when a client has connected and can be reached.
    fn handle_connection(&self, client: &SessionId) -> Result<(), Error> {
        let _ = client;
        Ok(())
    }

    /// Called for each message of a client, in order. The client's next message waits meanwhile.
    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        let _ = (client, message);
        Ok(())
    }

    /// Called exactly once for each call of `handle_connection`, after the connection has left
    /// the session map. `close` is what the client's Close frame said; `None` when it sent none.
    fn handle_disconnection(
        &self,
        client: &SessionId,
        close: Option<&CloseFrame>,
    ) -> Result<(), Error> {
        let _ = (client, close);
        Ok(())
    }

    /// Returns the subprotocols that are spoken, the preferred one first; the first that the
    /// client offers is chosen (RFC 6455, 4.2.2, item 5). Default: none.
    fn protocols(&self) -> &[&str] {
        &[]
    }

    /// Opens the WebSocket and runs the whole conversation before it returns. So a controller
    /// that calls this can look at the request first and refuse, and one that is made for the
    /// call is the state of one connection.
    ///
    /// The response is the 101, or the refusal of a request that does not open a WebSocket. For a
    /// request without a connection, as in a test, the 101 is all that happens.
    fn handle(&self, request: &Request) -> Result<Response, Error> {
        conversation::open(request, self.protocols(), &mut |client, event| match event {
            Event::Opened => apart(|| self.handle_connection(client)),
            Event::Message(message) => apart(|| self.handle_message(client, message)),
            Event::Closed(close) => apart(|| self.handle_disconnection(client, close)),
        })
    }
}
