//! The checks, in the order in which they run. Each is one question of the checklist and one answer.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Verdict::{self, Passed, Skipped};
use super::configs;
use super::ground::{Ground, RUN, dead_port, delivered_frames};
use crate::process;
use crate::samples;
use crate::townlet::{Report, exit};

type Check = fn(&mut Ground) -> Result<Verdict>;

/// Name, what the checklist asks, and how it is answered.
pub(super) const ALL: &[(&str, &str, Check)] = &[
    ("tls_material", "TLS material is provisioned", tls_material),
    ("configs_load", "transport configuration is valid for its environment", configs_load),
    ("plaintext_refused", "plaintext needs both flags and a loopback end point", plaintext_refused),
    ("buffer_fits_cadence", "buffer limits are checked against the tick cadence", buffer_fits_cadence),
    ("transport_file", "the file sink holds every delivered frame", transport_file),
    ("client_parse", "a client parses the stream, a state a tick", client_parse),
    ("transport_stdout", "the stdout sink writes whole lines, its log goes elsewhere", transport_stdout),
    ("collector_listens", "the end point is there", collector_listens),
    ("tls_validate", "handshake, chain, host name and expiry, seen by our client", tls_validate),
    ("tls_openssl", "handshake, chain and host name, seen by openssl s_client", tls_openssl),
    ("tls_unknown_authority", "a certificate of an unknown authority is refused", tls_unknown_authority),
    ("transport_tls", "connected, nothing dropped, no error, worker alive, TLS on", transport_tls),
    ("no_warnings", "no retry warning and no TLS error in the log", no_warnings),
    ("post_deployment", "the post-deployment checks pass on the live end point", post_deployment),
    ("plaintext_peer", "the TLS end point takes nothing from a plaintext peer", plaintext_peer),
    ("collector_account", "the collector holds every frame that was called delivered", collector_account),
    ("drop_accounting", "with a dead collector every drop is counted, the loop goes on", drop_accounting),
    ("rollback", "switching back to the previous transport works", rollback),
    ("sample_capture", "a fresh sample is captured, and again with the same bytes", sample_capture),
    ("sample_parity", "the fresh sample does not drift from the committed one", sample_parity),
    ("config_diff", "the change of configuration is archived", config_diff),
];

/// The log events that an operator watches for.
const RETRY_EVENT: &str = "telemetry_transport_retry";
const TLS_ERROR_EVENT: &str = "telemetry_tls_error";

fn tls_material(ground: &mut Ground) -> Result<Verdict> {
    for authority in ["trusted", "stranger"] {
        ground.townlet.certs(&ground.certs(authority))?;
    }
    for name in ["ca.pem", "server.pem", "server.key", "client.pem", "client.key"] {
        let path = ground.certs("trusted").join(name);
        let text = std::fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
        ensure!(text.contains("-----BEGIN"), "{} is not PEM", path.display());
    }
    Ok(Passed("two authorities, each with server and client certificates".into()))
}

fn configs_load(ground: &mut Ground) -> Result<Verdict> {
    let stream = ground.out.join("telemetry_stream_sample.jsonl");
    let texts = [
        ("stdout", configs::stdout()),
        ("file", configs::file(&stream)),
        ("tls", configs::tls(9000, &ground.trusted())),
    ];
    for (name, text) in &texts {
        let config = ground.config(&format!("load_{name}"), text)?;
        ground.townlet.validate(&config, &[])?.expect_code(exit::YES, &format!("validate {name}"))?;
    }
    let unknown = configs::stdout().replace("  transport:", "  bufffer: 1\n  transport:");
    let config = ground.config("load_unknown_key", &unknown)?;
    let refused =
        ground.townlet.validate(&config, &[])?.expect_code(exit::BAD_CONFIG, "validate with an unknown key")?;
    ensure!(refused.text().contains("bufffer"), "the refusal does not name the key `bufffer`: {}", refused.text());
    Ok(Passed("stdout, file and tls load; an unknown key is refused by name".into()))
}

