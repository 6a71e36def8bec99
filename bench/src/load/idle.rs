//! Connections that had one echo each and are silent since.

use crate::load::connection::Connection;
use crate::load::frames::Ring;
use crate::load::open::AT_A_TIME;
use crate::load::wrong;
use std::io::{self, Read, Write};
use std::net::TcpStream;

/// Sends one message on each connection and checks its reply.
pub fn one_echo_each(streams: &mut [Connection<TcpStream>], ring: &Ring) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    for some in streams.chunks_mut(AT_A_TIME) {
        for stream in some.iter_mut() {
            stream.write_all(ring.to_send(0, ring.sent_by(1)))?;
        }
        for stream in some {
            let mut received = 0;
            while received < ring.reply_length {
                let count = stream.read(&mut buffer)?;
                received = match ring.after(received, &buffer[..count]) {
                    _ if count == 0 => return Err(wrong("the server has closed a connection")),
                    None => return Err(wrong("a reply is not what was sent")),
                    Some(received) => received,
                };
            }
        }
    }
    Ok(())
}
