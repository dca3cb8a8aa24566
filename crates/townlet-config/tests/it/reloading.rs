//! A running pipeline takes over a changed configuration, or says what keeps it from that.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use townlet_config::{Factories, Identity, Loaded, ReloadError, TelemetryConfig, reload, start};
use townlet_pipeline::Telemetry;
use townlet_schema::{Json, RunId};
use townlet_transport::Level;
use townlet_transport_file::FileFactory;

use crate::support::Registered;

const PATIENCE: Duration = Duration::from_secs(60);

fn factories() -> Factories {
    vec![Arc::new(FileFactory)]
}

fn identity() -> Identity {
    Identity { run_id: RunId::from_u128(7), producer: "town".into(), runtime_variant: None, started_at: 0, seed: None }
}

fn config(main: &Path, other: &Path, rest: &str) -> TelemetryConfig {
    loaded(main, other, rest).config
}

fn loaded(main: &Path, other: &Path, rest: &str) -> Loaded {
    let text = format!(
        "telemetry:\n  transport:\n    type: file\n    file_path: {}\n{rest}  sinks:\n    other:\n      type: file\n      file_path: {}\n",
        main.display(),
        other.display()
    );
    let factories = factories();
    let loader = factories.iter().fold(townlet_config::Loader::new(), |loader, factory| loader.factory(&**factory));
    loader.load_str("test.yaml", &text).unwrap()
}

fn emit(telemetry: &Telemetry, ticks: std::ops::Range<u64>) {
    for tick in ticks {
        telemetry.emit_named("tick", tick, Json::Null).unwrap();
    }
    assert!(telemetry.flush(PATIENCE));
}

fn events(path: &Path) -> usize {
    std::fs::read_to_string(path).map_or(0, |text| text.lines().filter(|line| line.contains("\"tick\",")).count())
}

#[test]
fn a_sink_whose_file_changed_gets_another_and_the_others_keep_theirs() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| folder.path().join(name));
    let running = config(&a, &c, "");
    let telemetry = start(&running, &factories(), &identity()).unwrap();
    emit(&telemetry, 0..10);
    let next = config(&b, &c, "");
    let reloaded = reload(&telemetry, &running, &next, &factories(), &identity()).unwrap();
    assert_eq!((&reloaded.replaced, &reloaded.needs_restart), (&vec!["main".to_owned()], &vec![]));
    assert_eq!(reloaded.config, next);
    emit(&telemetry, 10..15);
    let books = telemetry.shutdown(PATIENCE);
    assert_eq!(books.residual(), 0);
    assert_eq!((events(&a), events(&b), events(&c)), (10, 5, 15));
}

#[test]
fn what_needs_a_restart_is_named_with_its_line_and_what_does_not_is_taken_over_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| folder.path().join(name));
    let running = config(&a, &c, "");
    let telemetry = start(&running, &factories(), &identity()).unwrap();
    let rest = "    keyframe_every: 9\n    buffer: {max_batch_size: 7, max_queue_length: 3}\n  worker: {backpressure: block, block_timeout_seconds: 5}\n  transforms: {pipeline: [{id: snapshot_normalizer}]}\n";
    let next = loaded(&b, &c, rest);
    let reloaded = reload(&telemetry, &running, &next.config, &factories(), &identity()).unwrap();
    assert_eq!((&*reloaded.replaced, &*reloaded.retuned), (&["main".to_owned()][..], &["main".to_owned()][..]));
    let waits =
        ["telemetry.transforms.pipeline", "telemetry.worker.backpressure", "telemetry.transport.keyframe_every"];
    assert_eq!(reloaded.needs_restart, waits);
    let found = next.waiting(&reloaded);
    let places: Vec<_> = found.iter().map(|d| (d.code.as_str(), &*d.file, d.line, d.column)).collect();
    let at = |line, column| ("needs_restart", "test.yaml", line, column);
    assert_eq!(places, [at(8, 16), at(7, 12), at(5, 5)]);
    let main = &reloaded.config.sinks[0];
    assert_eq!(main.buffer, next.config.sinks[0].buffer, "taken over");
    assert_eq!(
        (main.worker.backpressure, main.keyframes),
        (running.sinks[0].worker.backpressure, running.sinks[0].keyframes)
    );
    let again = reload(&telemetry, &reloaded.config, &reloaded.config, &factories(), &identity()).unwrap();
    assert!(again.replaced.is_empty() && again.retuned.is_empty() && again.needs_restart.is_empty());
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
}

