//! Building the transport from configuration.

use townlet_tls::{ClientOptions, Endpoint, Plaintext, PlaintextFlags};
use townlet_transport::{Compression, ErrorKind, Factory, Settings, Transport, TransportError};

use crate::{Security, TcpOptions, TcpTransport};

/// Builds the transport of `transport.type: tcp`.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpFactory;

impl TcpFactory {
    /// The options that the settings of a sink stand for.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured), naming the key at fault.
    pub fn options(settings: &Settings) -> Result<TcpOptions, TransportError> {
        let wrong = |message: String| TransportError::new(ErrorKind::Misconfigured, message);
        let text = settings
            .endpoint
            .as_deref()
            .filter(|text| !text.trim().is_empty())
            .ok_or_else(|| wrong("telemetry.transport.endpoint is required when type is 'tcp'".into()))?;
        let endpoint = Endpoint::parse(text).map_err(|error| wrong(format!("telemetry.transport.{error}")))?;
        let security = if settings.enable_tls {
            Security::Tls(ClientOptions {
                ca_file: settings.ca_file.clone(),
                cert_file: settings.cert_file.clone(),
                key_file: settings.key_file.clone(),
                verify_hostname: settings.verify_hostname,
                ..ClientOptions::default()
            })
        } else {
            let both = settings.plaintext_acknowledged;
            let flags = PlaintextFlags { allow_plaintext: both, dev_allow_plaintext: both };
            let leave = Plaintext::allow(flags, &endpoint)
                .map_err(|refused| wrong(format!("telemetry.transport.enable_tls is false: {refused}")))?;
            Security::Plaintext(leave)
        };
        let deflate = match settings.compression {
            Compression::None => false,
            Compression::Deflate if settings.enable_tls && settings.acks => true,
            Compression::Deflate => {
                let what =
                    "telemetry.transport.compression: both sides agree on it under TLS with acks, and one is off";
                return Err(wrong(what.into()));
            }
            _ => return Err(wrong("telemetry.transport.compression of type 'tcp' is none or deflate".into())),
        };
        Ok(TcpOptions {
            deflate,
            connect_timeout: settings.connect_timeout,
            send_timeout: settings.send_timeout,
            acks: settings.acks,
            ..TcpOptions::new(endpoint, security)
        })
    }
}

impl Factory for TcpFactory {
    fn kind(&self) -> &'static str {
        "tcp"
    }

    fn build(&self, settings: &Settings) -> Result<Box<dyn Transport>, TransportError> {
        Ok(Box::new(TcpTransport::new(Self::options(settings)?)?))
    }
}
