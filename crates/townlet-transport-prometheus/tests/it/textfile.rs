use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tempfile::TempDir;
use townlet_testkit::frames;
use townlet_transport::{ErrorKind, Figures, Transport};

use crate::fakes::Pipeline;
use crate::{file, read, sample};

#[test]
fn everybody_may_read_the_file_whatever_the_umask_and_no_other_name_ends_in_prom() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("deep/er/town.prom");
    let mut sink = file(&path);
    assert!(!path.parent().unwrap().exists(), "building touches no disk");
    sink.connect().unwrap();
    sink.send(&frames(1..=1)).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
    let names =
        std::fs::read_dir(path.parent().unwrap()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let scraped: Vec<String> = names.filter(|name| name.ends_with(".prom")).collect();
    assert_eq!(scraped, ["town.prom"]);
}

/// Each text of the file has the figures of its moment, and so asks for them once.
#[test]
fn a_batch_is_one_write_however_many_frames_it_has() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.prom");
    let pipeline = Pipeline::run("run-1");
    let mut sink = file(&path);
    sink.watch(Arc::clone(&pipeline) as Arc<dyn Figures>);
    sink.connect().unwrap();
    let before = pipeline.reads();
    for batch in 1..=5 {
        sink.connect().unwrap();
        sink.send(&frames(1..=400)).unwrap();
        assert_eq!(pipeline.reads() - before, batch);
        assert_eq!(sample(&read(&path), "townlet_telemetry_messages_total"), Some(400.0 * batch as f64));
    }
}

#[test]
fn a_reader_never_sees_a_part_of_the_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.prom");
    let mut sink = file(&path);
    sink.connect().unwrap();
    sink.send(&frames(1..=1)).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let (until, watched) = (Arc::clone(&done), path.clone());
    let reader = std::thread::spawn(move || {
        let (mut reads, mut last) = (0_u64, 0.0);
        while !until.load(Ordering::SeqCst) {
            let text = read(&watched);
            let messages = sample(&text, "townlet_telemetry_messages_total").expect("a whole file");
            assert!(text.ends_with('\n') && text.contains("townlet_telemetry_newest_tick ") && messages >= last);
            (reads, last) = (reads + 1, messages);
        }
        reads
    });
    for _ in 0..200 {
        sink.send(&frames(1..=3)).unwrap();
    }
    done.store(true, Ordering::SeqCst);
    assert!(reader.join().unwrap() > 0);
}

#[test]
fn what_a_crash_left_is_cleared_away() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.prom");
    std::fs::write(folder.path().join(".town.prom.tmp"), "half a li").unwrap();
    let mut sink = file(&path);
    sink.connect().unwrap();
    sink.send(&frames(1..=1)).unwrap();
    assert!(!folder.path().join(".town.prom.tmp").exists());
    assert_eq!(sample(&read(&path), "townlet_telemetry_messages_total"), Some(1.0));
}

#[test]
fn somebody_elses_file_is_not_written_over() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("apt.prom");
    for text in ["# TYPE apt_upgrades gauge\napt_upgrades 3\n", "hello\n", "\u{0}"] {
        std::fs::write(&path, text).unwrap();
        let mut sink = file(&path);
        let error = sink.connect().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Misconfigured);
        assert!(error.to_string().contains("apt.prom") && error.to_string().contains("name another file"), "{error}");
        drop(sink);
        assert_eq!(read(&path), text);
    }
    std::fs::write(&path, [0xff, 0xfe]).unwrap();
    assert_eq!(file(&path).connect().unwrap_err().kind(), ErrorKind::Misconfigured);
    let error = file(folder.path()).connect().unwrap_err();
    assert!(error.to_string().contains("is a folder"), "{error}");
}

#[test]
fn two_sinks_do_not_write_one_file_and_the_second_goes_on_when_the_first_has_ended() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.prom");
    let (mut one, mut other) = (file(&path), file(&path));
    one.connect().unwrap();
    one.send(&frames(1..=2)).unwrap();
    let error = other.connect().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Misconfigured);
    assert!(error.to_string().contains("somebody else"), "{error}");
    drop(one);
    other.connect().unwrap();
    other.send(&frames(1..=2)).unwrap();
    assert_eq!(sample(&read(&path), "townlet_telemetry_messages_total"), Some(4.0));
}
