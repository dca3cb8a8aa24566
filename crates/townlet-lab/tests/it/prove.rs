//! The program that measures the promises, at the smallest scale of each.

use std::process::{Command, Output};

use serde_json::Value;
use townlet_lab::prove::report::{Outcome, Verdict};
use townlet_lab::prove::{Effort, FIGURES, Figure, Finding};

fn prove(arguments: &[&str]) -> Output {
    let run = Command::new(env!("CARGO_BIN_EXE_prove")).args(arguments).output();
    run.unwrap_or_else(|error| panic!("starting prove: {error}"))
}

/// The smallest run of one figure: its JSON, which agrees with the exit code.
fn smallest(name: &str) -> Value {
    let run = prove(&["--smallest", "--json", "--seed", "7", "--only", name]);
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert_eq!(out.lines().count(), 1, "one object a figure\n{out}\n{err}");
    let figure: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
    let promise = FIGURES.iter().find(|figure| figure.name == name).map(|figure| figure.promise);
    assert_eq!((figure["name"].as_str(), figure["promise"].as_str()), (Some(name), promise));
    assert_eq!(figure["scale"], "smallest");
    assert!(figure["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{figure:#}");
    let misses = figure["misses"].as_array().map_or(0, Vec::len);
    let code = match figure["pass"].as_bool() {
        Some(true) => 0,
        Some(false) => 1,
        None => panic!("it was not measured: {figure:#}"),
    };
    assert_eq!((run.status.code(), misses == 0), (Some(code), code == 0), "{figure:#}\n{err}");
    figure
}

/// Times are promised for release builds on machines with nothing else to do, and measured there.
fn misses_nothing_but(time: &str, figure: &Value) {
    let misses = figure["misses"].as_array().into_iter().flatten();
    assert!(misses.filter_map(Value::as_str).all(|miss| miss.contains(time)), "{figure:#}");
}

#[test]
fn a_burst_is_delivered_or_counted_and_the_receiver_agrees() {
    let figure = smallest("burst");
    assert_eq!(figure["pass"], true, "{figure:#}");
    let measured = &figure["measured"];
    assert_eq!(measured["block_lost"], 0);
    let sum = |a: &str, b: &str| measured[a].as_u64().unwrap() + measured[b].as_u64().unwrap();
    assert_eq!(sum("drop_oldest_delivered", "drop_oldest_counted"), 4_000);
    assert_eq!((&measured["late_sink_newest_kept"], &measured["late_sink_counted"]), (&1_000.into(), &3_000.into()));
    assert!(measured["otel_as_shipped_shutdown"].as_str().unwrap().starts_with("Ok"), "{measured:#}");
}

#[test]
fn statements_balance_in_every_race_with_the_end() {
    let figure = smallest("shutdown");
    let measured = &figure["measured"];
    assert_eq!((&measured["races"], &measured["wrong_statements"]), (&12.into(), &0.into()), "{figure:#}");
    let count = |name: &str| measured[name].as_u64().unwrap();
    assert_eq!(count("accepted_by_sinks"), count("delivered_by_sinks") + count("dropped_by_sinks"));
    assert!(count("delivered_by_sinks") > 0 && count("dropped_by_sinks") > 0, "nothing was at stake: {figure:#}");
}

#[test]
fn a_dead_sink_keeps_memory_within_its_bound() {
    let figure = smallest("memory");
    // The bound is promised for release builds, and measured there.
    assert!(figure["pass"].is_boolean(), "{figure:#}");
    for case in ["drop_oldest_refuses", "drop_oldest_hangs", "block_refuses", "block_hangs"] {
        let dropped = figure["measured"][format!("{case}_dropped")].as_u64().unwrap();
        assert!(dropped > 0, "{case}: its books say what a dead sink cost\n{figure:#}");
    }
}

#[test]
fn one_dead_sink_takes_nothing_from_the_others() {
    let figure = smallest("isolation");
    let measured = &figure["measured"];
    for run in ["well", "refuses", "hangs"] {
        assert_eq!(measured[format!("{run}_lost_by_others")], 0, "{figure:#}");
        assert!(measured[format!("{run}_p99_us")].as_f64().unwrap() > 0.0, "{figure:#}");
    }
    assert!(measured["hangs_p99_ratio"].as_f64().unwrap() > 0.0, "{figure:#}");
}

#[test]
fn diffs_of_the_recorded_stream_are_small_whatever_the_effort() {
    let figure = smallest("diff-size");
    assert_eq!(figure["pass"], true, "{figure:#}");
    assert_eq!((&figure["measured"]["ticks"], &figure["measured"]["keyframes"]), (&120.into(), &1.into()));
}

#[test]
fn a_killed_collector_costs_nothing_and_doubles_nothing() {
    let figure = smallest("outage");
    misses_nothing_but("drained in", &figure);
    let measured = &figure["measured"];
    assert_eq!((&measured["outage_0_3_s_lost"], &measured["outage_0_3_s_duplicates"]), (&0.into(), &0.into()));
    assert!(measured["outage_0_3_s_spilled_at_most"].as_u64().unwrap() > 0, "{figure:#}");
}

#[test]
fn every_event_with_a_receipt_gets_one_however_fast_they_come() {
    let figure = smallest("durable");
    let measured = &figure["measured"];
    assert_eq!(measured["event_bytes"], 256);
    for pace in ["unpaced", "paced", "calm"] {
        assert!(measured[format!("{pace}_per_s")].as_f64().unwrap() > 0.0, "{figure:#}");
        let quantile = |name: &str| measured[format!("{pace}_receipt_{name}_us")].as_f64().unwrap();
        assert!(quantile("p50") > 0.0 && quantile("p50") <= quantile("p99"), "{figure:#}");
    }
}

#[test]
fn damaged_spools_open_and_go_on() {
    let figure = smallest("spool");
    misses_nothing_but("to open", &figure);
    let measured = &figure["measured"];
    assert_eq!((&measured["spools"], &measured["failed"], &measured["panics"]), (&50.into(), &0.into(), &0.into()));
    assert!(measured["files_quarantined"].as_u64().unwrap() > 0, "{figure:#}");
}

#[test]
fn a_backlog_is_found_whole_by_every_start_and_drained_by_the_last() {
    let figure = smallest("start");
    let measured = &figure["measured"];
    let count = |name: &str| measured[name].as_u64().unwrap();
    assert!(count("recovered") >= count("backlog_events") && count("backlog_events") > 1_000, "{figure:#}");
    assert_eq!(count("delivered"), count("recovered") + 1, "{figure:#}");
}

#[test]
fn rollouts_of_48_hours_go_their_whole_way_in_virtual_time() {
    let figure = smallest("rollout");
    // The times are promised for release builds, and measured there.
    let measured = &figure["measured"];
    let count = |name: &str| measured[name].as_u64().unwrap();
    assert_eq!((count("metrics"), count("rules"), count("runs")), (10, 20, 2), "{figure:#}");
    assert!(count("windows") >= 2_880 && count("undone_by_mistake") == 0, "{figure:#}");
    assert!(measured["alone_p50_ms"].as_f64().unwrap() > 0.0, "{figure:#}");
}

#[test]
fn a_figure_that_does_not_exist_is_refused_with_2_and_the_ones_that_do_are_named() {
    let run = prove(&["--only", "speed"]);
    assert_eq!(run.status.code(), Some(2));
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(Figure::names().all(|name| said.contains(name)), "{said}");
}

#[test]
fn times_are_judged_where_enough_is_measured_for_that() {
    let late = |effort: Effort| {
        let mut found = Finding::default();
        found.require_time(effort, false, || "takes 9 s".to_owned());
        found.require_time(effort, true, || "is never said".to_owned());
        Outcome { figure: FIGURES[0], effort, seconds: 1.0, found: Ok(found) }
    };
    let (quick, full) = (late(Effort::Quick), late(Effort::Full));
    assert_eq!((quick.verdict(), full.verdict()), (Verdict::Pass, Verdict::Miss));
    assert!(quick.to_string().ends_with("  unjudged  takes 9 s\n"), "{quick}");
    let json = |outcome: &Outcome| serde_json::from_str::<Value>(&outcome.to_json().unwrap()).unwrap();
    assert_eq!((&json(&quick)["not_judged"][0], &json(&full)["misses"][0]), (&"takes 9 s".into(), &"takes 9 s".into()));
}

#[test]
fn what_could_not_be_measured_is_no_pass() {
    let outcome = |found| Outcome { figure: FIGURES[0], effort: Effort::Quick, seconds: 1.0, found };
    let mut missed = Finding::default();
    missed.note("lost", 3);
    missed.require(false, || "lost 3".to_owned());
    let unknown = outcome(Err(anyhow::anyhow!("no such system")));
    let missed = outcome(Ok(missed));
    assert_eq!(outcome(Ok(Finding::default())).verdict(), Verdict::Pass);
    assert_eq!((missed.verdict(), unknown.verdict()), (Verdict::Miss, Verdict::NotMeasured));
    let json = |outcome: &Outcome| serde_json::from_str::<Value>(&outcome.to_json().unwrap()).unwrap();
    assert_eq!((&json(&missed)["pass"], &json(&missed)["measured"]["lost"]), (&false.into(), &3.into()));
    assert_eq!((&json(&unknown)["pass"], &json(&unknown)["error"]), (&Value::Null, &"no such system".into()));
    assert!(missed.to_string().contains("missed    lost 3"), "{missed}");
    assert!(unknown.to_string().contains("NOT MEASURED"), "{unknown}");
}
