//! Sinks beside each other, and the paths that they write to.

use std::time::Duration;
use townlet_config::{Loader, load_str};
use townlet_transport::{Compression, Fsync};

use crate::support::{accept, certificates, diagnose, lines, main_of, transport};

#[test]
fn a_sink_path_that_is_a_directory_is_refused() {
    let folder = certificates();
    let loader = Loader::new().base_dir(folder.path());
    let found = loader.load_str("town.yaml", &transport("type: file, file_path: folder")).unwrap_err();
    assert_eq!(lines(&found), ["error file telemetry.transport.file_path 1:37"]);
}

#[test]
fn a_path_with_a_day_in_it_finishes_files_as_rotation_does() {
    let keys = "type: file, file_path: 'logs/%F/x', keep_seconds: 86400, keep_bytes: 9000, compression: gzip, \
        fsync: interval, fsync_interval_seconds: 0.5";
    let loaded = accept(&transport(keys));
    assert_eq!(loaded.warnings.iter().count(), 0);
    let settings = &loaded.config.sinks[0].settings;
    assert_eq!((settings.keep_for, settings.keep_bytes), (Some(Duration::from_secs(86_400)), Some(9000)));
    assert_eq!(
        (settings.fsync, settings.compression),
        (Fsync::Interval(Duration::from_millis(500)), Compression::Gzip)
    );
    let settings = main_of(&transport("type: file, file_path: x, fsync: interval")).settings;
    assert_eq!(settings.fsync, Fsync::Interval(Duration::from_secs(1)));
    let settings = main_of(&transport("type: file, file_path: x, fsync: on_rotation")).settings;
    assert_eq!(settings.fsync, Fsync::OnRotation);
}

#[test]
fn more_sinks_have_the_same_keys_and_their_own_names() {
    let text = "
telemetry:
  transport: {type: file, file_path: logs/a}
  worker: {backpressure: block}
  sinks:
    live: {type: tcp, endpoint: 'c.example:9', worker: {restart_limit: 7}, buffer: {max_batch_size: 9}}
    copy: {type: file, file_path: logs/b, settle_at: sent}
";
    let sinks = accept(text).config.sinks;
    let names: Vec<_> = sinks.iter().map(|sink| sink.name.as_str()).collect();
    assert_eq!(names, ["main", "live", "copy"]);
    assert_eq!((sinks[1].worker.restart_limit, sinks[1].buffer.max_batch_size), (7, 9));
    assert_eq!(sinks[1].worker.backpressure.as_str(), "drop_oldest");
}

#[test]
fn sinks_that_would_collide_are_refused() {
    for (sinks, expected) in [
        ("{main: {type: stdout}}", "conflict telemetry.sinks.main"),
        ("{Loud: {type: stdout}}", "bad_choice telemetry.sinks.Loud"),
        ("{a__b: {type: stdout}}", "bad_choice telemetry.sinks.a__b"),
        ("{a: {file_path: x}}", "missing telemetry.sinks.a.type"),
        ("{a: {type: stdout}}", "conflict telemetry.sinks.a.type"),
        (
            "{a: {type: file, file_path: x}, b: {type: prometheus, file_path: x}}",
            "conflict telemetry.sinks.b.file_path",
        ),
        (
            "{a: {type: prometheus, scrape_listen: '[::1]:9'}, b: {type: prometheus, scrape_listen: '[::1]:9'}}",
            "conflict telemetry.sinks.b.scrape_listen",
        ),
        ("{a: 7}", "wrong_type telemetry.sinks.a"),
    ] {
        let found = diagnose(&format!("telemetry: {{sinks: {sinks}}}"));
        let first = found.errors().next().unwrap_or_else(|| panic!("{sinks} was accepted"));
        assert_eq!(format!("{} {}", first.code, first.key), expected);
    }
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let folder = certificates();
    let file = folder.path().join("town.yaml");
    std::fs::write(&file, transport("type: file, file_path: logs/x.jsonl")).unwrap();
    let path = |loader: Loader<'_>| loader.load_file(&file).unwrap().config.sinks.remove(0).settings.file_path.unwrap();
    assert_eq!(path(Loader::new()), folder.path().join("logs/x.jsonl"));
    assert_eq!(path(Loader::new().base_dir("/srv")), std::path::Path::new("/srv/logs/x.jsonl"));

    let home = transport("type: file, file_path: ~/x.jsonl");
    let sink = Loader::new().home("/homes/ada").load_str("t", &home).unwrap().config.sinks.remove(0);
    assert_eq!(sink.settings.file_path.unwrap(), std::path::Path::new("/homes/ada/x.jsonl"));
    assert_eq!(lines(&load_str("t", &home).unwrap_err()), ["error file telemetry.transport.file_path 1:37"]);
}
