use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use townlet_testkit::frames;
use townlet_transport::{Compression, ErrorKind, Factory, Fsync, Settings, Transport};
use townlet_transport_file::{FileFactory, FileOptions};

use crate::{MARKER, open, read, text};

#[test]
fn settings_become_a_working_transport() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("logs/town.jsonl");
    let mut settings = Settings::default();
    settings.file_path = Some(path.clone());
    settings.fsync = Fsync::EachBatch;
    settings.run_marker = Some(MARKER.into());
    assert_eq!(FileFactory.kind(), "file");
    let mut sink = FileFactory.build(&settings).unwrap();
    assert!(!path.parent().unwrap().exists(), "building touches no disk");
    let connected = sink.connect().unwrap();
    assert_eq!((connected.peer.as_str(), connected.tls), (path.to_str().unwrap(), false));
    sink.send(&frames(1..=2)).unwrap();
    assert_eq!(read(&path), format!("{MARKER}{}", text(&frames(1..=2))));
}

#[test]
fn the_key_at_fault_is_named() {
    let refused = |change: fn(&mut Settings), says: &str| {
        let mut settings = Settings::default();
        settings.file_path = Some("town.jsonl".into());
        change(&mut settings);
        let Err(error) = FileFactory.build(&settings) else { panic!("accepted, not: {says}") };
        assert_eq!(error.kind(), ErrorKind::Misconfigured);
        assert!(error.to_string().contains(says), "{error}");
    };
    refused(|s| s.file_path = None, "telemetry.transport.file_path is required when type is 'file'");
    refused(|s| s.file_path = Some("  ".into()), "file_path is empty");
    refused(|s| s.file_path = Some("".into()), "file_path is empty");
    refused(|s| s.compression = Compression::Deflate, "compression of type 'file' is none or gzip");
    refused(|s| s.file_path = Some("logs/%d/town.jsonl".into()), "file_path logs/%d/town.jsonl has no %Y");
    refused(|s| s.file_path = Some("logs/%x.jsonl".into()), "file_path logs/%x.jsonl has '%x'");
    refused(|s| s.rotate_bytes = Some(0), "rotate_bytes");
    refused(|s| s.rotate_after = Some(Duration::ZERO), "rotate_seconds");
}

#[test]
fn paths_that_can_never_work_are_misconfigured() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (path, says) in [
        (folder.path().to_owned(), "folder"),
        (file.join("below/town.jsonl"), "no folder"),
        (folder.path().join("x".repeat(300)), "name is not allowed"),
        (pipe, "pipe"),
    ] {
        let error = open(FileOptions::new(&path)).connect().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misconfigured, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}
