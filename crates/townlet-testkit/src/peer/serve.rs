//! What a peer does with one connection.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::accept::Shared;
use super::secure::Wire;
use super::{Behaviour, Conversation};

/// How long a read waits before it looks whether the peer is to stop.
const POLL: Duration = Duration::from_millis(20);

pub(super) struct Connection<'a> {
    pub(super) shared: &'a Shared,
    pub(super) index: usize,
    pub(super) epoch: u64,
}

impl Connection<'_> {
    fn is_over(&self) -> bool {
        let control = self.shared.control.lock();
        control.stop || control.epoch != self.epoch
    }

    /// Waits for the end, at most `limit`; true where it has come.
    fn over_within(&self, limit: Duration) -> bool {
        self.shared.control.wait_for(limit, |c| c.stop || c.epoch != self.epoch)
    }

    fn note<R>(&self, change: impl FnOnce(&mut Conversation) -> R) -> R {
        self.shared.log.update(|log| change(&mut log[self.index]))
    }

    pub(super) fn serve(&self, mut socket: TcpStream, behaviour: &Behaviour) -> std::io::Result<()> {
        match behaviour {
            Behaviour::AcceptAndClose => return Ok(()),
            Behaviour::Stall => {
                self.over_within(Duration::from_secs(120));
                return Ok(());
            }
            Behaviour::Drip { every } => {
                // The head of a handshake record of 16 KiB, then its content.
                let mut bytes = [0x16, 3, 3, 0x40, 0].into_iter().chain(std::iter::repeat_n(2, 1 << 14));
                while !self.over_within(*every) {
                    socket.write_all(&[bytes.next().unwrap_or(0)])?;
                }
                return Ok(());
            }
            Behaviour::ReadSlowly { .. } => socket2::SockRef::from(&socket).set_recv_buffer_size(4096)?,
            _ => {}
        }
        socket.set_read_timeout(Some(POLL))?;
        socket.set_nodelay(true)?;
        let mut wire = match &self.shared.tls {
            None => Wire::Plain(socket),
            Some(tls) => tls.accept(socket),
        };
        self.handshake(&mut wire)?;
        self.read(&mut wire, behaviour)
    }

    fn handshake(&self, wire: &mut Wire) -> std::io::Result<()> {
        let Wire::Tls(stream) = wire else { return Ok(()) };
        while stream.conn.is_handshaking() {
            match stream.conn.complete_io(&mut stream.sock) {
                Ok(_) => {}
                Err(error) if is_timeout(&error) && !self.is_over() => {}
                Err(error) => {
                    self.note(|c| c.handshake_error = Some(error.to_string()));
                    return Err(error);
                }
            }
        }
        self.note(|c| {
            c.alpn = stream.conn.alpn_protocol().map(<[u8]>::to_vec);
            c.version = stream.conn.protocol_version().map(|v| format!("{v:?}"));
            c.client_certificate = stream.conn.peer_certificates().is_some();
        });
        Ok(())
    }

    fn read(&self, wire: &mut Wire, behaviour: &Behaviour) -> std::io::Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        let mut total = 0;
        let mut babbled = false;
        let acks = self.note(|c| c.alpn.as_deref() == Some(b"townlet-ack/1"));
        while !self.is_over() {
            let most = match behaviour {
                Behaviour::ReadSlowly { bytes, every } => {
                    if self.over_within(*every) {
                        break;
                    }
                    *bytes
                }
                Behaviour::ResetAfter { bytes } => bytes - total,
                _ => buffer.len(),
            };
            let most = most.min(buffer.len());
            if most == 0 {
                return reset(wire);
            }
            let got = match wire.read(&mut buffer[..most]) {
                Ok(0) => return Ok(()),
                Ok(got) => got,
                Err(error) if is_timeout(&error) => continue,
                Err(error) => return Err(error),
            };
            total += got;
            let lines = self.note(|c| {
                c.take(&buffer[..got]);
                c.lines.len()
            });
            match behaviour {
                Behaviour::ResetAfter { bytes } if total == *bytes => return reset(wire),
                Behaviour::CloseAfter { lines: enough } if lines >= *enough => return wire.say_goodbye(),
                Behaviour::Babble(noise) if lines > 0 && !babbled => {
                    babbled = true;
                    wire.write_all(noise)?;
                }
                Behaviour::NeverAck | Behaviour::Babble(_) => {}
                Behaviour::AckThenClose { lines: enough } if acks => {
                    self.ack(wire, lines.min(*enough))?;
                    if lines > *enough {
                        return wire.say_goodbye();
                    }
                }
                _ if acks => self.ack(wire, lines)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn ack(&self, wire: &mut Wire, lines: usize) -> std::io::Result<()> {
        if self.note(|c| c.acked) == lines {
            return Ok(());
        }
        let text = format!("{{\"ack\":{lines}}}\n");
        wire.write_all(text.as_bytes())?;
        wire.flush()?;
        self.note(|c| c.acked = lines);
        Ok(())
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// Ends the connection so that the other side sees a reset, not an end.
fn reset(wire: &Wire) -> std::io::Result<()> {
    socket2::SockRef::from(wire.socket()).set_linger(Some(Duration::ZERO))
}
