//! A Cargo workspace that has nothing, and a decision about it that others can check.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::{Ran, townlet_in, write};

/// A program with a test, outside of any repository.
pub(crate) fn workspace() -> TempDir {
    let dir = TempDir::new().unwrap();
    std::fs::create_dir(dir.path().join("src")).unwrap();
    write(dir.path(), "Cargo.toml", "[package]\nname = \"hello-app\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
    let main = "fn main() { println!(\"{}\", two()); }\nfn two() -> u8 { 2 }\n\
                #[test]\nfn it_is_two() { assert_eq!(two(), 2); }\n";
    write(&dir.path().join("src"), "main.rs", main);
    dir
}

fn run(dir: &TempDir, words: &[&str]) -> Ran {
    townlet_in(dir.path(), words)
}

fn configuration(dir: &TempDir) -> Vec<PathBuf> {
    let names = ["readiness.yaml", "change-board.yaml", "policies.yaml", "release.yaml", ".gitignore"];
    names.map(|name| dir.path().join("release").join(name)).to_vec()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// The file that a line of the answer names.
fn named<'r>(ran: &'r Ran, what: &str) -> &'r str {
    let line = ran.stdout.lines().find_map(|line| line.strip_prefix(what));
    line.unwrap_or_else(|| panic!("{what} in {}", ran.stdout)).trim().split(": ").next().unwrap()
}

