//! A way to Redis whose connections can be made so slow that a byte comes each second.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{sleep, spawn};
use std::time::Duration;

/// The pause before each byte.
const PAUSE: Duration = Duration::from_secs(1);

/// Carries everything at full speed, until what Redis says is to come slowly.
pub struct SlowWay {
    address: SocketAddr,
    /// Of each connection, whether it is slow.
    connections: Arc<Mutex<Vec<Arc<AtomicBool>>>>,
}

impl SlowWay {
    /// Opens one to the Redis on this port of loopback.
    pub fn to(port: u16) -> SlowWay {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let connections: Arc<Mutex<Vec<Arc<AtomicBool>>>> = Arc::default();
        let all = Arc::clone(&connections);
        // It ends with the process.
        spawn(move || {
            for near in listener.incoming().flatten() {
                if let Ok(far) = TcpStream::connect(("127.0.0.1", port)) {
                    let clone = |stream: &TcpStream| stream.try_clone().expect("a descriptor");
                    let (from, to) = (clone(&far), clone(&near));
                    let slow = Arc::new(AtomicBool::new(false));
                    all.lock().expect("no panic").push(Arc::clone(&slow));
                    spawn(move || carry(near, far, &AtomicBool::new(false)));
                    spawn(move || carry(from, to, &slow));
                }
            }
        });
        SlowWay { address, connections }
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Makes the connections slow that there are: not those that come.
    pub fn slow_down(&self) {
        let connections = self.connections.lock().expect("no panic");
        connections.iter().for_each(|slow| slow.store(true, Ordering::Relaxed));
    }
}

/// Carries until one of the two ends, and ends both.
fn carry(mut from: TcpStream, mut to: TcpStream, slow: &AtomicBool) {
    let mut buffer = [0; 4096];
    'all: while let Ok(count @ 1..) = from.read(&mut buffer) {
        let mut left = &buffer[..count];
        while !left.is_empty() {
            let now = if slow.load(Ordering::Relaxed) { 1 } else { left.len() };
            if now == 1 {
                sleep(PAUSE);
            }
            if to.write_all(&left[..now]).is_err() {
                break 'all;
            }
            left = &left[now..];
        }
    }
    // Fail where the other direction was first.
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
