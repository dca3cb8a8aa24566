//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand};
use townlet_console::Endpoint;
use townlet_schema::Kind;

use crate::collect_nats::NatsArgs;
use crate::follow::FollowArgs;

/// Telemetry that balances its books: run it, receive it, check it.
///
/// Exit codes: 0 yes; 1 no, or findings; 2 usage or bad configuration;
/// 3 evidence or peer unavailable; 10 rejected; 11 waiver required.
///
/// With TOWNLET_METRICS_DIR set to a folder, commands keep there how long they take, as a
/// textfile for node_exporter (townlet_cli.prom: cli_latency_p95_ms).
#[derive(Debug, Parser)]
#[command(name = "townlet", version, max_term_width = 100, propagate_version = true)]
pub(crate) struct Cli {
    /// More about what happens inside, on standard error (-v info, -vv debug).
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a whole town through redaction, validation, TLS and a collector, and balance the books.
    Demo(Demo),
    /// Run a town with the telemetry of a configuration file. SIGHUP reads the file again.
    Simulate(Simulate),
    /// Receive streams over TCP and TLS, check sequences, acknowledge and store them.
    Collect(Box<Collect>),
    /// Check a configuration file; with --connect also the TLS endpoints that it names.
    Validate(Validate),
    /// Look for rules that cannot work: dead, shadowed, contradictory, two-sided, unreachable, without a rollback.
    Lint(Lint),
    /// Run the tests of release policies; with --mutate see which changes of a policy they do not notice.
    Test(Test),
    /// Report on a stream file: records, versions, gaps, duplicates, invalid lines.
    Inspect(Inspect),
    /// Feed a captured stream through the transforms and sinks of a configuration.
    Replay(Replay),
    /// Show the stream of a running pipeline, through its console.
    Tap(Tap),
    /// The post-deployment checks, on the real endpoints of a configuration.
    Smoke(Smoke),
    /// Look at the spill of a sink, take records out of it, repair it.
    #[command(subcommand)]
    Spill(Spill),
    /// Set up release control in a Cargo workspace: at most 30 lines of configuration, and keys.
    Init(crate::release::Init),
    /// From the suites to a signed decision that is verified offline, in one go.
    Release(crate::release::Release),
    /// What a release is: make, check, sign and import manifests.
    #[command(subcommand)]
    Manifest(crate::release::Manifest),
    /// Sign that a release may go to an environment, for one role of the change board.
    Approve(crate::release::Approve),
    /// Sign that a release may go to an environment although policies fail.
    Waive(crate::release::Waive),
    /// Sign what a run of the suites or a rehearsal came to, a training, a duty, or what was looked at.
    #[command(subcommand)]
    Attest(crate::release::Attest),
    /// Decide whether a release may go to an environment: 0 approve, 10 reject, 11 waiver required,
    /// 3 evidence unavailable.
    Gate(crate::release::Gate),
    /// What went out: run a deployment under a decision, record one, list them.
    #[command(subcommand)]
    Deploy(crate::history::Deploy),
    /// What went wrong: open an incident, add to its timeline, close it, show it.
    #[command(subcommand)]
    Incident(crate::history::Incident),
    /// Ask a service for a while whether it is ready, and keep that as evidence; exit 1 if it was not at some time,
    /// 3 if it never answered.
    Readyz(crate::history::Readyz),
    /// The configuration of a release, `configs/<env>/<release>.toml`, recorded by digest. (`validate` checks that of
    /// telemetry.)
    #[command(subcommand)]
    ReleaseConfig(crate::history::ReleaseConfig),
    /// The four DORA figures of an environment, from the log.
    Dora(crate::history::Dora),
    /// Which evidence about a release there is, and which is missing or too old (exit 1).
    Checklist(crate::history::Checklist),
    /// A decision, or a reason, in words.
    Explain(crate::release::Explain),
    /// Two manifests or decisions, field by field; exit 1 where they differ.
    Diff(crate::release::DiffArgs),
    /// Decide again from what is stored; exit 1 where the answer is not the same to the byte.
    ReplayDecision(crate::release::ReplayDecision),
    /// Write a self-made certificate authority with server and client certificates, for tests.
    Certs(Certs),
    /// Run readiness suites and keep the evidence; look at it again.
    #[command(subcommand)]
    Readiness(crate::readiness::Readiness),
    /// Run the steps of a rollback against their deadlines, and keep the record.
    Rehearse(crate::rehearse::Rehearse),
    /// Signing keys: make one, and say whose signatures are believed.
    #[command(subcommand)]
    Keys(crate::keys::Keys),
    /// The log of signed statements: verify it, look at it, sign a checkpoint.
    #[command(subcommand)]
    Log(crate::registry::Log),
    /// Write to standard output what the log says about a release, with everything that proves it.
    Bundle(crate::registry::BundleArgs),
    /// Check a bundle, offline.
    Verify(crate::registry::Verify),
    /// Predict how often each rule of a rollout plan would undo a healthy rollout, and how soon it finds a bad one.
    Plan(crate::rollout::PlanArgs),
    /// Run a rollout plan over recorded series, beside the rules of others.
    Backtest(crate::rollout::Backtest),
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Ticks to run.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) ticks: u64,
    /// Agents in the town.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) agents: u32,
    /// Seed: the same seed gives the same town and the same bytes.
    #[arg(long, default_value_t = 7)]
    pub(crate) seed: u64,
    /// Folder for streams, certificates and the configuration. What an earlier demo left there goes.
    #[arg(long, default_value = "demo-out")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) console: ConsoleArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// Configuration with a `telemetry:` block.
    #[arg(long)]
    pub(crate) config: Option<PathBuf>,
    /// Ticks to run.
    #[arg(long, default_value_t = 1000)]
    pub(crate) ticks: u64,
    /// Agents in the town.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) agents: u32,
    /// Seed of the town.
    #[arg(long, default_value_t = 7)]
    pub(crate) seed: u64,
    /// Write the stream to this file instead of to the configured transport.
    #[arg(long)]
    pub(crate) telemetry_path: Option<PathBuf>,
    /// Least wall time of a tick in milliseconds; 0 runs as fast as it can.
    #[arg(long, default_value_t = 0.0)]
    pub(crate) tick_ms: f64,
    /// Override a key, as in `--set telemetry.transport.type=stdout`. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Write the final transport status and statement to this file, as JSON.
    #[arg(long)]
    pub(crate) status_path: Option<PathBuf>,
    /// Leave out what depends on time (health lines): the same seed then gives the same bytes.
    #[arg(long)]
    pub(crate) deterministic: bool,
    #[command(flatten)]
    pub(crate) console: ConsoleArgs,
}

