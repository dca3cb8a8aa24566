//! `townlet inspect`.

use tempfile::TempDir;

use crate::support::{command, gzip, samples, text, townlet, write};

#[test]
fn the_predecessors_stream_is_read_whole() {
    let stream = samples().join("predecessor/telemetry_stream_0.9.0.jsonl");
    let report = townlet(&["inspect", "--json", text(&stream)]).expect(0).json();
    assert_eq!(report["records"], 120);
    assert_eq!(report["by_kind"]["snapshot"], 120);
    assert_eq!(report["schema_versions"]["0.9.0"], 120);
    for key in ["runs", "tick_gaps", "duplicates", "noise_lines", "invalid", "bytes"] {
        assert!(!report[key].is_null(), "{key} in {report}");
    }
    assert_eq!(report["bytes"], 1_144_863);
}

#[test]
fn gaps_duplicates_noise_and_invalid_lines_are_found_with_their_line_numbers() {
    let dir = TempDir::new().unwrap();
    let stream = samples().join("predecessor/telemetry_stream_0.9.0.jsonl");
    let stream = std::fs::read_to_string(stream).unwrap();
    let lines: Vec<&str> = stream.lines().collect();
    let mixed =
        [lines[0], lines[1], "WARNING buffer exceeded", lines[5], lines[5], "{\"schema_version\": nonsense", ""];
    let mixed = write(dir.path(), "mixed.jsonl", &mixed.join("\n"));
    let ran = townlet(&["inspect", "--json", &mixed]).expect(1);
    let report = ran.json();
    assert_eq!((&report["records"], &report["noise_lines"], &report["invalid"]), (&4.into(), &1.into(), &1.into()));
    assert_eq!(report["tick_gaps"], 1);
    assert_eq!(report["duplicates"], 1);
    assert_eq!(report["invalid_lines"][0]["line"], 6, "{report}");
}

#[test]
fn against_a_baseline_drift_is_an_exit_code() {
    let dir = TempDir::new().unwrap();
    let run = |seed: &str| {
        let path = dir.path().join(format!("{seed}.jsonl"));
        townlet(&["simulate", "--deterministic", "--ticks", "40", "--seed", seed, "--telemetry-path", text(&path)])
            .expect(0);
        path
    };
    let (one, other) = (run("1"), run("2"));
    townlet(&["inspect", text(&one), "--against", text(&one)]).expect(0);
    let changed = std::fs::read_to_string(&other).unwrap().replace("\"facade\"", "\"legacy\"");
    let changed = write(dir.path(), "changed.jsonl", &changed);
    let ran = townlet(&["inspect", &changed, "--against", text(&one)]).expect(1);
    assert!(ran.stdout.contains("runtime"), "{}", ran.stdout);
}

#[test]
fn a_missing_file_exits_3_and_a_folder_is_answered_with_what_reads_it() {
    townlet(&["inspect", "no/such/file.jsonl"]).expect(3);
    let dir = TempDir::new().unwrap();
    let ran = townlet(&["inspect", text(dir.path())]).expect(2);
    assert!(ran.stderr.contains("/*.jsonl | townlet inspect -"), "{}", ran.stderr);
}

/// `townlet inspect … | head` used to end in a panic.
#[test]
fn a_reader_that_goes_away_is_a_clean_end() {
    let stream = samples().join("predecessor/telemetry_stream_0.9.0.jsonl");
    for words in [&["inspect", "--json"][..], &["inspect"]] {
        let mut child = command(words)
            .arg(&stream)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !stderr.contains("panicked"), "{stderr}");
    }
}

#[test]
fn a_file_that_was_compressed_when_it_was_finished_is_read_like_any_other() {
    let plain = samples().join("1.1.0/town.jsonl");
    let dir = TempDir::new().unwrap();
    let packed = dir.path().join("town.jsonl.gz");
    std::fs::write(&packed, gzip(&std::fs::read(&plain).unwrap())).unwrap();
    let report = |file| townlet(&["inspect", "--json", text(file)]).expect(0).json();
    assert_eq!(report(&packed), report(&plain));
    townlet(&["inspect", text(&packed), "--against", text(&plain)]).expect(0);
}
