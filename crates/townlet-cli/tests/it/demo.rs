//! `townlet demo`.

use tempfile::TempDir;

use crate::support::{lines_below, text, townlet};

#[test]
fn the_demo_delivers_everything_over_tls_and_ends_with_residual_0() {
    let dir = TempDir::new().unwrap();
    let ran = townlet(&["demo", "--ticks", "120", "--agents", "5", "--out", text(dir.path())]).expect(0);
    assert_eq!(ran.stdout.lines().last(), Some("residual 0"), "{}", ran.stdout);

    let collected = lines_below(&dir.path().join("collected"));
    let states = collected.iter().filter(|l| l["payload_type"] == "snapshot").count();
    assert_eq!(states, 120);
    // The town names its policy in every snapshot; redaction takes it out before every egress.
    assert!(collected.iter().all(|l| l.get("policy_identity").is_none()));
    let archived = lines_below(&dir.path().join("archive"));
    let events = archived.iter().filter(|l| l["payload_type"] != "run").count();
    assert_eq!(events, collected.len(), "both sinks got every event");
}

#[test]
fn the_demo_can_be_run_again_into_the_same_folder() {
    let dir = TempDir::new().unwrap();
    for _ in 0..2 {
        let ran = townlet(&["demo", "--ticks", "10", "--agents", "2", "--out", text(dir.path())]).expect(0);
        assert_eq!(ran.stdout.lines().last(), Some("residual 0"));
    }
}

#[test]
fn help_and_bad_usage_have_their_exit_codes() {
    assert!(townlet(&["--help"]).expect(0).stdout.contains("Exit codes"));
    townlet(&["demo", "--ticks", "many"]).expect(2);
    townlet(&["demo", "--agents", "0"]).expect(2);
    townlet(&[]).expect(2);
}