/// The collector's second listener.
#[derive(Debug, Args)]
pub(crate) struct WebArgs {
    /// Serve HTTP and WebSocket here as well: lines and OTLP in, states out, metrics. Under TLS where the lines are.
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "127.0.0.1:9080")]
    pub(crate) web: Option<SocketAddr>,
    /// File with the token that clients have to show. Needed beyond loopback.
    #[arg(long, requires = "web")]
    pub(crate) web_token_file: Option<PathBuf>,
    /// Origin of pages from elsewhere that may ask, as `https://ops.example`. May be repeated.
    #[arg(long, requires = "web", value_name = "ORIGIN")]
    pub(crate) web_origin: Vec<String>,
    /// Connections of the web listener at a time.
    #[arg(long, requires = "web", default_value_t = 256, value_parser = at_least_one())]
    pub(crate) web_max_connections: usize,
    /// Streams of states that subscribers can watch; 0 serves none.
    #[arg(long, requires = "web", default_value_t = 64)]
    pub(crate) live_streams: usize,
    /// Streams with metrics of their own.
    #[arg(long, requires = "web", default_value_t = 200)]
    pub(crate) metric_streams: usize,
    /// Write the address of the web listener to this file, once listening.
    #[arg(long, requires = "web")]
    pub(crate) web_addr_file: Option<PathBuf>,
}

