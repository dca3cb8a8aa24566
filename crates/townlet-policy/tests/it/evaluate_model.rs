//! The evaluator against a model that keeps everything and computes each answer from the whole history.
#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::time::Duration;

use proptest::prelude::*;
use townlet_policy::evaluate::{Evaluator, GapMode, State};
use townlet_policy::{Basis, Check, Condition, Form, Limit, MetricId, Op, Rule, Test, Time, Truth};

use crate::evaluate::{metrics, rule, secs, settings};

/// What happens, at a time in seconds.
#[derive(Clone, Debug)]
enum Event {
    Sample(usize, u64, f64, u64),
    Stale(usize, u64),
    Baseline(usize, Option<f64>),
    Unwatched(u64),
    Evaluate(u64),
}

struct Model<'a> {
    rule: &'a Rule,
    mode: GapMode,
    started: Time,
    history: &'a [Event],
}

impl Model<'_> {
    fn max_gap(&self) -> Duration {
        self.rule.timing.max_gap.unwrap_or(settings(self.mode).max_gap)
    }

    /// Since when somebody had looked.
    fn watched_since(&self, upto: usize) -> Time {
        let breaks = self.history[..upto].iter().filter_map(|event| match event {
            Event::Unwatched(at) => Some(secs(*at)),
            _ => None,
        });
        breaks.fold(self.started, Time::max)
    }

    /// All that had come of a metric before event number `upto`, up to a time.
    fn points(&self, upto: usize, metric: MetricId, now: Time) -> Vec<(Time, Option<f64>, u64)> {
        let points = self.history[..upto].iter().filter_map(|event| match *event {
            Event::Sample(of, at, value, weight) if of == metric.0 => Some((secs(at), Some(value), weight)),
            Event::Stale(of, at) if of == metric.0 => Some((secs(at), None, 0)),
            _ => None,
        });
        points.filter(|(at, ..)| *at <= now).collect()
    }

    fn test(&self, upto: usize, test: &Test, now: Time) -> Option<bool> {
        let points = self.points(upto, test.metric, now);
        let prometheus = self.mode == GapMode::Prometheus;
        let present = points.last().and_then(|(at, value, _)| {
            let age = now.since(*at);
            let young = if prometheus { age < self.max_gap() } else { age <= self.max_gap() };
            value.filter(|_| young)
        });
        let window = |span: Duration| points.iter().filter(move |(at, ..)| now.since(*at) < span);
        let seen = |span: Duration| {
            let seen = window(span).any(|(_, value, _)| value.is_some());
            (seen || prometheus || now.since(self.watched_since(upto)) >= span).then_some(seen)
        };
        let baseline = self.history[..upto].iter().rev().find_map(|event| match event {
            Event::Baseline(of, value) if *of == test.metric.0 => Some(*value),
            _ => None,
        });
        let enough = self
            .rule
            .timing
            .min_samples
            .is_none_or(|least| window(least.within).map(|(.., weight)| weight).sum::<u64>() >= least.count);
        let value = present.filter(|value| enough && (prometheus || !value.is_nan()));
        let compare = |op: Op, limit: Limit| {
            let value = value?;
            if limit.basis == Basis::Value {
                return Some(op.holds(value, limit.value));
            }
            let base = baseline.flatten()?;
            let distance = if limit.basis == Basis::Relative { limit.value * base.abs() } else { limit.value };
            if limit.basis == Basis::Relative && base == 0.0 {
                return None;
            }
            let both = limit.two_sided;
            Some(if both { op.holds((value - base).abs(), distance) } else { op.holds(value, base + distance) })
        };
        match test.check {
            Check::Compare { op, limit } => compare(op, limit),
            Check::In { low, high } => Some(compare(Op::Ge, low)? && compare(Op::Le, high)?),
            Check::Absent { lasting: Some(span) } => seen(span).map(|seen| !seen),
            Check::Fresh { within } => seen(within),
            Check::Absent { lasting: None } => {
                let known = present.is_some() || prometheus || now.since(self.watched_since(upto)) >= self.max_gap();
                known.then_some(present.is_none())
            }
        }
    }

    /// Kleene by its tables: one part decides, or one unknown part hides the rest.
    fn truth(&self, upto: usize, now: Time) -> Truth {
        fn kleene(condition: &Condition, test: &dyn Fn(&Test) -> Option<bool>) -> Option<bool> {
            match condition {
                Condition::Test(one) => test(one),
                Condition::Not(inner) => kleene(inner, test).map(|holds| !holds),
                Condition::All(parts) | Condition::Any(parts) => {
                    let decides = matches!(condition, Condition::Any(_));
                    let parts: Vec<_> = parts.iter().map(|part| kleene(part, test)).collect();
                    if parts.contains(&Some(decides)) {
                        Some(decides)
                    } else if parts.contains(&None) {
                        None
                    } else {
                        Some(!decides)
                    }
                }
            }
        }
        match kleene(&self.rule.bad(), &|test| self.test(upto, test, now)) {
            None if self.mode == GapMode::Prometheus => Truth::False,
            None => Truth::Unknown,
            Some(known) => known.into(),
        }
    }

    /// Where the rule stands at the last of the evaluations, from all of them.
    fn state(&self, seen: &[(Time, Truth)]) -> State {
        let run = |end: usize, what: Truth, breaks: Truth| {
            let start = seen[..end].iter().rposition(|(_, truth)| *truth == breaks).map_or(0, |at| at + 1);
            let same: Vec<usize> = (start..end).filter(|at| seen[*at].1 == what).collect();
            let cap = if self.mode == GapMode::Prometheus { Duration::MAX } else { self.max_gap() };
            let pairs = same.windows(2).filter(|pair| pair[1] == pair[0] + 1);
            let counted: Duration = pairs.map(|pair| seen[pair[1]].0.since(seen[pair[0]].0).min(cap)).sum();
            (same.first().map(|at| seen[*at].0), counted)
        };
        let timing = &self.rule.timing;
        let mut firing = vec![false; seen.len()];
        for at in 0..seen.len() {
            let before = at > 0 && firing[at - 1];
            firing[at] = match seen[at].1 {
                Truth::Unknown => before,
                Truth::True => before || run(at + 1, Truth::True, Truth::False).1 >= timing.lasting,
                Truth::False => before && run(at + 1, Truth::False, Truth::True).1 < timing.keep,
            };
        }
        let (pending, _) = run(seen.len(), Truth::True, Truth::False);
        let last = seen.last().unwrap().1;
        if firing.last() == Some(&true) {
            let since = firing.iter().rposition(|firing| !firing).map_or(0, |at| at + 1);
            return State::Firing { since: seen[since].0 };
        }
        match (last, pending) {
            (Truth::Unknown, pending) => State::Unknown { pending },
            (_, Some(since)) => State::Pending { since },
            _ => State::Inactive,
        }
    }
}

