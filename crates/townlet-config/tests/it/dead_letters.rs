//! `dead_letters`.

use std::path::Path;

use townlet_config::dead_letter_settings;

use crate::support::{accept, only_error};

/// A TCP sink with this block.
fn keeping(keys: &str) -> String {
    format!("telemetry: {{transport: {{type: tcp, endpoint: 'c:1', dead_letters: {{{keys}}}}}}}")
}

#[test]
fn a_file_is_named_and_has_a_limit() {
    let sinks = accept(&keeping("path: refused.jsonl")).config.sinks;
    let settings = dead_letter_settings(&sinks[0]).unwrap();
    assert_eq!((settings.path.as_path(), settings.max_bytes), (Path::new("refused.jsonl"), 64 << 20));
    let sinks = accept(&keeping("path: r, max_bytes: 5000")).config.sinks;
    assert_eq!(dead_letter_settings(&sinks[0]).unwrap().max_bytes, 5000);
    assert!(dead_letter_settings(&accept("telemetry: {}").config.sinks[0]).is_none());
}

#[test]
fn what_cannot_be_is_named_with_its_key() {
    let (error, shown) = only_error(&keeping("max_bytes: 5000"));
    assert_eq!(error, "missing telemetry.transport.dead_letters.path");
    assert!(shown.contains("refused.jsonl"), "{shown}");
    assert_eq!(only_error(&keeping("path: ' '")).0, "missing telemetry.transport.dead_letters.path");
    assert_eq!(
        only_error(&keeping("path: r, max_bytes: 1")).0,
        "out_of_range telemetry.transport.dead_letters.max_bytes"
    );
    assert_eq!(only_error(&keeping("path: r, max: 1")).0, "unknown_key telemetry.transport.dead_letters.max");
    for kind in ["stdout", "file, file_path: x", "prometheus, file_path: x.prom"] {
        let text = format!("telemetry: {{transport: {{type: {kind}, dead_letters: {{path: r}}}}}}");
        assert_eq!(only_error(&text).0, "not_for_type telemetry.transport.dead_letters", "{kind}");
    }
}

#[test]
fn sinks_may_share_a_file_if_they_agree_and_nobody_else_writes_it() {
    let two = |one: &str, other: &str| {
        format!(
            "telemetry: {{transport: {{type: tcp, endpoint: 'c:1', dead_letters: {{{one}}}}}, sinks: {{b: {{type: tcp, \
             endpoint: 'd:1', dead_letters: {{{other}}}}}, c: {{type: file, file_path: lines.jsonl}}}}}}"
        )
    };
    assert_eq!(accept(&two("path: r", "path: r")).config.sinks.len(), 3);
    assert_eq!(accept(&two("path: r", "path: s, max_bytes: 9999")).config.sinks.len(), 3);
    let (error, shown) = only_error(&two("path: r", "path: r, max_bytes: 9999"));
    assert_eq!(error, "conflict telemetry.sinks.b.dead_letters.max_bytes");
    assert!(shown.contains("shares this file"), "{shown}");
    let (error, shown) = only_error(&two("path: r", "path: lines.jsonl"));
    assert_eq!(error, "conflict telemetry.sinks.b.dead_letters.path");
    assert!(shown.contains("'c' writes its lines there"), "{shown}");
}

#[test]
fn the_folder_is_tried_where_files_are_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file"), "").unwrap();
    let within = |path: &str| keeping(&format!("path: '{}'", dir.path().join(path).display()));
    accept(&within("new/folder/refused.jsonl"));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left by the attempt");
    assert_eq!(only_error(&within("file/refused.jsonl")).0, "file telemetry.transport.dead_letters.path");
}