#[test]
fn a_workspace_goes_from_nothing_to_a_decision_that_is_verified_offline() {
    let (dir, began) = (workspace(), Instant::now());
    let ran = run(&dir, &["init", "--person", "rosa"]).expect(0);
    assert!(ran.stdout.contains("townlet release"), "{}", ran.stdout);
    let lines: usize = configuration(&dir).iter().map(|path| read(path).lines().count()).sum();
    assert!(lines <= 30, "{lines} lines of configuration");
    for key in ["author.key", "ci.key"] {
        let mode = std::fs::metadata(dir.path().join("release/keys").join(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    assert!(read(&dir.path().join("release/.gitignore")).contains("/keys/"));

    let ran = run(&dir, &["release"]).expect(0);
    assert!(ran.stdout.starts_with("approve: uncommitted-"), "{}", ran.stdout);
    assert!(began.elapsed() < Duration::from_secs(300), "{:?}", began.elapsed());
    let manifest: serde_json::Value = serde_json::from_str(&read(Path::new(named(&ran, "manifest ")))).unwrap();
    let program = std::fs::read(dir.path().join("target/release/hello-app")).unwrap();
    assert_eq!(manifest["artifacts"][0]["digest"], townlet_registry::Digest::of(&program).to_string());
    assert_eq!(manifest["author"], "rosa");
    assert!(read(Path::new(named(&ran, "report "))).contains("approve"));
    let report = run(&dir, &["readiness", "show", "release/out/evidence"]).expect(0);
    assert!(report.stdout.contains("ready"), "{}", report.stdout);
    assert!(ran.stderr.contains("uncommitted") && !ran.stderr.contains("ambiguous"), "{}", ran.stderr);
    assert!(ran.stdout.contains("townlet verify "), "{}", ran.stdout);
    // Somebody else, with the public keys and nothing but them.
    let elsewhere = TempDir::new().unwrap();
    std::fs::copy(named(&ran, "bundle "), elsewhere.path().join("bundle")).unwrap();
    std::fs::copy(dir.path().join("release/townlet-keys.json"), elsewhere.path().join("keys.json")).unwrap();
    let verified = run(&elsewhere, &["verify", "bundle", "--keys", "keys.json", "--json"]).expect(0).json();
    let entries = verified["entries"].as_array().unwrap();
    let kinds: Vec<&str> = entries.iter().map(|one| one["statement"]["predicateType"].as_str().unwrap()).collect();
    for kind in ["readiness-scorecard", "release-authorship", "gate-decision"] {
        assert!(kinds.iter().any(|of| of.contains(kind)), "{kind} is not among {kinds:?}");
    }
    // The program itself stays where it is.
    assert!(verified["absent"].as_array().unwrap().contains(&manifest["artifacts"][0]["digest"]), "{verified}");
    // The other commands find what they need by their own defaults.
    let inside = dir.path().join("release");
    assert!(townlet_in(&inside, &["replay-decision"]).expect(0).stdout.ends_with("0 not the same\n"));
    townlet_in(&inside, &["log", "verify"]).expect(0);

    // Production takes three people who are not the author, however the rest stands.
    let ran = run(&dir, &["release", "--env", "production", "--name", "R1"]).expect(10);
    assert_eq!(ran.stdout.matches("APPROVAL_MISSING").count(), 3, "{}", ran.stdout);
    assert!(ran.stdout.contains("ROLLBACK_REHEARSAL_MISSING"), "{}", ran.stdout);
    let manifest = named(&ran, "manifest ");
    let words = ["approve", manifest, "--env", "production", "--role", "change-board", "--reason", "mine"];
    townlet_in(&inside, &[&words[..], &["--key", "keys/author.key"]].concat()).expect(0);
    let words = ["gate", manifest, "--env", "production", "--key", "keys/ci.key"];
    let again = townlet_in(&inside, &words).expect(10);
    assert!(again.stdout.contains("APPROVAL_MISSING") && again.stdout.contains("rosa"), "{}", again.stdout);

    // What fails speaks against the release, although the program of the run before is still there.
    let broken = read(&dir.path().join("src/main.rs")).replace("assert_eq!(two(), 2)", "assert_eq!(two(), 3)");
    write(&dir.path().join("src"), "main.rs", &broken);
    let ran = run(&dir, &["release"]).expect(10);
    assert!(ran.stdout.contains("READINESS_FAILED"), "{}", ran.stdout);
    std::fs::remove_dir_all(dir.path().join("target/release")).unwrap();
    let ran = run(&dir, &["release"]).expect(1);
    assert!(ran.stderr.contains("tests failed, and without what they make"), "{}", ran.stderr);
}

#[test]
fn nothing_is_written_over_unless_it_is_asked_for_and_keys_never() {
    let dir = workspace();
    run(&dir, &["init", "--person", "rosa"]).expect(0);
    let (policies, key) = (dir.path().join("release/policies.yaml"), dir.path().join("release/keys/author.key"));
    let (written, secret) = (read(&policies), read(&key));
    write(&dir.path().join("release"), "policies.yaml", "policies: { readiness_passed: true, error_rate: < 0.01 }\n");
    std::fs::remove_file(dir.path().join("release/change-board.yaml")).unwrap();
    let ran = run(&dir, &["init", "--person", "somebody"]).expect(0);
    assert!(ran.stdout.contains("kept   release/policies.yaml"), "{}", ran.stdout);
    assert!(ran.stdout.contains("wrote  release/change-board.yaml"), "{}", ran.stdout);
    assert!(read(&policies).contains("error_rate"));
    run(&dir, &["init", "--force"]).expect(0);
    assert_eq!((read(&policies), read(&key)), (written, secret));
    let keys = run(&dir, &["keys", "list", "--keys", "release/townlet-keys.json", "--json"]).expect(0).json();
    let people: Vec<&str> = keys.as_array().unwrap().iter().map(|key| key["person"].as_str().unwrap()).collect();
    assert!(people.len() == 2 && people.contains(&"rosa") && people.contains(&"ci"), "{people:?}");
}

/// With nothing but what the commands say.
#[test]
fn what_production_still_needs_can_be_done_by_what_is_printed() {
    let dir = workspace();
    let printed = run(&dir, &["init", "--person", "rosa"]).expect(0).stdout;
    assert!(printed.contains("townlet rehearse --help") && printed.contains("release/rollback.yaml"), "{printed}");
    let release = dir.path().join("release");
    write(&release, "readiness.yaml", "suites: [{ name: tests, kind: unit, command: [\"true\"], timeout: 1m }]\n");
    let draft = read(&release.join("release.yaml")).replace("target/release/hello-app", "src/main.rs");
    write(&release, "release.yaml", &draft);
    let ran = run(&dir, &["release", "--env", "production", "--name", "R1"]).expect(10);
    let manifest = named(&ran, "manifest ").to_owned();
    let again = ran.stdout.lines().find_map(|line| line.strip_prefix("again    townlet ")).expect("what comes next");
    let again: Vec<&str> = again.split("  #").next().unwrap().split(' ').collect();

    let help = run(&dir, &["rehearse", "--help"]).expect(0).stdout;
    let example: Vec<&str> = help.lines().skip_while(|line| !line.starts_with("  name: ")).collect();
    let example = example.iter().map_while(|line| line.strip_prefix("  ")).map(|line| format!("{line}\n"));
    write(&release, "rollback.yaml", &example.collect::<String>());
    let well = ["/bin/true", "/usr/bin/true"].into_iter().find(|path| Path::new(path).exists()).unwrap();
    for program in ["install", "answers"] {
        std::os::unix::fs::symlink(well, release.join(program)).unwrap();
    }
    let run = |words: &[&str]| townlet_in(&release, words).expect(0).stdout;
    let record = run(&["rehearse", "--config", "rollback.yaml", "--out", "out/evidence"]);
    for (person, role) in [("ana", "change-board"), ("bo", "sre-on-call"), ("cy", "product-owner")] {
        let key = format!("keys/{person}.key");
        run(&["keys", "new", &key]);
        run(&["keys", "trust", &format!("{key}.pub"), "--person", person, "--role", role]);
        let words = ["approve", &manifest, "--env", "production", "--role", role, "--reason", "read it"];
        run(&[&words[..], &["--key", &key]].concat());
    }
    // Whoever was not believed yet when it ended says so of a later one.
    let attest = |record: &str| {
        let record = record.lines().last().unwrap();
        townlet_in(&release, &["attest", "rehearsal", record, "--manifest", &manifest, "--key", "keys/bo.key"])
    };
    let early = attest(&record).expect(2);
    assert!(early.stderr.contains("older than the key is believed; run it again"), "{}", early.stderr);
    attest(&run(&["rehearse", "--config", "rollback.yaml", "--out", "out/evidence"])).expect(0);
    let approved = run(&again);
    assert!(approved.starts_with("approve: R1 may go to production"), "{approved}");
}

/// As a kill between the one file and the other leaves it, or a kill while a key is written.
#[test]
fn a_beginning_that_was_cut_short_is_finished_by_the_next_one() {
    let dir = workspace();
    run(&dir, &["init", "--person", "rosa"]).expect(0);
    let key = dir.path().join("release/keys/author.key");
    let secret = read(&key);
    std::fs::remove_file(dir.path().join("release/townlet-keys.json")).unwrap();
    let ran = run(&dir, &["init", "--person", "rosa"]).expect(0);
    assert!(ran.stdout.contains("kept   release/keys/author.key") && ran.stdout.contains("vouched"), "{}", ran.stdout);
    assert_eq!(read(&key), secret);
    let keys = run(&dir, &["keys", "list", "--keys", "release/townlet-keys.json", "--json"]).expect(0).json();
    assert_eq!(keys.as_array().unwrap().len(), 2, "{keys}");
    let ring = read(&dir.path().join("release/townlet-keys.json"));
    run(&dir, &["init", "--person", "rosa"]).expect(0);
    assert_eq!(read(&dir.path().join("release/townlet-keys.json")), ring);

    std::fs::write(&key, "").unwrap();
    let ran = run(&dir, &["init", "--person", "rosa"]).expect(2);
    assert!(ran.stderr.contains("author.key") && ran.stderr.contains("take it away"), "{}", ran.stderr);
    std::fs::remove_file(&key).unwrap();
    assert!(run(&dir, &["init", "--person", "rosa"]).expect(0).stdout.contains("made   release/keys/author.key"));
}

#[test]
fn where_there_is_no_workspace_or_no_key_it_says_what_to_do() {
    let empty = TempDir::new().unwrap();
    assert!(run(&empty, &["init"]).expect(2).stderr.contains("is no Cargo workspace"));
    let dir = workspace();
    assert!(run(&dir, &["release"]).expect(2).stderr.contains("townlet init"));
    assert!(!dir.path().join("release").exists(), "nothing was made where nothing can be signed");
    run(&dir, &["init", "--person", "rosa"]).expect(0);
    std::fs::remove_dir_all(dir.path().join("release/keys")).unwrap();
    let ran = run(&dir, &["release"]);
    assert!(ran.stderr.contains("author.key") && ran.stderr.contains("townlet init"), "{}", ran.stderr);
    run(&dir, &["release", "--name", "a/b"]).expect(2);
    let outside = empty.path().join("out");
    let ran = run(&dir, &["release", "--out", outside.to_str().unwrap()]).expect(2);
    assert!(ran.stderr.contains("is not below"), "{}", ran.stderr);
}

#[test]
fn a_trial_makes_its_own_keys_and_leaves_those_of_the_workspace_alone() {
    let dir = workspace();
    run(&dir, &["init", "--person", "rosa"]).expect(0);
    let suite = "suites: [{ name: tests, kind: unit, command: [\"true\"], timeout: 1m }]\n";
    write(&dir.path().join("release"), "readiness.yaml", suite);
    let draft = read(&dir.path().join("release/release.yaml")).replace("target/release/hello-app", "src/main.rs");
    write(&dir.path().join("release"), "release.yaml", &draft);
    let words = ["release", "--trial-keys", "--out", "trial", "--revision", "r-7"];
    for _ in 0..2 {
        let ran = run(&dir, &words).expect(0);
        assert!(ran.stdout.starts_with("approve: r-7 may go to dev"), "{}", ran.stdout);
    }
    assert!(dir.path().join("trial/keys/ci.key").exists());
    assert!(!dir.path().join("release/townlet-registry.db").exists());
    run(&dir, &["verify", "trial/r-7.bundle", "--keys", "release/townlet-keys.json"]).expect(1);
    run(&dir, &["verify", "trial/r-7.bundle", "--keys", "trial/townlet-keys.json"]).expect(0);
}
