//! From an approved release to what became of it: deployments, incidents, probes, figures, the checklist.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;
use townlet_gate::gate::Decision;
use townlet_gate::statement::{IncidentOpened, Severity, incident_subject};
use townlet_registry::{Envelope, Predicate, Query, Registry, Signer, Statement, Time};

use crate::release::{Desk, moment};
use crate::support::{Ran, command};

impl Desk {
    fn deploy(&self, more: &[&str], shell: &str) -> Ran {
        let words = ["deploy", "run", "manifest.json", "--env", "production", "--key", "rosa.key"];
        self.run(&[&words[..], more, &["--", "sh", "-c", shell]].concat())
    }

    fn incident(&self, words: &[&str]) -> Ran {
        self.run(&[&["incident"], words, &["--key", "bo.key"]].concat())
    }

    fn dora(&self) -> Value {
        self.run(&["dora", "--env", "production", "--json"]).expect(0).json()
    }

    fn checklist(&self, code: i32) -> Vec<(String, String)> {
        let list = self.run(&["checklist", "manifest.json", "--env", "production", "--json"]).expect(code).json();
        let text = |item: &Value, key: &str| item[key].as_str().unwrap().to_owned();
        list.as_array().unwrap().iter().map(|item| (text(item, "id"), text(item, "state"))).collect()
    }
}

fn id(ran: &Ran) -> String {
    ran.stdout.trim().to_owned()
}

/// Answers `answers` one after the other, the last one for ever. Ends with the process.
fn service(answers: &'static [&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/readyz?key=secret", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for (number, peer) in listener.incoming().enumerate() {
            let mut peer = peer.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if peer.read(&mut byte).unwrap_or(0) == 0 {
                    break;
                }
                request.push(byte[0]);
            }
            assert!(request.starts_with(b"GET /readyz?key=secret HTTP/1.1\r\n"), "{request:?}");
            let answer = answers[number.min(answers.len() - 1)];
            let (status, body) = answer.split_once(' ').unwrap();
            let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            drop(peer.write_all((head + body).as_bytes()));
        }
    });
    url
}

#[test]
fn a_release_goes_out_breaks_is_taken_back_and_every_question_is_answered_from_the_log() {
    let desk = Desk::approved();
    let refused = desk.deploy(&[], "touch deployed").expect(3);
    assert!(refused.stderr.contains("the log has no decision about R42 for production"), "{}", refused.stderr);
    assert!(!desk.path("deployed").exists());
    desk.run(&["release-config", "add", "configs/production/R42.toml", "--key", "rosa.key"]).expect(0);
    desk.gate(&[]).expect(0);

    let change = format!("59add34={}", moment(-60));
    let out = id(&desk.deploy(&["--change", &change], "echo deployed && touch deployed").expect(0));
    assert!(desk.path("deployed").exists());
    let url = service(&["200 ", "200 {\"status\":\"ready\"}"]);
    let probe = |url: &str| {
        let words = ["readyz", url, "--env", "production", "--manifest", "manifest.json", "--every", "20ms"];
        desk.run(&[&words[..], &["--for", "100ms", "--key", "bo.key"]].concat())
    };
    probe(&url).expect(0);
    let all = desk.checklist(0);
    assert!(all.iter().all(|(_, state)| state == "present" || state == "not_required"), "{all:?}");
    let figures = desk.dora();
    assert_eq!((&figures["deployments"], &figures["change_failures"]["part"]), (&Value::from(1), &Value::from(0)));
    let lead = figures["lead_time"]["median_seconds"].as_f64().unwrap();
    assert!((3600.0..4500.0).contains(&lead), "{lead}");
    assert_eq!(figures["time_to_restore"], Value::Null);

    let about = ["--severity", "critical", "--summary", "nobody can log in", "--deployment", &out];
    desk.incident(&[&["open", "INC-7", "--env", "production"][..], &about].concat()).expect(0);
    let held = desk.gate(&[]).expect(10);
    assert!(held.stdout.contains("INCIDENT_OPEN: INC-7 is open"), "{}", held.stdout);
    assert!(held.stdout.contains("end every open critical incident, and close it"), "{}", held.stdout);
    desk.deploy(&[], "touch again").expect(10);
    desk.incident(&["note", "INC-7", "flag off", "--step", "rollback_started"]).expect(0);
    // To take back what is out needs no decision, but what was never there comes in by no such door.
    let manifest = std::fs::read_to_string(desk.path("manifest.json")).unwrap();
    std::fs::write(desk.path("manifest.json"), manifest.replace("R42", "R43")).unwrap();
    let refused = desk.deploy(&["--undoes", &out], "touch again").expect(3);
    assert!(refused.stderr.contains("R43 has never gone to production"), "{}", refused.stderr);
    std::fs::write(desk.path("manifest.json"), manifest).unwrap();
    assert!(!desk.path("again").exists());
    desk.deploy(&["--undoes", &out], "true").expect(0);
    desk.incident(&["note", "INC-7", "R41 is out", "--step", "rollback_finished"]).expect(0);
    desk.incident(&["close", "INC-7", "--outcome", "rolled_back", "--summary", "an index"]).expect(0);
    desk.gate(&[]).expect(0);

    let shown = desk.run(&["incident", "show", "INC-7", "--json"]).expect(0).json();
    assert_eq!(shown[0]["closed"]["outcome"], "rolled_back");
    assert!(shown[0]["rollback_seconds"].is_number() && shown[0]["rollback_worked"] == true, "{shown}");
    let figures = desk.dora();
    assert_eq!((&figures["deployments"], &figures["change_failures"]["part"]), (&Value::from(1), &Value::from(1)));
    assert_eq!(figures["deployment_recovery"]["of"], 1);
    let list = desk.run(&["deploy", "list", "--env", "production"]).expect(0).stdout;
    assert!(list.contains("was taken back") && list.contains(&format!("takes back {out}")), "{list}");
    let after = desk.checklist(1);
    let state = |id: &str| after.iter().find(|item| item.0 == id).unwrap().1.as_str();
    assert_eq!((state("deployment"), state("postmortem"), state("scorecard")), ("missing", "not_yet", "present"));
    desk.incident(&["note", "INC-7", "https://wiki.example/INC-7", "--step", "postmortem"]).expect(0);
    let words = desk.run(&["incident", "show", "INC-7"]).expect(0).stdout;
    let told: Vec<_> =
        ["began", "rollback_started", "rollback_finished", "restored", "postmortem"].map(|w| words.find(w)).into();
    assert!(told.is_sorted() && told[0].is_some(), "in the order in which it happened:\n{words}");
    desk.run(&["replay-decision"]).expect(0);
    // Everything that was signed is in order, and is verified once.
    let first = desk.run(&["log", "verify", "--vetted", "vetted.json", "--json"]).expect(0).json();
    let second = desk.run(&["log", "verify", "--vetted", "vetted.json", "--json"]).expect(0).json();
    assert_eq!((&second["signatures"], &second["vetted"]), (&Value::from(0), &first["entries"]));
}

