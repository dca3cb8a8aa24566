//! JUnit and Criterion files.

use proptest::prelude::*;
use townlet_readiness::results::{Estimates, Statistic, Tests, read_junit};

use crate::support::{estimates, junit};

/// Written by cargo-nextest 0.9.143 with `retries = 1`, over three tests: one passes, one fails, one passes at last.
const GENUINE: &str = include_str!("../data/nextest-0.9.143.xml");

/// In that form, with one test of each outcome that the format knows.
const NEXTEST: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="5" failures="1" errors="0" uuid="0e0e3b1a-5f8a-4f0e-9d33-5c4b3f6f2a10" timestamp="2026-11-21T12:00:00.000+00:00" time="0.412">
    <testsuite name="town::it" tests="5" disabled="1" errors="0" failures="1">
        <testcase name="emits" classname="town::it" timestamp="2026-11-21T12:00:00.001+00:00" time="0.012">
        </testcase>
        <testcase name="reconnects" classname="town::it" time="0.210">
            <flakyFailure timestamp="2026-11-21T12:00:00.020+00:00" time="0.1" message="thread panicked" type="test failure with exit code 101">at first</flakyFailure>
        </testcase>
        <testcase name="balances" classname="town::it" time="0.100">
            <failure message="residual 1" type="test failure with exit code 101">left: 1</failure>
            <rerunFailure time="0.1" type="test failure with exit code 101">left: 1</rerunFailure>
        </testcase>
        <testcase name="crashes" classname="" time="0.1"><error type="signal">SIGSEGV</error></testcase>
        <testcase name="sleeps" classname="town::it"><skipped/></testcase>
    </testsuite>
</testsuites>"#;

#[test]
fn a_file_of_nextest_is_counted_test_by_test() {
    let wanted = Tests {
        total: 5,
        passed: 2,
        failed: 2,
        skipped: 1,
        flaky: 1,
        failed_names: vec!["town::it balances".into(), "crashes".into()],
        flaky_names: vec!["town::it reconnects".into()],
    };
    assert_eq!(read_junit(NEXTEST), Ok(wanted));
}

#[test]
fn a_genuine_file_is_read() {
    let read = read_junit(GENUINE).unwrap();
    assert_eq!((read.total, read.passed, read.failed, read.flaky, read.skipped), (3, 2, 1, 1, 0));
    assert_eq!((read.failed_names, read.flaky_names), (vec!["nx fails".to_owned()], vec!["nx flakes".to_owned()]));
}

#[test]
fn totals_that_say_something_else_are_not_believed() {
    let text = r#"<testsuite tests="100" failures="0"><testcase name="a"><failure/></testcase></testsuite>"#;
    let read = read_junit(text).unwrap();
    assert_eq!((read.total, read.failed), (1, 1));
}

#[test]
fn what_is_no_junit_is_refused_with_the_reason() {
    for (text, reason) in [
        ("", "no well-formed XML"),
        ("{}", "no well-formed XML"),
        (&NEXTEST[..NEXTEST.len() - 20], "no well-formed XML"),
        ("<html/>", "begins with <html>"),
        ("<testsuite>\n<testcase/></testsuite>", "line 2 has no name"),
        ("<!DOCTYPE t [<!ENTITY a \"b\">]><testsuite/>", "no well-formed XML"),
    ] {
        let error = read_junit(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn a_thousand_failures_are_all_counted_and_only_some_named() {
    let read = read_junit(&junit(1, 1000, 60)).unwrap();
    assert_eq!((read.total, read.failed, read.flaky), (1061, 1000, 60));
    assert_eq!((read.failed_names.len(), read.flaky_names.len()), (Tests::MOST_NAMES, Tests::MOST_NAMES));
}

#[test]
fn very_deep_files_end_in_an_answer() {
    let text = format!("{}{}", "<testsuite>".repeat(100_000), "</testsuite>".repeat(100_000));
    let _ = read_junit(&text).map(|tests| assert_eq!(tests.total, 0));
}

#[test]
fn an_estimates_file_of_criterion_gives_its_statistics() {
    let read = Estimates::read(&estimates(120.5)).unwrap();
    assert_eq!(read.of(Statistic::Mean), Some(120.5));
    assert_eq!(read.of(Statistic::Median), Some(119.5));
    assert_eq!(read.of(Statistic::Slope), None);
    for text in ["", "{}", "[]", &estimates(-1.0), &estimates(1.0).replace("point_estimate", "point")] {
        assert!(Estimates::read(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn whatever_is_counted_adds_up(passed in 0..20_usize, failed in 0..20_usize, flaky in 0..20_usize) {
        let read = read_junit(&junit(passed, failed, flaky)).unwrap();
        prop_assert_eq!(read.passed, (passed + flaky) as u64);
        prop_assert_eq!(read.total, read.passed + read.failed + read.skipped);
    }

    #[test]
    fn no_text_makes_the_readers_panic(text in "[<>/a-z=\"'& !\\[\\]{}:0-9.-]{0,300}") {
        let _ = read_junit(&format!("<testsuite>{text}</testsuite>"));
        let _ = Estimates::read(&text);
    }
}
