//! History: rates, and a file that survives crashes.

use proptest::prelude::*;
use tempfile::TempDir;
use townlet_readiness::history::{Entry, FILE, History, VERSION, append};
use townlet_readiness::{Digest, Moment};

fn entry(suite: &str, revision: Option<&str>, passed: bool, flaky: bool) -> Entry {
    Entry {
        history_version: VERSION,
        run_id: "r".into(),
        suite: suite.into(),
        revision: revision.map(str::to_owned),
        command_sha256: Digest::of(b"x"),
        ended_at: Moment::from_ms(0),
        passed,
        flaky,
        attempts: 1,
        duration_seconds: 1.5,
    }
}

#[test]
fn what_is_appended_is_read_in_its_order() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join(FILE);
    assert_eq!(History::read(&file).unwrap(), History::default());
    let (a, b) = (entry("a", Some("1"), true, false), entry("b", None, false, true));
    append(&file, std::slice::from_ref(&a)).unwrap();
    append(&file, std::slice::from_ref(&b)).unwrap();
    assert_eq!(History::read(&file).unwrap().entries, [a, b]);
}

/// A crash may leave any beginning of the last line.
#[test]
fn a_torn_line_is_counted_and_damages_no_other_wherever_it_was_torn() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join(FILE);
    let one = entry("a", Some("1"), true, false);
    append(&file, &[one.clone(), one.clone()]).unwrap();
    let whole = std::fs::read(&file).unwrap();
    let line = whole.len() / 2;
    for cut in line..whole.len() {
        std::fs::write(&file, &whole[..cut]).unwrap();
        append(&file, std::slice::from_ref(&one)).unwrap();
        let history = History::read(&file).unwrap();
        // Cut right behind a brace or a newline nothing is lost.
        let damaged = u64::from(cut != line && cut != whole.len() - 1);
        assert_eq!(
            (history.entries.len() as u64, history.damaged_lines),
            (3 - damaged - u64::from(cut == line), damaged)
        );
    }
}

#[test]
fn a_line_of_a_newer_version_is_refused_and_not_guessed_at() {
    let line = serde_json::to_string(&entry("a", None, true, false)).unwrap();
    let newer = line.replace("\"history_version\":1", "\"history_version\":2,\"more\":[]");
    let error = History::parse(&format!("{line}\n{newer}\n")).unwrap_err().to_string();
    assert!(error.contains("line 2") && error.contains("version 2"), "{error}");
    let unknown = line.replace("\"suite\"", "\"more\":1,\"suite\"");
    assert_eq!(History::parse(&unknown).unwrap().damaged_lines, 1);
}

#[test]
fn a_failure_at_a_revision_that_also_passed_is_a_flake_and_one_at_another_is_none() {
    let rates = |entries: &[Entry]| History { entries: entries.to_vec(), damaged_lines: 0 }.rates("a", 20);
    let (pass, fail) = (entry("a", Some("1"), true, false), entry("a", Some("1"), false, false));
    assert_eq!(rates(&[pass.clone(), fail.clone()]).flaky, 1);
    assert_eq!(rates(&[entry("a", Some("2"), true, false), fail.clone()]).flaky, 0);
    // Two trees with changes are not the same tree.
    assert_eq!(rates(&[entry("a", None, true, false), entry("a", None, false, false)]).flaky, 0);
    let other = Entry { command_sha256: Digest::of(b"y"), ..fail };
    assert_eq!(rates(&[pass, other]).flaky, 0);
}

#[test]
fn the_burn_is_one_where_exactly_the_permitted_share_fails() {
    let entries: Vec<Entry> = (0..50).map(|n| entry("a", None, n != 7, false)).collect();
    let rates = History { entries, damaged_lines: 0 }.rates("a", 50);
    assert_eq!(rates.success_rate(), Some(0.98));
    assert_eq!(rates.error_budget_burn(0.98), Some(1.0));
    assert_eq!(rates.error_budget_burn(1.0), None);
    assert_eq!(History::default().rates("a", 5).success_rate(), None);
}

proptest! {
    /// Against a model that goes through all pairs of runs.
    #[test]
    fn rates_count_what_a_person_would_count(
        runs in prop::collection::vec((0..3_u8, prop::option::of(0..3_u8), any::<bool>(), any::<bool>()), 0..30),
        window in 1..12_usize,
    ) {
        let names = ["a", "b", "c"];
        let revisions = ["1", "2", "3"];
        let all: Vec<Entry> = runs
            .iter()
            .map(|(s, r, p, f)| entry(names[*s as usize], r.map(|r| revisions[r as usize]), *p, *f))
            .collect();
        let history = History { entries: all.clone(), damaged_lines: 0 };
        for name in names {
            let own: Vec<&Entry> = all.iter().filter(|entry| entry.suite == name).collect();
            let seen = &own[own.len().saturating_sub(window)..];
            let (mut passed, mut flaky) = (0, 0);
            for one in seen {
                passed += u64::from(one.passed);
                let mut by_chance = false;
                for other in seen {
                    by_chance |= !one.passed && other.passed && one.revision.is_some() && one.revision == other.revision;
                }
                flaky += u64::from(one.flaky || by_chance);
            }
            let rates = history.rates(name, window);
            prop_assert_eq!((rates.runs, rates.passed, rates.flaky), (seen.len() as u64, passed, flaky));
        }
    }
}
