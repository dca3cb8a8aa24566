//! JUnit XML, as nextest, Surefire and pytest write it.
//!
//! Source of the names: the JUnit description of nextest (<https://nexte.st/docs/machine-readable/junit/>), which follows
//! Maven Surefire: `flakyFailure` and `flakyError` for a test that failed and then passed, `rerunFailure` and
//! `rerunError` beside a `failure` or `error` for one that never did.

use roxmltree::{Document, Node, ParsingOptions};

use super::{ResultsError, Tests};
use crate::reading::shorten;

/// The largest file that is read.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// The most elements and texts in it.
const MOST_NODES: u32 = 4_000_000;

/// Counts the tests of a JUnit file.
///
/// Counted is what stands there, test by test; the totals in the attributes are not believed. Document type
/// definitions are refused, and with them every trick with entities.
///
/// # Errors
/// [`ResultsError`] if it is not JUnit XML, or larger than 64 MiB.
pub fn read(text: &str) -> Result<Tests, ResultsError> {
    if text.len() > MOST_BYTES {
        return Err(ResultsError::new(format!("it is longer than {MOST_BYTES} bytes")));
    }
    let options = ParsingOptions { nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options)
        .map_err(|error| ResultsError::new(format!("it is no well-formed XML: {error}")))?;
    let root = document.root_element();
    if !matches!(root.tag_name().name(), "testsuites" | "testsuite") {
        let name = shorten(root.tag_name().name());
        return Err(ResultsError::new(format!("it begins with <{name}>, not with <testsuites> or <testsuite>")));
    }
    let mut tests = Tests::default();
    for case in root.descendants().filter(|node| node.has_tag_name("testcase")) {
        let name = case.attribute("name").ok_or_else(|| {
            let place = document.text_pos_at(case.range().start);
            ResultsError::new(format!("the testcase in line {} has no name", place.row))
        })?;
        count(&mut tests, case, name);
    }
    Ok(tests)
}

fn count(tests: &mut Tests, case: Node<'_, '_>, name: &str) {
    let has = |names: &[&str]| case.children().any(|child| names.contains(&child.tag_name().name()));
    let keep = |names: &mut Vec<String>| {
        if names.len() < Tests::MOST_NAMES {
            let class = case.attribute("classname").filter(|class| !class.is_empty());
            names.push(class.map_or_else(|| name.to_owned(), |class| format!("{class} {name}")));
        }
    };
    tests.total += 1;
    if has(&["failure", "error"]) {
        tests.failed += 1;
        keep(&mut tests.failed_names);
    } else if has(&["skipped"]) {
        tests.skipped += 1;
    } else {
        tests.passed += 1;
        if has(&["flakyFailure", "flakyError"]) {
            tests.flaky += 1;
            keep(&mut tests.flaky_names);
        }
    }
}
