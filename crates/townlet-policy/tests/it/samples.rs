//! The policies that are shipped: without findings, tested, and their tests notice nearly every change.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed step is a failed test; the score is worth reading"
)]

use std::path::{Path, PathBuf};

use townlet_policy::suite::{Bound, Suite};
use townlet_policy::{Findings, Policy, lint, mutate};

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples")
}

/// Every policy with its tests.
fn all() -> Vec<(String, Policy, Findings, Bound)> {
    let folder = samples().join("policies");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str().map(str::to_owned))
        .filter(|name| name.ends_with(".test.yaml"))
        .collect();
    names.sort();
    assert!(names.len() >= 2, "{names:?}");
    let each = names.into_iter().map(|name| {
        let text = std::fs::read_to_string(folder.join(&name)).unwrap();
        let mut found = Findings::new(&name, &text);
        let suite = Suite::read(&text, &mut found).unwrap_or_else(|| panic!("{found}"));
        let rules = std::fs::read_to_string(folder.join(&suite.policy)).unwrap();
        let mut of_rules = Findings::new(&suite.policy, &rules);
        let policy = Policy::read(&rules, &mut of_rules).unwrap_or_else(|| panic!("{of_rules}"));
        let bound = suite.bind(&policy, &mut found).unwrap_or_else(|| panic!("{found}"));
        (name, policy, of_rules, bound)
    });
    each.collect()
}

#[test]
fn every_policy_that_is_shipped_is_tested_passes_and_has_no_findings() {
    for (name, policy, mut found, bound) in all() {
        lint(&policy, &mut found);
        assert!(found.is_empty(), "{found}");
        let failures: Vec<String> = bound.run(&policy).iter().map(ToString::to_string).collect();
        assert!(failures.is_empty(), "{name}\n{}", failures.join("\n"));
    }
    let untested = std::fs::read_dir(samples().join("policies")).unwrap().filter(|entry| {
        let path = entry.as_ref().unwrap().path();
        let name = path.to_str().unwrap();
        !name.ends_with(".test.yaml") && !Path::new(&name.replace(".yaml", ".test.yaml")).exists()
    });
    assert_eq!(untested.count(), 0);
}

#[test]
fn the_tests_of_the_shipped_policies_notice_nineteen_of_twenty_changes() {
    for (name, policy, _, bound) in all() {
        let score = mutate::score(&policy, std::slice::from_ref(&bound)).unwrap();
        let survivors: Vec<&str> = score.survivors.iter().map(|one| one.change.as_str()).collect();
        let percent = score.killed() * 100.0;
        eprintln!("{name}: {percent:.1} % of {} ({} by lint)", score.mutants(), score.by_lint);
        assert!(score.mutants() > 50, "{name}: {}", score.mutants());
        assert!(score.killed() >= 0.95, "{name}: {percent:.1} %\n{}", survivors.join("\n"));
    }
}
