//! `townlet spill`: what lies in a spill folder, and making it whole.
//!
//! All but `repair --apply` only read, also while a program uses the folder.
//! What such a program is writing can look unfinished or gone for a moment;
//! damage counts only where a second look finds it too.

use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use serde_json::{Value, json};
use townlet_spill::{Damage, Inspection, OsDisk, RepairPlan, RepairStep, SegmentCheck, StateFound};
use townlet_spill::{check, export, inspect, repair};

use crate::args::{Spill, SpillArgs, SpillExport, SpillRepair};
use crate::exit::{Exit, Failure};
use crate::out::say;

pub(crate) fn run(what: &Spill) -> anyhow::Result<Exit> {
    match what {
        Spill::Status(args) => status(args),
        Spill::Check(args) => check_all(args),
        Spill::Export(args) => export_live(args),
        Spill::Repair(args) => repair_folder(args),
    }
}

fn disk(path: &Path) -> OsDisk {
    OsDisk::new(path)
}

fn reading(path: &Path) -> String {
    format!("reading {}", path.display())
}

fn look(path: &Path) -> anyhow::Result<Inspection> {
    inspect(&mut disk(path)).with_context(|| reading(path))
}

/// The damage that is still there at a second look.
fn persistent(first: Vec<Damage>, second: &[Damage]) -> Vec<Damage> {
    first.into_iter().filter(|damage| second.contains(damage)).collect()
}

fn status(args: &SpillArgs) -> anyhow::Result<Exit> {
    let mut found = look(&args.path)?;
    if !found.damage.is_empty() || found.state == StateFound::Rebuilt {
        let mut second = look(&args.path)?;
        second.damage = persistent(found.damage, &second.damage);
        found = second;
    }
    let account = found.extra.as_deref().and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok());
    let bytes: u64 = found.segments.iter().map(|segment| segment.len).sum();
    let sound = found.damage.is_empty() && found.state != StateFound::Rebuilt && found.quarantined.is_empty();
    if args.json {
        let sinks = found.sinks.iter().map(|sink| {
            json!({
                "name": sink.name, "waiting": sink.backlog.records, "waiting_bytes": sink.backlog.bytes,
                "exact": sink.backlog.exact, "settled_before": sink.settled.get(),
            })
        });
        let report = json!({
            "path": args.path, "sound": sound, "state": word(found.state), "sinks": sinks.collect::<Value>(),
            "segments": found.segments.len(), "segment_bytes": bytes, "next": found.next.get(),
            "behind_checkpoint": found.tail_records, "unfinished_bytes": found.torn_bytes,
            "damage": damages(&found.damage), "quarantined": names(&found), "account": account,
        });
        say!("{}", serde_json::to_string_pretty(&report)?)?;
        return Ok(verdict(sound));
    }
    say!("{}: {}", args.path.display(), phrase(found.state))?;
    for sink in &found.sinks {
        let about = if sink.backlog.exact { "" } else { "at least " };
        say!("  sink {}: {about}{} records wait, {} bytes", sink.name, sink.backlog.records, sink.backlog.bytes)?;
    }
    say!(
        "  {} segments, {bytes} bytes; {} records behind the checkpoint, {} bytes of an unfinished write",
        found.segments.len(),
        found.tail_records,
        found.torn_bytes
    )?;
    if let Some(account) = account {
        say!("  last account: {}", of_account(&account))?;
    }
    for damage in &found.damage {
        say!("  damaged: {}", of_damage(damage))?;
    }
    for file in &found.quarantined {
        say!("  put aside: {} ({} bytes)", file.name, file.len)?;
    }
    Ok(verdict(sound))
}

fn check_all(args: &SpillArgs) -> anyhow::Result<Exit> {
    let once = || -> anyhow::Result<(Vec<SegmentCheck>, RepairPlan)> {
        let segments = check(&mut disk(&args.path)).with_context(|| reading(&args.path))?;
        Ok((segments, repair(&mut disk(&args.path)).with_context(|| reading(&args.path))?))
    };
    let (mut segments, mut plan) = once()?;
    if !whole(&segments, &plan) {
        let (again, second) = once()?;
        let found: Vec<Damage> = again.iter().flat_map(|segment| segment.damage.iter().cloned()).collect();
        for segment in &mut segments {
            segment.damage = persistent(std::mem::take(&mut segment.damage), &found);
        }
        plan.steps.retain(|step| second.steps.contains(step));
    }
    let sound = whole(&segments, &plan);
    let lost: u64 = segments.iter().flat_map(|s| &s.damage).map(|d| d.records_at_most).fold(0, u64::saturating_add);
    let records: u64 = segments.iter().map(|segment| segment.records).sum();
    if args.json {
        let each = segments.iter().map(|segment| {
            json!({
                "segment": segment.name, "records": segment.records, "bytes": segment.bytes,
                "damage": damages(&segment.damage),
            })
        });
        let report = json!({
            "path": args.path, "sound": sound, "records": records, "lost_at_most": lost,
            "segments": each.collect::<Value>(), "steps": steps(&plan),
        });
        say!("{}", serde_json::to_string_pretty(&report)?)?;
        return Ok(verdict(sound));
    }
    for segment in &segments {
        let state = if segment.damage.is_empty() { "ok     " } else { "DAMAGED" };
        say!("{state} {}: {} records, {} bytes", segment.name, segment.records, segment.bytes)?;
        for damage in &segment.damage {
            say!("        {}", of_damage(damage))?;
        }
    }
    for step in plan.steps.iter().filter(|step| !is_usual(step)) {
        say!("repair: {step}")?;
    }
    say!("{records} records in {} segments; at most {lost} lost", segments.len())?;
    Ok(verdict(sound))
}

