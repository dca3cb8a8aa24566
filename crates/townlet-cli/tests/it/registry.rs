//! Keys, the log and bundles, as a release engineer and somebody elsewhere meet them.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;
use townlet_registry::{Digest, Envelope, Predicate, Registry, Signer, Statement, Subject, Time};

use crate::support::{Ran, command, ran, townlet_in};

#[derive(Serialize)]
struct Approval {
    role: &'static str,
}

impl Predicate for Approval {
    const TYPE: &'static str = "https://example.com/approval/v1";
}

/// A folder with keys of `ada` and of the log, a ring that believes both, and three approvals.
fn release() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| townlet_in(folder.path(), words).expect(0);
    run(&["keys", "new", "ada.pem"]);
    run(&["keys", "new", "log.pem"]);
    let from = "2026-11-21T00:00:00Z";
    run(&[
        "keys",
        "trust",
        "ada.pem.pub",
        "--person",
        "Ada",
        "--role",
        "sre",
        "--role",
        "change-board",
        "--from",
        from,
    ]);
    run(&["keys", "trust", "log.pem.pub", "--person", "Log", "--role", "log", "--from", from]);
    for number in 0..3 {
        approve(folder.path(), &format!("release-{}", number % 2), number);
    }
    folder
}

fn approve(folder: &Path, release: &str, number: i64) {
    let signer = Signer::read(&folder.join("ada.pem")).unwrap();
    let mut registry = Registry::create(&folder.join("townlet-registry.db"), "test.example/log").unwrap();
    let subject = Subject::new(release, Digest::of(format!("{release} {number}").as_bytes()));
    let envelope = Envelope::sign(&Statement::about(subject, Approval { role: "sre" }), &signer).unwrap();
    registry.append(&envelope, Time::from_ms(1_795_276_800_000 + number)).unwrap();
}

#[test]
fn a_bundle_is_verified_elsewhere_by_the_key_ring_and_a_checkpoint_alone() {
    let here = release();
    let run = |words: &[&str]| townlet_in(here.path(), words);
    let sound = run(&["log", "verify"]).expect(0);
    assert!(sound.stdout.contains("sound; 3 entries with 3 signatures"), "{}", sound.stdout);
    let held = run(&["log", "checkpoint", "--sign", "log.pem"]).expect(0).stdout;
    let tree = run(&["log", "verify", "--tree-only"]).expect(0);
    assert!(tree.stdout.contains("sound; 3 entries with 0 signatures, 1 checkpoints"), "{}", tree.stdout);
    approve(here.path(), "release-1", 7);
    let older = run(&["bundle", "release-1"]).expect(2);
    assert!(older.stderr.contains("several things are called `release-1`"), "{}", older.stderr);
    let digest = Digest::of(b"release-1 7").to_string();
    let newer = run(&["bundle", &digest]).expect(3);
    assert!(newer.stderr.contains("entry 3 is newer than the checkpoint of 3 entries"), "{}", newer.stderr);
    let bundle = run(&["bundle", &digest, "--sign", "log.pem"]).expect(0).stdout;
    let whole = run(&["bundle", "--all"]).expect(0).stdout;

    let elsewhere = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(elsewhere.path().join(name), text).unwrap();
    fs::copy(here.path().join("townlet-keys.json"), elsewhere.path().join("keys.json")).unwrap();
    put("bundle", &bundle);
    put("whole", &whole);
    put("held", &held);
    let verify = |words: &[&str]| -> Ran {
        townlet_in(elsewhere.path(), &[&["verify"], words, &["--keys", "keys.json"]].concat())
    };
    for file in ["bundle", "whole"] {
        let verified = verify(&[file, "--checkpoint", "held"]).expect(0);
        assert!(verified.stdout.contains("by Ada (change-board, sre)"), "{}", verified.stdout);
        let report = verify(&[file, "--json"]).expect(0).json();
        assert_eq!(report["log_entries"], 4);
        assert_eq!(report["checkpoint_held"], false);
    }

    let changed = bundle.replacen("entry 3", "entry 2", 1);
    put("bundle", &changed);
    let refused = verify(&["bundle"]).expect(1);
    assert!(refused.stderr.contains("check sum does not fit"), "{}", refused.stderr);
    put("held", &held.replace("\n3\n", "\n5\n"));
    put("bundle", &bundle);
    let refused = verify(&["bundle", "--checkpoint", "held"]).expect(1);
    assert!(refused.stderr.contains("checkpoint of 5 entries: the signature"), "{}", refused.stderr);
    verify(&["nothing"]).expect(3);
    verify(&["bundle", "--checkpoint", "keys.json"]).expect(2);
}

