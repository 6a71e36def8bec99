//! Unix sockets: a listener with a path in place of an address.
//!
//! A path outlives the process that has bound it, and whoever may write to its file may connect. So
//! the socket is bound where nobody else can reach it, gets its mode there, and takes the place of a
//! file only if that is a socket at which nobody listens:
//!
//! ```text
//! mkdir dir/.0, mode 0700 ── bind dir/.0/s ── chmod dir/.0/s ── rename to dir/name ── rmdir dir/.0
//! ```

use crate::error::Error;
use crate::ground::peer::Peer;
use crate::ground::system::{wake, Wake, SOCKET_PATH};
use crate::net::listener::{InAccept, Listener};
use crate::net::stream::Stream;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::io::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// A listening Unix socket.
///
/// The file is removed when the listener is dropped, if it is still the one that was bound here;
/// that of a socket that was handed over is not. A process that ends otherwise leaves it, and the
/// next one replaces it.
///
/// ```
/// use sockling::net::{Listener, Peer, Unix};
/// use sockling::prelude::*;
/// use std::io::{Read, Write};
/// use std::os::unix::net::{UnixListener, UnixStream};
///
/// # let dir = std::env::temp_dir().join(format!("sockling-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// let (path, other) = (dir.join("chat.socket"), dir.join("given.socket"));
/// let own = Unix::bind(&path)?;
/// assert_eq!(own.address(), Peer::unix(&path));
///
/// // One that the application has already, from a service manager for example.
/// let given = UnixListener::bind(&other)?;
/// let listening = Server::new(vec![]).listen(own)?.also(Unix::from(given))?;
/// # let handle = listening.handle();
/// # let server = std::thread::spawn(move || listening.serve());
/// for path in [&path, &other] {
///     let mut client = UnixStream::connect(path)?;
///     client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
///     let mut answer = String::new();
///     client.read_to_string(&mut answer)?;
///     assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"));
/// }
/// # handle.shutdown();
/// # server.join().unwrap()?;
/// assert!(!path.exists() && other.exists());
/// # std::fs::remove_dir_all(&dir)?;
///
/// // A path that the system cannot take is an error, which names the limit.
/// assert!(Unix::bind_with_mode("x".repeat(200), 0o660).is_err());
/// # Ok::<(), Error>(())
/// ```
pub struct Unix {
    listener: UnixListener,
    /// `None` if it has none, or one that is not in the file system.
    path: Option<PathBuf>,
    /// What all its clients have in common.
    peer: Peer,
    /// The file to remove: device, number, and the process that has bound it, but for its forks.
    bound: Option<(u64, u64, u32)>,
    in_accept: InAccept<Unix>,
}

impl Unix {
    /// Listens on a path, with mode 0600: only processes of this user, and root, can connect.
    /// Error: [`Error::Bind`] if the path has more bytes than the system allows, if somebody listens
    /// there, or if what is there is not a socket; and what the system says.
    pub fn bind(path: impl AsRef<Path>) -> Result<Unix, Error> {
        Unix::bind_with_mode(path, 0o600)
    }

    /// Listens as [`bind`](Unix::bind) does, with a mode for the socket's file, such as 0660 for a
    /// web server of the same group. The umask does not apply.
    pub fn bind_with_mode(path: impl AsRef<Path>, mode: u32) -> Result<Unix, Error> {
        let path = path.as_ref();
        let address = || Peer::unix(path).to_string();
        bind(path, mode).map_err(|source| Error::Bind { address: address(), source })
    }
}

/// A socket that was handed over. It is made blocking.
impl From<UnixListener> for Unix {
    fn from(listener: UnixListener) -> Unix {
        // An error shows itself in `accept`.
        let _ = listener.set_nonblocking(false);
        let address = listener.local_addr().ok();
        let path = address.and_then(|address| address.as_pathname().map(Path::to_path_buf));
        let peer = Peer::unix(path.as_deref().unwrap_or_else(|| Path::new("unnamed")));
        let in_accept = InAccept::new(Wake::Connect(connect));
        Unix { listener, path, peer, bound: None, in_accept }
    }
}

