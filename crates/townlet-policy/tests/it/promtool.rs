//! Gap mode `prometheus` against the real thing: generated series, alerts expected by our evaluator, `promtool` to judge.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use townlet_policy::evaluate::{Evaluator, GapMode, Settings, State};
use townlet_policy::{Form, MetricId};

use crate::evaluate::{rule, secs};

/// Alerts as PromQL has them, and as rules have them: `for` and `keep` in minutes.
const ALERTS: [(&str, u32, u32); 8] = [
    ("a > 5", 0, 0),
    ("a > 5", 3, 0),
    ("a >= 5", 1, 2),
    ("a < 3", 5, 0),
    ("a != 4", 2, 4),
    ("a == 4", 0, 3),
    ("a > 5 and b > 5", 2, 0),
    ("a > 3 and b < 6", 1, 1),
];
/// Times the alerts, that is 1,000 histories of an alert, each compared at 30 times.
const SERIES: usize = 125;
const SAMPLES: u64 = 24;
/// Not a divisor of the five minutes of lookback: where a sample is exactly that old, Prometheus 2 and 3 differ.
const EVERY: u64 = 61;

/// Numbers that are the same in every run (Knuth's constants).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// A folder to work in, where promtool is installed.
pub(crate) fn promtool(folder: &str) -> Option<PathBuf> {
    if Command::new("promtool").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "promtool is not installed, and in CI it must be");
        eprintln!("SKIPPED: promtool is not installed, so nothing was compared with it");
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    Some(folder)
}

/// Panics unless `promtool test rules` is content with a file in this folder.
pub(crate) fn agrees(folder: &Path, file: &Path) {
    let judged = Command::new("promtool").args(["test", "rules"]).arg(file).current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&judged.stderr);
    assert!(judged.status.success(), "{}", said.chars().take(3000).collect::<String>());
}

#[test]
fn promtool_expects_the_same_alerts() {
    let Some(folder) = promtool("policy-promtool") else { return };
    let mut rules = String::from("groups:\n- name: all\n  rules:\n");
    let ours: Vec<_> = ALERTS
        .iter()
        .enumerate()
        .map(|(number, (expression, lasting, keep))| {
            writeln!(
                rules,
                "  - {{alert: r{number}, expr: '{expression}', for: {lasting}m, keep_firing_for: {keep}m}}"
            )
            .unwrap();
            rule(Form::When, &format!("{expression} for {lasting}m keep {keep}m"))
        })
        .collect();
    std::fs::write(folder.join("rules.yaml"), rules).unwrap();

    let mut dice = Dice::new(7);
    let (mut tests, mut fired, mut ended) = (String::new(), 0_u32, 0_u32);
    for _ in 0..SERIES {
        let settings = Settings { gap: GapMode::Prometheus, ..Settings::default() };
        let mut evaluator = Evaluator::new(&ours, 2, secs(0), settings).unwrap();
        tests += "- interval: 61s\n  input_series:\n";
        for (metric, name) in ["a", "b"].into_iter().enumerate() {
            // The first is left out, or it would be exactly five minutes old at minute 5.
            let mut values = String::from("_");
            let mut gap = 0;
            for number in 1..SAMPLES {
                let at = secs(number * EVERY);
                if gap == 0 && dice.below(8) == 0 {
                    gap = dice.below(9);
                }
                if gap > 0 {
                    gap -= 1;
                    values += " _";
                } else if dice.below(8) == 0 {
                    evaluator.stale(MetricId(metric), at).unwrap();
                    values += " stale";
                } else {
                    let value = [1_u32, 4, 4, 5, 7, 7, 9][usize::try_from(dice.below(7)).unwrap()];
                    evaluator.sample(MetricId(metric), at, f64::from(value), 1).unwrap();
                    write!(values, " {value}").unwrap();
                }
            }
            writeln!(tests, "  - {{series: '{name}', values: '{values}'}}").unwrap();
        }
        tests += "  alert_rule_test:\n";
        let mut before = [false; ALERTS.len()];
        for minute in 0..30 {
            for (number, status) in evaluator.evaluate(secs(minute * 60)).unwrap().into_iter().enumerate() {
                let firing = matches!(status.state, State::Firing { .. });
                fired += u32::from(firing && !before[number]);
                ended += u32::from(before[number] && !firing);
                before[number] = firing;
                let expected = if firing { "[{exp_labels: {}}]" } else { "[]" };
                writeln!(tests, "  - {{eval_time: {minute}m, alertname: r{number}, exp_alerts: {expected}}}").unwrap();
            }
        }
    }
    assert!(fired > 500 && ended > 500, "too little happens to compare: {fired} fired, {ended} ended");
    let head = "rule_files: [rules.yaml]\nevaluation_interval: 1m\ntests:\n";
    std::fs::write(folder.join("alerts.yaml"), format!("{head}{tests}")).unwrap();
    agrees(&folder, Path::new("alerts.yaml"));
}
