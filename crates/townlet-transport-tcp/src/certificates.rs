//! The TLS configuration of a transport, up to date with its files.

use std::time::SystemTime;

use townlet_tls::{ClientTls, Reload, TlsError};

use crate::{Security, TcpOptions};

/// What the next handshake uses.
pub(crate) struct Certificates {
    reload: Reload<ClientTls>,
    /// Set where a handshake failed: files may have been renewed a moment ago.
    doubted: bool,
}

impl Certificates {
    /// Reads the files; none where the connection is not encrypted.
    pub(crate) fn load(options: &TcpOptions) -> Result<Option<Self>, TlsError> {
        let Security::Tls(client) = &options.security else { return Ok(None) };
        let mut client = client.clone();
        client.alpn = options.protocols().iter().map(|protocol| protocol.to_vec()).collect();
        let reload = Reload::client(ClientTls::load(&client)?);
        Ok(Some(Self { reload, doubted: false }))
    }

    /// Takes up files that were renewed. Called before each batch, so it looks
    /// at most once a second, or at once after a handshake that failed.
    pub(crate) fn refresh(&mut self) {
        let now = SystemTime::now();
        if std::mem::take(&mut self.doubted) {
            self.reload.check_now(now);
        } else {
            self.reload.check(now);
        }
    }

    /// Makes the next [`refresh`](Self::refresh) look, however soon it comes.
    pub(crate) fn doubt(&mut self) {
        self.doubted = true;
    }

    pub(crate) fn reload(&self) -> &Reload<ClientTls> {
        &self.reload
    }
}
