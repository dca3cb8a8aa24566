//! File names, failures of the disk, recovery.

use townlet_collector::store::StoreOptions;
use townlet_collector::{Collector, CollectorOptions, EndKind};

use crate::support::*;

#[test]
fn names_that_try_to_be_paths_stay_inside_the_folder() {
    let outer = tempfile::tempdir().unwrap();
    let dir = outer.path().join("store");
    let limits = CollectorOptions { max_streams_per_connection: 200, keep_rejected_bytes: 1000, ..plain(&dir) };
    let collector = Collector::bind(limits.clone()).unwrap();
    let names = [
        "..",
        "../../escape",
        "/etc/passwd",
        "a/b",
        "..\\\\x",
        "nul\\u0000l",
        ".",
        "rejected.jsonl",
        "@no-stream",
        "%2e",
    ];
    let mut bytes = String::new();
    for run in names {
        for stream in names {
            bytes.push_str(&format!("{{\"run_id\":\"{run}\",\"stream\":\"{stream}\",\"seq\":1}}\n"));
        }
    }
    send_plain(&collector, bytes.as_bytes());
    let report = stop(collector);
    assert_eq!((report.totals.stored, report.totals.invalid), (100, 0), "{:?}", report.invalid_by_reason);
    let outside: Vec<_> = std::fs::read_dir(outer.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(outside, ["store"]);
    let mut files = 0;
    for run in std::fs::read_dir(&dir).unwrap() {
        let run = run.unwrap();
        if run.file_name() == "@rejected.jsonl" {
            continue;
        }
        assert!(run.file_type().unwrap().is_dir());
        for file in std::fs::read_dir(run.path()).unwrap() {
            let file = file.unwrap();
            assert!(file.file_type().unwrap().is_file());
            assert_eq!(std::fs::read_to_string(file.path()).unwrap().lines().count(), 1, "one stream a file");
            files += 1;
        }
    }
    assert_eq!(files, 100, "different names are different files");
    stop(Collector::bind(limits).unwrap());
}

#[test]
fn a_disk_that_refuses_is_not_acknowledged_and_nothing_is_lost_when_it_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let secure = Secure::new();
    let collector = Collector::bind(secure.options(dir.path())).unwrap();
    // A folder where the file should be: every open fails.
    let path = dir.path().join(run_id(1).as_str()).join("town.jsonl");
    std::fs::create_dir_all(&path).unwrap();
    let mut client = secure.connect(collector.local_addr(), true);
    client.send(&lines("town", 1..=10));
    assert!(client.sees_the_end(), "cut without an ack");
    let report = wait_for(&collector, "the cut", |report| report.connections_open == 0);
    let connection = &report.connections[0];
    assert_eq!((connection.acknowledged, connection.ended.as_ref().unwrap().kind), (0, EndKind::StoreFailed));
    assert!(report.store_error.as_ref().unwrap().contains("town.jsonl"), "{report:#?}");

    std::fs::remove_dir(&path).unwrap();
    let mut client = secure.connect(collector.local_addr(), true);
    client.send(&lines("town", 1..=12));
    client.acks_until(12);
    assert_eq!(stored(dir.path(), "town"), lines("town", 1..=12));
    client.close();
    stop(collector);
}

#[test]
fn a_torn_line_of_a_killed_collector_is_cut_off_and_its_resend_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join(run_id(1).as_str());
    std::fs::create_dir_all(&run).unwrap();
    let torn = line("town", 4);
    std::fs::write(run.join("town.jsonl"), [lines("town", 1..=3), torn[..40].to_vec()].concat()).unwrap();
    let collector = Collector::bind(plain(dir.path())).unwrap();
    send_plain(&collector, &lines("town", 3..=5));
    let report = stop(collector);
    assert_eq!(stored(dir.path(), "town"), lines("town", 1..=5));
    assert_eq!((report.totals.stored, report.totals.duplicates), (2, 1));
}

#[test]
fn a_folder_has_one_collector_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let first = Collector::bind(plain(dir.path())).unwrap();
    let error = Collector::bind(plain(dir.path())).unwrap_err().to_string();
    assert!(error.contains("another collector") && error.contains(&dir.path().display().to_string()), "{error}");
    send_plain(&first, &lines("town", 1..=3));
    first.shutdown(PATIENCE);
    let second = Collector::bind(plain(dir.path())).unwrap();
    send_plain(&second, &lines("town", 2..=4));
    // Without a shutdown it leaves as soon as its connections have.
    drop(second);
    let third = Collector::bind(plain(dir.path())).unwrap();
    send_plain(&third, &lines("town", 3..=5));
    assert_eq!(stop(third).totals.duplicates, 2);
    assert_eq!(stored(dir.path(), "town"), lines("town", 1..=5));
}

#[test]
fn few_open_files_serve_many_streams() {
    let dir = tempfile::tempdir().unwrap();
    let store = StoreOptions { max_open_files: 2, ..StoreOptions::new(dir.path()) };
    let collector = Collector::bind(plain(dir.path()).with_store(store)).unwrap();
    let names: Vec<String> = (0..40).map(|n| format!("stream-{n}")).collect();
    let bytes: Vec<u8> = (1..=20).flat_map(|seq| names.iter().flat_map(move |name| line(name, seq))).collect();
    send_plain(&collector, &bytes);
    stop(collector);
    for name in &names {
        assert_eq!(stored(dir.path(), name), lines(name, 1..=20));
    }
}

#[test]
fn the_report_reads_well_and_keeps_its_keys() {
    let dir = tempfile::tempdir().unwrap();
    let collector = Collector::bind(plain(dir.path())).unwrap();
    send_plain(&collector, &[lines("town", [1, 2, 2, 5]), b"oops\n".to_vec(), lines("town.events", 1..=2)].concat());
    let report = stop(collector);
    insta::assert_snapshot!("report_text", report.to_string());
    insta::assert_json_snapshot!("report_json", report, {
        ".connections[].peer" => "[peer]",
        ".streams[].file" => "[file]",
    });
}
