//! What a person sees.

use crate::support::{accept, diagnose};

#[test]
fn findings_are_printed_with_their_line_and_a_caret() {
    let text = "
telemetry:
  diff_enabled: true
  transport:
    type: tcp
    endpoint: collector
    enable_tls: false
    connect_timeout_seconds: \"5\"
    send_timeout_seconds: 0
    wombat: 1
  worker: {backpressure: dropoldest, restart_limit: 0}
  relationship_narration: {friendship_trust_threshold: .9}
  transforms:
    pipeline:
    - redact_field
    - {id: redact_fields, options: {fields: [a]}, kinds: [snapshot]}
  sinks: {main: {}, a: {file_path: x}}
";
    insta::assert_snapshot!(diagnose(text).to_string());
}

#[test]
fn warnings_and_notes_are_printed_the_same_way() {
    let text = "telemetry: {transport: {verify_hostname: false}, transforms: {pipeline: [snapshot_normalizer]}}";
    insta::assert_snapshot!(accept(text).warnings.to_string());
}

#[test]
fn hostile_text_cannot_reach_the_terminal() {
    for text in [
        "telemetry: {\"\\e[2Jwombat\u{202e}\": 1, transport: {type: \"\\e]0;x\\a\"}}\n",
        "telemetry: {narration: {category_cooldown_ticks: {\"\\e[2J\\n\": x}, priority_categories: \"\\e\"}}\n",
        "telemetry: {transport: {type: tcp, endpoint: \"a\u{202e}:\\e\", ca_file: \"\\e\"}}\n",
        "telemetry: {transforms: {pipeline: [{\"\\e\": {}}, {id: \"\\e\"}]}, sinks: {\"\\e\": {}}}\n",
    ] {
        let found = diagnose(text);
        let parts = found.iter().flat_map(|d| [d.message.as_str(), d.key.as_str()]).collect::<String>();
        for shown in [found.to_string().replace('\n', ""), parts] {
            assert!(shown.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{shown:?}");
        }
    }
}

#[test]
fn long_lines_are_cut_around_the_caret() {
    let text = format!("telemetry: {{producer: \"{}\", wombat: 1, x: \"{}\"}}", "a".repeat(900), "b".repeat(900));
    let found = diagnose(&text);
    let shown = found.iter().find(|d| d.key.ends_with("wombat")).unwrap().to_string();
    assert!(shown.lines().all(|line| line.chars().count() < 400), "{shown}");
    let lines: Vec<&str> = shown.lines().collect();
    let caret = lines[4].find('^').unwrap();
    assert_eq!(&lines[3][caret..caret + 6], "wombat", "{shown}");
}
