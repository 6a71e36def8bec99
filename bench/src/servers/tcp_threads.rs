//! A floor: what a thread per connection costs when nothing is parsed.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;

pub fn serve() -> io::Result<()> {
    for stream in super::listen()?.incoming() {
        let stream = stream?;
        thread::Builder::new().spawn(move || echo(stream))?;
    }
    Ok(())
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count])?,
        }
    }
}
