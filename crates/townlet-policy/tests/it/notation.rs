//! Series as promtool writes them, against promtool.

use std::fmt::Write as _;
use std::path::Path;

use proptest::prelude::*;
use townlet_policy::suite::{Point, points};

use crate::promtool::{Dice, promtool};

#[test]
fn every_form_is_read() {
    use Point::{Missing, Stale, Value};
    let values = |all: &[f64]| all.iter().map(|value| Value(*value)).collect::<Vec<_>>();
    for (text, expected) in [
        ("", vec![]),
        ("1 2.5 -3", values(&[1.0, 2.5, -3.0])),
        ("5x3", values(&[5.0, 5.0, 5.0, 5.0])),
        ("1+2x3", values(&[1.0, 3.0, 5.0, 7.0])),
        ("9-3x2", values(&[9.0, 6.0, 3.0])),
        ("-1e2+.5x1", values(&[-100.0, -99.5])),
        ("5x0", values(&[5.0])),
        ("_ _x2 _x0", vec![Missing, Missing, Missing]),
        ("stale  1\n2", vec![Stale, Value(1.0), Value(2.0)]),
        ("Inf -inf", values(&[f64::INFINITY, f64::NEG_INFINITY])),
    ] {
        assert_eq!(points(text), Ok(expected), "{text}");
    }
    assert!(matches!(points("NaN").as_deref(), Ok([Value(value)]) if value.is_nan()));
    for (text, column) in [
        ("1 x3", 2),
        ("1x", 0),
        ("1+2", 0),
        ("1+x3", 0),
        ("_3", 0),
        ("5 stalex3", 2),
        ("010", 0),
        ("0x1F", 0),
        (". 1", 0),
        ("1 {{count:1}}", 2),
        ("1e999", 0),
        ("1x2x3", 0),
        ("1x100000", 0),
    ] {
        assert_eq!(points(text).unwrap_err().column, column, "{text}");
    }
}

/// What a series shows at a second, its points being sixty-one seconds apart and Prometheus looking back for five
/// minutes. (promtool loads samples up to whole evaluations only, so it is asked at whole minutes.)
fn shown(points: &[Point], at: usize) -> Option<f64> {
    let upto = points[..=(at / 61).min(points.len() - 1)].iter().enumerate().rev();
    let mut young = upto.take_while(|(number, _)| at - number * 61 < 300);
    match young.find(|(_, point)| **point != Point::Missing)? {
        (_, Point::Value(value)) => Some(*value),
        _ => None,
    }
}

#[test]
fn promtool_reads_the_same_values() {
    let Some(folder) = promtool("policy-notation") else { return };
    let mut dice = Dice::new(11);
    let mut tests = String::from("rule_files: []\ntests:\n");
    let mut compared = 0;
    for _ in 0..100 {
        let mut text = Vec::new();
        for _ in 0..6 {
            let (a, b, n) = (dice.below(40), dice.below(9), dice.below(4));
            text.push(match dice.below(8) {
                0 => "_".to_owned(),
                1 => format!("_x{n}"),
                2 => "stale".to_owned(),
                3 => format!("{a}"),
                4 => format!("-{a}.{b}e1x{n}"),
                5 => format!("{a}.5+0.{b}x{n}"),
                6 => format!("{a}-{b}x{n}"),
                _ => format!("+{a}+-{b}x{n}").replace("+-", "-"),
            });
        }
        let text = text.join(" ");
        let read = points(&text).unwrap();
        write!(tests, "- interval: 61s\n  input_series: [{{series: a, values: '{text}'}}]\n  promql_expr_test:\n")
            .unwrap();
        for minute in 0..read.len() + 6 {
            compared += 1;
            let samples =
                shown(&read, minute * 60).map_or_else(String::new, |value| format!("{{labels: a, value: {value:?}}}"));
            writeln!(tests, "  - {{expr: a, eval_time: {minute}m, exp_samples: [{samples}]}}").unwrap();
        }
    }
    assert!(compared > 1000, "{compared}");
    std::fs::write(folder.join("notation.yaml"), tests).unwrap();
    crate::promtool::agrees(&folder, Path::new("notation.yaml"));
}

proptest! {
    #[test]
    fn no_text_makes_the_notation_panic(text in "([0-9]{1,3}|[-+_.x ]|e|stale|inf|NaN|\\PC){0,20}") {
        let _ = points(&text);
    }
}