#[test]
fn a_deployment_that_hangs_is_ended_with_everything_it_started_and_recorded() {
    let desk = Desk::approved();
    desk.gate(&[]).expect(0);
    // Long enough for a busy machine to write the file.
    let hung = desk.deploy(&["--timeout", "5s"], "sleep 300 & echo $! > pid; sleep 300").expect(1);
    assert!(hung.stderr.contains("timed_out"), "{}", hung.stderr);
    let pid = std::fs::read_to_string(desk.path("pid")).unwrap();
    // Where nobody buries it, it stays in the table as a zombie.
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") {
            break;
        }
        assert!(Instant::now() < until, "it lives: {stat}");
        std::thread::yield_now();
    }
    let failed = desk.deploy(&[], "echo no index >&2; exit 7").expect(1);
    assert!(failed.stderr.contains("no index") && failed.stderr.contains("exit code 7"), "{}", failed.stderr);
    let figures = desk.dora();
    assert_eq!((&figures["change_failures"]["part"], &figures["change_failures"]["of"]), (&2.into(), &2.into()));
    // A decision counts for so long, and in the role of the gate.
    desk.deploy(&["--decision-age", "1ms"], "true").expect(3);
    desk.deploy(&["--decided-by", "change-board"], "true").expect(3);
    desk.deploy(&["--undoes", "no-such-id"], "true").expect(2);
}