impl Listener for Unix {
    fn accept(&self) -> io::Result<(Box<dyn Stream>, Peer)> {
        self.in_accept.enter()?;
        let accepted = self.listener.accept();
        self.in_accept.leave()?;
        Ok((Box::new(accepted?.0), self.peer.clone()))
    }

    fn address(&self) -> Peer {
        self.peer.clone()
    }

    fn close(&self) {
        self.in_accept.end(self);
    }
}

impl Drop for Unix {
    fn drop(&mut self) {
        // While the socket is open, no other file gets this number.
        if let (Some(path), Some((device, file, process))) = (&self.path, self.bound) {
            let found = fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()));
            if found.ok() == Some((device, file)) && process == std::process::id() {
                // An error means that somebody else was faster, or that the directory has become
                // unwritable: the file stays, and the next start replaces it.
                let _ = fs::remove_file(path);
            }
        }
    }
}

fn connect(unix: &Unix) {
    // An error means that nobody is left to wake, or that the path has gone.
    let _ = unix.path.as_ref().map(UnixStream::connect);
}

fn bind(path: &Path, mode: u32) -> io::Result<Unix> {
    let bytes = path.as_os_str().len();
    if bytes > SOCKET_PATH {
        let why = format!("its {} bytes are more than the limit of {}", bytes, SOCKET_PATH);
        return Err(io::Error::new(ErrorKind::InvalidInput, why));
    }
    let parent = path.parent().ok_or(ErrorKind::InvalidInput)?;
    refuse_to_replace(path)?;
    let fresh = Fresh::new(parent)?;
    let temporary = fresh.0.join("s");
    let listener = fresh.bind(&temporary)?;
    let wake = wake(&listener, connect)?;
    fs::set_permissions(&temporary, Permissions::from_mode(mode))?;
    let file = fs::symlink_metadata(&temporary)?;
    // Again, since it took a moment.
    refuse_to_replace(path)?;
    fs::rename(&temporary, path)?;
    let (path, peer) = (Some(path.to_path_buf()), Peer::unix(path));
    let bound = Some((file.dev(), file.ino(), std::process::id()));
    Ok(Unix { listener, path, peer, bound, in_accept: InAccept::new(wake) })
}

/// Returns an error unless the path is free, or that of a socket that nobody has.
fn refuse_to_replace(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(ErrorKind::AlreadyExists, "it is there and not a socket"));
        }
        Ok(_) => {}
    }
    // A socket of the wrong kind, which never connects: it is told apart from nobody, does not
    // disturb a server, and does not wait behind the clients of one that hangs.
    match UnixDatagram::unbound()?.connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(error),
        _ => Err(io::Error::new(ErrorKind::AddrInUse, "another process listens there")),
    }
}

/// A new directory that only this user can enter, with a short name: the path of a socket inside is
/// no longer than one beside it, unless that has fewer than four bytes.
struct Fresh(PathBuf);

impl Fresh {
    fn new(parent: &Path) -> io::Result<Fresh> {
        let mut number = 0;
        loop {
            let path = parent.join(format!(".{}", number));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Fresh(path)),
                // What a process that was killed has left, or another one that starts.
                Err(error) if error.kind() == ErrorKind::AlreadyExists && number < 1000 => {}
                Err(error) => return Err(error),
            }
            number += 1;
        }
    }

    fn bind(&self, path: &Path) -> io::Result<UnixListener> {
        if path.as_os_str().len() <= SOCKET_PATH {
            return UnixListener::bind(path);
        }
        // Linux reaches the directory by its descriptor, too.
        let directory = File::open(&self.0)?;
        UnixListener::bind(format!("/proc/self/fd/{}/s", directory.as_raw_fd()))
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // Mostly there is no file any more. What cannot be removed now harms nobody.
        let _ = fs::remove_file(self.0.join("s"));
        let _ = fs::remove_dir(&self.0);
    }
}
