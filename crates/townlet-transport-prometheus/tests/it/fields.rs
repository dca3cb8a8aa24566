use tempfile::TempDir;
use townlet_transport::{Frame, Label, Transport};
use townlet_transport_prometheus::PrometheusOptions;

use crate::{open, read, sample};

fn state(seq: u64, line: &str) -> Frame {
    Frame::new(Label::new("run", "town"), "snapshot", seq, seq, format!("{line}\n"))
}

#[test]
fn numeric_fields_are_published_by_path_up_to_the_bound_and_the_rest_is_counted() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.prom");
    let fields = vec!["stability.metrics.*".parse().unwrap()];
    let mut sink = open(PrometheusOptions { fields, max_series: 2, ..PrometheusOptions::file(&path) });
    sink.connect().unwrap();
    sink.send(&[
        state(1, r#"{"stability":{"alerts":["x"],"metrics":{"lateness":0.25,"hunger":3}}}"#),
        state(2, r#"{"stability":{"metrics":{"added":1,"lateness":0.5,"hunger":-4,"name":"x"}}}"#),
        state(3, "not json"),
    ])
    .unwrap();
    let text = read(&path);
    let field = |name: &str| {
        sample(&text, &format!("townlet_telemetry_field{{path=\"stability.metrics.{name}\",stream=\"town\"}}"))
    };
    assert_eq!(
        (field("lateness"), field("hunger"), field("added"), field("name")),
        (Some(0.5), Some(-4.0), None, None)
    );
    assert_eq!(sample(&text, "townlet_telemetry_field_series"), Some(2.0));
    assert_eq!(sample(&text, "townlet_telemetry_field_overflow_total"), Some(1.0), "{text}");
    assert_eq!(sample(&text, "townlet_telemetry_unreadable_lines_total"), Some(1.0));
}

#[test]
fn a_batch_that_comes_again_counts_its_overflow_once() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("textfile/town.prom");
    let fields = vec!["*".parse().unwrap()];
    let mut sink = open(PrometheusOptions { fields, max_series: 1, ..PrometheusOptions::file(&path) });
    sink.connect().unwrap();
    let parent = path.parent().unwrap();
    std::fs::remove_dir_all(parent).unwrap();
    std::fs::write(parent, "in the way").unwrap();
    let batch = [state(1, r#"{"a":1,"b":2,"c":3}"#)];
    for _ in 0..3 {
        let failed = sink.connect().map_err(townlet_transport::SendError::from).and_then(|_| sink.send(&batch));
        assert!(failed.is_err());
    }
    std::fs::remove_file(parent).unwrap();
    sink.connect().unwrap();
    sink.send(&batch).unwrap();
    assert_eq!(sample(&read(&path), "townlet_telemetry_field_overflow_total"), Some(2.0));
    assert_eq!(sample(&read(&path), "townlet_telemetry_messages_total"), Some(1.0));
}

#[test]
fn a_diff_moves_the_fields_that_it_names_and_leaves_the_others() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("town.prom");
    let fields = vec!["jobs.*.wallet".parse().unwrap()];
    let mut sink = open(PrometheusOptions { fields, ..PrometheusOptions::file(&path) });
    sink.connect().unwrap();
    let diff = r#"{"base_seq":1,"patch":{"jobs":{"ann":{"wallet":9}}}}"#;
    let diff = Frame::new(Label::new("run", "town"), "diff", 2, 2, format!("{diff}\n"));
    sink.send(&[state(1, r#"{"jobs":{"ann":{"wallet":1},"bob":{"wallet":2}}}"#), diff]).unwrap();
    let text = read(&path);
    let wallet =
        |name: &str| sample(&text, &format!("townlet_telemetry_field{{path=\"jobs.{name}.wallet\",stream=\"town\"}}"));
    assert_eq!((wallet("ann"), wallet("bob")), (Some(9.0), Some(2.0)), "{text}");
}
