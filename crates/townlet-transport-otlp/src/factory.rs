//! Building the transport from configuration.

use townlet_http::PostOptions;
use townlet_transport::{ErrorKind, Factory, Format, Settings, Transport, TransportError};

use crate::{Encoding, OtlpOptions, OtlpTransport};

/// Builds the transport of `transport.type: otlp`.
#[derive(Clone, Copy, Debug, Default)]
pub struct OtlpFactory;

impl OtlpFactory {
    /// The options that the settings of a sink stand for. The scheme of the
    /// endpoint selects TLS; `format: json` selects JSON, anything else protobuf;
    /// `labels` are attributes of the resource.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured), naming the key at fault.
    pub fn options(settings: &Settings) -> Result<OtlpOptions, TransportError> {
        let paths = settings.export_fields.iter().map(|path| path.parse());
        let fields = paths.collect::<Result<_, townlet_fields::BadPath>>().map_err(|bad| {
            TransportError::with_source(ErrorKind::Misconfigured, format!("export_fields: {bad}"), bad)
        })?;
        Ok(OtlpOptions {
            send_timeout: settings.send_timeout,
            encoding: if settings.format == Format::Json { Encoding::Json } else { Encoding::Protobuf },
            compression: settings.compression,
            resource: settings.labels.clone(),
            fields,
            max_series: settings.export_max_series,
            metrics: settings.publish_metrics,
            traces: settings.publish_traces,
            interval: settings.publish_interval,
            ..OtlpOptions::over(PostOptions::from_settings(settings, "otlp")?)
        })
    }
}

impl Factory for OtlpFactory {
    fn kind(&self) -> &'static str {
        "otlp"
    }

    fn build(&self, settings: &Settings) -> Result<Box<dyn Transport>, TransportError> {
        Ok(Box::new(OtlpTransport::new(Self::options(settings)?)?))
    }
}