/// A limit of connections: with none, nobody could connect.
fn at_least_one() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..)
}

/// The collector's listener for OTLP over gRPC.
#[derive(Debug, Args)]
pub(crate) struct GrpcArgs {
    /// Take OTLP over gRPC here as well, from any OpenTelemetry SDK. Under TLS where the lines are.
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "127.0.0.1:4317")]
    pub(crate) otlp_grpc: Option<SocketAddr>,
    /// File with the token that clients have to show, as metadata `authorization`. Needed beyond loopback.
    #[arg(long, requires = "otlp_grpc")]
    pub(crate) otlp_grpc_token_file: Option<PathBuf>,
    /// Connections of the gRPC listener at a time.
    #[arg(long, requires = "otlp_grpc", default_value_t = 256, value_parser = at_least_one())]
    pub(crate) otlp_grpc_max_connections: usize,
    /// Write the address of the gRPC listener to this file, once listening.
    #[arg(long, requires = "otlp_grpc")]
    pub(crate) otlp_grpc_addr_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Collect {
    /// Address to listen on. Without TLS only loopback is allowed.
    #[arg(long, default_value = "127.0.0.1:9000")]
    pub(crate) listen: SocketAddr,
    /// Server certificate chain, PEM.
    #[arg(long, requires = "key")]
    pub(crate) cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, requires = "cert")]
    pub(crate) key: Option<PathBuf>,
    /// Require client certificates signed by this authority, PEM.
    #[arg(long, requires = "cert")]
    pub(crate) client_ca: Option<PathBuf>,
    /// Folder for the streams.
    #[arg(long, default_value = "collected")]
    pub(crate) out: PathBuf,
    /// Connections with lines at a time.
    #[arg(long, default_value_t = 256, value_parser = at_least_one())]
    pub(crate) max_connections: usize,
    /// Streams in memory at a time. One that no connection uses leaves for a new one, and is read again when it comes back.
    #[arg(long, default_value_t = 4096, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) max_streams: u32,
    #[command(flatten)]
    pub(crate) web: WebArgs,
    #[command(flatten)]
    pub(crate) nats: NatsArgs,
    #[command(flatten)]
    pub(crate) grpc: GrpcArgs,
    /// Sync to disk before acknowledging.
    #[arg(long)]
    pub(crate) fsync: bool,
    /// End after this time; without it, at SIGINT or SIGTERM.
    #[arg(long, value_parser = duration)]
    pub(crate) duration: Option<Duration>,
    /// Write the address that was bound to this file, once listening.
    #[arg(long)]
    pub(crate) addr_file: Option<PathBuf>,
    /// Print the final report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// Configuration with a `telemetry:` block.
    pub(crate) file: PathBuf,
    /// Also perform the TLS handshake with each endpoint and report its certificates.
    #[arg(long)]
    pub(crate) connect: bool,
    /// Milliseconds of a tick: check that the buffers fit the cadence.
    #[arg(long, requires = "bytes_per_tick")]
    pub(crate) tick_ms: Option<f64>,
    /// Bytes emitted in a tick.
    #[arg(long, requires = "tick_ms")]
    pub(crate) bytes_per_tick: Option<u64>,
    /// Override a key. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Lint {
    /// Policies, their test files, and rollout plans. Exit 1 with warnings, 2 where one cannot be used, 3 where one cannot be read.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Print the findings as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Test files (POLICY.test.yaml). Each names its policy.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Change each policy in one place after another, and print the changes that no test notices.
    #[arg(long)]
    pub(crate) mutate: bool,
    /// The share of the changes that must be noticed, in percent; with fewer exit 1.
    #[arg(long, requires = "mutate", value_name = "PERCENT", default_value_t = 95.0)]
    pub(crate) least: f64,
    /// Print the results as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The stream, JSON lines, possibly mixed with log text, as it is or in gzip. `-` reads standard input.
    pub(crate) file: PathBuf,
    /// Report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Compare with this stream; exit 1 on drift.
    #[arg(long, value_name = "BASELINE")]
    pub(crate) against: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) follow: FollowArgs,
}

