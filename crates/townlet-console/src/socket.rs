//! Unix sockets and loopback ports behind one face.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::endpoint::Endpoint;
use crate::error::ConsoleError;

/// A bound endpoint. A Unix socket's file goes with it.
pub(crate) enum Listener {
    Unix { listener: UnixListener, _file: SocketFile },
    Tcp(TcpListener),
}

/// The file of a socket that we made.
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode: somebody else's socket may stand there when we go.
    made: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|now| (now.dev(), now.ino()) == self.made) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Listener {
    /// Listens; returns also where, with the port that the system chose.
    pub(crate) fn bind(endpoint: &Endpoint) -> Result<(Self, Endpoint), ConsoleError> {
        let failed = |source| ConsoleError::Bind { endpoint: endpoint.clone(), source };
        match endpoint {
            Endpoint::Tcp(address) => {
                if !address.ip().is_loopback() {
                    return Err(ConsoleError::Exposed(endpoint.clone()));
                }
                let listener = TcpListener::bind(address).map_err(failed)?;
                listener.set_nonblocking(true).map_err(failed)?;
                let bound = Endpoint::Tcp(listener.local_addr().map_err(failed)?);
                Ok((Self::Tcp(listener), bound))
            }
            Endpoint::Unix(path) => {
                make_folder(path).map_err(failed)?;
                clear_stale(endpoint, path)?;
                let listener = UnixListener::bind(path).map_err(failed)?;
                // Between these two lines whoever connects is judged by who they are.
                fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(failed)?;
                listener.set_nonblocking(true).map_err(failed)?;
                let made = fs::symlink_metadata(path).map_err(failed)?;
                let file = SocketFile { path: path.clone(), made: (made.dev(), made.ino()) };
                Ok((Self::Unix { listener, _file: file }, endpoint.clone()))
            }
        }
    }

    /// A connection, where one waits.
    pub(crate) fn accept(&self) -> io::Result<Stream> {
        let stream = match self {
            Self::Unix { listener, .. } => Stream::Unix(listener.accept()?.0),
            Self::Tcp(listener) => Stream::Tcp(listener.accept()?.0),
        };
        // Some systems hand the listener's mode down.
        stream.set_nonblocking(false)?;
        Ok(stream)
    }

    /// Waits until a connection or something on `wake` is there.
    pub(crate) fn wait(&self, wake: &UnixStream) -> io::Result<()> {
        let mut ready = [PollFd::new(self, PollFlags::IN), PollFd::new(wake, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix { listener, .. } => listener.as_fd(),
            Self::Tcp(listener) => listener.as_fd(),
        }
    }
}

/// Only we may look into a folder that we make.
fn make_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.exists() => {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)
        }
        _ => Ok(()),
    }
}

/// Removes a socket that nobody listens on any more, and nothing else.
fn clear_stale(endpoint: &Endpoint, path: &Path) -> Result<(), ConsoleError> {
    let failed = |source| ConsoleError::Bind { endpoint: endpoint.clone(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(there) if !there.file_type().is_socket() => return Err(ConsoleError::NoSocket(endpoint.clone())),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(ConsoleError::InUse(endpoint.clone())),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => fs::remove_file(path).map_err(failed),
        // It went away meanwhile.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// The same call on either kind.
macro_rules! either {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream {
            Stream::Unix($inner) => $call,
            Stream::Tcp($inner) => $call,
        }
    };
}

impl Stream {
    pub(crate) fn connect(endpoint: &Endpoint, timeout: Duration) -> io::Result<Self> {
        match endpoint {
            Endpoint::Unix(path) => UnixStream::connect(path).map(Self::Unix),
            Endpoint::Tcp(address) => TcpStream::connect_timeout(address, timeout).map(Self::Tcp),
        }
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Unix(stream) => stream.try_clone().map(Self::Unix),
            Self::Tcp(stream) => stream.try_clone().map(Self::Tcp),
        }
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        either!(self, stream => stream.set_nonblocking(nonblocking))
    }

    /// Bounds a read; the system takes no zero.
    pub(crate) fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        let timeout = Some(timeout.max(Duration::from_millis(1)));
        either!(self, stream => stream.set_read_timeout(timeout))
    }

    pub(crate) fn set_write_timeout(&self, timeout: Duration) -> io::Result<()> {
        let timeout = Some(timeout.max(Duration::from_millis(1)));
        either!(self, stream => stream.set_write_timeout(timeout))
    }

    /// Ends it in both directions, whoever waits on it.
    pub(crate) fn shutdown(&self) {
        let _ = either!(self, stream => stream.shutdown(Shutdown::Both));
    }

    /// True where something can be read, the end included.
    pub(crate) fn is_readable(&self) -> bool {
        let mut ready = [PollFd::new(self, PollFlags::IN)];
        poll(&mut ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|count| count > 0)
    }

    /// True unless the peer is known to be another user than ours and root.
    #[cfg(target_os = "linux")]
    pub(crate) fn is_from_our_user(&self) -> bool {
        let Self::Unix(stream) = self else { return true };
        let ours = rustix::process::geteuid();
        rustix::net::sockopt::socket_peercred(stream).is_ok_and(|peer| peer.uid == ours || peer.uid.is_root())
    }

    /// This system does not say who the peer is; the socket's mode and the token stand.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn is_from_our_user(&self) -> bool {
        true
    }

    /// For the log: where it comes from.
    pub(crate) fn peer(&self) -> String {
        match self {
            Self::Unix(_) => "unix".to_owned(),
            Self::Tcp(stream) => {
                stream.peer_addr().map_or_else(|_| "tcp".to_owned(), |peer: SocketAddr| peer.to_string())
            }
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        either!(self, stream => stream.as_fd())
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        either!(self, stream => stream.read(buffer))
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        either!(self, stream => stream.write(bytes))
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// True where a call ended because its time was over, or for no reason at all.
pub(crate) fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
