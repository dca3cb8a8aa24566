//! What every test does: load, and put findings into a line each.

use townlet_config::{Diagnostics, Loaded, Loader, SinkConfig};
use townlet_transport::{
    Connected, ErrorKind, Factory, Frame, Outcome, SendError, Settings, Transport, TransportError,
};

/// A backend that is registered and never connects.
pub(crate) struct Registered(pub(crate) &'static str);

impl Factory for Registered {
    fn kind(&self) -> &'static str {
        self.0
    }

    fn build(&self, settings: &Settings) -> Result<Box<dyn Transport>, TransportError> {
        // Stands for a backend that reads its certificates.
        match &settings.ca_file {
            Some(path) if !std::fs::read_to_string(path).is_ok_and(|text| text.contains("BEGIN CERTIFICATE")) => {
                Err(TransportError::new(ErrorKind::Tls, "ca_file holds no certificate; give a PEM file"))
            }
            _ => Ok(Box::new(Nowhere)),
        }
    }
}

struct Nowhere;

impl Transport for Nowhere {
    fn connect(&mut self) -> Result<Connected, TransportError> {
        Ok(Connected::local())
    }
    fn send(&mut self, _: &[Frame]) -> Result<Outcome, SendError> {
        Err(TransportError::new(ErrorKind::Unavailable, "goes nowhere").into())
    }
    fn close(&mut self) {}
}

/// Every transport type that the language knows, as if all were built in.
pub(crate) const ALL: [Registered; 8] = [
    Registered("stdout"),
    Registered("file"),
    Registered("tcp"),
    Registered("http"),
    Registered("websocket"),
    Registered("prometheus"),
    Registered("otlp"),
    Registered("nats"),
];

pub(crate) fn loader() -> Loader<'static> {
    ALL.iter().fold(Loader::new(), |loader, factory| loader.factory(factory))
}

/// Findings as `severity code key line:column`, in order.
pub(crate) fn lines(found: &Diagnostics) -> Vec<String> {
    found.iter().map(|d| format!("{} {} {} {}:{}", d.severity.as_str(), d.code, d.key, d.line, d.column)).collect()
}

pub(crate) fn findings(text: &str) -> Vec<String> {
    lines(&diagnose(text))
}

pub(crate) fn diagnose(text: &str) -> Diagnostics {
    match loader().load_str("town.yaml", text) {
        Ok(loaded) => loaded.warnings,
        Err(found) => found,
    }
}

/// A telemetry block whose transport has these keys, in flow form.
pub(crate) fn transport(keys: &str) -> String {
    format!("telemetry: {{transport: {{{keys}}}}}\n")
}

pub(crate) fn accept(text: &str) -> Loaded {
    match loader().load_str("town.yaml", text) {
        Ok(loaded) => loaded,
        Err(found) => panic!("{text}\nwas refused:\n{found}"),
    }
}

/// The one error of a text, as `code key`, and its whole rendering.
#[track_caller]
pub(crate) fn only_error(text: &str) -> (String, String) {
    let found = diagnose(text);
    let errors: Vec<_> = found.errors().collect();
    let [error] = errors[..] else { panic!("{text}\nwanted one error, found {}:\n{found}", errors.len()) };
    (format!("{} {}", error.code, error.key), error.to_string())
}

/// A PEM-like file, and text that is none, in a folder of its own.
pub(crate) fn certificates() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    std::fs::write(folder.path().join("client.pem"), "-----BEGIN CERTIFICATE-----\n").unwrap();
    std::fs::write(folder.path().join("client.key"), "-----BEGIN PRIVATE KEY-----\n").unwrap();
    std::fs::write(folder.path().join("letter.txt"), "dear all").unwrap();
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    folder
}

/// The first sink of a text that is in order.
pub(crate) fn main_of(text: &str) -> SinkConfig {
    accept(text).config.sinks.remove(0)
}
