//! `inspect`: every line of any file is counted once, however it is read, and a file does not differ from itself.
//!
//! An input is a choice of limits, four sizes of pieces, then the file.

#![no_main]

use libfuzzer_sys::fuzz_target;
use townlet_collector::inspect::{InspectOptions, InspectReport, compare, inspect};
use townlet_fuzz::pieces::Pieces;

fuzz_target!(|input: &[u8]| {
    let [limits, pattern @ ..] = input else { return };
    let Some((pattern, bytes)) = pattern.split_at_checked(4) else { return };
    let defaults = InspectOptions::default();
    let options = InspectOptions {
        max_line_bytes: [defaults.max_line_bytes, 16, 120][usize::from(limits & 3) % 3],
        compare_entries: [defaults.compare_entries, 0, 7][usize::from(limits >> 2 & 3) % 3],
    };

    let report = look(bytes, &options);
    counts_every_line(&report, bytes, &options);
    let piecemeal = inspect(Pieces::new(bytes, pattern), &options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(json(&piecemeal), json(&report), "the pieces matter");

    let drift = compare(&report, &piecemeal);
    assert!(drift.is_empty(), "a file differs from itself: {drift}");
    // Against another file anything may differ; it must end, and be said in words.
    let other = look(&bytes[..bytes.len() / 2], &options);
    for drift in [compare(&report, &other), compare(&other, &report)] {
        assert!(drift.to_string().lines().all(|line| !line.is_empty()), "{drift}");
    }
});

fn look(bytes: &[u8], options: &InspectOptions) -> InspectReport {
    inspect(bytes, options).unwrap_or_else(|error| panic!("{error}"))
}

fn json(report: &InspectReport) -> String {
    serde_json::to_string(report).unwrap_or_else(|error| panic!("{error}"))
}

fn counts_every_line(report: &InspectReport, bytes: &[u8], options: &InspectOptions) {
    let lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
    assert_eq!((report.lines, report.bytes), (lines.len() as u64, bytes.len() as u64));
    assert_eq!(report.records + report.noise_lines + report.invalid + report.blank_lines, report.lines, "{report}");
    assert_eq!(report.unterminated, lines.last().is_some_and(|line| !line.ends_with(b"\n")));
    assert_eq!(report.by_kind.values().sum::<u64>(), report.records);
    assert_eq!(report.schema_versions.values().sum::<u64>(), report.records);
    assert_eq!(report.invalid_by_reason.values().sum::<u64>(), report.invalid);
    let overlong = lines.iter().filter(|line| line.strip_suffix(b"\n").unwrap_or(line).len() > options.max_line_bytes);
    let too_large = report.invalid_by_reason.get("too_large").copied().unwrap_or_default();
    assert_eq!(too_large, overlong.count() as u64);
    let followed: u64 = report.run_list.iter().map(|run| run.records).sum();
    assert_eq!(followed + report.unfollowed, report.records);
    let (sizes, longest) = (report.record_bytes, lines.iter().map(|line| line.len() as u64).max().unwrap_or_default());
    assert!(sizes.min <= sizes.median && sizes.median <= sizes.p95 && sizes.p95 <= sizes.max && sizes.max <= longest);
    let shown = report.to_string();
    assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
}
