//! `tokio-tungstenite` on tokio's default runtime: its echo example, and a room.

use crate::servers::Mode;
use futures_util::{future, SinkExt, StreamExt, TryStreamExt};
use std::io;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::{self, error::TryRecvError, Sender};
use tokio_tungstenite::tungstenite::{Error, Message};

/// Messages of the room that a client may be behind: more than the load ever has in flight.
const BEHIND: usize = 1024;

#[tokio::main]
pub async fn serve(mode: Mode) -> io::Result<()> {
    let listener = super::listen()?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let (room, _) = broadcast::channel(BEHIND);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        match mode {
            Mode::Echo => drop(tokio::spawn(echo(stream))),
            _ => drop(tokio::spawn(member(stream, room.clone()))),
        }
    }
}

async fn echo(stream: TcpStream) -> Result<(), Error> {
    let (write, read) = tokio_tungstenite::accept_async(stream).await?.split();
    read.try_filter(|message| future::ready(message.is_text() || message.is_binary()))
        .forward(write)
        .await
}

async fn member(stream: TcpStream, room: Sender<Message>) -> Result<(), Error> {
    // Before the client can know that it is in: it must miss nothing.
    let mut news = room.subscribe();
    let mut websocket = tokio_tungstenite::accept_async(stream).await?;
    loop {
        tokio::select! {
            message = websocket.next() => match message {
                Some(message) => {
                    let message = message?;
                    if is_for_all(&message) {
                        let _ = room.send(message);
                    } else if message.is_text() || message.is_binary() {
                        websocket.send(message).await?;
                    }
                }
                None => return Ok(()),
            },
            message = news.recv() => {
                let Ok(message) = message else { return Ok(()) };
                websocket.feed(message).await?;
                // What has come meanwhile leaves in the same write.
                loop {
                    match news.try_recv() {
                        Ok(message) => websocket.feed(message).await?,
                        Err(TryRecvError::Empty) => break,
                        Err(_) => return Ok(()),
                    }
                }
                websocket.flush().await?;
            }
        }
    }
}

fn is_for_all(message: &Message) -> bool {
    matches!(message, Message::Text(text) if text.starts_with('b'))
}