#[test]
fn the_buffer_before_a_spill_waits_for_a_restart_and_its_batches_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let [a, c, spool] = ["a", "c", "spool"].map(|name| folder.path().join(name));
    let rest = |numbers: &str| {
        let spill = format!("spill: {{path: {}}}", spool.display());
        format!("    buffer: {{{numbers}, {spill}}}\n  worker: {{backpressure: spill}}\n")
    };
    let running = config(&a, &c, &rest("max_queue_length: 50, max_batch_size: 5"));
    let telemetry = start(&running, &factories(), &identity()).unwrap();
    let next = config(&a, &c, &rest("max_queue_length: 60, max_batch_size: 6"));
    let reloaded = reload(&telemetry, &running, &next, &factories(), &identity()).unwrap();
    assert_eq!(reloaded.needs_restart, ["telemetry.transport.buffer.max_queue_length"]);
    assert_eq!(reloaded.retuned, ["main"]);
    let buffer = &reloaded.config.sinks[0].buffer;
    assert_eq!((buffer.max_queue_length, buffer.max_batch_size), (50, 6));
    emit(&telemetry, 0..20);
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
}

#[test]
fn a_transport_that_cannot_be_built_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| folder.path().join(name));
    let running = config(&a, &c, "");
    let telemetry = start(&running, &factories(), &identity()).unwrap();
    let mut next = config(&b, &c, "");
    next.sinks[1].settings.rotate_bytes = Some(0);
    let error = reload(&telemetry, &running, &next, &factories(), &identity()).unwrap_err();
    assert!(matches!(error, ReloadError::Transport { .. }), "{error}");
    assert!(error.to_string().starts_with("telemetry.sinks.other: "), "{error}");
    emit(&telemetry, 0..3);
    assert_eq!((events(&a), events(&b), events(&c)), (3, 0, 3));
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
}

#[test]
fn another_place_at_the_broker_is_another_transport() {
    let factories: Factories = vec![Arc::new(Registered("nats"))];
    let config = |nats: &str| {
        let text = format!("telemetry:\n  transport: {{type: nats, endpoint: 'tls://b.example', nats: {{{nats}}}}}\n");
        townlet_config::Loader::new().load_str("test.yaml", &text).unwrap().config
    };
    let running = config("subject: 'a.{stream}', partitions: 1");
    let telemetry = start(&running, &factories, &identity()).unwrap();
    for other in ["subject: 'b.{stream}', partitions: 1", "stream: FLEET", "partitions: 8", "create: true"] {
        let next = config(other);
        let reloaded = reload(&telemetry, &running, &next, &factories, &identity()).unwrap();
        assert_eq!(reloaded.replaced, ["main"], "{other}");
    }
    assert_eq!(telemetry.shutdown(Duration::ZERO).residual(), 0);
}

#[test]
fn a_new_transport_is_asked_for_the_level_at_which_the_run_settles() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| folder.path().join(name));
    let running = config(&a, &c, "    fsync: each_batch\n    settle_at: durable\n");
    let telemetry = start(&running, &factories(), &identity()).unwrap();
    let next = config(&b, &c, "    fsync: each_batch\n    settle_at: sent\n");
    let reloaded = reload(&telemetry, &running, &next, &factories(), &identity()).unwrap();
    assert_eq!(reloaded.needs_restart, ["telemetry.transport.settle_at"]);
    let main = &reloaded.config.sinks[0];
    assert_eq!((main.settle_at, main.settings.settle_at), (Level::Durable, Level::Durable), "the running value holds");
    assert_eq!(telemetry.shutdown(PATIENCE).residual(), 0);
}

#[test]
fn every_type_that_goes_under_tls_says_so_before_it_has_connected() {
    for (kind, keys, secure) in [
        ("tcp", "endpoint: 'c.example:1'", true),
        ("http", "endpoint: 'https://c.example'", true),
        ("websocket", "websocket_url: 'wss://c.example'", true),
        ("otlp", "endpoint: 'https://c.example'", true),
        ("nats", "endpoint: 'tls://c.example'", true),
        ("otlp", "endpoint: 'http://[::1]', allow_plaintext: true, dev_allow_plaintext: true", false),
        ("stdout", "keyframe_every: 1", false),
    ] {
        let factories: Factories = vec![Arc::new(Registered(kind))];
        let text = format!("telemetry:\n  transport: {{type: {kind}, {keys}}}\n");
        let config = townlet_config::Loader::new().load_str("test.yaml", &text).unwrap().config;
        let telemetry = start(&config, &factories, &identity()).unwrap();
        assert_eq!(telemetry.latest_transport_status().tls_enabled, secure, "{kind}: {keys}");
        telemetry.shutdown(Duration::ZERO);
    }
}