fn plaintext_refused(ground: &mut Ground) -> Result<Verdict> {
    let port = dead_port()?;
    let remote = configs::plaintext("collector.example:9000", true);
    let unacknowledged = configs::plaintext(&format!("127.0.0.1:{port}"), false);
    for (name, text, key) in
        [("remote", remote, "telemetry.transport.endpoint"), ("no_dev_flag", unacknowledged, "dev_allow_plaintext")]
    {
        let config = ground.config(&format!("plaintext_{name}"), &text)?;
        let refused =
            ground.townlet.validate(&config, &[])?.expect_code(exit::BAD_CONFIG, &format!("validate {name}"))?;
        ensure!(refused.text().contains(key), "the refusal does not name {key}: {}", process::tail(&refused.text()));
        // A host must not be able to skip what the validator says.
        let run = ground.townlet.simulate(&config, RUN, None, None)?;
        run.expect_code(exit::BAD_CONFIG, &format!("simulate {name}"))?;
    }
    Ok(Passed("exit code 2 for a remote host, and for loopback without dev_allow_plaintext".into()))
}

fn buffer_fits_cadence(ground: &mut Ground) -> Result<Verdict> {
    let cadence = ["--tick-ms", "250", "--bytes-per-tick", "12000"];
    let stream = ground.out.join("logs/starved.jsonl");
    let fits = ground.config("buffer_fits", &configs::paced(&stream))?;
    let starved = ground.config("buffer_starved", &configs::starved(&stream))?;
    let fits = ground.townlet.validate(&fits, &cadence)?.expect_code(exit::YES, "validate")?.text();
    let starved = ground.townlet.validate(&starved, &cadence)?.text();
    ensure!(!fits.contains("max_buffer_bytes"), "a warning where there should be none: {}", process::tail(&fits));
    ensure!(starved.contains("max_buffer_bytes"), "no warning for 1,024 bytes of buffer: {}", process::tail(&starved));
    Ok(Passed("12,000 bytes each 250 ms: the default fits, 1,024 bytes are warned of".into()))
}

fn transport_file(ground: &mut Ground) -> Result<Verdict> {
    let stream = ground.out.join("telemetry_stream_sample.jsonl");
    let outcome = ground.simulate("file", &configs::file(&stream))?;
    outcome.report.says("dropped_messages", 0)?;
    let frames = delivered_frames(&outcome.report, &std::fs::read(&stream)?)?;
    Ok(Passed(format!("{} frames delivered and on disk, dropped 0, residual 0", frames.distinct)))
}

fn client_parse(ground: &mut Ground) -> Result<Verdict> {
    let stream = ground.out.join("telemetry_stream_sample.jsonl");
    let inspection = ground.townlet.inspect(&stream)?;
    inspection.is_clean()?;
    let (snapshots, diffs) = (inspection.kind("snapshot"), inspection.kind("diff"));
    ensure!(snapshots + diffs == RUN.ticks, "{snapshots} snapshots and {diffs} diffs in {} ticks", RUN.ticks);
    let text = std::fs::read_to_string(&stream)?;
    let kind = |line: &str| Some(serde_json::from_str::<Value>(line).ok()?.get("payload_type")?.as_str()?.to_owned());
    let first_state = text.lines().filter_map(kind).find(|kind| kind == "snapshot" || kind == "diff");
    ensure!(first_state.as_deref() == Some("snapshot"), "the first state is {first_state:?}");
    Ok(Passed(format!("{} records: {snapshots} snapshots, {diffs} diffs, 0 invalid", inspection.records)))
}

fn transport_stdout(ground: &mut Ground) -> Result<Verdict> {
    let outcome = ground.simulate("stdout", &configs::stdout())?;
    let frames = delivered_frames(&outcome.report, &outcome.finished.stdout)?;
    Ok(Passed(format!("{} frames, every line JSON, residual 0", frames.distinct)))
}

fn collector_listens(ground: &mut Ground) -> Result<Verdict> {
    Ok(Passed(format!("listens on {}", ground.start_collector()?)))
}

fn tls_validate(ground: &mut Ground) -> Result<Verdict> {
    let config = ground.config("tls", &ground.tls_config()?)?;
    let answer = ground.townlet.validate(&config, &["--connect"])?.expect_code(exit::YES, "validate --connect")?;
    ensure!(answer.text().contains("localhost"), "it does not name the host that matched: {}", answer.text());
    Ok(Passed("validate --connect: handshake and host name `localhost`".into()))
}

