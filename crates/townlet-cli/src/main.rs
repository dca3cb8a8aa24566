//! The `townlet` command: arguments in, output and exit codes out. Everything
//! that it does is in the crates below.

mod account;
mod args;
mod certs;
mod collect;
mod collect_nats;
mod demo;
mod exit;
mod follow;
mod history;
mod inspect;
mod keys;
mod latency;
mod lint;
mod out;
mod readiness;
mod registry;
mod rehearse;
mod release;
mod replay;
mod rollout;
mod setup;
mod simulate;
mod smoke;
mod spill;
mod stream;
mod tap;
mod telling;
mod test;
mod validate;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::args::{Cli, Command};
use crate::exit::{Exit, Failure};
use crate::out::remark;

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(cli.verbose);
    let begun = Instant::now();
    let code = answer(&cli);
    if let Some(command) = latency::measured(&cli.command) {
        latency::keep(command, begun.elapsed());
    }
    code
}

fn answer(cli: &Cli) -> ExitCode {
    let result = match &cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Simulate(args) => simulate::run(args),
        Command::Collect(args) => collect::run(args),
        Command::Validate(args) => validate::run(args),
        Command::Lint(args) => lint::run(args),
        Command::Test(args) => test::run(args),
        Command::Inspect(args) => inspect::run(args),
        Command::Replay(args) => replay::run(args),
        Command::Tap(args) => tap::run(args),
        Command::Smoke(args) => smoke::run(args),
        Command::Spill(what) => spill::run(what),
        Command::Init(args) => release::init(args),
        Command::Release(args) => release::release(args),
        Command::Manifest(what) => release::manifest(what),
        Command::Approve(args) => release::approve(args),
        Command::Waive(args) => release::waive(args),
        Command::Attest(what) => release::attest(what),
        Command::Gate(args) => release::gate(args),
        Command::Deploy(what) => history::deploy(what),
        Command::Incident(what) => history::incident(what),
        Command::Readyz(args) => history::readyz(args),
        Command::ReleaseConfig(what) => history::release_config(what),
        Command::Dora(args) => history::dora(args),
        Command::Checklist(args) => history::checklist(args),
        Command::Explain(args) => release::explain(args),
        Command::Diff(args) => release::diff(args),
        Command::ReplayDecision(args) => release::replay(args),
        Command::Certs(args) => certs::run(args),
        Command::Readiness(what) => readiness::run(what),
        Command::Rehearse(args) => rehearse::run(args),
        Command::Keys(what) => keys::run(what),
        Command::Log(what) => registry::log(what),
        Command::Bundle(args) => registry::bundle(args),
        Command::Verify(args) => registry::verify(args),
        Command::Plan(args) => rollout::plan(args),
        Command::Backtest(args) => rollout::backtest(args),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            let exit = error.downcast_ref::<Failure>().map_or(Exit::Unavailable, |f| f.exit);
            remark!("townlet: {}", exit::told(&error));
            exit.into()
        }
    }
}

/// Logs go to standard error, so that standard output carries data alone. Warnings
/// by default; `RUST_LOG` overrides `-v`.
fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
}