fn test_text() -> impl Strategy<Value = String> {
    let limits = prop::sample::select(vec!["3", "5", "+20%", "-20%", "±40%", "+2", "-1"]);
    let ops = prop::sample::select(vec!["<", "<=", ">", ">="]);
    let others =
        prop::sample::select(vec!["== 5", "!= 5", "in 3..5", "in ±40%", "absent", "absent for 2m", "fresh < 1m"]);
    let check = prop_oneof![3 => (ops, limits).prop_map(|(op, limit)| format!("{op} {limit}")), 2 => others.prop_map(str::to_owned)];
    (prop::sample::select(vec!["a", "b"]), check).prop_map(|(metric, check)| format!("({metric} {check})"))
}

fn rules() -> impl Strategy<Value = Rule> {
    let condition = test_text().prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({one} and {other})")),
            (inner.clone(), inner.clone()).prop_map(|(one, other)| format!("({one} or {other})")),
            inner.prop_map(|one| format!("not {one}")),
        ]
    });
    let clause = |choices: Vec<&'static str>| prop::sample::select(choices);
    (
        condition,
        clause(vec!["", "", " for 30s", " for 1m", " for 150s"]),
        clause(vec!["", "", " keep 30s", " keep 2m"]),
        clause(vec!["", "", "", " min_samples 2 in 1m", " min_samples 5 in 3m"]),
        clause(vec!["", "", " max_gap 15s", " max_gap 3m"]),
        prop::bool::ANY,
    )
        .prop_map(|(condition, lasting, keep, least, gap, require)| {
            let form = if require { Form::Require } else { Form::When };
            rule(form, &format!("{condition}{lasting}{keep}{least}{gap}"))
        })
}