fn tls_openssl(ground: &mut Ground) -> Result<Verdict> {
    let Some(answer) = ground.openssl("trusted")? else {
        return Ok(Skipped("no openssl on this machine; Debian: apt-get install openssl".into()));
    };
    let text = answer.expect_code(0, "openssl s_client")?.text();
    ensure!(text.contains("Verify return code: 0 (ok)"), "openssl does not say ok: {}", process::tail(&text));
    let stranger = ground.openssl("stranger")?.context("openssl is gone")?;
    ensure!(stranger.code != Some(0), "openssl accepts a certificate of another authority");
    let protocol = text.lines().find_map(|line| line.trim().strip_prefix("New, ")).unwrap_or("handshake").to_owned();
    Ok(Passed(format!("verify return code 0 ({protocol}); another authority is refused")))
}

fn tls_unknown_authority(ground: &mut Ground) -> Result<Verdict> {
    let port = ground.collector_address()?.port();
    let config = ground.config("tls_stranger", &configs::tls(port, &ground.certs("stranger").join("ca.pem")))?;
    let answer = ground.townlet.validate(&config, &["--connect"])?;
    let answer = answer.expect_code(exit::PEER_UNAVAILABLE, "validate --connect with another authority")?;
    Ok(Passed(format!("exit code 3: {}", process::tail(&answer.text()))))
}

fn transport_tls(ground: &mut Ground) -> Result<Verdict> {
    let outcome = ground.simulate("tls", &ground.tls_config()?)?;
    let report = &outcome.report;
    report.says("dropped_messages", 0)?;
    report.says("last_error", Value::Null)?;
    report.says("worker_error", Value::Null)?;
    report.says("worker_restart_count", 0)?;
    report.says("send_failures_total", 0)?;
    report.says("tls_enabled", true)?;
    report.says("connected", true)?;
    report.says("worker_alive", true)?;
    std::fs::write(ground.out.join("transport_snapshot.json"), serde_json::to_vec_pretty(&report.transport)?)?;
    Ok(Passed(format!("{} frames delivered over TLS, dropped 0, residual 0", report.statement.delivered)))
}

fn no_warnings(ground: &mut Ground) -> Result<Verdict> {
    let log = std::fs::read_to_string(ground.out.join("logs/tls.stderr.log")).context("not run: no TLS run")?;
    for event in [RETRY_EVENT, TLS_ERROR_EVENT] {
        ensure!(!log.contains(event), "the log holds {event}");
    }
    Ok(Passed(format!("{} log lines without {RETRY_EVENT} and {TLS_ERROR_EVENT}", log.lines().count())))
}

fn post_deployment(ground: &mut Ground) -> Result<Verdict> {
    let config = ground.config("tls", &ground.tls_config()?)?;
    ground.townlet.smoke(&config)?.expect_code(exit::YES, "townlet smoke")?;
    Ok(Passed("townlet smoke: exit code 0".into()))
}

fn plaintext_peer(ground: &mut Ground) -> Result<Verdict> {
    let mut peer = TcpStream::connect(ground.collector_address()?)?;
    peer.set_read_timeout(Some(Duration::from_secs(20)))?;
    peer.write_all(
        b"{\"schema_version\":\"1.0.0\",\"run_id\":\"intruder\",\"stream\":\"town\",\"seq\":1,\"tick\":1}\n",
    )?;
    let mut answer = Vec::new();
    // A reset is an answer too; only silence until the timeout is not.
    match peer.read_to_end(&mut answer) {
        Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
            anyhow::bail!("the collector kept a plaintext peer for 20 s")
        }
        _ => Ok(Passed("the connection was ended at once".into())),
    }
}

