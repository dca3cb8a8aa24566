//! `backpressure: spill` and `buffer.spill`.

use std::path::Path;
use std::time::Duration;

use townlet_config::{Backpressure, Loader, SpillConfig, spill_settings, validate_cadence, worker_options};
use townlet_pipeline::{FsyncPolicy, SpillMode};

use crate::support::{Registered, accept, diagnose, findings, loader, only_error};

/// A file sink that spills with these keys.
fn spilling(keys: &str) -> String {
    format!(
        "telemetry: {{transport: {{type: file, file_path: logs/x, buffer: {{spill: {{{keys}}}}}}}, \
         worker: {{backpressure: spill}}}}"
    )
}

fn spill_of(text: &str) -> SpillConfig {
    accept(text).config.sinks[0].buffer.spill.clone().unwrap()
}

#[test]
fn a_spill_needs_a_path_and_has_defaults_for_the_rest() {
    let config = accept(&spilling("path: spool/main")).config;
    let spill = config.sinks[0].buffer.spill.as_ref().unwrap();
    assert_eq!((spill.path.as_path(), spill.max_bytes), (Path::new("spool/main"), 1 << 30));
    assert_eq!((spill.fsync, spill.write_ahead, spill.max_age), (FsyncPolicy::EachCommit, false, None));
    assert_eq!(worker_options(&config.sinks[0]).backpressure, Backpressure::Spill);
    let settings = spill_settings(&config.sinks[0]).unwrap();
    assert_eq!((settings.mode, settings.options.max_bytes), (SpillMode::Overflow, 1 << 30));
    assert!(spill_settings(&accept("telemetry: {}").config.sinks[0]).is_none());
}

#[test]
fn every_key_reaches_the_log() {
    let keys = "path: s, max_bytes: 2000000, fsync: interval, fsync_interval_seconds: 0.25, write_ahead: true, \
                max_age_seconds: 60";
    let settings = spill_settings(&accept(&spilling(keys)).config.sinks[0]).unwrap();
    assert_eq!((settings.path.as_path(), settings.mode), (Path::new("s"), SpillMode::WriteAhead));
    let options = settings.options;
    assert_eq!((options.max_bytes, options.max_age), (2_000_000, Some(Duration::from_secs(60))));
    assert_eq!(options.fsync, FsyncPolicy::Every(Duration::from_millis(250)));
    assert_eq!(spill_of(&spilling("path: s, fsync: never")).fsync, FsyncPolicy::Never);
    // The largest line that a buffer takes fits, with what is kept beside it.
    assert!(options.max_record_bytes > 16 << 20);
}

#[test]
fn the_policy_and_the_folder_need_each_other() {
    let (error, shown) =
        only_error("telemetry:\n  transport: {type: file, file_path: x}\n  worker: {backpressure: spill}\n");
    assert_eq!(error, "missing telemetry.transport.buffer.spill.path");
    assert!(shown.contains("is required when telemetry.worker.backpressure is 'spill'"), "{shown}");
    assert!(shown.contains("town.yaml:3:12"), "{shown}");

    for (policy, code) in [("", "conflict"), ("backpressure: block", "conflict"), ("backpressure: fan_out", "conflict")]
    {
        let text = format!(
            "telemetry: {{transport: {{type: tcp, endpoint: 'c:1', buffer: {{spill: {{path: s}}}}}}, worker: {{{policy}}}}}"
        );
        let (error, shown) = only_error(&text);
        assert_eq!(error, format!("{code} telemetry.transport.buffer.spill"), "{policy}");
        assert!(shown.contains("has no effect unless telemetry.worker.backpressure is 'spill'"), "{shown}");
    }
    assert_eq!(only_error(&spilling("max_bytes: 2000000")).0, "missing telemetry.transport.buffer.spill.path");
    assert_eq!(only_error(&spilling("path: '  '")).0, "missing telemetry.transport.buffer.spill.path");
    let named = "telemetry: {sinks: {a: {type: tcp, endpoint: 'c:1', worker: {backpressure: spill}}}}";
    assert_eq!(only_error(named).0, "missing telemetry.sinks.a.buffer.spill.path");
    // An empty block says nothing.
    accept("telemetry: {transport: {type: file, file_path: x, buffer: {spill: {}}}}");
}

