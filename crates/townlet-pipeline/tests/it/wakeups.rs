//! When threads wake: soon enough, and not for nothing.

use std::time::{Duration, Instant};

use townlet_pipeline::{Options, Telemetry};
use townlet_testkit::{Script, on_time};

use crate::fakes::{HOUR, PATIENCE, With, builder, eager, eventually, lazy, ms, order, pass};

fn start(sinks: usize, options: &Options) -> (Telemetry, Vec<Script>) {
    let scripts: Vec<_> = (0..sinks).map(|_| Script::new()).collect();
    let sink = |n: usize| Options { name: format!("sink-{n}"), ..options.clone() };
    let pipeline = scripts.iter().enumerate().fold(builder(), |b, (n, script)| b.scripted(sink(n), script));
    (pipeline.start().unwrap(), scripts)
}

/// A worker that drains has nothing to send yet while the stage still renders: the stage must wake it.
#[test]
fn shutdown_delivers_at_once_although_nothing_was_due() {
    for sinks in [1, 2, 3] {
        let (telemetry, scripts) = start(sinks, &lazy("x"));
        let orders = telemetry.stream("orders").unwrap();
        for n in 0..3 {
            orders.emit(n, order(n)).unwrap();
        }
        let started = Instant::now();
        let last = telemetry.shutdown(HOUR);
        assert!(started.elapsed() < PATIENCE, "{sinks} sinks");
        assert!(last.sinks.iter().all(|(_, s)| s.account.delivered() == 3), "{sinks} sinks: {last:?}");
        assert!(scripts.iter().all(|s| s.received_seqs() == [1, 2, 3]));
    }
}

#[test]
fn a_lone_event_goes_out_within_the_flush_interval() {
    for sinks in [1, 2] {
        let interval = ms(1000);
        let options = Options { flush_interval: interval, poll: HOUR, ..lazy("x") };
        let (telemetry, scripts) = start(sinks, &options);
        let orders = telemetry.stream("orders").unwrap();
        let mut n = 0;
        for _ in 0..2 {
            // With a stage of its own up to a tenth of a second more; the rest is for the machine.
            on_time("a lone event", interval + ms(100) + ms(600), || {
                n += 1;
                let started = Instant::now();
                orders.emit(n, order(n)).unwrap();
                assert!(scripts.iter().all(|script| script.wait_for_lines(n as usize, PATIENCE)));
                started.elapsed()
            });
        }
        assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
    }
}

#[test]
fn the_end_of_a_tick_wakes_the_stage() {
    let options = Options { flush_interval_ticks: 1, flush_interval: HOUR, poll: HOUR, ..lazy("x") };
    for sinks in [1, 2] {
        let (telemetry, scripts) = start(sinks, &options);
        let orders = telemetry.stream("orders").unwrap();
        for tick in 1..=20 {
            orders.emit(tick, order(tick)).unwrap();
            if tick > 1 {
                let lines = tick as usize - 1;
                assert!(scripts.iter().all(|s| s.wait_for_lines(lines, PATIENCE)), "{sinks} sinks, tick {tick}");
            }
        }
        assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
    }
}

#[test]
fn a_full_batch_wakes_the_workers_within_one_tick() {
    let options = Options { max_batch_size: 300, ..lazy("x") };
    for sinks in [1, 2] {
        let (telemetry, scripts) = start(sinks, &options);
        let orders = telemetry.stream("orders").unwrap();
        for n in 0..600 {
            orders.emit(7, order(n)).unwrap();
        }
        assert!(scripts.iter().all(|s| s.wait_for_lines(600, PATIENCE)), "{sinks} sinks");
        assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
    }
}

/// Times that threads of this process whose name starts with `prefix` went to sleep, by thread.
#[cfg(target_os = "linux")]
fn sleeps(prefix: &str) -> std::collections::BTreeMap<std::path::PathBuf, u64> {
    let mut sleeps = std::collections::BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let task = task.unwrap().path();
        // A thread may have ended meanwhile.
        let read = |file| std::fs::read_to_string(task.join(file)).unwrap_or_default();
        let status = read("status");
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        if let (true, Some(count)) = (read("comm").starts_with(prefix), count) {
            sleeps.insert(task, count.trim().parse().unwrap());
        }
    }
    sleeps
}

/// Idle threads look around by the poll period and no more often.
#[cfg(target_os = "linux")]
#[test]
fn an_idle_pipeline_hardly_wakes() {
    let script = Script::new();
    let options = |name| Options { name, ..Options::default() };
    let telemetry = builder().scripted(options("idle1".into()), &script).start().unwrap();
    let parted = builder()
        .scripted(options("idle2".into()), &Script::new())
        .scripted(Options { backpressure: townlet_pipeline::Backpressure::FanOut, ..options("idle3".into()) }, &script)
        .start()
        .unwrap();
    telemetry.stream("orders").unwrap().emit(1, order(1)).unwrap();
    parted.stream("orders").unwrap().emit(1, order(1)).unwrap();
    assert!(script.wait_for_lines(2, PATIENCE));
    eventually("all threads run", || sleeps("telemetry-idle").len() == 4);
    let before = sleeps("telemetry-idle");
    let since = Instant::now();
    pass(ms(2000));
    let after = sleeps("telemetry-idle");
    let seconds = since.elapsed().as_secs() + 1;
    for (task, count) in after {
        let woke = count - before[&task];
        assert!(woke <= 4 * seconds, "{task:?} woke {woke} times in {seconds} seconds");
    }
    assert_eq!(telemetry.shutdown(PATIENCE).residual() + parted.shutdown(PATIENCE).residual(), 0);
}

/// The stage's own thread is idle between its looks too, and while it is parked.
#[cfg(target_os = "linux")]
#[test]
fn an_eager_pipeline_is_idle_when_there_is_nothing_to_do() {
    let options = |name: &str| Options { flush_interval: Duration::ZERO, ..eager(name) };
    let telemetry =
        builder().scripted(options("a"), &Script::new()).scripted(options("b"), &Script::new()).start().unwrap();
    let busiest = || sleeps("telemetry-stage").into_values().max().unwrap_or_default();
    eventually("the stage runs", || busiest() > 0);
    let before = busiest();
    pass(ms(500));
    let woke = busiest().saturating_sub(before);
    // Other tests have stages of their own: the busiest of all is looked at, loosely.
    assert!(woke < 500, "{woke} wake-ups in half a second");
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
}

#[test]
fn where_a_sink_wants_events_at_once_they_do_not_wait_for_the_stage() {
    for ticks in [0, u64::MAX] {
        let flush_interval = if ticks == 0 { HOUR } else { Duration::ZERO };
        let options = Options { flush_interval_ticks: ticks, flush_interval, poll: HOUR, ..lazy("x") };
        for sinks in [1, 2] {
            let (telemetry, scripts) = start(sinks, &options);
            let orders = telemetry.stream("orders").unwrap();
            let mut n = 0;
            // By its own looks the stage would take 2 s.
            on_time("twenty events", ms(1500), || {
                let started = Instant::now();
                for _ in 0..20 {
                    n += 1;
                    // All of one tick: nothing but the event itself is a reason.
                    orders.emit(7, order(n)).unwrap();
                    assert!(scripts.iter().all(|s| s.wait_for_lines(n as usize, PATIENCE)), "{sinks} sinks, event {n}");
                }
                started.elapsed()
            });
            assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
        }
    }
}