fn export_live(args: &SpillExport) -> anyhow::Result<Exit> {
    let sinks = look(&args.path)?.sinks;
    let wanted = match &args.sink {
        None => u64::MAX,
        Some(name) => sinks.iter().find(|sink| sink.name == *name).map(|sink| sink.bit).ok_or_else(|| {
            let known: Vec<&str> = sinks.iter().map(|sink| sink.name.as_str()).collect();
            Failure::usage(format!("{} has no sink `{name}`; it has: {}", args.path.display(), known.join(", ")))
        })?,
    };
    let mut out = BufWriter::new(io::stdout().lock());
    let mut written = Ok(());
    let reports = export(&mut disk(&args.path), |record| {
        if record.owing & wanted == 0 || written.is_err() {
            return;
        }
        written = if args.json {
            let owing = sinks.iter().filter(|sink| sink.bit & record.owing != 0).map(|sink| sink.name.as_str());
            let body = String::from_utf8_lossy(record.body);
            let owing: Vec<&str> = owing.collect();
            let line = json!({ "position": record.position.get(), "owing": owing, "line": body.trim_end() });
            writeln!(out, "{line}")
        } else {
            let end: &[u8] = if record.body.ends_with(b"\n") { b"" } else { b"\n" };
            out.write_all(record.body).and_then(|()| out.write_all(end))
        };
    })
    .with_context(|| reading(&args.path))?;
    match written.and_then(|()| out.flush()) {
        // The reader wants no more of it.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        written => written.context("writing the records")?,
    }
    Ok(verdict(reports.iter().all(|report| report.damage.is_empty())))
}

fn repair_folder(args: &SpillRepair) -> anyhow::Result<Exit> {
    let path = &args.spill.path;
    let plan = repair(&mut disk(path)).with_context(|| reading(path))?;
    if !args.apply {
        let whole = plan.steps.is_empty();
        if args.spill.json {
            let report = json!({ "path": path, "applied": false, "steps": steps(&plan) });
            say!("{}", serde_json::to_string_pretty(&report)?)?;
        } else {
            for step in &plan.steps {
                say!("would {step}")?;
            }
            let advice = if whole { "nothing to do" } else { "nothing was done; --apply does it" };
            say!("{}: {advice}", path.display())?;
        }
        return Ok(verdict(whole));
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let done = plan.apply(Box::new(disk(path)), now).with_context(|| format!("repairing {}", path.display()))?;
    if args.spill.json {
        let report = json!({
            "path": path, "applied": true, "steps": of_steps(&done.steps), "lost_at_most": done.lost_at_most(),
        });
        say!("{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        for step in &done.steps {
            say!("{step}: done")?;
        }
        say!("{}: whole; at most {} records lost", path.display(), done.lost_at_most())?;
    }
    Ok(Exit::Yes)
}

fn verdict(sound: bool) -> Exit {
    if sound { Exit::Yes } else { Exit::No }
}

/// What a crash, or a clean end, leaves behind is no finding.
fn is_usual(step: &RepairStep) -> bool {
    matches!(step, RepairStep::Remove { .. } | RepairStep::Truncate { .. })
}

fn whole(segments: &[SegmentCheck], plan: &RepairPlan) -> bool {
    segments.iter().all(|segment| segment.damage.is_empty()) && plan.steps.iter().all(is_usual)
}

fn word(state: StateFound) -> &'static str {
    match state {
        StateFound::Fresh => "fresh",
        StateFound::Good => "good",
        StateFound::Older => "older",
        StateFound::Rebuilt => "rebuilt",
    }
}

fn phrase(state: StateFound) -> &'static str {
    match state {
        StateFound::Fresh => "there is no checkpoint yet",
        StateFound::Good => "the last checkpoint is good",
        StateFound::Older => "one slot of the state file is damaged, the other is good",
        StateFound::Rebuilt => "the state file cannot be read: every sink will begin with the oldest record",
    }
}

fn of_damage(damage: &Damage) -> String {
    let Damage { segment, offset, bytes, records_at_most } = damage;
    format!("{segment} at {offset}: {bytes} bytes, at most {records_at_most} records lost")
}

fn damages(all: &[Damage]) -> Value {
    let each = all.iter().map(|damage| {
        json!({
            "segment": damage.segment, "offset": damage.offset, "bytes": damage.bytes,
            "lost_at_most": damage.records_at_most,
        })
    });
    each.collect()
}

fn steps(plan: &RepairPlan) -> Value {
    of_steps(&plan.steps)
}

fn of_steps(steps: &[RepairStep]) -> Value {
    steps.iter().map(|step| Value::from(step.to_string())).collect()
}

fn names(found: &Inspection) -> Value {
    found.quarantined.iter().map(|file| Value::from(file.name.as_str())).collect()
}

/// The account that the pipeline stored, or what else is there.
fn of_account(account: &Value) -> String {
    let Some(run) = account["run_id"].as_str() else { return account.to_string() };
    let end = if account["ended"] == true { "it ended" } else { "it has not ended, or was killed" };
    let number = |key: &str| account[key].as_u64().unwrap_or_default();
    format!(
        "run {run}: accepted {}, delivered {}, dropped {}; {end}",
        number("accepted"),
        number("delivered"),
        number("dropped")
    )
}
