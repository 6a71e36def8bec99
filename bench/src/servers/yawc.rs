//! `yawc` on hyper and tokio's default runtime, as its documentation does it: an echo, and a room
//! whose members compress for themselves.

use crate::servers::{Mode, LEVEL, SMALLEST};
use futures_util::{SinkExt, StreamExt};
use http_body_util::Empty;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::io;
use tokio::net::TcpListener;
use tokio::sync::broadcast::{self, error::TryRecvError, Sender};
use yawc::{CompressionLevel, DeflatePool, Frame, OpCode, Options, Result, UpgradeFut, WebSocket};

/// Messages of the room that a client may be behind: more than the load ever has in flight.
const BEHIND: usize = 1024;
/// Compressors that wait for messages, as in its documentation.
const POOL: usize = 64;

#[tokio::main]
pub async fn serve(mode: Mode) -> io::Result<()> {
    let listener = super::listen()?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let (room, _) = broadcast::channel(BEHIND);
    let options = Options::default()
        .with_compression_level(CompressionLevel::new(LEVEL))
        .with_compression_threshold(SMALLEST)
        .server_no_context_takeover()
        .client_no_context_takeover()
        .with_deflate_pool(DeflatePool::new(POOL))
        .with_utf8();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (options, room) = (options.clone(), room.clone());
        let service = service_fn(move |request| open(request, options.clone(), mode, room.clone()));
        tokio::spawn(
            http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades(),
        );
    }
}

async fn open(
    request: Request<Incoming>,
    options: Options,
    mode: Mode,
    room: Sender<Frame>,
) -> Result<Response<Empty<Bytes>>> {
    let (response, upgraded) = WebSocket::upgrade_with_options(request, options)?;
    match mode {
        Mode::Echo => drop(tokio::spawn(echo(upgraded))),
        _ => drop(tokio::spawn(member(upgraded, room))),
    }
    Ok(response)
}

async fn echo(upgraded: UpgradeFut) -> Result<()> {
    let mut websocket = upgraded.await?;
    while let Some(frame) = websocket.next().await {
        if is_message(&frame) {
            websocket.send(frame).await?;
        }
    }
    Ok(())
}

async fn member(upgraded: UpgradeFut, room: Sender<Frame>) -> Result<()> {
    // Before the client can know that it is in: it must miss nothing.
    let mut news = room.subscribe();
    let mut websocket = upgraded.await?;
    loop {
        tokio::select! {
            frame = websocket.next() => match frame {
                Some(frame) if is_message(&frame) && frame.payload().starts_with(b"b") => {
                    let _ = room.send(frame);
                }
                Some(frame) if is_message(&frame) => websocket.send(frame).await?,
                Some(_) => {}
                None => return Ok(()),
            },
            frame = news.recv() => {
                let Ok(frame) = frame else { return Ok(()) };
                websocket.feed(frame).await?;
                // What has come meanwhile leaves in the same write.
                loop {
                    match news.try_recv() {
                        Ok(frame) => websocket.feed(frame).await?,
                        Err(TryRecvError::Empty) => break,
                        Err(_) => return Ok(()),
                    }
                }
                websocket.flush().await?;
            }
        }
    }
}

fn is_message(frame: &Frame) -> bool {
    matches!(frame.opcode(), OpCode::Text | OpCode::Binary)
}