#[test]
fn states_may_merge_before_they_go_to_disk_unless_the_log_has_each() {
    let coalescing = |keys: &str| spilling(keys).replace("backpressure: spill", "backpressure: coalesce");
    let sink = &accept(&coalescing("path: s")).config.sinks[0];
    assert_eq!(worker_options(sink).backpressure, Backpressure::Coalesce);
    assert_eq!(spill_settings(sink).unwrap().mode, SpillMode::Overflow);
    let (error, shown) = only_error(&coalescing("path: s, write_ahead: true"));
    assert_eq!(error, "conflict telemetry.transport.buffer.spill.write_ahead");
    assert!(shown.contains("under 'coalesce' nothing could merge"), "{shown}");
    // Without a folder it merges, and sheds what that does not make room for.
    accept("telemetry: {transport: {type: file, file_path: x}, worker: {backpressure: coalesce}}");
}

#[test]
fn a_sink_that_cannot_catch_up_cannot_spill() {
    for kind in ["type: stdout", "type: prometheus, file_path: m.prom"] {
        let text = format!(
            "telemetry: {{transport: {{{kind}, buffer: {{spill: {{path: s}}}}}}, worker: {{backpressure: spill}}}}"
        );
        let found = diagnose(&text);
        let keys: Vec<_> = found.errors().map(|d| format!("{} {}", d.code, d.key)).collect();
        let wanted = ["not_for_type telemetry.transport.buffer.spill", "not_for_type telemetry.worker.backpressure"];
        assert_eq!(keys, wanted, "{kind}\n{found}");
    }
}

#[test]
fn bounds_words_and_keys_without_effect_are_named() {
    for (keys, wanted) in [
        ("path: s, max_bytes: 1048575", "error out_of_range telemetry.transport.buffer.spill.max_bytes"),
        ("path: s, fsync: always", "error bad_choice telemetry.transport.buffer.spill.fsync"),
        ("path: s, fsync: each_batch", "error bad_choice telemetry.transport.buffer.spill.fsync"),
        ("path: s, max_age_seconds: 0", "error out_of_range telemetry.transport.buffer.spill.max_age_seconds"),
        ("path: s, wriet_ahead: true", "error unknown_key telemetry.transport.buffer.spill.wriet_ahead"),
        (
            "path: s, fsync_interval_seconds: 2",
            "warning no_effect telemetry.transport.buffer.spill.fsync_interval_seconds",
        ),
        ("path: 7", "error wrong_type telemetry.transport.buffer.spill.path"),
    ] {
        let found = findings(&spilling(keys));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("{wanted} 1:")), "{found:?}");
    }
    let text = "telemetry: {transport: {type: file, file_path: x, buffer: {max_buffer_bytes: 8388608, \
                spill: {path: s, max_bytes: 1048576}}}, worker: {backpressure: spill}}";
    let (error, shown) = only_error(text);
    assert_eq!(error, "conflict telemetry.transport.buffer.spill.max_bytes");
    assert!(shown.contains("at least telemetry.transport.buffer.max_buffer_bytes, 8388608"), "{shown}");
}

/// A main sink and one more, both to files, both spilling.
fn two(main: &str, other: &str) -> String {
    format!(
        "telemetry: {{transport: {{type: file, file_path: logs/a, buffer: {{spill: {{{main}}}}}}}, \
         worker: {{backpressure: spill}}, \
         sinks: {{b: {{type: file, file_path: logs/b, buffer: {{spill: {{{other}}}}}, \
         worker: {{backpressure: spill}}}}}}}}"
    )
}

#[test]
fn sinks_that_share_a_folder_agree_on_its_limits() {
    accept(&two("path: s, max_bytes: 2000000, write_ahead: true", "path: s, max_bytes: 2000000"));
    accept(&two("path: s/a, max_bytes: 2000000", "path: s/b, fsync: never"));
    for (main, other, key) in [
        ("path: s", "path: s, max_bytes: 2000000", "max_bytes"),
        ("path: s", "path: s, fsync: never", "fsync"),
        (
            "path: s, fsync: interval, fsync_interval_seconds: 1",
            "path: s, fsync: interval, fsync_interval_seconds: 2",
            "fsync",
        ),
        ("path: s, max_age_seconds: 5", "path: s", "max_age_seconds"),
        ("path: s", "path: s/b", "path"),
        ("path: s/a", "path: s", "path"),
    ] {
        let (error, shown) = only_error(&two(main, other));
        assert_eq!(error, format!("conflict telemetry.sinks.b.buffer.spill.{key}"), "{main} {other}");
        assert!(shown.contains("'main'"), "{shown}");
    }
}

