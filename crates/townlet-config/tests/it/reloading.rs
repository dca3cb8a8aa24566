//! A running pipeline takes over a changed configuration, or says what keeps it from that.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use townlet_config::{Factories, Identity, ReloadError, TelemetryConfig, reload, start};
use townlet_pipeline::Telemetry;
use townlet_schema::{Json, RunId};
use townlet_transport_file::FileFactory;

const PATIENCE: Duration = Duration::from_secs(30);

fn factories() -> Factories {
    vec![Arc::new(FileFactory)]
}

fn identity() -> Identity {
    Identity { run_id: RunId::from_u128(7), producer: "town".into(), runtime_variant: None, started_at: 0, seed: None }
}

fn config(main: &Path, other: &Path, rest: &str) -> TelemetryConfig {
    let text = format!(
        "telemetry:\n  transport:\n    type: file\n    file_path: {}\n{rest}  sinks:\n    other:\n      type: file\n      file_path: {}\n",
        main.display(),
        other.display()
    );
    let factories = factories();
    let loader = factories.iter().fold(townlet_config::Loader::new(), |loader, factory| loader.factory(&**factory));
    loader.load_str("test.yaml", &text).unwrap().config
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
fn what_needs_a_restart_is_named_and_what_does_not_is_taken_over_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, c] = ["a", "b", "c"].map(|name| folder.path().join(name));
    let running = config(&a, &c, "");
    let telemetry = start(&running, &factories(), &identity()).unwrap();
    let next =
        config(&b, &c, "    buffer: {max_batch_size: 7}\n  transforms: {pipeline: [{id: snapshot_normalizer}]}\n");
    let reloaded = reload(&telemetry, &running, &next, &factories(), &identity()).unwrap();
    assert_eq!(reloaded.replaced, ["main"]);
    assert_eq!(reloaded.needs_restart, ["telemetry.transforms", "telemetry.worker"]);
    assert_eq!(reloaded.config.sinks[0].buffer, running.sinks[0].buffer, "the running values hold");
    let again = reload(&telemetry, &reloaded.config, &reloaded.config, &factories(), &identity()).unwrap();
    assert!(again.replaced.is_empty() && again.needs_restart.is_empty());
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