/// At three in the morning the command has deployed, and the disk of the registry is full.
#[test]
fn how_a_deployment_ended_is_told_and_recorded_later_where_the_log_cannot_be_written() {
    let desk = Desk::approved();
    desk.gate(&[]).expect(0);
    let change = format!("59add34={}", moment(-60));
    let away = "echo it is out; mv townlet-registry.db away.db && mkdir townlet-registry.db";
    let ran = desk.deploy(&["--change", &change], away).expect(3);
    for told in ["it is out", "R42 to production: succeeded (exit code 0)", "townlet-registry.db"] {
        assert!(ran.stderr.contains(told), "{told}: {}", ran.stderr);
    }
    std::fs::remove_dir(desk.path("townlet-registry.db")).unwrap();
    std::fs::rename(desk.path("away.db"), desk.path("townlet-registry.db")).unwrap();
    assert_eq!(desk.dora()["unfinished"], 1);
    let (_, then) = ran.stderr.split_once("townlet deploy record").unwrap();
    let words: Vec<&str> = then.split(": ").next().unwrap().split_whitespace().collect();
    desk.run(&[&["deploy", "record"], &words[..]].concat()).expect(0);
    // It is the same deployment, with the commits that it began with.
    let figures = desk.dora();
    assert_eq!((&figures["deployments"], &figures["unfinished"]), (&1.into(), &0.into()));
    assert_eq!(figures["lead_time"]["of"], 1);
    // Nobody is told that they changed what stays as it was.
    let again = desk.run(&[&["deploy", "record"], &words[..]].concat()).expect(2);
    assert!(again.stderr.contains("has ended already: succeeded"), "{}", again.stderr);
}

#[test]
fn the_end_of_a_rollback_that_was_cut_short_is_recorded_as_that_of_a_rollback() {
    let desk = Desk::approved();
    let what = ["deploy", "record", "manifest.json", "--env", "production", "--key", "rosa.key"];
    let started = moment(-5);
    let record = |more: &[&str]| desk.run(&[&what[..], &["--started", &started], more].concat());
    let out = id(&record(&["--outcome", "succeeded"]).expect(0));
    let back = id(&record(&["--outcome", "running", "--undoes", &out]).expect(0));
    record(&["--outcome", "succeeded", "--id", &back]).expect(0);
    let figures = desk.dora();
    assert_eq!((&figures["deployments"], &figures["change_failures"]["part"]), (&1.into(), &1.into()));
    desk.edit("manifest.json", |text| text.replace("1.4.0", "1.4.1"));
    let another = record(&["--outcome", "failed", "--id", &back]).expect(2);
    assert!(another.stderr.contains("is of another manifest"), "{}", another.stderr);
}

/// The log does not go back with the clock: what it took in a moment ago may lie a little ahead.
#[test]
fn a_clock_that_went_back_a_little_hides_nothing_that_was_just_said() {
    let desk = Desk::approved();
    let ahead: Time = moment(3).parse().unwrap();
    let opened = IncidentOpened {
        incident: "INC-7".into(),
        environment: "production".into(),
        severity: Severity::Critical,
        summary: "nobody can log in".into(),
        began_at: ahead,
        deployment: None,
        actor: "bo".into(),
        at: ahead,
    };
    let about = Statement::about(incident_subject("INC-7").unwrap(), opened);
    let envelope = Envelope::sign(&about, &Signer::read(&desk.path("bo.key")).unwrap()).unwrap();
    Registry::open(&desk.path("townlet-registry.db")).unwrap().append(&envelope, ahead).unwrap();
    desk.incident(&["note", "INC-7", "looking", "--step", "acknowledged"]).expect(0);
    desk.incident(&["close", "INC-7", "--outcome", "mitigated", "--summary", "an index"]).expect(0);
    let shown = desk.run(&["incident", "show", "INC-7", "--json"]).expect(0).json();
    assert_eq!(shown[0]["closed"]["outcome"], "mitigated", "{shown}");
}

/// Who reads that the bad release was taken back looks no further.
#[test]
fn a_rollback_that_failed_has_taken_nothing_back() {
    let desk = Desk::approved();
    desk.gate(&[]).expect(0);
    let out = id(&desk.deploy(&[], "true").expect(0));
    desk.deploy(&["--undoes", &out], "exit 7").expect(1);
    let list = || desk.run(&["deploy", "list", "--env", "production"]).expect(0).stdout;
    assert!(list().lines().next().unwrap().ends_with("was NOT taken back: that failed"), "{}", list());
    let json = desk.run(&["deploy", "list", "--env", "production", "--json"]).expect(0).json();
    assert_eq!(json[0]["undone"], false);
    desk.deploy(&["--undoes", &out], "true").expect(0);
    assert!(list().lines().next().unwrap().ends_with("was taken back"), "{}", list());
    // Somebody wanted it back either way, which is a change that failed.
    assert_eq!(desk.dora()["change_failures"]["part"], 1);
}

