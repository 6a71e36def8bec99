//! The server that the Autobahn suite talks to: an echo with compression, on $SOCKLING_ADDR.
//!
//! The suite sends messages of 16 MiB, and one of 4 MiB in fragments of 64 bytes, for which the default
//! limits leave no room.

use sockling::limits::Limits;
use sockling::prelude::*;
use sockling::websocket::Deflate;

fn echo(request: &Request) -> Result<Response, Error> {
    request.upgrade(&[], |client| {
        while let Some(message) = client.receive()? {
            client.send(message)?;
        }
        Ok(())
    })
}

fn main() -> Result<(), Error> {
    let message = 16 * 1024 * 1024;
    let limits = Limits { message, fragments: 128 * 1024, ..Limits::default() };
    let routes = vec![Handler::new("/", echo)];
    Server::new(routes).limits(limits).deflate(Deflate::default().smallest(1)).launch()
}
