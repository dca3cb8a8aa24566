//! `opentelemetry_sdk` logs: `BatchLogProcessor` with a queue of 64k records. It
//! drops what finds its queue full; that is its nature and is counted.

use std::fmt;
use std::future::Future;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::logs::{AnyValue, Logger, LoggerProvider};
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::logs::{
    BatchConfig, BatchConfigBuilder, BatchLogProcessor, LogBatch, LogExporter, SdkLogRecord, SdkLogger,
    SdkLoggerProvider,
};

use super::{GATHERED, Pipeline, QUEUE_EVENTS, Share};
use crate::destination::{Destination, Wire};
use crate::workload::Reading;

/// Its logger and what exports.
#[derive(Debug)]
pub struct Otel {
    provider: SdkLoggerProvider,
    logger: SdkLogger,
}

impl Otel {
    /// Starts its thread, with an exporter that writes JSON lines.
    ///
    /// # Errors
    /// A destination that cannot be opened.
    pub fn start(destination: &Destination) -> anyhow::Result<Self> {
        Ok(Self::over(LineExporter::to(destination)?, at_its_best()))
    }

    /// The same with the queue that it ships with, 2,048 records.
    ///
    /// # Errors
    /// A destination that cannot be opened.
    pub fn as_shipped(destination: &Destination) -> anyhow::Result<Self> {
        Ok(Self::over(LineExporter::to(destination)?, BatchConfig::default()))
    }

    fn over(exporter: impl LogExporter + 'static, config: BatchConfig) -> Self {
        let processor = BatchLogProcessor::builder(exporter).with_batch_config(config).build();
        let provider = SdkLoggerProvider::builder().with_log_processor(processor).build();
        let logger = provider.logger("townlet-lab");
        Self { provider, logger }
    }

    /// One log record of one event.
    pub fn emit(&self, event: &Reading) {
        let mut record = self.logger.create_log_record();
        event.fill(&mut record);
        self.logger.emit(record);
    }
}

fn at_its_best() -> BatchConfig {
    BatchConfigBuilder::default().with_max_queue_size(QUEUE_EVENTS).build()
}

/// The same with an exporter that forgets everything.
pub fn null_logger() -> Otel {
    Otel::over(NullExporter, at_its_best())
}

impl Pipeline for Otel {
    fn produce(&self, share: Share) -> anyhow::Result<()> {
        for n in share {
            self.emit(&Reading::at(n));
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> anyhow::Result<()> {
        Ok(self.provider.shutdown_with_timeout(Duration::from_secs(60))?)
    }
}

#[derive(Debug)]
struct NullExporter;

impl LogExporter for NullExporter {
    fn export(&self, _: LogBatch<'_>) -> impl Future<Output = OTelSdkResult> + Send {
        std::future::ready(Ok(()))
    }
}

/// The connection and what is gathered for it; none after the end.
struct LineExporter(Mutex<Option<(Wire, Vec<u8>)>>);

impl fmt::Debug for LineExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LineExporter")
    }
}

impl LineExporter {
    fn to(destination: &Destination) -> anyhow::Result<Self> {
        Ok(Self(Mutex::new(Some((destination.writer()?, Vec::with_capacity(2 * GATHERED))))))
    }

    fn take(&self, batch: &LogBatch<'_>) -> io::Result<()> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((out, gathered)) = open.as_mut() else { return Err(io::ErrorKind::NotConnected.into()) };
        for (record, _) in batch.iter() {
            write_line(record, gathered)?;
        }
        if gathered.len() >= GATHERED {
            out.write_all(gathered)?;
            gathered.clear();
        }
        Ok(())
    }

    fn end(&self) -> io::Result<()> {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        open.map_or(Ok(()), |(mut out, gathered)| out.write_all(&gathered))
    }
}

impl LogExporter for LineExporter {
    fn export(&self, batch: LogBatch<'_>) -> impl Future<Output = OTelSdkResult> + Send {
        std::future::ready(self.take(&batch).map_err(|error| OTelSdkError::InternalFailure(error.to_string())))
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        self.end().map_err(|error| OTelSdkError::InternalFailure(error.to_string()))
    }
}

/// The same object as our encoder writes.
fn write_line(record: &SdkLogRecord, out: &mut Vec<u8>) -> io::Result<()> {
    write!(out, "{{\"event\":\"{}\",\"payload\":{{", record.event_name().unwrap_or_default())?;
    for (at, (key, value)) in record.attributes_iter().enumerate() {
        write!(out, "{}\"{}\":", if at == 0 { "" } else { "," }, key.as_str())?;
        match value {
            AnyValue::Int(n) => serde_json::to_writer(&mut *out, n)?,
            AnyValue::Double(n) => serde_json::to_writer(&mut *out, n)?,
            AnyValue::Boolean(b) => serde_json::to_writer(&mut *out, b)?,
            AnyValue::String(s) => serde_json::to_writer(&mut *out, s.as_str())?,
            _ => out.extend_from_slice(b"null"),
        }
    }
    out.extend_from_slice(b"}}\n");
    Ok(())
}
