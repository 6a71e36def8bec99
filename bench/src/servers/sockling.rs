//! This library: an echo, a room, and a thread that broadcasts past clients that do not read.

use crate::load::stalled::{Order, Told};
use crate::proc::read_line;
use crate::servers::{Mode, Wire};
use sockling::http::Listening;
use sockling::limits::Limits;
use sockling::net::Tcp;
use sockling::prelude::*;
use sockling::websocket::Deflate;
use sockling_tls::Tls;
use std::io;
use std::thread;
use std::time::Instant;

#[derive(macros::WebsocketController)]
struct Bench {
    topic: bool,
}

impl WebsocketController for Bench {
    // As in the library's example.
    fn handle_connection(&self, client: &SessionId) -> Result<(), Error> {
        log::info!("Client {:?} connected to the echo server", client);
        if self.topic {
            Comms::topic("room").subscribe(client);
        }
        Ok(())
    }

    fn handle_message(&self, client: &SessionId, message: Message) -> Result<(), Error> {
        match (message.as_bytes().starts_with(b"b"), self.topic) {
            (false, _) => Comms::websocket(client).send(message)?,
            (true, false) => Comms::notify().send(message)?,
            (true, true) => Comms::topic("room").send(message)?,
        };
        Ok(())
    }
}

pub fn serve(mode: Mode, wire: Wire) -> io::Result<()> {
    let listening = listen(route!("/websocket" => Bench { topic: mode == Mode::Topic }), wire)?;
    if mode == Mode::Stalled {
        thread::spawn(|| -> io::Result<()> {
            let order = Order::from_line(&read_line(&mut io::stdin().lock())?)?;
            println!("{}", broadcast(&order).to_line());
            Ok(())
        });
    }
    listening.serve().map_err(io::Error::other)
}

/// Serves the echo in the other form.
pub fn serve_lines(wire: Wire) -> io::Result<()> {
    let echo = |request: &Request| {
        request.upgrade(&[], |client| {
            while let Some(message) = client.receive()? {
                client.send(message)?;
            }
            Ok(())
        })
    };
    let listening = listen(Handler::new("/websocket", echo), wire)?;
    listening.serve().map_err(io::Error::other)
}

fn listen(handler: Handler, wire: Wire) -> io::Result<Listening> {
    let limits = Limits { connections: 0, connections_per_session: 0, ..Limits::default() };
    let server = Server::new(vec![handler]).limits(limits);
    let tcp = Tcp::bind("127.0.0.1:0").map_err(io::Error::other)?;
    let listening = match wire {
        Wire::Tls => server.listen(Tls::from_pem(tcp, super::pem(), super::pem())?),
        Wire::Deflate => server.deflate(Deflate::default()).listen(tcp),
        Wire::WebSocket | Wire::Raw => server.listen(tcp),
    };
    let listening = listening.map_err(io::Error::other)?;
    super::announce(listening.address())?;
    Ok(listening)
}

/// Sends at an even pace, and never faster to make up for a delay.
fn broadcast(order: &Order) -> Told {
    let mut told = Told { longest: Default::default(), most: 0, least: usize::MAX };
    let mut next = Instant::now();
    for number in 0..order.messages {
        thread::sleep(next.saturating_duration_since(Instant::now()));
        let message = Message::Binary(order.payload(number));
        let before = Instant::now();
        let taken = Comms::notify().send(message).unwrap_or(0);
        told.longest = told.longest.max(before.elapsed());
        told.most = told.most.max(taken);
        told.least = told.least.min(taken);
        next = before + order.interval;
    }
    told
}