#[test]
fn a_log_that_was_cut_off_is_refused_by_the_checkpoint_that_was_held() {
    let here = release();
    let held = townlet_in(here.path(), &["log", "checkpoint", "--sign", "log.pem"]).expect(0).stdout;
    fs::write(here.path().join("held"), held).unwrap();
    // Whoever has the keys writes a shorter log, and signs it.
    fs::remove_file(here.path().join("townlet-registry.db")).unwrap();
    approve(here.path(), "release-0", 0);
    let digest = Digest::of(b"release-0 0").to_string();
    let bundle = townlet_in(here.path(), &["bundle", &digest, "--sign", "log.pem"]).expect(0).stdout;
    fs::write(here.path().join("bundle"), bundle).unwrap();
    let verify = ["verify", "bundle", "--keys", "townlet-keys.json"];
    townlet_in(here.path(), &verify).expect(0);
    let refused = townlet_in(here.path(), &[&verify[..], &["--checkpoint", "held"]].concat()).expect(1);
    assert!(refused.stderr.contains("has 1 entries, but had 3"), "{}", refused.stderr);
    let refused = townlet_in(here.path(), &["log", "verify", "--checkpoint", "held"]).expect(1);
    assert!(refused.stdout.contains("the log ends before the checkpoint of 3 entries"), "{}", refused.stdout);
}

#[test]
fn a_revoked_key_is_named_with_its_entry_and_the_reason() {
    let here = release();
    let run = |words: &[&str]| townlet_in(here.path(), words);
    let listed = run(&["keys", "list", "--as-of", "2026-11-21T12:00:00Z"]).expect(0).stdout;
    let ada = listed.lines().find(|line| line.contains("Ada as change-board, sre: valid")).expect("the key of Ada");
    let id = &ada[..12];
    run(&["keys", "revoke", &id[..4], "--reason", "x"]).expect(2);
    run(&["keys", "revoke", id, "--at", "2026-11-21T16:00:00.002Z", "--reason", "laptop stolen"]).expect(0);
    let refused = run(&["log", "verify"]).expect(1);
    assert!(refused.stdout.contains("entry 2: key"), "{}", refused.stdout);
    assert!(refused.stdout.contains("(laptop stolen)"), "{}", refused.stdout);
    assert!(!refused.stdout.contains("entry 1:"), "{}", refused.stdout);
    let report = run(&["log", "verify", "--json"]).expect(1).json();
    assert_eq!(report["findings"][0]["kind"], "KeyNotValid");
    let keys = run(&["keys", "list", "--json", "--as-of", "2026-11-22T00:00:00Z"]).expect(0).json();
    assert!(keys.as_array().unwrap().iter().any(|key| key["valid"] == false && key["person"] == "Ada"));
}

/// Such a checkpoint stays with the log, and nothing takes it away again.
#[test]
fn a_key_that_is_not_the_log_s_signs_no_checkpoint() {
    let here = release();
    let run = |words: &[&str]| townlet_in(here.path(), words);
    run(&["keys", "new", "stranger.pem"]).expect(0);
    let digest = Digest::of(b"release-1 1").to_string();
    for sign in [&["log", "checkpoint"][..], &["bundle", &digest]] {
        let refused = run(&[sign, &["--sign", "ada.pem"]].concat()).expect(2);
        assert!(refused.stderr.contains("is a key of Ada without the role `log`"), "{}", refused.stderr);
        let refused = run(&[sign, &["--sign", "stranger.pem"]].concat()).expect(2);
        assert!(refused.stderr.contains("nobody vouched for key"), "{}", refused.stderr);
    }
    run(&["log", "verify"]).expect(0);
    run(&["log", "checkpoint", "--sign", "log.pem"]).expect(0);
    run(&["log", "verify"]).expect(0);
}

/// One who is killed while making a registry leaves an empty file.
#[test]
fn a_registry_that_was_never_finished_is_finished_by_whoever_writes_next() {
    let here = release();
    fs::write(here.path().join("begun.db"), b"").unwrap();
    let words = ["attest", "training", "runbook", "--person", "Log", "--for", "1h", "--note", "course"];
    let kept = ["--key", "ada.pem", "--registry", "begun.db"];
    townlet_in(here.path(), &[&words[..], &kept].concat()).expect(0);
    townlet_in(here.path(), &["log", "verify", "--registry", "begun.db"]).expect(0);
}

