//! Prints how long it takes to verify 10,000 entries, as a log and as a bundle.
//!
//! ```sh
//! cargo run --release -p townlet-registry --example figures
//! ```

use std::error::Error;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use serde::Serialize;
use townlet_registry::{
    Bundle, Digest, Envelope, KeyRing, Predicate, Registry, Role, Signer, Statement, Subject, Time, TrustedKey,
};

const ENTRIES: u32 = 10_000;
const ROUNDS: usize = 7;

/// About as large as a decision of a gate.
#[derive(Serialize)]
struct Decision {
    number: u32,
    reasons: Vec<String>,
}

impl Predicate for Decision {
    const TYPE: &'static str = "https://example.com/decision/v1";
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("townlet-registry-figures-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let measured = measure(&folder);
    std::fs::remove_dir_all(&folder)?;
    measured
}

fn measure(folder: &std::path::Path) -> Result<(), Box<dyn Error>> {
    let now = Time::from_ms(1_795_276_800_000);
    let (gate, log) = (Signer::from_seed(&[1; 32]), Signer::from_seed(&[2; 32]));
    let mut ring = KeyRing::new();
    for (signer, person, role) in [(&gate, "gate", "gate"), (&log, "log", Role::LOG)] {
        ring.trust(TrustedKey {
            public: signer.public(),
            person: person.to_owned(),
            roles: [Role::new(role)?].into(),
            from: now,
            until: None,
            revoked: None,
        })?;
    }
    let mut registry = Registry::create(&folder.join("registry.db"), "figures.example/log")?;
    let envelope = |number: u32| {
        let reasons = (0..8).map(|reason| format!("reason {reason} of decision {number}")).collect();
        let subject = Subject::new(format!("release-{number}"), Digest::of(&number.to_le_bytes()));
        Envelope::sign(&Statement::about(subject, Decision { number, reasons }), &gate)
    };
    let envelopes = (0..ENTRIES).map(envelope).collect::<Result<Vec<_>, _>>()?;
    let one = time(|| Ok(registry.append(&envelopes[0], now)?))?;
    registry.append_all(&envelopes, now)?;
    let checkpoint = registry.checkpoint(&log, now)?;
    let bytes = registry.bundle_all()?.to_bytes();

    let file = median(|| {
        let report = registry.verify(&ring, Some(&checkpoint))?;
        if report.findings.is_empty() { Ok(()) } else { Err(format!("{:?}", report.findings).into()) }
    })?;
    let tree = median(|| {
        let report = registry.verify_tree(&ring, Some(&checkpoint))?;
        if report.findings.is_empty() { Ok(()) } else { Err(format!("{:?}", report.findings).into()) }
    })?;
    let vetted = registry.verify(&ring, Some(&checkpoint))?.to_keep(&ring)?.ok_or("a log that is not sound")?;
    let again = median(|| {
        let report = registry.verify_since(&ring, Some(&checkpoint), &vetted)?;
        if report.findings.is_empty() { Ok(()) } else { Err(format!("{:?}", report.findings).into()) }
    })?;
    let bundle = median(|| Ok(Bundle::parse(&bytes)?.verify(&ring, Some(&checkpoint)).map(drop)?))?;
    let single = median(|| Ok(ring.verify(&envelopes[0], now).map(drop)?))?;
    let mut out = io::stdout();
    writeln!(out, "one durable append:                     {one:?}")?;
    writeln!(out, "one envelope verified:                  {single:?}")?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    writeln!(out, "on {cores} threads, the median of {ROUNDS}:")?;
    writeln!(out, "{ENTRIES} entries, tree and checkpoint:    {tree:?}")?;
    writeln!(out, "{ENTRIES} entries, signatures known:       {again:?}")?;
    writeln!(out, "{ENTRIES} entries, every signature, too:   {file:?}")?;
    writeln!(out, "{ENTRIES} entries, as a bundle, the same:  {bundle:?} ({} bytes)", bytes.len())?;
    Ok(())
}

fn time<T>(work: impl FnOnce() -> Result<T, Box<dyn Error>>) -> Result<Duration, Box<dyn Error>> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

fn median(mut work: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<Duration, Box<dyn Error>> {
    let mut times = (0..ROUNDS).map(|_| time(&mut work)).collect::<Result<Vec<_>, _>>()?;
    times.sort();
    Ok(times[ROUNDS / 2])
}