#[test]
fn no_sink_writes_its_file_into_a_spill() {
    for path in ["logs", "logs/a", ".", "logs/a/below"] {
        let found = diagnose(&two(&format!("path: {path}"), "path: apart/b"));
        let errors: Vec<_> = found.errors().map(|d| format!("{} {}", d.code, d.key)).collect();
        assert!(errors.iter().all(|e| e == "conflict telemetry.transport.buffer.spill.path"), "{found}");
        assert_eq!(errors.is_empty(), path == ".", "{path}: relative paths have no folder here\n{found}");
    }
    let in_folder = loader().skip_files().base_dir("/srv/town");
    assert!(in_folder.load_str("town.yaml", &two("path: .", "path: /elsewhere")).is_err());
}

#[test]
fn a_folder_that_cannot_be_used_is_refused_and_one_that_can_is_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("letter.txt"), "dear all").unwrap();
    std::fs::create_dir(folder.path().join("there")).unwrap();
    let load = |path: &str| loader().base_dir(folder.path()).load_str("town.yaml", &spilling(&format!("path: {path}")));
    for good in ["there", "there/more/still", "new/folder", "~/spool"] {
        let loaded = loader().home(folder.path()).base_dir(folder.path());
        let loaded = loaded.load_str("town.yaml", &spilling(&format!("path: {good}"))).unwrap();
        let path = &loaded.config.sinks[0].buffer.spill.as_ref().unwrap().path;
        assert_eq!(path, &folder.path().join(good.trim_start_matches("~/")));
    }
    for bad in ["letter.txt", "letter.txt/below", "/proc/townlet/spool", "/dev/null"] {
        let found = load(bad).unwrap_err();
        let error = found.errors().next().unwrap();
        assert_eq!(
            (error.code.as_str(), error.key.as_str()),
            ("file", "telemetry.transport.buffer.spill.path"),
            "{bad}"
        );
        assert!(error.message.contains("cannot keep a spill in"), "{}", error.message);
        let skipped = loader().skip_files().base_dir(folder.path());
        assert!(skipped.load_str("town.yaml", &spilling(&format!("path: {bad}"))).is_ok(), "on another machine");
    }
    let mut left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["letter.txt", "there"]);
    assert_eq!(std::fs::read_dir(folder.path().join("there")).unwrap().count(), 0);
}

#[test]
fn an_outage_is_held_against_the_disk_where_there_is_one() {
    let tight = accept(&spilling("path: s, max_bytes: 1048576")).config;
    let found = validate_cadence(&tight, 100.0, 100_000);
    assert!(found.iter().any(|d| d.key == "telemetry.transport.buffer.spill.max_bytes"), "{found:?}");
    let wide = accept(&spilling("path: s")).config;
    let found = validate_cadence(&wide, 1000.0, 100_000);
    assert!(found.iter().all(|d| !d.key.contains("spill") && !d.message.contains("outage")), "{found:?}");
}

#[test]
fn a_correction_takes_a_spill_from_a_sink_that_cannot_have_one() {
    let text = "telemetry: {transport: {type: stdout, buffer: {spill: {path: s, max_bytes: 2000000}}}}";
    let found = loader().load_str("town.yaml", text).unwrap_err();
    let corrected = loader().corrected_block(&found, text).unwrap();
    assert!(accept(&corrected).config.sinks[0].buffer.spill.is_none(), "{corrected}");
}

#[test]
fn a_started_pipeline_spills_where_it_is_told_and_a_second_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file: std::sync::Arc<dyn townlet_transport::Factory> = std::sync::Arc::new(Registered("file"));
    let loader: Loader<'_> = Loader::new().factory(&*file).base_dir(folder.path());
    let config = loader.load_str("town.yaml", &spilling("path: spool")).unwrap().config;
    let identity = townlet_config::Identity {
        run_id: townlet_schema::RunId::from_u128(1),
        producer: "town".into(),
        runtime_variant: None,
        started_at: 0,
        seed: None,
    };
    let factories = vec![file.clone()];
    let telemetry = townlet_config::start(&config, &factories, &identity).unwrap();
    let second = townlet_config::start(&config, &factories, &identity).unwrap_err();
    assert!(second.to_string().contains("another process has the spill folder"), "{second}");
    for id in 0..10_u64 {
        telemetry.emit_event("order", id, &std::collections::BTreeMap::from([("id", id)])).unwrap();
    }
    let books = telemetry.shutdown(Duration::ZERO);
    assert_eq!((books.sinks[0].1.spilled, books.residual()), (10, 0));
    drop(telemetry);
    let next = townlet_config::start(&config, &factories, &identity).unwrap();
    assert_eq!(next.recovered()[0].recovered, 10);
    next.shutdown(Duration::ZERO);
}
