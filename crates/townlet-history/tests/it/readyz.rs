//! What a probe saw, and what its raw record comes to.

use proptest::prelude::*;
use townlet_history::readyz::{Probe, Summary, read};

use crate::support::minute;

#[test]
fn an_endpoint_that_answers_200_whatever_is_the_matter_is_not_believed() {
    for (status, body, ready) in [
        (200, &b""[..], true),
        (204, b"", true),
        (200, b"anything", true),
        (200, br#"{"status":"ready"}"#, true),
        (200, br#"{"status":"OK","queue_depth":0}"#, true),
        (200, br#"{"status":"not-ready"}"#, false),
        (200, br#"{"state":"x"}"#, true),
        (301, b"", false),
        (503, br#"{"status":"ready"}"#, false),
        (200, b"\xff\xfe", true),
    ] {
        let probe = Probe::answered(minute(0), 5, status, body);
        assert_eq!(probe.ready, ready, "{status} {}", String::from_utf8_lossy(body));
        assert_eq!(read(probe.line().as_bytes()).unwrap(), [probe]);
    }
    let long = Probe::unanswered(minute(0), 5, &"x".repeat(500));
    assert_eq!((long.ready, long.status, long.said.map(|said| said.len())), (false, None, Some(120)));
}

#[test]
fn a_raw_record_that_was_edited_is_refused_with_its_line() {
    let line = |at, status| Probe::answered(minute(at), 5, status, b"").line();
    let raw = line(0, 200) + &line(1, 503) + &line(2, 200);
    assert_eq!(read(raw.as_bytes()).unwrap().len(), 3);
    for (broken, at, why) in [
        (raw.replace("503,\"ready\":false", "503,\"ready\":true"), 2, "says ready without a status"),
        (line(1, 200) + &line(1, 200), 2, "not later"),
        (raw.replace("elapsed_ms", "elapsed"), 1, "unknown field"),
        (raw.replace("\n", "\n\n"), 2, "EOF"),
    ] {
        let error = read(broken.as_bytes()).unwrap_err();
        assert!(error.line == at && error.why.contains(why), "{error}");
    }
    assert_eq!(read(b"\xff").unwrap_err().line, 0);
}

#[test]
fn a_summary_says_how_long_it_was_away() {
    let line = |at, status| Probe::answered(minute(at), 5, status, b"");
    let probes =
        [line(0, 200), line(1, 503), line(3, 503), line(4, 200), Probe::unanswered(minute(9), 7000, "refused")];
    let summary = Summary::of(&probes).unwrap();
    assert_eq!((summary.probes, summary.ready, summary.not_ready, summary.unanswered), (5, 2, 2, 1));
    assert_eq!((summary.changes, summary.longest_unready_ms, summary.slowest_ms), (3, 180_000, 7000));
    assert!(!summary.always_ready());
    assert_eq!(Summary::of(&[]), None);
}

proptest! {
    #[test]
    fn a_summary_is_that_of_a_model_that_walks_through_it(steps in proptest::collection::vec((1..9_i64, 0..3_u8), 1..40)) {
        let (mut now, mut probes) = (0, Vec::new());
        for (pause, kind) in steps {
            now += pause;
            probes.push(match kind {
                0 => Probe::unanswered(minute(now), 1, "refused"),
                1 => Probe::answered(minute(now), 1, 503, b""),
                _ => Probe::answered(minute(now), 1, 200, b""),
            });
        }
        let summary = Summary::of(&probes).unwrap();
        let (mut away, mut longest) = (None, 0);
        for probe in &probes {
            let began = *away.get_or_insert(probe.at);
            longest = longest.max(probe.at.as_ms() - began.as_ms());
            if probe.ready {
                away = None;
            }
        }
        // While it was ready, every probe is the beginning and the end of no time at all.
        prop_assert_eq!(summary.longest_unready_ms, u64::try_from(longest).unwrap());
        prop_assert_eq!(summary.ready + summary.not_ready + summary.unanswered, probes.len() as u64);
        let raw: String = probes.iter().map(Probe::line).collect();
        prop_assert_eq!(Summary::of(&read(raw.as_bytes()).unwrap()).unwrap(), summary);
    }

    #[test]
    fn no_bytes_make_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes).map(|probes| Summary::of(&probes));
        let _ = Probe::answered(minute(0), 0, 200, &bytes);
    }
}