fn collector_account(ground: &mut Ground) -> Result<Verdict> {
    ground.stop_collector()?.expect_code(exit::YES, "the collector, after SIGTERM")?;
    let report = Report::read(&ground.out.join("logs/tls.status.json")).context("not run: no TLS run")?;
    let run = std::fs::read_to_string(ground.out.join("telemetry_stream_sample.jsonl"))?;
    let of_line = |line: &str| Some(serde_json::from_str::<Value>(line).ok()?.get("run_id")?.as_str()?.to_owned());
    let run_id = run.lines().find_map(of_line).context("the file stream names no run")?;
    let (mut bytes, files) = (Vec::new(), ground.received_files()?);
    for file in &files {
        for line in std::fs::read_to_string(file)?.split_inclusive('\n') {
            ensure!(!line.contains("\"intruder\""), "a plaintext peer's record was stored");
            // The same seed gives the same run id; `townlet smoke` sent records of a run of its own.
            if of_line(line).as_deref() == Some(&run_id) {
                bytes.extend_from_slice(line.as_bytes());
            }
        }
    }
    let frames = delivered_frames(&report, &bytes)?;
    Ok(Passed(format!("{} frames received of {} delivered, none missing", frames.distinct, report.statement.delivered)))
}

fn drop_accounting(ground: &mut Ground) -> Result<Verdict> {
    let config = configs::dead_collector(dead_port()?, &ground.trusted());
    let outcome = ground.simulate("dead_collector", &config)?;
    let statement = &outcome.report.statement;
    let dropped: u64 = statement.dropped.values().sum();
    ensure!(dropped > 0 && statement.delivered == 0, "dropped {dropped}, delivered {}", statement.delivered);
    // The status is that of the live pipeline; what the shutdown gave up is in the statement alone.
    let given_up: u64 =
        statement.dropped.iter().filter(|(reason, _)| reason.ends_with("_at_shutdown")).map(|(_, n)| n).sum();
    outcome.report.says("dropped_messages", dropped - given_up)?;
    outcome.report.says("connected", false)?;
    ensure!(outcome.report.transport["last_error"].is_string(), "last_error is empty though nobody listened");
    ensure!(outcome.finished.text().contains(RETRY_EVENT), "the log does not hold {RETRY_EVENT}");
    Ok(Passed(format!("accepted {}, dropped {:?}, residual 0", statement.accepted, statement.dropped)))
}

fn rollback(ground: &mut Ground) -> Result<Verdict> {
    let outcome = ground.simulate("rollback", &configs::stdout())?;
    outcome.report.says("tls_enabled", false)?;
    outcome.report.says("dropped_messages", 0)?;
    Ok(Passed(format!("back on stdout: {} frames, dropped 0", outcome.report.statement.delivered)))
}

fn sample_capture(ground: &mut Ground) -> Result<Verdict> {
    let stream = ground.out.join("telemetry_stream_sample.jsonl");
    let config = ground.config("sample", &configs::file(&stream))?;
    let again = samples::record(&ground.townlet, &config, RUN, &ground.out.join("logs/sample_again.jsonl"))?;
    let first = std::fs::read(&stream).context("not run: no file stream")?;
    ensure!(again == first, "the same seed gave other bytes");
    Ok(Passed(format!("{} bytes, sha256 {}", first.len(), samples::digest(&first))))
}

fn sample_parity(ground: &mut Ground) -> Result<Verdict> {
    let fresh = ground.out.join("telemetry_stream_sample.jsonl");
    let versions = crate::townlet::Frames::count(&std::fs::read(&fresh)?)?.versions;
    let version = versions.first().context("the fresh sample states no schema version")?;
    let committed = ground.root.join("samples").join(version).join("town.jsonl");
    ensure!(committed.is_file(), "no committed sample of {version}: run `cargo xtask samples --capture`");
    ground.townlet.drift(&fresh, &committed)?.expect_code(exit::YES, "inspect --against")?;
    Ok(Passed(format!("no drift against samples/{version}/town.jsonl")))
}

fn config_diff(ground: &mut Ground) -> Result<Verdict> {
    let (before, after) = (ground.config("stdout", &configs::stdout())?, ground.out.join("configs/tls.yaml"));
    ensure!(after.is_file(), "not run: no TLS configuration was written");
    let mut diff = Command::new("diff");
    diff.args(["-u", "--label", "before.yaml", "--label", "after.yaml"]).arg(before).arg(after);
    let answer = process::capture(&mut diff, Duration::from_secs(20))?.expect_code(1, "diff of two configurations")?;
    std::fs::write(ground.out.join("config.diff"), &answer.stdout)?;
    let text = String::from_utf8_lossy(&answer.stdout);
    Ok(Passed(format!("config.diff: {} lines", text.lines().count())))
}
