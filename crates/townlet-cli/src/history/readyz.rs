//! `townlet readyz`: ask a service for a while whether it is ready, and keep that as evidence.

use std::path::PathBuf;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use clap::Args;
use townlet_history::readyz::{Probe, Summary, read};
use townlet_history::statement::ReadyzHistory;
use townlet_http::{PostOptions, Poster, Security, Target};
use townlet_policy::parse_duration;
use townlet_registry::{Digest, Subject};
use townlet_tls::{ClientOptions, PlaintextFlags};

use crate::collect::stop_signal;
use crate::exit::{Exit, Failure};
use crate::out::{remark, say};
use crate::release::{Signing, failure, now, read_manifest};

/// Of an answer, so much is read.
const BODY: u64 = 64 * 1024;

#[derive(Debug, Args)]
pub(crate) struct Readyz {
    /// What to ask, with GET: https://… or, on this machine, http://…
    url: String,
    /// Where that is.
    #[arg(long)]
    env: String,
    /// The manifest of the release that it speaks for.
    #[arg(long, value_name = "FILE")]
    manifest: Option<PathBuf>,
    /// How often (`1s`, `10s`).
    #[arg(long, value_parser = parse_duration, default_value = "10s")]
    every: Duration,
    /// For how long; an interrupt ends it earlier, and what was seen until then is kept.
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration, default_value = "1m")]
    lasting: Duration,
    /// How long an answer is waited for.
    #[arg(long, value_parser = parse_duration, default_value = "5s")]
    timeout: Duration,
    /// The authorities to believe, PEM; those of the platform without it.
    #[arg(long, value_name = "FILE")]
    ca_file: Option<PathBuf>,
    #[command(flatten)]
    signing: Signing,
}

pub(crate) fn readyz(args: &Readyz) -> anyhow::Result<Exit> {
    if args.every.is_zero() || args.timeout.is_zero() {
        return Err(Failure::usage("--every and --timeout are above zero"));
    }
    let about = match &args.manifest {
        None => None,
        Some(path) => {
            let manifest = read_manifest(path)?;
            Some(Subject::new(&manifest.release, manifest.digest().map_err(failure)?))
        }
    };
    let hand = args.signing.hand(now())?;
    let target = Target::parse(&args.url).map_err(Failure::usage)?;
    let url = target.shown();
    let mut poster = Poster::new(options(args, target)?).map_err(Failure::usage)?;
    let raw: String = probe(args, &mut poster)?.iter().map(Probe::line).collect();
    // Read back as everybody else will.
    let probes = read(raw.as_bytes())?;
    let summary = Summary::of(&probes).ok_or_else(|| anyhow::anyhow!("interrupted before the first answer"))?;
    let mut registry = args.signing.registry()?;
    registry.store(raw.as_bytes()).map_err(failure)?;
    let digest = Digest::of(raw.as_bytes());
    let mut subjects = vec![Subject::new("readyz", digest)];
    subjects.extend(about);
    let (always, never) = (summary.always_ready(), summary.unanswered == summary.probes);
    let said = format!(
        "ready {} of {} times; longest without {:.1} s",
        summary.ready,
        summary.probes,
        Duration::from_millis(summary.longest_unready_ms).as_secs_f64()
    );
    let (environment, actor) = (args.env.clone(), hand.person.clone());
    let history = ReadyzHistory { environment, url, summary, raw: digest, actor, at: now() };
    let name = hand.say_about(&mut registry, subjects, history)?;
    remark!("{said}");
    say!("{name}")?;
    Ok(match (always, never) {
        (true, _) => Exit::Yes,
        (false, true) => Exit::Unavailable,
        (false, false) => Exit::No,
    })
}

fn options(args: &Readyz, target: Target) -> anyhow::Result<PostOptions> {
    let security = if target.is_secure() {
        Security::Tls(ClientOptions { ca_file: args.ca_file.clone(), ..ClientOptions::default() })
    } else {
        // To another machine it is refused all the same.
        let flags = PlaintextFlags { allow_plaintext: true, dev_allow_plaintext: true };
        target.plaintext(flags).map_err(Failure::usage)?
    };
    Ok(PostOptions { security, connect_timeout: args.timeout, ..PostOptions::new(target) })
}

/// Asks until the time is over. The pauses are counted from the first question, so that slow answers do not thin it out.
fn probe(args: &Readyz, poster: &mut Poster) -> anyhow::Result<Vec<Probe>> {
    let stop = stop_signal()?;
    let start = Instant::now();
    let mut probes: Vec<Probe> = Vec::new();
    loop {
        let (asked_at, asked) = (now(), Instant::now());
        let answer = poster.get(BODY, asked + args.timeout);
        let elapsed = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
        let probe = match &answer {
            Ok(answer) => Probe::answered(asked_at, elapsed, answer.status, answer.body.as_deref().unwrap_or_default()),
            Err(error) => Probe::unanswered(asked_at, elapsed, &error.to_string()),
        };
        tracing::info!(ready = probe.ready, status = probe.status, "readyz_probe");
        // Where the clock was set back, nothing is known of this one's place.
        if probes.last().is_none_or(|last| last.at < probe.at) {
            probes.push(probe);
        }
        let spent = start.elapsed();
        let turns = u32::try_from(spent.as_nanos() / args.every.as_nanos().max(1)).unwrap_or(u32::MAX);
        let next = args.every.saturating_mul(turns.saturating_add(1));
        if next > args.lasting {
            return Ok(probes);
        }
        match stop.recv_timeout(next.saturating_sub(spent)) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(_) | Err(RecvTimeoutError::Disconnected) => return Ok(probes),
        }
    }
}
