//! `townlet simulate`: a town with the telemetry of a configuration.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use townlet_config::{Factories, Identity, TelemetryConfig};
use townlet_pipeline::{DropReason, FinalStatement, Telemetry};
use townlet_sim::{Host, World, WorldOptions};

use crate::args::Simulate;
use crate::exit::{Exit, Failure};
use crate::out::remark;
use crate::setup::Ended;
use crate::{account, collect, setup, tap};

pub(crate) fn run(args: &Simulate) -> anyhow::Result<Exit> {
    let pace = Duration::try_from_secs_f64(args.tick_ms / 1000.0)
        .map_err(|error| Failure::usage(format_args!("--tick-ms {}: {error}", args.tick_ms)))?;
    let factories = setup::factories();
    let mut config = match &args.config {
        Some(path) => setup::load_or_explain(path, &args.set, &factories)?.config,
        None => setup::loader(&args.set, &factories).load_str("(defaults)", "").map_err(Failure::usage)?.config,
    };
    if let Some(path) = &args.telemetry_path {
        config.sinks = setup::capture_sinks(path, &factories)?;
    }
    let mut identity = setup::identity_of_seed(args.seed);
    if !args.deterministic && config.sinks.iter().any(|sink| sink.buffer.spill.is_some()) {
        // What the next run delivers of this one must not look like its own.
        identity = Identity { seed: Some(args.seed), ..setup::identity_now() };
    }
    let telemetry = setup::start(&config, &factories, &identity)?;
    let _console = tap::open_console(&args.console, &telemetry)?;
    let options = WorldOptions {
        seed: args.seed,
        agents: args.agents,
        narration: setup::narration(&config),
        ..WorldOptions::default()
    };
    let mut host = Host::new(World::new(options), telemetry.clone())?;
    if args.deterministic {
        host = host.without_health();
    }
    let signals = collect::signals(&[SIGINT, SIGTERM, SIGHUP])?;
    let bar = setup::progress(args.ticks, "ticks");
    let started = Instant::now();
    let mut ran = 0;
    // By a validator in mode `raise`, which ends the town: what it had said before is delivered all the same.
    let mut refused = None;
    for n in 0..args.ticks {
        if let Err(error) = host.tick() {
            refused = Some(error);
            break;
        }
        ran = n + 1;
        bar.inc(1);
        let next = pace.saturating_mul(u32::try_from(ran).unwrap_or(u32::MAX));
        match signals.recv_timeout(next.saturating_sub(started.elapsed())) {
            Ok(SIGHUP) => reload(args, &telemetry, &mut config, &factories, &identity),
            Ok(_) => break,
            Err(_) => {}
        }
    }
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    let Ended { status, spills, books } = setup::end(&telemetry, &config);
    remark!("Completed {ran} ticks in {seconds:.2} s ({:.0} ticks/sec)", ran as f64 / seconds.max(1e-9));
    remark!("{}", account::table(&telemetry, &books));
    let shed = books.sinks.iter().any(|(_, s)| s.account.dropped_for(DropReason::Backpressure) > 0);
    if shed && args.tick_ms == 0.0 {
        remark!("the town outran a sink: pace it with --tick-ms, or set worker.backpressure to block");
    }
    if let Some(error) = &refused {
        remark!("townlet: tick {} was refused: {error}", ran + 1);
    }
    if let Some(path) = &args.status_path {
        let mut json = setup::status_json(&status, &books);
        if spills.as_array().is_some_and(|all| !all.is_empty()) {
            json["spills"] = spills;
        }
        let letters = telemetry.dead_letters();
        if !letters.is_empty() {
            json["dead_letters"] = serde_json::to_value(letters)?;
        }
        let json = serde_json::to_string_pretty(&json)?;
        std::fs::write(path, json + "\n").with_context(|| format!("writing {}", path.display()))?;
    }
    // A sink that is away is no fault of the town; a capture is what was asked for.
    let lost = match &args.telemetry_path {
        Some(path) => not_captured(&books, path),
        None => false,
    };
    Ok(if books.residual() == 0 && !lost && refused.is_none() { Exit::Yes } else { Exit::No })
}

/// True where the file of a capture did not get everything that the transforms let through.
fn not_captured(books: &FinalStatement, path: &Path) -> bool {
    use DropReason::{Backpressure, BlockTimeout, SinkClosed, UnackedAtShutdown, UndeliveredAtShutdown};
    let reasons = [Backpressure, BlockTimeout, SinkClosed, UnackedAtShutdown, UndeliveredAtShutdown];
    let of = |reason| books.sinks.iter().map(|(_, s)| s.account.dropped_for(reason)).sum::<u64>();
    let lost: u64 = reasons.into_iter().map(of).sum();
    if lost > 0 {
        remark!("{lost} lines are not in {}", path.display());
    }
    lost > 0
}

/// SIGHUP: reads the configuration again, and takes over what can be without a restart.
fn reload(
    args: &Simulate,
    telemetry: &Telemetry,
    config: &mut TelemetryConfig,
    factories: &Factories,
    identity: &Identity,
) {
    let Some(path) = &args.config else {
        remark!("nothing to reload: there is no --config");
        return;
    };
    let mut next = match setup::load(path, &args.set, factories) {
        Ok(loaded) => loaded,
        Err(diagnostics) => {
            remark!("{} was not taken over; the running configuration holds\n{diagnostics}", path.display());
            return;
        }
    };
    if args.telemetry_path.is_some() {
        // The sinks of the file are not those in use.
        next.config.sinks.clone_from(&config.sinks);
    }
    match townlet_config::reload(telemetry, config, &next.config, factories, identity) {
        Ok(reloaded) => {
            let (replaced, retuned) = (list(&reloaded.replaced), list(&reloaded.retuned));
            remark!("{} reloaded; other transports: {replaced}; other limits: {retuned}", path.display());
            next.waiting(&reloaded).iter().for_each(|waits| remark!("{waits}"));
            *config = reloaded.config;
        }
        Err(error) => remark!("{} was not taken over; the running configuration holds: {error}", path.display()),
    }
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
