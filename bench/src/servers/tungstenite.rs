//! `tungstenite`: a thread per connection.

use std::io;
use std::net::TcpStream;
use std::thread;

pub fn serve() -> io::Result<()> {
    for stream in super::listen()?.incoming() {
        let stream = stream?;
        thread::Builder::new().spawn(move || echo(stream))?;
    }
    Ok(())
}

fn echo(stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let Ok(mut websocket) = tungstenite::accept(stream) else { return };
    while let Ok(message) = websocket.read() {
        if (message.is_text() || message.is_binary()) && websocket.send(message).is_err() {
            return;
        }
    }
}
