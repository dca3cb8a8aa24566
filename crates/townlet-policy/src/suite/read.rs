//! A test file to typed tests.

use std::time::Duration;

use super::notation::{Point, points};
use super::{Case, Expected, Named, Stand, Suite};
use crate::finding::{Code, Findings};
use crate::reader::Reader;
use crate::rule::Action;
use crate::time::{Span, Time, parse_duration, shorten};
use crate::yaml::{self, Node, Value};

/// The most tests, and the most expectations of one.
const MOST: usize = 1000;
/// The most evaluations of one test.
const MOST_EVALUATIONS: u64 = 100_000;
/// The most values and evaluations of one file.
const MOST_IN_ALL: u64 = 1_000_000;

impl Suite {
    /// Reads a test file. Every fault that can be found without its policy is, each with its place; `None` if any is an
    /// error.
    pub fn read(text: &str, found: &mut Findings) -> Option<Self> {
        let root = yaml::parse(text, found)?;
        let mut reader = Reader::new(found);
        let suite = suite(&mut reader, &root);
        let broken = reader.broken;
        found.sort();
        suite.filter(|_| !broken && !found.has_errors())
    }
}

fn suite(reader: &mut Reader<'_>, root: &Node) -> Option<Suite> {
    if root.get("tests").is_none() && root.get("rules").is_some() {
        let help = "name the file of its tests, which begins with policy: and has tests:";
        reader.error(Code::Missing, root.place, "this file has rules, and no tests of them", help);
        return None;
    }
    let known = ["policy", "interval", "evaluate", "baselines", "weights", "series", "tests"];
    reader.keys(root, "a test file", &known);
    let file = reader.needed(root, "policy", "a test file");
    let policy = file.and_then(|node| reader.text(node, "policy"));
    let shared = Shared {
        interval: span(reader, root, "interval").unwrap_or(Duration::from_secs(60)),
        evaluate: span(reader, root, "evaluate"),
        data: data(reader, root),
    };
    let tests = reader.needed(root, "tests", "a test file")?;
    let tests = reader.list(tests, "tests", MOST, "begin each with - name:");
    let (mut cases, mut work) = (Vec::new(), 0_u64);
    for node in tests {
        let Some(case) = case(reader, node, &shared) else { continue };
        // What all tests share, each of them has: a short text can ask for a great deal.
        work = work.saturating_add(case.work());
        if work > MOST_IN_ALL {
            let message = format!("more than {MOST_IN_ALL} values and evaluations in one file");
            reader.error(Code::TooLarge, node.place, message, "write a second file, or take larger steps");
            break;
        }
        cases.push(case);
    }
    Some(Suite { policy: policy?, place: file?.place, tests: cases })
}

fn span(reader: &mut Reader<'_>, node: &Node, key: &str) -> Option<Duration> {
    node.get(key).and_then(|node| reader.duration(node, key))
}

/// What the tests of a file have in common, unless they say otherwise.
struct Shared {
    interval: Duration,
    evaluate: Option<Duration>,
    data: Data,
}

/// What comes in.
struct Data {
    baselines: Vec<Named<String>>,
    weights: Vec<Named<u64>>,
    series: Vec<Named<Vec<Point>>>,
}

fn case(reader: &mut Reader<'_>, node: &Node, shared: &Shared) -> Option<Case> {
    let known = ["name", "interval", "evaluate", "baselines", "weights", "series", "expect"];
    reader.keys(node, "a test", &known);
    let name = reader.needed(node, "name", "a test").and_then(|node| reader.text(node, "name"));
    let interval = span(reader, node, "interval").unwrap_or(shared.interval);
    let evaluate = span(reader, node, "evaluate").or(shared.evaluate).unwrap_or(interval);
    let own = data(reader, node);
    let expect = reader.needed(node, "expect", "a test");
    let expect = expect.map_or(&[][..], |node| reader.list(node, "expect", MOST, "begin each with - at:"));
    let expect: Vec<Expected> = expect.iter().filter_map(|node| expected(reader, node, evaluate)).collect();
    if let Some(late) = expect.windows(2).find(|pair| pair[0].at >= pair[1].at).map(|pair| pair[1].place) {
        reader.error(Code::Value, late, "expectations come in the order of time, one a time", "sort them by at");
    }
    Some(Case {
        name: name?,
        interval,
        evaluate,
        baselines: with(own.baselines, &shared.data.baselines),
        weights: with(own.weights, &shared.data.weights),
        series: with(own.series, &shared.data.series),
        expect,
    })
}

