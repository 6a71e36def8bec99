//! Connections that had one echo each and are silent since.

use crate::load::connection::Connection;
use crate::load::frames::Ring;
use crate::load::open::AT_A_TIME;
use crate::load::wrong;
use std::io::{self, Read, Write};
use std::net::TcpStream;

/// Sends one message on each connection and checks its reply.
pub fn one_echo_each(streams: &mut [Connection<TcpStream>], ring: &Ring) -> io::Result<()> {
    let mut reply = vec![0; ring.reply_length as usize];
    for some in streams.chunks_mut(AT_A_TIME) {
        for stream in some.iter_mut() {
            stream.write_all(ring.to_send(0, ring.sent_length))?;
        }
        for stream in some {
            stream.read_exact(&mut reply)?;
            if !ring.matches(0, &reply) {
                return Err(wrong("a reply is not what was sent"));
            }
        }
    }
    Ok(())
}
