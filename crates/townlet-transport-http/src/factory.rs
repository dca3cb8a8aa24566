//! Building the transport from configuration.

use townlet_tls::{ClientOptions, PlaintextFlags};
use townlet_transport::{Compression, ErrorKind, Factory, Settings, Transport, TransportError};

use crate::{HttpOptions, HttpTransport, Security, Target};

/// Builds the transport of `transport.type: http`.
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpFactory;

impl HttpFactory {
    /// The options that the settings of a sink stand for. The scheme of the
    /// endpoint selects TLS; `enable_tls` is not asked.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured), naming the key at fault.
    pub fn options(settings: &Settings) -> Result<HttpOptions, TransportError> {
        let text = settings.endpoint.as_deref().filter(|text| !text.trim().is_empty()).ok_or_else(|| {
            let message = "telemetry.transport.endpoint is required when type is 'http'";
            TransportError::new(ErrorKind::Misconfigured, message)
        })?;
        let target = Target::parse(text)?;
        if settings.compression == Compression::Deflate {
            let message = "telemetry.transport.compression of type 'http' is none or gzip: a request stands by itself";
            return Err(TransportError::new(ErrorKind::Misconfigured, message));
        }
        let options = if target.is_secure() {
            let client = ClientOptions {
                ca_file: settings.ca_file.clone(),
                cert_file: settings.cert_file.clone(),
                key_file: settings.key_file.clone(),
                verify_hostname: settings.verify_hostname,
                ..ClientOptions::default()
            };
            HttpOptions { security: Security::Tls(client), ..HttpOptions::new(target) }
        } else {
            let both = settings.plaintext_acknowledged;
            HttpOptions::plaintext(target, PlaintextFlags { allow_plaintext: both, dev_allow_plaintext: both })?
        };
        Ok(HttpOptions {
            connect_timeout: settings.connect_timeout,
            send_timeout: settings.send_timeout,
            format: settings.format,
            compression: settings.compression,
            auth: settings.auth.clone(),
            ..options
        })
    }
}

impl Factory for HttpFactory {
    fn kind(&self) -> &'static str {
        "http"
    }

    fn build(&self, settings: &Settings) -> Result<Box<dyn Transport>, TransportError> {
        Ok(Box::new(HttpTransport::new(Self::options(settings)?)?))
    }
}