#[test]
fn a_probe_says_what_it_saw_and_asks_no_other_machine_without_tls() {
    let desk = Desk::approved();
    let probe = |url: &str| {
        let words = ["readyz", url, "--env", "production", "--every", "10ms", "--for", "1s", "--timeout", "5s"];
        desk.run(&[&words[..], &["--key", "bo.key"]].concat())
    };
    let flips = service(&["200 ", "200 {\"status\":\"not-ready\"}", "503 ", "200 "]);
    let seen = probe(&flips).expect(1);
    let words: Vec<&str> =
        seen.stderr.lines().find_map(|line| line.strip_prefix("ready ")).unwrap().split(' ').collect();
    let (ready, probes): (u32, u32) = (words[0].parse().unwrap(), words[2].parse().unwrap());
    assert!(probes - ready == 2 && probes > 3, "{}", seen.stderr);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    probe(&format!("http://{closed}/readyz")).expect(3);
    probe("http://town.example/readyz").expect(2);
    // What is kept of it names no secret of the query.
    let registry = Registry::open(&desk.path("townlet-registry.db")).unwrap();
    for record in registry.records(0..u64::MAX).unwrap() {
        assert!(!String::from_utf8_lossy(record.envelope.payload()).contains("secret"));
    }
}

#[test]
fn who_is_not_trained_or_not_on_duty_does_not_count_and_nobody_vouches_for_themselves() {
    let desk = Desk::approved();
    desk.edit("change-board.yaml", |text| text.replace("topic: sre,", "topic: night,"));
    let unattested = desk.gate(&[]).expect(10);
    assert!(unattested.stdout.contains("APPROVER_NOT_ATTESTED: bo has no rota:night"), "{}", unattested.stdout);
    desk.vouch("rota", "night", "tess").expect(2);
    desk.vouch("rota", "night", "nobody").expect(2);
    desk.vouch("rota", "night", "bo").expect(0);
    desk.gate(&[]).expect(0);
    let add = "      - { kind: item, topic: dashboards, signed_by: [sre-on-call], max_age: 24h }\n";
    desk.edit("change-board.yaml", |text| text + add);
    let missing = desk.gate(&[]).expect(10);
    assert!(missing.stdout.contains("attestation:item:dashboards"), "{}", missing.stdout);
    let shown = desk.run(&["attest", "show", "--person", "bo", "--json"]).expect(0).json();
    assert_eq!((shown.as_array().unwrap().len(), &shown[1]["state"]), (2, &Value::from("valid")), "{shown}");
    let later = moment(24 * 60);
    let expired = desk.run(&["attest", "show", "--topic", "night", "--as-of", &later]).expect(0);
    assert!(expired.stdout.starts_with("expired  rota:night of bo"), "{}", expired.stdout);
    let words = ["attest", "item", "dashboards", "--manifest", "manifest.json", "--for", "1h", "--note", "looked"];
    desk.run(&[&words[..], &["--key", "bo.key"]].concat()).expect(0);
    desk.gate(&[]).expect(0);
}

#[test]
fn a_configuration_is_kept_by_version_and_printed_as_it_was() {
    let desk = Desk::approved();
    let file = desk.path("configs/production/R42.toml");
    let before = std::fs::read_to_string(&file).unwrap();
    let add = || desk.run(&["release-config", "add", "configs/production/R42.toml", "--key", "rosa.key"]).expect(0);
    desk.run(&["release-config", "show", "production", "R42"]).expect(3);
    assert_eq!(id(&add()), id(&add()), "the same file twice is one version");
    assert_eq!(desk.run(&["release-config", "show", "production", "R42"]).expect(0).stdout, before);
    std::fs::write(&file, "workers = 9").unwrap();
    assert!(add().stderr.contains("another version than"));
    // To the byte: whoever writes it to a file has what was signed.
    assert_eq!(desk.run(&["release-config", "show", "production", "R42"]).expect(0).stdout, "workers = 9");
    let versions = desk.run(&["release-config", "show", "production", "R42", "--versions"]).expect(0).stdout;
    assert_eq!(versions.lines().count(), 2);
    desk.run(&["release-config", "add", "release.yaml", "--key", "rosa.key"]).expect(2);
}

#[test]
fn figures_of_which_the_log_knows_nothing_are_unknown() {
    let desk = Desk::approved();
    let unknown = desk.run(&["dora", "--env", "production"]).expect(3);
    assert_eq!(unknown.stdout.matches("unknown").count(), 5, "{}", unknown.stdout);
    desk.run(&["dora", "--env", "production", "--over", "0s"]).expect(2);
    let words = ["deploy", "record", "manifest.json", "--env", "production", "--outcome", "succeeded"];
    let times = ["--started", &moment(-30), "--finished", &moment(-20), "--key", "rosa.key"].map(str::to_owned);
    let times: Vec<&str> = times.iter().map(String::as_str).collect();
    desk.run(&[&words[..], &times].concat()).expect(0);
    assert_eq!(desk.dora()["deployments"], 1);
}

