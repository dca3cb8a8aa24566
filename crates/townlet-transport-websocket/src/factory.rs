//! Building the transport from configuration.

use townlet_tls::{ClientOptions, Plaintext, PlaintextFlags};
use townlet_transport::{Auth, ErrorKind, Factory, SecretSource, Settings, Transport, TransportError};

use crate::{Security, Token, WsOptions, WsTransport, WsUrl};

/// Builds the transport of `transport.type: websocket`.
#[derive(Clone, Copy, Debug, Default)]
pub struct WsFactory;

impl WsFactory {
    /// The options that the settings of a sink stand for.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured), naming the key at fault.
    pub fn options(settings: &Settings) -> Result<WsOptions, TransportError> {
        let wrong = |message: String| TransportError::new(ErrorKind::Misconfigured, message);
        let text = settings.endpoint.as_deref().filter(|text| !text.trim().is_empty());
        let text =
            text.ok_or_else(|| wrong("telemetry.transport.websocket_url is required when type is 'websocket'".into()))?;
        let url = WsUrl::parse(text)?;
        let security = if url.is_secure() {
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
            let leave = Plaintext::allow(flags, url.endpoint())
                .map_err(|refused| wrong(format!("telemetry.transport.websocket_url is ws://: {refused}")))?;
            Security::Plaintext(leave)
        };
        let token = match &settings.auth {
            None => None,
            Some(Auth::Bearer(SecretSource::File(path))) => Some(Token::File(path.clone())),
            Some(Auth::Bearer(SecretSource::Env(name))) => Some(Token::Environment(name.clone())),
            Some(_) => {
                let what = "telemetry.transport.auth: a WebSocket peer is shown a token; set bearer_file or bearer_env";
                return Err(wrong(what.into()));
            }
        };
        Ok(WsOptions {
            connect_timeout: settings.connect_timeout,
            send_timeout: settings.send_timeout,
            acks: settings.acks,
            settle_at: settings.settle_at,
            token,
            ..WsOptions::new(url, security)
        })
    }
}

impl Factory for WsFactory {
    fn kind(&self) -> &'static str {
        "websocket"
    }

    fn build(&self, settings: &Settings) -> Result<Box<dyn Transport>, TransportError> {
        Ok(Box::new(WsTransport::new(Self::options(settings)?)?))
    }
}
