//! Where the lines go: a file, or a receiver that only drains, over TCP or TLS.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use townlet_tls::{ClientOptions, ClientStream, ClientTls, Endpoint, ServerOptions, ServerTls, dial};

use crate::workload::count_lines;

const HANDSHAKE: Duration = Duration::from_secs(10);

/// Kinds of destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A new file.
    File,
    /// Loopback TCP, in the open.
    Tcp,
    /// Loopback TCP under TLS 1.3.
    Tls,
}

/// What destinations need: a folder for files, and certificates.
#[derive(Debug)]
pub struct Ground {
    dir: tempfile::TempDir,
    server: ServerTls,
}

/// An open place to send lines to.
#[derive(Clone, Debug)]
pub enum Destination {
    /// To this path.
    File(PathBuf),
    /// To this receiver, in the open.
    Tcp(SocketAddr),
    /// To this receiver, trusting this authority.
    Tls(SocketAddr, PathBuf),
}

/// The other end of a destination.
#[derive(Debug)]
pub enum Arrival {
    /// The file that was written.
    File(PathBuf),
    /// The thread that drains the connection; lines and bytes.
    Socket(JoinHandle<io::Result<(u64, u64)>>),
}

impl Ground {
    /// A temporary folder under `dir`, or the system's, with certificates in it.
    pub fn new(dir: Option<&Path>) -> anyhow::Result<Self> {
        let dir = match dir {
            Some(dir) => tempfile::tempdir_in(dir).with_context(|| format!("making a folder in {}", dir.display()))?,
            None => tempfile::tempdir().context("making a temporary folder")?,
        };
        write_certificates(dir.path())?;
        let server =
            ServerTls::load(&ServerOptions::new(dir.path().join("server.pem"), dir.path().join("server.key")))?;
        Ok(Self { dir, server })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A new destination with its other end.
    pub fn open(&self, medium: Medium) -> anyhow::Result<(Destination, Arrival)> {
        if medium == Medium::File {
            let path = self.dir().join("out.jsonl");
            if path.exists() {
                std::fs::remove_file(&path)?;
            }
            return Ok((Destination::File(path.clone()), Arrival::File(path)));
        }
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let addr = listener.local_addr()?;
        let tls = (medium == Medium::Tls).then(|| self.server.clone());
        let drain =
            std::thread::Builder::new().name("receiver".into()).spawn(move || drain(&listener, tls.as_ref()))?;
        let destination = match medium {
            Medium::Tls => Destination::Tls(addr, self.dir().join("ca.pem")),
            _ => Destination::Tcp(addr),
        };
        Ok((destination, Arrival::Socket(drain)))
    }
}

fn drain(listener: &TcpListener, tls: Option<&ServerTls>) -> io::Result<(u64, u64)> {
    let (socket, peer) = listener.accept()?;
    match tls {
        None => count_lines(socket),
        Some(tls) => {
            let stream = tls.handshake(socket, &peer.to_string(), Instant::now() + HANDSHAKE);
            count_lines(stream.map_err(io::Error::other)?)
        }
    }
}

impl Arrival {
    /// Waits until the peer has seen the end of what was sent; nothing to wait for with a file.
    /// What follows is [`count`](Arrived::count), outside of any timing.
    pub fn wait(self) -> anyhow::Result<Arrived> {
        Ok(match self {
            Self::File(path) => Arrived::File(path),
            Self::Socket(thread) => {
                let counted = thread.join().map_err(|_| anyhow::anyhow!("the receiver panicked"))?;
                let (lines, bytes) = counted.context("the receiver's connection")?;
                Arrived::Counted(lines, bytes)
            }
        })
    }
}

/// What has arrived.
#[derive(Debug)]
pub enum Arrived {
    /// In this file, not counted yet.
    File(PathBuf),
    /// Lines and bytes.
    Counted(u64, u64),
}

impl Arrived {
    /// Lines and bytes; a file is removed.
    pub fn count(self) -> anyhow::Result<(u64, u64)> {
        match self {
            Self::Counted(lines, bytes) => Ok((lines, bytes)),
            Self::File(path) => {
                let counted = File::open(&path).and_then(count_lines);
                let counted = counted.with_context(|| format!("reading {}", path.display()))?;
                std::fs::remove_file(&path)?;
                Ok(counted)
            }
        }
    }
}

impl Destination {
    /// A plain writer, as the rivals use it.
    pub fn writer(&self) -> anyhow::Result<Wire> {
        Ok(match self {
            Self::File(path) => Wire::File(File::create(path)?),
            Self::Tcp(addr) => {
                let socket = TcpStream::connect(addr)?;
                socket.set_nodelay(true)?;
                Wire::Tcp(socket)
            }
            Self::Tls(addr, ca) => {
                let endpoint = Endpoint::parse(&addr.to_string())?;
                let client = ClientTls::load(&ClientOptions { ca_file: Some(ca.clone()), ..ClientOptions::default() })?;
                let deadline = Instant::now() + HANDSHAKE;
                let socket = dial(&endpoint, deadline)?;
                socket.set_nodelay(true)?;
                Wire::Tls(Box::new(client.handshake(socket, &endpoint, deadline)?))
            }
        })
    }
}

/// A writer that ends a connection so that nothing under way is lost.
#[derive(Debug)]
pub enum Wire {
    /// A file.
    File(File),
    /// A socket.
    Tcp(TcpStream),
    /// An encrypted socket.
    Tls(Box<ClientStream>),
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Tcp(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(_) | Self::Tcp(_) => Ok(()),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let _ = self.flush();
        let socket = match self {
            Self::File(_) => return,
            Self::Tcp(socket) => socket,
            Self::Tls(stream) => {
                stream.conn.send_close_notify();
                let _ = stream.flush();
                &mut stream.sock
            }
        };
        // Closing with unread bytes, such as session tickets, would throw away what is not sent yet.
        let _ = socket.shutdown(Shutdown::Write);
        let mut scratch = [0; 4096];
        while matches!(socket.read(&mut scratch), Ok(1..)) {}
    }
}

/// `ca.pem`, `server.pem` and `server.key` for 127.0.0.1.
fn write_certificates(dir: &Path) -> anyhow::Result<()> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate()?;
    std::fs::write(dir.join("ca.pem"), authority.self_signed(&key)?.pem())?;
    let issuer = Issuer::new(authority, key);
    let key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
    std::fs::write(dir.join("server.pem"), leaf.signed_by(&key, &issuer)?.pem())?;
    std::fs::write(dir.join("server.key"), key.serialize_pem())?;
    Ok(())
}
