//! The guide's policy and its tests do what the guide says.

use townlet_policy::suite::Suite;
use townlet_policy::{Code, Findings, Policy, lint};

const GUIDE: &str = include_str!("../../../../docs/guides/release-policies.md");

fn blocks() -> Vec<&'static str> {
    let fenced = GUIDE.split("```").skip(1).step_by(2);
    fenced.filter_map(|block| block.strip_prefix("yaml\n")).collect()
}

#[test]
fn the_policy_of_the_guide_is_sound_and_its_tests_pass() {
    let [rules, tests] = blocks()[..] else { panic!("{} blocks", blocks().len()) };
    let mut found = Findings::new("release.yaml", rules);
    let policy = Policy::read(rules, &mut found).unwrap_or_else(|| panic!("{found}"));
    lint(&policy, &mut found);
    assert!(found.is_empty(), "{found}");
    let mut found = Findings::new("release.test.yaml", tests);
    let bound = Suite::read(tests, &mut found).and_then(|suite| suite.bind(&policy, &mut found));
    let failures = bound.unwrap_or_else(|| panic!("{found}")).run(&policy);
    assert!(failures.is_empty(), "{failures:?}");
}

#[test]
fn the_guide_names_every_finding_of_lint() {
    // What the readers and the tests of policies say is explained by its message.
    let others = [
        Code::Syntax,
        Code::YamlTrap,
        Code::TooLarge,
        Code::Duplicate,
        Code::UnknownKey,
        Code::Missing,
        Code::Value,
        Code::Expression,
        Code::UnknownMetric,
        Code::UnknownRule,
        Code::Unit,
        Code::TestFailed,
        Code::Survivor,
    ];
    for code in Code::ALL.iter().filter(|code| !others.contains(code)) {
        assert!(GUIDE.contains(&format!("`{code}`")), "{code}");
    }
}
