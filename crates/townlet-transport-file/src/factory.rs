//! Building the transport from configuration.

use townlet_transport::{Compression, ErrorKind, Factory, Settings, Transport, TransportError};

use crate::{FileOptions, FileTransport};

/// Builds the transport of `transport.type: file`.
#[derive(Clone, Copy, Debug, Default)]
pub struct FileFactory;

impl FileFactory {
    /// The options that the settings of a sink stand for.
    ///
    /// # Errors
    /// [`Misconfigured`](ErrorKind::Misconfigured), naming the key at fault.
    pub fn options(settings: &Settings) -> Result<FileOptions, TransportError> {
        let wrong = |message: &str| TransportError::new(ErrorKind::Misconfigured, message);
        let path = settings
            .file_path
            .clone()
            .ok_or_else(|| wrong("telemetry.transport.file_path is required when type is 'file'"))?;
        if settings.rotate_bytes == Some(0) {
            return Err(wrong("telemetry.transport.rotate_bytes must be above 0"));
        }
        if settings.rotate_after.is_some_and(|after| after.is_zero()) {
            return Err(wrong("telemetry.transport.rotate_seconds must be above 0"));
        }
        let gzip = match settings.compression {
            Compression::None => false,
            Compression::Gzip => true,
            _ => return Err(wrong("telemetry.transport.compression of type 'file' is none or gzip")),
        };
        Ok(FileOptions {
            path,
            fsync: settings.fsync,
            rotate_bytes: settings.rotate_bytes,
            rotate_after: settings.rotate_after,
            keep_files: settings.keep_files,
            keep_bytes: settings.keep_bytes,
            keep_for: settings.keep_for,
            gzip,
            run_marker: settings.run_marker.clone(),
        })
    }
}

impl Factory for FileFactory {
    fn kind(&self) -> &'static str {
        "file"
    }

    fn build(&self, settings: &Settings) -> Result<Box<dyn Transport>, TransportError> {
        Ok(Box::new(FileTransport::new(Self::options(settings)?)?))
    }
}
