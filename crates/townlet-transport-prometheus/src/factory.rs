//! Building the transport from configuration.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use townlet_transport::{ErrorKind, Factory, Settings, Transport, TransportError};

use crate::options::{PrometheusOptions, ScrapeOptions};
use crate::token::Token;
use crate::transport::PrometheusTransport;

/// Builds the transport of `transport.type: prometheus`.
#[derive(Clone, Copy, Debug, Default)]
pub struct PrometheusFactory;

impl PrometheusFactory {
    /// The options that the settings of a sink stand for.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured), naming the key at fault.
    pub fn options(settings: &Settings) -> Result<PrometheusOptions, TransportError> {
        let scrape = match &settings.scrape_listen {
            Some(listen) => {
                let token = settings.scrape_token_file.as_deref().map(Token::from_file).transpose()?;
                Some(ScrapeOptions { token, ..ScrapeOptions::new(address(listen)?) })
            }
            None => None,
        };
        let paths = settings.export_fields.iter().map(|path| path.parse());
        let fields = paths
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| TransportError::new(ErrorKind::Misconfigured, format!("export_fields: {error}")))?;
        let options = PrometheusOptions {
            file_path: settings.file_path.clone(),
            scrape,
            labels: settings.labels.clone(),
            fields,
            max_series: settings.export_max_series,
        };
        options.check()?;
        Ok(options)
    }
}

fn address(text: &str) -> Result<SocketAddr, TransportError> {
    let local = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    let address = local.map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)).or(text.parse().ok());
    address.ok_or_else(|| {
        let message = format!("scrape_listen {text:?} is no address: write 127.0.0.1:9464 or [::1]:9464");
        TransportError::new(ErrorKind::Misconfigured, message)
    })
}

impl Factory for PrometheusFactory {
    fn kind(&self) -> &'static str {
        "prometheus"
    }

    fn build(&self, settings: &Settings) -> Result<Box<dyn Transport>, TransportError> {
        Ok(Box::new(PrometheusTransport::new(Self::options(settings)?)?))
    }
}