#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The captured stream, as it is or in gzip.
    pub(crate) file: PathBuf,
    /// Configuration with a `telemetry:` block.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Override a key. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Print the account as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) follow: FollowArgs,
}

/// The console of a process that runs a pipeline.
#[derive(Debug, Args)]
pub(crate) struct ConsoleArgs {
    /// Open a console: unix:PATH or tcp:127.0.0.1:PORT.
    #[arg(long, value_name = "ENDPOINT")]
    pub(crate) console: Option<Endpoint>,
    /// File with its token; a new one is written where there is none. Without it,
    /// TOWNLET_CONSOLE_TOKEN has the token.
    #[arg(long, requires = "console", value_name = "FILE")]
    pub(crate) console_token_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Tap {
    /// Where the console listens: unix:PATH or tcp:127.0.0.1:PORT.
    #[arg(long)]
    pub(crate) endpoint: Endpoint,
    /// File with its token. Without it, TOWNLET_CONSOLE_TOKEN has the token.
    #[arg(long, alias = "console-token-file", value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
    /// Kinds to show (snapshot, event, health, …), separated by commas; all without it.
    #[arg(long, value_delimiter = ',')]
    pub(crate) kinds: Vec<Kind>,
    /// Stream to show, `*` for any characters. May be repeated; all without it.
    #[arg(long = "stream", value_name = "STREAM")]
    pub(crate) streams: Vec<String>,
    /// End after so many frames.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) limit: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Smoke {
    /// Configuration with a `telemetry:` block.
    #[arg(long)]
    pub(crate) config: PathBuf,
    /// Keep sending and watching for so long (`30s`, `5m`).
    #[arg(long, value_parser = duration, default_value = "5s")]
    pub(crate) watch: Duration,
    /// Override a key. May be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Print the findings and the transport status as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Spill {
    /// What waits for which sink, and how the folder was left. Changes nothing.
    Status(SpillArgs),
    /// Read every segment from end to end; exit 1 where something is damaged. Changes nothing.
    Check(SpillArgs),
    /// Write the records that some sink has not settled to standard output, oldest first. Changes nothing.
    Export(SpillExport),
    /// What it takes to make the folder whole; done only with --apply.
    Repair(SpillRepair),
}

#[derive(Debug, Args)]
pub(crate) struct SpillArgs {
    /// The folder: `buffer.spill.path` of the configuration.
    #[arg(long, value_name = "DIR")]
    pub(crate) path: PathBuf,
    /// Print the findings as JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SpillExport {
    /// The folder: `buffer.spill.path` of the configuration.
    #[arg(long, value_name = "DIR")]
    pub(crate) path: PathBuf,
    /// Only what this sink has not settled.
    #[arg(long, value_name = "NAME")]
    pub(crate) sink: Option<String>,
    /// Wrap each record: its position, the sinks that owe it, and the line.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SpillRepair {
    #[command(flatten)]
    pub(crate) spill: SpillArgs,
    /// Do it. Refused while a program uses the folder.
    #[arg(long)]
    pub(crate) apply: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Certs {
    /// Folder for ca.pem, server.pem, server.key, client.pem and client.key.
    #[arg(long)]
    pub(crate) out: PathBuf,
}

/// `500ms`, `30s`, `5m`, `2h`, or seconds without a unit.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: f64 = digits.parse().map_err(|_| format!("`{text}` is no duration; write 500ms, 30s, 5m or 2h"))?;
    let factor = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        unit => return Err(format!("unknown unit `{unit}`; write ms, s, m or h")),
    };
    Duration::try_from_secs_f64(number * factor).map_err(|e| format!("`{text}`: {e}"))
}
