//! `tokio-tungstenite` on tokio's default runtime: its echo example, and a room.

use crate::servers::Mode;
use futures_util::{future, SinkExt, StreamExt, TryStreamExt};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::PrivateKeyDer;
use rustls::ServerConfig;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast::{self, error::TryRecvError, Sender};
use tokio_rustls::TlsAcceptor;
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

/// Serves the echo over TLS, with what is default.
#[tokio::main]
pub async fn serve_tls() -> io::Result<()> {
    let acceptor = TlsAcceptor::from(Arc::new(config()?));
    let listener = super::listen()?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let acceptor = acceptor.clone();
        tokio::spawn(async move { echo(acceptor.accept(stream).await?).await });
    }
}

fn config() -> io::Result<ServerConfig> {
    let key = PrivateKeyDer::from_pem_file(super::pem()).map_err(io::Error::other)?;
    let chain = super::certificates()?;
    ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key))
        .map_err(io::Error::other)
}

async fn echo(stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), Error> {
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