/// Everybody who is believed writes names. None of them makes a row about somebody else.
#[test]
fn what_stands_in_a_statement_makes_no_row_of_its_own_and_steers_no_terminal() {
    struct Forged;
    impl Serialize for Forged {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_unit()
        }
    }
    impl Predicate for Forged {
        const TYPE: &'static str =
            "x  by Ada (sre)\n  entry 9  2026-11-21T16:00:00.000Z  approval  by Zoe (change-board)";
    }
    let here = release();
    let signer = Signer::read(&here.path().join("ada.pem")).unwrap();
    let mut registry = Registry::open(&here.path().join("townlet-registry.db")).unwrap();
    let subject = Subject::new("R9\u{1b}[2J\u{202e}", Digest::of(b"R9"));
    let envelope = Envelope::sign(&Statement::about(subject, Forged), &signer).unwrap();
    registry.append(&envelope, Time::from_ms(1_795_276_900_000)).unwrap();
    let digest = Digest::of(b"R9").to_string();
    let bundle = townlet_in(here.path(), &["bundle", &digest, "--sign", "log.pem"]).expect(0).stdout;
    fs::write(here.path().join("bundle"), bundle).unwrap();
    let verified = townlet_in(here.path(), &["verify", "bundle", "--keys", "townlet-keys.json"]).expect(0).stdout;
    assert_eq!(verified.lines().filter(|line| line.trim_start().starts_with("entry ")).count(), 1, "{verified}");
    let shown = townlet_in(here.path(), &["log", "show", "--about", &digest]).expect(0).stdout;
    assert_eq!(shown.lines().count(), 1, "{shown}");
    assert!(!shown.contains(['\u{1b}', '\u{202e}']), "{shown:?}");
}

/// A copy on a medium that is read only, or an auditor who may read and nothing else. Root may write everywhere, so that it
/// becomes somebody else for this.
#[cfg(unix)]
#[test]
fn a_log_is_verified_where_nothing_can_be_written() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    let here = release();
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let away = here.path().join("is it? #1 (100%)");
    fs::create_dir(&away).unwrap();
    for name in ["townlet-registry.db", "townlet-keys.json"] {
        fs::copy(here.path().join(name), away.join(name)).unwrap();
        mode(&away.join(name), 0o444);
    }
    let program = here.path().join("townlet");
    fs::hard_link(env!("CARGO_BIN_EXE_townlet"), &program)
        .or_else(|_| fs::copy(env!("CARGO_BIN_EXE_townlet"), &program).map(drop))
        .unwrap();
    mode(here.path(), 0o755);
    mode(&away, 0o555);
    let read = |words: &[&str]| {
        let mut command = Command::new(&program);
        command.args(words).current_dir(&away);
        if fs::metadata("/proc/self").unwrap().uid() == 0 {
            command.uid(65_534).gid(65_534);
        }
        // Until every process that another test was starting while this one was copied has let go of it.
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            match command.output() {
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < until => {
                    std::thread::yield_now();
                }
                output => break ran(output.unwrap()),
            }
        }
    };
    let sound = read(&["log", "verify"]).expect(0);
    assert!(sound.stdout.contains("sound; 3 entries with 3 signatures"), "{}", sound.stdout);
    assert_eq!(read(&["log", "show"]).expect(0).stdout.lines().count(), 3);
    // What is not in the file yet is not passed over.
    mode(&away, 0o755);
    fs::write(away.join("townlet-registry.db-wal"), "entries").unwrap();
    mode(&away, 0o555);
    let refused = read(&["log", "verify"]).expect(3);
    assert!(refused.stderr.contains("copy both to a folder that you can write"), "{}", refused.stderr);
    mode(&away, 0o755);
}

/// Four eyes are two people, however somebody writes the name of one of them.
#[test]
fn one_person_is_not_two_by_another_spelling() {
    let here = release();
    townlet_in(here.path(), &["keys", "new", "second.pem"]).expect(0);
    let trust = |person: &str| {
        townlet_in(here.path(), &["keys", "trust", "second.pem.pub", "--person", person, "--role", "sre"])
    };
    for person in ["ada", "ADA"] {
        let refused = trust(person).expect(2);
        assert!(refused.stderr.contains("the key ring knows `Ada`"), "{}", refused.stderr);
    }
    trust("Ada\nBob").expect(2);
    trust("Ada").expect(0);
}

