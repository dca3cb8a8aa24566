//! `townlet lint` and `townlet test`.

use std::path::Path;

use tempfile::TempDir;

use crate::support::{text, townlet, write};

const POLICY: &str =
    "metrics: { p95: { unit: ms, worse: up } }\nrules:\n  - { id: slow, when: \"p95 > 200 for 4m\", action: hold }\n";

fn sample(name: &str) -> String {
    text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/policies").join(name)).to_owned()
}

#[test]
fn the_shipped_policies_have_no_findings_and_their_tests_pass() {
    let names = ["pipeline", "readiness", "../rollouts/telemetry-step2"];
    let policies = names.map(|name| sample(&format!("{name}.yaml")));
    let tests = names.map(|name| sample(&format!("{name}.test.yaml")));
    let mut lint = vec!["lint"];
    lint.extend(policies.iter().chain(&tests).map(String::as_str));
    let ran = townlet(&lint).expect(0);
    assert_eq!(ran.stdout.matches("no findings").count(), 6, "{}", ran.stdout);
    let mut test = vec!["test"];
    test.extend(tests.iter().map(String::as_str));
    let ran = townlet(&test).expect(0);
    assert_eq!(ran.stdout.matches("all as expected").count(), 3, "{}", ran.stdout);
}

#[test]
fn the_rules_of_a_plan_are_tested_as_they_stand_in_it() {
    let tests = sample("../rollouts/telemetry-step2.test.yaml");
    let ran = townlet(&["test", "--mutate", &tests]).expect(0);
    assert!(ran.stdout.contains("all as expected") && ran.stdout.contains("by nobody: 100.0 %"), "{}", ran.stdout);
    let dir = TempDir::new().unwrap();
    let plan = std::fs::read_to_string(sample("../rollouts/telemetry-step2.yaml")).unwrap();
    write(dir.path(), "telemetry-step2.yaml", &plan.replace("> 90ms for 30m", "> 95ms for 30m"));
    let tests = write(dir.path(), "moved.test.yaml", &std::fs::read_to_string(tests).unwrap());
    let ran = townlet(&["test", &tests]).expect(1);
    assert!(ran.stdout.contains("'parse-p95-target' is inactive, not pending"), "{}", ran.stdout);
    write(dir.path(), "telemetry-step2.yaml", &plan.replace("sign_off:", "signoff:"));
    let ran = townlet(&["test", &tests]).expect(2);
    assert!(
        ran.stderr.contains("write sign_off") && ran.stderr.contains("no rules that can be tested"),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_checklist_of_step_2_is_taken_apart() {
    let ran = townlet(&["lint", &sample("../rollouts/telemetry-step2-checklist.yaml")]).expect(1);
    for code in ["dead_rule", "two_sided", "mixed_units", "contaminated_baseline", "action_gap", "unchecked_rollback"] {
        assert!(ran.stdout.contains(&format!("warning[{code}]")), "{code} in {}", ran.stdout);
    }
}

#[test]
fn a_finding_exits_1_and_a_policy_that_cannot_be_used_2_and_a_missing_one_3() {
    let dir = TempDir::new().unwrap();
    let dead = write(
        dir.path(),
        "dead.yaml",
        &POLICY
            .replace("action: hold }", "action: hold }\n  - { id: slower, when: \"p95 > 300 for 5m\", action: warn }"),
    );
    let ran = townlet(&["lint", &dead]).expect(1);
    assert!(ran.stdout.contains("warning[shadowed_rule]") && ran.stdout.contains("dead.yaml:4:"), "{}", ran.stdout);
    let json = townlet(&["lint", "--json", &dead]).expect(1).json();
    assert_eq!(json[0]["findings"][0]["code"], "shadowed_rule");
    assert_eq!(json[0]["findings"][0]["line"], 4);
    let trap = write(dir.path(), "trap.yaml", &POLICY.replace("\"p95 > 200 for 4m\"", ">5"));
    let ran = townlet(&["lint", &dead, &trap]).expect(2);
    assert!(ran.stdout.contains("error[yaml_trap]") || ran.stdout.contains("error[syntax]"), "{}", ran.stdout);
    let ran = townlet(&["lint", &dead, text(&dir.path().join("none.yaml"))]).expect(3);
    assert!(ran.stderr.contains("none.yaml") && ran.stdout.contains("dead.yaml"), "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn tests_that_fail_exit_1_and_changes_that_survive_are_printed() {
    let dir = TempDir::new().unwrap();
    write(dir.path(), "p.yaml", POLICY);
    let test = |name: &str, expect: &str| {
        let series = "{ p95: \"200x3 201x4 150\" }";
        let tests = format!("policy: p.yaml\ntests:\n  - name: a\n    series: {series}\n    expect: [{expect}]\n");
        write(dir.path(), name, &tests)
    };
    let weak = test("weak.test.yaml", "{ at: 6m, rules: { slow: pending } }");
    townlet(&["test", &weak]).expect(0);
    let ran = townlet(&["test", "--mutate", &weak]).expect(1);
    assert!(
        ran.stdout.contains("warning[survivor]: no test notices: 'slow': action: hold became warn"),
        "{}",
        ran.stdout
    );
    assert!(ran.stdout.contains("p.yaml:3:23"), "{}", ran.stdout);
    townlet(&["test", "--mutate", "--least", "10", &weak]).expect(0);
    let json = townlet(&["test", "--mutate", "--json", &weak]).expect(1).json();
    assert_eq!(json["tests"][0]["expectations"], 1);
    assert!(json["mutants"][0]["survivors"].as_array().is_some_and(|all| !all.is_empty()), "{json}");

    let failing = test("failing.test.yaml", "{ at: 6m, rules: { slow: firing } }");
    let ran = townlet(&["test", "--mutate", &failing, &weak]).expect(1);
    assert!(ran.stdout.contains("failing.test.yaml:5:33"), "{}", ran.stdout);
    assert!(ran.stdout.contains("a: at 6m 'slow' is pending, not firing"), "{}", ran.stdout);
    assert!(ran.stderr.contains("changes are tried when its tests pass"), "{}", ran.stderr);

    let lost = write(
        dir.path(),
        "lost.test.yaml",
        "policy: gone.yaml\ntests: [{ name: a, expect: [{ at: 0s, does: nothing }] }]\n",
    );
    let ran = townlet(&["test", &lost]).expect(2);
    assert!(ran.stderr.contains("gone.yaml"), "{}", ran.stderr);
    townlet(&["test", text(&dir.path().join("none.test.yaml"))]).expect(3);
}
