//! What a [`PrometheusTransport`](crate::PrometheusTransport) is told.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use townlet_transport::{ErrorKind, TransportError};

use crate::token::Token;
use townlet_fields::FieldPath;

/// Labels that the figures themselves carry, or that Prometheus adds.
const TAKEN: [&str; 9] = ["sink", "reason", "level", "le", "kind", "stream", "path", "job", "instance"];

/// The most labels of the operator's own.
const MOST_LABELS: usize = 16;

/// The settings of a [`PrometheusTransport`](crate::PrometheusTransport): a file,
/// a scrape endpoint, or both.
#[derive(Clone, Debug)]
pub struct PrometheusOptions {
    /// The textfile, which should end in `.prom`: `node_exporter` reads no other.
    pub file_path: Option<PathBuf>,
    /// Where a Prometheus may fetch the same text.
    pub scrape: Option<ScrapeOptions>,
    /// Labels that every sample carries. Two files in one folder need them to
    /// differ: `node_exporter` refuses the same sample from two files.
    pub labels: Vec<(String, String)>,
    /// Numeric fields of the payloads to publish. Where two paths match a field,
    /// the earlier one has it.
    pub fields: Vec<FieldPath>,
    /// The most fields, counted with their streams, that are published at a time.
    pub max_series: usize,
}

impl Default for PrometheusOptions {
    /// Neither file nor endpoint, which [`new`](crate::PrometheusTransport::new) refuses; 256 fields at most.
    fn default() -> Self {
        Self { file_path: None, scrape: None, labels: Vec::new(), fields: Vec::new(), max_series: 256 }
    }
}

impl PrometheusOptions {
    /// A textfile and nothing else.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { file_path: Some(path.into()), ..Self::default() }
    }

    /// A scrape endpoint and nothing else.
    pub fn scrape(listen: SocketAddr) -> Self {
        Self { scrape: Some(ScrapeOptions::new(listen)), ..Self::default() }
    }

    pub(crate) fn check(&self) -> Result<(), TransportError> {
        let wrong = |message: String| Err(TransportError::new(ErrorKind::Misconfigured, message));
        if self.file_path.is_none() && self.scrape.is_none() {
            return wrong("a prometheus sink needs file_path, scrape_listen, or both".into());
        }
        if let Some(path) = &self.file_path
            && path.to_string_lossy().trim().is_empty()
        {
            return wrong("file_path is empty: name a file".into());
        }
        if let Some(scrape) = &self.scrape
            && !scrape.listen.ip().is_loopback()
        {
            return wrong(format!(
                "scrape_listen {} is reached from other machines, in plaintext: listen on 127.0.0.1 or [::1], and put \
                 what speaks TLS in front",
                scrape.listen
            ));
        }
        if self.labels.len() > MOST_LABELS {
            return wrong(format!("labels has {} entries; at most {MOST_LABELS}", self.labels.len()));
        }
        for (n, (name, value)) in self.labels.iter().enumerate() {
            let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
            let good = name.starts_with(starts)
                && name.chars().all(|c| starts(c) || c.is_ascii_digit())
                && !name.starts_with("__")
                && name.len() <= 64;
            if !good {
                return wrong(format!("labels: {name:?} is not a name: use letters, digits and single '_'"));
            }
            if TAKEN.contains(&name.as_str()) || self.labels[..n].iter().any(|(earlier, _)| earlier == name) {
                return wrong(format!("labels: {name:?} is taken: choose another name"));
            }
            if value.len() > 128 || value.chars().any(char::is_control) {
                return wrong(format!("labels.{name}: at most 128 bytes, without control characters"));
            }
        }
        Ok(())
    }
}

/// Where to answer scrapes, for whom, and within which bounds.
#[derive(Clone, Debug)]
pub struct ScrapeOptions {
    /// An address of this machine alone; with port 0 the system chooses.
    pub listen: SocketAddr,
    /// Asked for as `Authorization: Bearer …` where set.
    pub token: Option<Token>,
    /// Scrapes at a time, default 4; further ones are told so and closed.
    pub max_connections: usize,
    /// How long a request and its answer may take together, default 5 s.
    pub timeout: Duration,
}

impl ScrapeOptions {
    /// The defaults, for whoever is on this machine.
    pub fn new(listen: SocketAddr) -> Self {
        Self { listen, token: None, max_connections: 4, timeout: Duration::from_secs(5) }
    }
}
