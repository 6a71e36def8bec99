//! The code that an application is ported from, as it stands in its documentation, over real
//! sockets: both forms of a controller, and sending from outside of one.

mod loopback;

use loopback::{wait_until, Client, Running};

/// The derive.
mod derived {
    #[allow(unused_imports)] // as in the original: the handle's type is imported to be named
    use sockling::controller::Websocket;
    use sockling::http::{self, Server};
    use sockling::prelude::*;

    #[derive(Default, macros::WebsocketController)]
    struct Echo;

    impl WebsocketController for Echo {
        fn handle_connection(&self, client: &SessionId) -> Result<(), Error> {
            log::info!("Client {:?} connected to the echo server", client);
            Ok(())
        }

        fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
            let comms = Comms::websocket(client);
            comms.send(message)?;
            Ok(())
        }
    }

    pub fn server() -> Server {
        Server::new(vec![route!("/websocket" => Echo)])
    }

    /// Compiled, and run by the examples: it blocks.
    #[allow(dead_code)]
    pub fn main() -> Result<(), http::Error> {
        Server::new(vec![route!("/websocket" => Echo)]).launch()
    }
}

/// The form by hand.
mod by_hand {
    use sockling::http::Server;
    use sockling::prelude::*;

    #[derive(Default)]
    struct Echo;

    impl WebsocketController for Echo {
        fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
            let comms = Comms::websocket(client);
            comms.send(message)?;
            Ok(())
        }
    }

    impl Controller for Echo {
        fn handle(&self, request: &Request) -> Result<Response, Error> {
            WebsocketController::handle(self, request)
        }
    }

    pub fn server() -> Server {
        Server::new(vec![route!("/websocket" => Echo)])
    }
}

/// A plain HTTP controller that sends to the session that asks.
#[allow(clippy::needless_borrows_for_generic_args)] // as the page has it
mod from_http {
    use sockling::http::Server;
    use sockling::prelude::*;

    #[derive(Default, macros::WebsocketController)]
    struct Silent;

    impl WebsocketController for Silent {}

    #[derive(Default)]
    struct Index;

    impl Controller for Index {
        fn handle(&self, request: &Request) -> Result<Response, Error> {
            let id = request.session_id();
            Comms::websocket(&id).send("hey there")?;
            Ok(Response::new().text("sent"))
        }
    }

    pub fn server() -> Server {
        Server::new(vec![route!("/" => Index), route!("/websocket" => Silent)])
    }
}

fn echoes(server: sockling::http::Server) {
    let running = Running::start(server);
    let mut client = Client::websocket(running.address, "/websocket", "");
    client.text("hello");
    assert_eq!(client.next_text(), "hello");
    client.frame(0x82, b"\x00\xff");
    let frame = client.next();
    assert_eq!((frame.opcode, &*frame.payload), (2, &b"\x00\xff"[..]));
    client.frame(0x88, b"\x03\xe8");
    assert_eq!(client.next_close(), (1000, String::new()));
    client.assert_end();
}

#[test]
fn the_derived_echo_echoes() {
    echoes(derived::server());
}

#[test]
fn the_echo_by_hand_echoes() {
    echoes(by_hand::server());
}

#[test]
fn an_http_controller_sends_to_the_session_that_asks() {
    let running = Running::start(from_http::server());
    let (mut client, reply) = Client::upgrade(running.address, "/websocket", "");
    let cookie = format!("Cookie: {}\r\n", reply.cookie().expect("the 101 sets the cookie"));
    let reply = Client::connect(running.address).get("/", &cookie);
    assert_eq!((reply.status, reply.text()), (200, "sent"));
    assert_eq!(client.next_text(), "hey there");
}

#[test]
fn a_thread_that_has_nothing_to_do_with_the_server_sends() {
    use sockling::prelude::*;
    use std::sync::mpsc::channel;
    let (tell, told) = channel();
    let tell = std::sync::Mutex::new(tell);
    struct Greeter(std::sync::Mutex<std::sync::mpsc::Sender<SessionId>>);
    impl WebsocketController for Greeter {
        fn handle_connection(&self, client: &SessionId) -> Result<(), Error> {
            let tell = self.0.lock().map_err(|_| "poisoned")?;
            tell.send(*client).map_err(Error::other)
        }
    }
    impl Controller for Greeter {
        fn handle(&self, request: &Request) -> Result<Response, Error> {
            WebsocketController::handle(self, request)
        }
    }
    let running = Running::start(sockling::http::Server::new(vec![route!("/ws" => Greeter(tell))]));
    let mut client = Client::websocket(running.address, "/ws", "");
    let id = told.recv().expect("a client connected");
    let sender = std::thread::spawn(move || {
        let sent = Comms::websocket(id).send("hey there").expect("room for it");
        (sent, id)
    });
    assert_eq!(client.next_text(), "hey there");
    let (sent, id) = sender.join().expect("no panic");
    assert_eq!(sent, 1);
    drop(client);
    wait_until("the session leaves the map", || !Comms::websocket(id).is_connected());
    assert_eq!(Comms::websocket(id).send("anybody?").expect("nobody is no error"), 0);
}
