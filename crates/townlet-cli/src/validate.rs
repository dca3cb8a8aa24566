//! `townlet validate`: is this configuration usable, and do its endpoints answer?

use std::time::SystemTime;

use townlet_config::SinkConfig;
use townlet_tls::{ClientOptions, ClientTls, Endpoint, probe};
use townlet_transport::Transport as _;
use townlet_transport_http::HttpFactory;
use townlet_transport_nats::{NatsFactory, NatsTransport};
use townlet_transport_otlp::OtlpFactory;
use townlet_transport_tcp::TcpFactory;
use townlet_transport_websocket::WsFactory;

use crate::args::Validate;
use crate::exit::Exit;
use crate::out::{remark, say};
use crate::setup;

pub(crate) fn run(args: &Validate) -> anyhow::Result<Exit> {
    let factories = setup::factories();
    let loaded = match setup::load(&args.file, &args.set, &factories) {
        Ok(loaded) => loaded,
        Err(diagnostics) => {
            remark!("{diagnostics}");
            let text = std::fs::read_to_string(&args.file).unwrap_or_default();
            if let Some(corrected) = setup::loader(&args.set, &factories).corrected_block(&diagnostics, &text) {
                say!("# a corrected block, which loads:\n{corrected}")?;
            }
            return Ok(Exit::Usage);
        }
    };
    let mut exit = Exit::Yes;
    if let (Some(tick_ms), Some(bytes)) = (args.tick_ms, args.bytes_per_tick) {
        for warning in loaded.validate_cadence(tick_ms, bytes) {
            remark!("{warning}");
            exit = Exit::No;
        }
    }
    // Building the chain reads schemas and keys.
    townlet_config::chain(&loaded.config).map_err(crate::exit::Failure::usage)?;
    say!("{}: ok, {} sink(s)", args.file.display(), loaded.config.sinks.len())?;
    if args.connect {
        for sink in &loaded.config.sinks {
            if !connect(sink)? {
                exit = Exit::Unavailable;
            }
        }
    }
    Ok(exit)
}

/// Whom a sink talks to, and how: none for one that has no peer.
struct Peer {
    endpoint: Endpoint,
    /// None in the open.
    tls: Option<ClientOptions>,
}

impl Peer {
    fn of(sink: &SinkConfig) -> anyhow::Result<Option<Self>> {
        let settings = &sink.settings;
        Ok(Some(match sink.transport_type.as_str() {
            "tcp" => {
                let options = TcpFactory::options(settings)?;
                let alpn = options.protocols().iter().map(|protocol| protocol.to_vec()).collect();
                let tls = options.security.tls().map(|client| ClientOptions { alpn, ..client });
                Self { endpoint: options.endpoint, tls }
            }
            "http" => {
                let options = HttpFactory::options(settings)?;
                Self { endpoint: options.target.endpoint().clone(), tls: options.security.tls() }
            }
            "otlp" => {
                let options = OtlpFactory::options(settings)?;
                Self { endpoint: options.target.endpoint().clone(), tls: options.security.tls() }
            }
            "websocket" => {
                let options = WsFactory::options(settings)?;
                Self { endpoint: options.url.endpoint().clone(), tls: options.security.tls() }
            }
            _ => return Ok(None),
        }))
    }
}

/// Connects as this sink would, and asks whether its stream is there. Makes none.
fn broker(sink: &SinkConfig) -> anyhow::Result<bool> {
    let (block, mut options) = (sink.block(), NatsFactory::options(&sink.settings)?);
    let would_create = options.create.take().is_some();
    let (servers, stream) = (options.nats.servers.clone(), options.stream.clone());
    let outcome = NatsTransport::new(options)?.connect();
    match &outcome {
        Ok(connected) => {
            let how = if connected.tls { "under TLS" } else { "in plaintext" };
            say!("{block}: {servers} answers, {how}; the stream {stream} is there")?;
        }
        Err(error) if would_create && error.to_string().contains("create the stream") => {
            say!("{block}: {servers} answers; the stream {stream} is not there yet, and will be made (nats.create)")?;
            return Ok(true);
        }
        Err(error) => say!("{block}: {error}")?,
    }
    Ok(outcome.is_ok())
}

/// Performs the handshake that this sink would, and prints what it found.
fn connect(sink: &SinkConfig) -> anyhow::Result<bool> {
    let block = sink.block();
    if sink.transport_type == "nats" {
        return broker(sink);
    }
    let Some(Peer { endpoint, tls }) = Peer::of(sink)? else {
        say!("{block}: type {} has no peer to connect to", sink.transport_type)?;
        return Ok(true);
    };
    let timeout = sink.settings.connect_timeout;
    let Some(options) = tls else {
        let reached = townlet_tls::dial(&endpoint, std::time::Instant::now() + timeout);
        match &reached {
            Ok(_) => say!("{block}: {endpoint} answers, in plaintext")?,
            Err(error) => say!("{block}: {endpoint}: {error}")?,
        }
        return Ok(reached.is_ok());
    };
    let client = ClientTls::load(&options)?;
    let report = match probe(&endpoint, &client, timeout, SystemTime::now()) {
        Ok(report) => report,
        Err(error) => {
            say!("{block}: {endpoint}: {error}")?;
            return Ok(false);
        }
    };
    say!("{block}: {endpoint} ({})", report.address)?;
    for (depth, certificate) in report.chain.iter().enumerate() {
        say!("  chain {depth}: {} (names {})", certificate.subject, certificate.names.join(", "))?;
    }
    say!("  name {}", if report.host_matches { "matches the certificate" } else { "is NOT in the certificate" })?;
    say!("  expires in {} days", report.days_to_expiry)?;
    say!("  {} ALPN {}", report.version.unwrap_or("no protocol"), report.alpn.as_deref().unwrap_or("none"))?;
    match &report.verdict {
        Ok(()) => say!("  verdict: trusted")?,
        Err(error) => say!("  verdict: REFUSED, {error}")?,
    }
    Ok(report.verdict.is_ok())
}