impl Case {
    /// Values to feed and evaluations to make.
    fn work(&self) -> u64 {
        let points: usize = self.series.iter().map(|named| named.value.len()).sum();
        let end = self.expect.last().map_or(0, |expected| expected.at.as_ms());
        let every = u64::try_from(self.evaluate.as_millis()).unwrap_or(u64::MAX).max(1);
        u64::try_from(points).unwrap_or(u64::MAX).saturating_add(end / every)
    }
}

/// A test's own, and what all have where it has none of that name.
fn with<T: Clone>(mut own: Vec<Named<T>>, shared: &[Named<T>]) -> Vec<Named<T>> {
    let missing = shared.iter().filter(|all| own.iter().all(|one| one.name != all.name)).cloned();
    let missing: Vec<_> = missing.collect();
    own.extend(missing);
    own
}

fn data(reader: &mut Reader<'_>, node: &Node) -> Data {
    let baselines = named(reader, node, "baselines", |reader, node| reader.text(node, "a baseline"));
    let weights = named(reader, node, "weights", |reader, node| {
        let weight = node.text().and_then(|text| text.parse::<u64>().ok()).filter(|weight| *weight > 0);
        if weight.is_none() {
            let what = format!("a weight is a whole number from 1, not {}", node.describe());
            reader.error(Code::Value, node.place, what, "write 50, for example");
        }
        weight
    });
    let series = named(reader, node, "series", |reader, node| {
        let text = reader.text(node, "a series")?;
        let read = points(&text);
        read.map_err(|fault| {
            let place = node.text_place().shifted(fault.column, fault.width);
            reader.error(Code::Value, place, fault.message, "");
        })
        .ok()
    });
    Data { baselines, weights, series }
}

/// A mapping from names.
fn named<T>(
    reader: &mut Reader<'_>,
    node: &Node,
    key: &str,
    mut each: impl FnMut(&mut Reader<'_>, &Node) -> Option<T>,
) -> Vec<Named<T>> {
    let Some(node) = node.get(key) else { return Vec::new() };
    if !matches!(node.value, Value::Map(_)) {
        let message = format!("{key} is a mapping from names, not {}", node.describe());
        reader.error(Code::Value, node.place, message, &format!("write {key}: {{ name: … }}"));
    }
    let entries = node.entries().iter();
    entries
        .filter_map(|entry| {
            Some(Named { name: entry.key.clone(), place: entry.place, value: each(reader, &entry.node)? })
        })
        .collect()
}

fn expected(reader: &mut Reader<'_>, node: &Node, evaluate: Duration) -> Option<Expected> {
    reader.keys(node, "an expectation", &["at", "rules", "others", "does"]);
    let at = reader.needed(node, "at", "an expectation").and_then(|node| moment(reader, node, evaluate));
    let stands = Stand::ALL.map(|stand| (stand.as_str(), stand));
    let rules = named(reader, node, "rules", |reader, node| reader.word(node, "a rule", &stands));
    let others = node.get("others").and_then(|node| reader.word(node, "others", &stands));
    let mut actions = vec![("nothing", None)];
    actions.extend(Action::ALL.map(|action| (action.as_str(), Some(action))));
    let does = node.get("does").and_then(|node| reader.word(node, "does", &actions));
    if rules.is_empty() && node.get("others").is_none() && node.get("does").is_none() {
        reader.error(Code::Missing, node.place, "nothing is expected here", "write rules, others or does");
    }
    Some(Expected { at: at?, place: node.place, rules, others, does })
}

fn moment(reader: &mut Reader<'_>, node: &Node, evaluate: Duration) -> Option<Time> {
    let text = reader.text(node, "at")?;
    let span = parse_duration(text.trim())
        .map_err(|message| reader.error(Code::Value, node.place, message, "write 15m, for example"))
        .ok()?;
    let (at, every) = (span.as_millis(), evaluate.as_millis().max(1));
    if at % every != 0 {
        let message = format!("nothing is evaluated at {}, only every {}", shorten(&text), Span(evaluate));
        reader.error(Code::Value, node.place, message, "take a multiple, or a smaller evaluate");
        return None;
    }
    if at / every > u128::from(MOST_EVALUATIONS) {
        let message = format!("{} is more than {MOST_EVALUATIONS} evaluations away", shorten(&text));
        reader.error(Code::TooLarge, node.place, message, "take a larger evaluate");
        return None;
    }
    Some(Time::default() + span)
}