/// A revocation that somebody else writes over would leave a stolen key believed.
#[test]
fn whoever_changes_the_key_ring_at_the_same_time_waits_for_each_other() {
    let here = tempfile::tempdir().unwrap();
    let people: Vec<String> = (0..8).map(|number| format!("p{number}")).collect();
    for person in &people {
        townlet_in(here.path(), &["keys", "new", person]).expect(0);
    }
    // Whoever was killed before the rename leaves this.
    fs::write(here.path().join("townlet-keys.json.new"), "half of a r").unwrap();
    let trust = |person: &String| {
        let words = ["keys", "trust", &format!("{person}.pub"), "--person", person, "--role", "sre"];
        command(&words).current_dir(here.path()).stdout(Stdio::null()).spawn().unwrap()
    };
    let all: Vec<Child> = people.iter().map(trust).collect();
    for mut child in all {
        assert!(child.wait().unwrap().success());
    }
    let known = townlet_in(here.path(), &["keys", "list", "--json"]).expect(0).json();
    let mut known: Vec<&str> = known.as_array().unwrap().iter().map(|key| key["person"].as_str().unwrap()).collect();
    known.sort_unstable();
    assert_eq!(known, people);
}

#[cfg(unix)]
#[test]
fn a_key_ring_keeps_its_mode_and_stays_where_a_link_leads() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let here = release();
    fs::create_dir(here.path().join("real")).unwrap();
    let real = here.path().join("real/ring.json");
    fs::rename(here.path().join("townlet-keys.json"), &real).unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("real/ring.json", here.path().join("townlet-keys.json")).unwrap();
    let id = Signer::read(&here.path().join("ada.pem")).unwrap().key_id().to_string();
    townlet_in(here.path(), &["keys", "revoke", &id, "--reason", "stolen"]).expect(0);
    // Everybody else who reads that file hears of it, too.
    let listed = townlet_in(here.path(), &["keys", "list", "--keys", "real/ring.json"]).expect(0).stdout;
    assert!(listed.contains("stolen"), "{listed}");
    assert!(here.path().join("townlet-keys.json").is_symlink());
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn the_log_is_shown_by_name_digest_and_type() {
    let here = release();
    let run = |words: &[&str]| townlet_in(here.path(), words).expect(0).stdout;
    assert_eq!(run(&["log", "show"]).lines().count(), 3);
    assert_eq!(run(&["log", "show", "--name", "release-0"]).lines().count(), 2);
    assert_eq!(run(&["log", "show", "--about", &Digest::of(b"release-1 1").to_string()]).lines().count(), 1);
    assert_eq!(run(&["log", "show", "--type", "https://example.com/other/v1"]), "");
    let line = run(&["log", "show", "--name", "release-1", "--json"]);
    let entry: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(entry["statement"]["predicate"]["role"], "sre");
    assert_eq!(entry["at"], "2026-11-21T16:00:00.001Z");
}

/// Where a disk is full, what was begun is not in the way once it is not. A limit on the size of files stands for the disk.
#[cfg(unix)]
#[test]
fn no_part_of_a_key_stays_where_it_could_not_be_written() {
    let here = tempfile::tempdir().unwrap();
    let limited = |blocks: &str| {
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" keys new ada.pem");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_townlet")]).current_dir(here.path());
        ran(shell.output().unwrap())
    };
    let full = limited("0").expect(3);
    assert!(full.stderr.contains("key file ada.pem: "), "{}", full.stderr);
    assert_eq!(fs::read_dir(here.path()).unwrap().count(), 0);
    limited("8").expect(0);
}

#[test]
fn keys_are_not_written_over_and_not_read_where_others_can() {
    let here = release();
    let run = |words: &[&str]| townlet_in(here.path(), words);
    run(&["keys", "new", "ada.pem"]).expect(2);
    fs::remove_file(here.path().join("ada.pem.pub")).unwrap();
    let there = run(&["keys", "new", "ada.pem"]).expect(2);
    assert!(there.stderr.contains("ada.pem is there already"), "{}", there.stderr);
    let public = Signer::read(&here.path().join("ada.pem")).unwrap().public().to_pem().unwrap();
    fs::write(here.path().join("ada.pem.pub"), public).unwrap();
    let again = run(&["keys", "trust", "ada.pem.pub", "--person", "Bob", "--role", "sre"]).expect(2);
    assert!(again.stderr.contains("in the ring already"), "{}", again.stderr);
    run(&["keys", "trust", "ada.pem", "--person", "Bob", "--role", "sre"]).expect(2);
    run(&["keys", "trust", "log.pem.pub", "--person", "Bob", "--role", "S R E"]).expect(2);
    run(&["log", "verify", "--registry", "none.db"]).expect(3);
    run(&["log", "verify", "--keys", "none.json"]).expect(3);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let key = here.path().join("log.pem");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        let exposed = run(&["log", "checkpoint", "--sign", "log.pem"]).expect(2);
        assert!(exposed.stderr.contains("mode 644"), "{}", exposed.stderr);
    }
}