#[test]
fn a_decision_is_held_against_the_log_that_it_was_made_from() {
    let desk = Desk::approved();
    desk.gate(&[]).expect(0);
    let registry = Registry::open(&desk.path("townlet-registry.db")).unwrap();
    let decided = registry.find(&Query::new().of_type(Decision::TYPE)).unwrap().pop().unwrap();
    let decision = decided.envelope.statement::<Decision>().unwrap().predicate;
    let log = decision.log.unwrap();
    assert_eq!((log.size, log.root), (decided.index, registry.root_at(decided.index).unwrap()));
    // Another log of the same name, in which the decision lies with all of its inputs.
    let mut other = Registry::create(&desk.path("other.db"), registry.origin()).unwrap();
    for input in &decision.inputs {
        other.store(&registry.content(&input.digest).unwrap().unwrap()).unwrap();
    }
    for record in registry.records(0..decided.index).unwrap().iter().rev().chain([&decided]) {
        other.append(&record.envelope, decided.at).unwrap();
    }
    desk.run(&["replay-decision"]).expect(0);
    let differs = desk.run(&["replay-decision", "--registry", "other.db"]).expect(1);
    assert!(differs.stdout.contains("the log is not the one that it was made from"), "{}", differs.stdout);
}

/// Kills it with SIGKILL and waits for its end.
fn kill(child: &mut Child) {
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "it had ended by itself");
}

/// The bytes of the decisions that are in the log.
fn decisions(desk: &Desk) -> Vec<Vec<u8>> {
    let registry = Registry::open_read_only(&desk.path("townlet-registry.db")).unwrap();
    let records = registry.find(&Query::new().of_type(Decision::TYPE)).unwrap();
    let bytes = records.iter().map(|record| record.envelope.statement::<Decision>().unwrap().predicate.to_bytes());
    bytes.map(Result::unwrap).collect()
}

#[test]
fn a_gate_that_is_killed_right_after_its_decision_was_kept_has_lost_nothing_and_printed_nothing() {
    let desk = Desk::approved();
    // Whoever reads its answer does not: the pipe is full before it begins to print.
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let (full, filled) = mpsc::channel();
    let mut filler = writer.try_clone().unwrap();
    std::thread::spawn(move || {
        let mut written = 0_usize;
        while filler.write_all(&[b'.'; 4096]).is_ok() {
            written += 4096;
            if full.send(written).is_err() {
                break;
            }
        }
    });
    // It is full once nothing more goes in for a while; what is still to come would only make it fuller.
    while filled.recv_timeout(Duration::from_secs(2)).is_ok() {}
    let words = ["gate", "manifest.json", "--env", "production", "--samples", "sli-samples.json", "--key", "gate.key"];
    let mut gate = command(&words);
    let mut child = gate.current_dir(desk.path("")).stdout(writer.try_clone().unwrap()).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    let (_never, pause) = mpsc::channel::<()>();
    while decisions(&desk).is_empty() {
        assert!(Instant::now() < until, "it decides nothing");
        let _ = pause.recv_timeout(Duration::from_millis(20));
    }
    kill(&mut child);
    drop(gate);
    drop(filled);
    writer.flush().unwrap();
    drop(writer);
    let mut printed = Vec::new();
    reader.read_to_end(&mut printed).unwrap();
    assert!(printed.iter().all(|byte| *byte == b'.'), "{}", String::from_utf8_lossy(&printed));
    assert_eq!(decisions(&desk).len(), 1);
    desk.run(&["replay-decision"]).expect(0);
    desk.run(&["explain", "R42"]).expect(0);
}

#[test]
fn what_a_gate_printed_before_it_was_killed_is_in_the_log() {
    let desk = Desk::approved();
    for _ in 0..3 {
        let words = ["gate", "manifest.json", "--env", "production", "--json", "--key", "gate.key"];
        let mut gate = command(&words);
        let mut child = gate.current_dir(desk.path("")).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let mut first = [0];
        // With its first letter it is there.
        out.read_exact(&mut first).unwrap();
        drop(child.kill());
        child.wait().unwrap();
        let mut text = first.to_vec();
        out.read_to_end(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let printed = text.trim_end().as_bytes();
        assert!(decisions(&desk).iter().any(|kept| kept.starts_with(printed)), "{text}");
    }
    let last: Time = moment(1).parse().unwrap();
    let registry = Registry::open(&desk.path("townlet-registry.db")).unwrap();
    assert!(registry.records(0..u64::MAX).unwrap().iter().all(|record| record.at < last));
}