/// Events in the order in which they are told: times mostly grow, samples may come late.
fn events() -> impl Strategy<Value = Vec<Event>> {
    let values = prop::sample::select(vec![-5.0, 0.0, 2.0, 3.0, 4.0, 5.0, 6.0, 9.0, f64::NAN, f64::INFINITY]);
    let bases = prop::sample::select(vec![None, Some(0.0), Some(5.0), Some(-5.0), Some(4.0)]);
    let step = prop::sample::select(vec![0_u64, 1, 1, 2, 2, 4, 9]);
    let one = (step, 0..11_u8, 0..2_usize, values, 1..4_u64, bases, 0..3_u64);
    prop::collection::vec(one, 1..60).prop_map(|steps| {
        let mut now = 0;
        let mut all = Vec::new();
        for (step, kind, metric, value, weight, base, off) in steps {
            now += step * 15;
            all.push(match kind {
                0 => Event::Baseline(metric, base),
                1 => Event::Stale(metric, now),
                10 => Event::Unwatched(now),
                // Late, in time, or from ahead of the evaluations.
                2..=5 => Event::Sample(metric, (now + 15).saturating_sub(off * 15), value, weight),
                _ => Event::Evaluate(now),
            });
        }
        all
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn each_answer_is_what_the_whole_history_says(
        rules in prop::collection::vec(rules(), 1..4),
        events in events(),
        prometheus in prop::bool::ANY,
        started in 0..3_u64,
    ) {
        let mode = if prometheus { GapMode::Prometheus } else { GapMode::Hold };
        let started = secs(started * 30);
        let mut evaluator = Evaluator::new(&rules, metrics().len(), started, settings(mode)).unwrap();
        let mut history = Vec::new();
        let mut seen: Vec<Vec<(Time, Truth)>> = vec![Vec::new(); rules.len()];
        for event in events {
            // What is refused has not happened.
            let taken = match event {
                Event::Sample(metric, at, value, weight) => evaluator.sample(MetricId(metric), secs(at), value, weight).is_ok(),
                Event::Stale(metric, at) => evaluator.stale(MetricId(metric), secs(at)).is_ok(),
                Event::Baseline(metric, value) => evaluator.baseline(MetricId(metric), value).is_ok(),
                Event::Unwatched(at) => {
                    evaluator.unwatched(secs(at));
                    true
                }
                Event::Evaluate(at) => {
                    let now = secs(at);
                    if let Ok(statuses) = evaluator.evaluate(now) {
                        for ((rule, seen), status) in rules.iter().zip(&mut seen).zip(statuses) {
                            let model = Model { rule, mode, started, history: &history };
                            let truth = model.truth(history.len(), now);
                            seen.push((now, truth));
                            prop_assert_eq!(status.truth, truth, "{} at {}: {:?}", rule.id, now, status.why);
                            prop_assert_eq!(status.state, model.state(seen), "{} at {}: {:?}", rule.id, now, seen);
                            prop_assert_eq!(status.why.is_empty(), truth != Truth::Unknown);
                        }
                    }
                    false
                }
            };
            if taken {
                history.push(event);
            }
        }
    }
}
