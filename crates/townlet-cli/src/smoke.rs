//! `townlet smoke`: the post-deployment checks of the release checklist, as a
//! machine would do them, on the real endpoints of a configuration.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use townlet_pipeline::Telemetry;
use townlet_schema::{Json, TransportStatus};

use crate::args::Smoke;
use crate::exit::{Exit, Failure};
use crate::out::say;
use crate::setup::{self, Ended};

/// Between two probe events.
const BEAT: Duration = Duration::from_millis(100);

/// One item of the checklist.
#[derive(serde::Serialize)]
struct Finding {
    check: String,
    passed: bool,
    evidence: String,
}

pub(crate) fn run(args: &Smoke) -> anyhow::Result<Exit> {
    let factories = setup::factories();
    let loaded = setup::load_or_explain(&args.config, &args.set, &factories)?;
    let telemetry = setup::start(&loaded.config, &factories, &setup::identity_now())?;
    watch(&telemetry, args.watch)?;
    let Ended { status: before, books, .. } = setup::end(&telemetry, &loaded.config);
    let after = telemetry.latest_transport_status();

    let mut findings = Vec::new();
    let mut check =
        |name: String, passed: bool, evidence: String| findings.push(Finding { check: name, passed, evidence });
    let others = before.sinks.iter().map(|(name, status)| (name.as_str(), status, after.sinks.get(name)));
    let all: Vec<(&str, &TransportStatus, Option<&TransportStatus>)> =
        std::iter::once(("main", &before, Some(&after))).chain(others).collect();
    for (name, status, end) in all {
        check(
            format!("{name}: connected"),
            status.connected,
            format!("peer {}", status.peer.as_deref().unwrap_or("none")),
        );
        check(
            format!("{name}: nothing dropped"),
            end.is_some_and(|e| e.dropped_messages == 0),
            end.map_or_else(|| "no status".into(), |end| dropped(&end.dropped)),
        );
        check(
            format!("{name}: no error"),
            status.last_error.is_none(),
            status.last_error.clone().unwrap_or("none".into()),
        );
        check(
            format!("{name}: no retry"),
            status.send_failures_total == 0,
            format!("{} failed attempts", status.send_failures_total),
        );
        check(
            format!("{name}: worker alive"),
            status.worker_alive && status.worker_error.is_none(),
            format!(
                "restarts {}, error {}",
                status.worker_restart_count,
                status.worker_error.as_deref().unwrap_or("none")
            ),
        );
        let tls = status.provider != "tcp" || status.tls_enabled || status.allow_plaintext;
        check(
            format!("{name}: TLS as configured"),
            tls,
            format!("provider {}, tls_enabled {}", status.provider, status.tls_enabled),
        );
        let delivered = end.is_some_and(|e| e.delivered == e.accepted && e.accepted > 0);
        check(
            format!("{name}: everything delivered"),
            delivered,
            format!("{} of {} at {}", end.map_or(0, |e| e.delivered), end.map_or(0, |e| e.accepted), status.settle_at),
        );
    }
    check("books balance".into(), books.residual() == 0, format!("residual {}", books.residual()));
    report(args, &findings, &after)
}

/// By reason, as words.
fn dropped(by_reason: &BTreeMap<String, u64>) -> String {
    let words: Vec<String> = by_reason.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    if words.is_empty() { "0".into() } else { words.join(", ") }
}

/// Sends a probe event per beat until the time is over.
fn watch(telemetry: &Telemetry, time: Duration) -> anyhow::Result<()> {
    let bar = setup::progress(time.as_secs().max(1), "watching");
    let started = Instant::now();
    let (_never, pause) = std::sync::mpsc::channel::<()>();
    for tick in 1u64.. {
        telemetry.emit_named("smoke.probe", tick, Json::from(tick)).map_err(Failure::usage)?;
        // Even where no time is given one event goes out: without any nothing is proved.
        if started.elapsed() >= time {
            break;
        }
        bar.set_position(started.elapsed().as_secs());
        let _ = pause.recv_timeout(BEAT);
    }
    bar.finish_and_clear();
    Ok(())
}

fn report(args: &Smoke, findings: &[Finding], status: &TransportStatus) -> anyhow::Result<Exit> {
    let failed = findings.iter().filter(|f| !f.passed).count();
    if args.json {
        let json = serde_json::json!({ "passed": failed == 0, "checks": findings, "transport": status });
        say!("{}", serde_json::to_string_pretty(&json)?)?;
    } else {
        for finding in findings {
            say!("{} {}: {}", if finding.passed { "ok  " } else { "FAIL" }, finding.check, finding.evidence)?;
        }
        say!("{} passed, {failed} failed", findings.len() - failed)?;
    }
    Ok(if failed == 0 { Exit::Yes } else { Exit::No })
}
