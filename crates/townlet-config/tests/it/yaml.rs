//! Text that is not a configuration.

use proptest::prelude::*;
use townlet_config::Loader;

use crate::support::{accept, diagnose, findings, lines, loader};

#[test]
fn broken_yaml_is_reported_where_it_breaks() {
    for (text, at) in [
        ("telemetry:\n\ttransport: {}\n", "2:1"),
        ("telemetry:\n  transport:\n\t  type: stdout\n", "3:1"),
        ("telemetry: {transport: {type: stdout}\n", "1:12"),
        ("telemetry: [1, 2\nx: y", "2:2"),
        ("telemetry: \"open", "1:12"),
        ("a: b: c", "1:5"),
        ("telemetry: *nobody", "1:12"),
        ("telemetry: &a [*a]", "1:16"),
        ("telemetry: {}\n---\ntelemetry: {}\n", "2:1"),
        ("telemetry: !!python/object:os.system {}", "1:12"),
        ("? [a, b]\n: 1\n", "1:3"),
        ("telemetry: {<<: 3}", "1:13"),
    ] {
        let found = diagnose(text);
        let first = found.errors().next().unwrap_or_else(|| panic!("{text:?} was accepted"));
        assert_eq!(first.code.as_str(), "syntax", "{text:?}: {found}");
        assert_eq!(format!("{}:{}", first.line, first.column), at, "{text:?}: {found}");
    }
    let tab = diagnose("telemetry:\n\ttransport: {}\n").to_string();
    assert!(tab.contains("YAML indents with spaces: replace the tab"), "{tab}");
}

/// Found by fuzzing: the parser counted a lone carriage return as the end of a line, the findings did not.
#[test]
fn lines_are_counted_as_yaml_counts_them_whatever_ends_them() {
    for text in
        ["a: 1\rtelemetry: {wombat: 2}\r", "a: 1\ntelemetry: {wombat: 2}\r\nb: 3", "a: 1\r\ntelemetry: {wombat: 2}"]
    {
        let found = diagnose(text);
        assert_eq!(lines(&found), ["error unknown_key telemetry.wombat 2:13"], "{text:?}");
        let shown = found.to_string();
        assert!(shown.contains("\n2 | telemetry: {wombat: 2}\n  |             ^^^^^^\n"), "{text:?}: {shown}");
    }
    let tab = diagnose("a: 1\rtelemetry:\r\ttransport: {}\r");
    assert!(tab.to_string().contains("replace the tab") && tab.iter().all(|d| (d.line, d.column) == (3, 1)), "{tab}");
    for (bytes, at) in [(&b"a: 1\r\nb: 2\rtown: \xe9"[..], "3:7"), (b"a: 1\n\xe9", "2:1"), (b"d: \xc3\xa9\xe9", "1:5")]
    {
        let latin = loader().load_bytes("town.yaml", bytes).unwrap_err();
        assert_eq!(lines(&latin), [format!("error unreadable  {at}")]);
    }
}

#[test]
fn a_root_that_is_no_mapping_is_refused() {
    for text in ["- telemetry", "telemetry", "3"] {
        assert_eq!(findings(text), ["error wrong_type  1:1"], "{text}");
    }
}

#[test]
fn duplicate_keys_are_errors_that_name_both_places() {
    let found = diagnose("telemetry:\n  transport: {type: stdout}\n  transport: {type: file}\n");
    assert_eq!(lines(&found), ["error duplicate_key  3:3"]);
    assert!(found.to_string().contains("first at line 2:3"), "{found}");
}

#[test]
fn aliases_and_merge_keys_work() {
    let text = "
shared: &shared {max_batch_size: 7, max_buffer_bytes: 2048}
telemetry:
  transport:
    buffer: &b {<<: *shared, max_batch_size: 9}
  sinks:
    a: {type: file, file_path: x, buffer: *b}
    c: {type: tcp, endpoint: 'c:1', buffer: {<<: [*shared, *b]}}
";
    let sinks = accept(text).config.sinks;
    let sizes: Vec<_> = sinks.iter().map(|s| (s.buffer.max_batch_size, s.buffer.max_buffer_bytes)).collect();
    assert_eq!(sizes, [(9, 2048), (9, 2048), (7, 2048)]);
}

#[test]
fn bombs_are_refused_before_they_go_off() {
    let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for i in 1..12 {
        let refs = vec![format!("*a{}", i - 1); 10].join(", ");
        laughs.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
    }
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), vec!["*a"; 1000].join(", "));
    let deep_flow = "[".repeat(100_000);
    let deep_block: String = (0..2000).map(|i| format!("{}a:\n", " ".repeat(i % 400))).collect();
    let mut deep_alias = "a0: &a0 [x]\n".to_owned();
    for i in 1..2000 {
        deep_alias.push_str(&format!("a{i}: &a{i} [*a{}]\n", i - 1));
    }
    let huge = format!("telemetry: {{}}\n#{}", "x".repeat(2_000_000));
    let many: String = (0..50_000).map(|i| format!("k{i}: 1\n")).collect();
    for (text, code) in [
        (laughs, "too_large"),
        (long, "too_large"),
        (deep_flow, "syntax"),
        (deep_block, "syntax"),
        (deep_alias, "too_large"),
        (huge, "too_large"),
        (many, "too_large"),
    ] {
        let found = diagnose(&text);
        let first = found.errors().next().unwrap_or_else(|| panic!("accepted: {:.60}", text));
        assert_eq!(first.code.as_str(), code, "{:.60}: {}", text, first.message);
        assert!(first.to_string().len() < 2000);
    }
}

#[test]
fn files_that_are_not_text_are_refused() {
    let found = Loader::new().load_bytes("town.yaml", b"telemetry:\n  producer: \xff\xfe\n").unwrap_err();
    let only = found.iter().next().unwrap();
    assert_eq!((only.code.as_str(), only.line, only.column), ("unreadable", 2, 13));
    let missing = Loader::new().load_file("no/such/town.yaml").unwrap_err();
    assert_eq!(missing.iter().next().unwrap().code.as_str(), "unreadable");
    assert!(Loader::new().load_bytes("town.yaml", b"\xef\xbb\xbftelemetry: {}\r\n").is_ok());
}

/// Words that reach deep into the reader more often than random letters do.
fn yamlish() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "telemetry",
        "transport",
        "type",
        "tcp",
        "file",
        "endpoint",
        "sinks",
        "main",
        "a",
        "buffer",
        "worker",
        "runtime",
        "pipeline",
        "transforms",
        "redact_fields",
        "fields",
        "id",
        "options",
        "schemas",
        "max_batch_size",
        "true",
        "null",
        "-1",
        "1e9",
        "[::1]:9",
        ": ",
        ":\n  ",
        "\n",
        "\n  ",
        "\n    ",
        "- ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "&a ",
        "*a",
        "<<: ",
        "\"",
        "'",
        "#",
        "|",
        ">",
        "!x ",
        "\t",
        "---",
        "%YAML",
        "é",
        "\u{202e}",
        "\0",
        "~",
    ]);
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn no_text_makes_it_panic(text in prop_oneof![yamlish(), ".{0,200}", "[ -~\n]{0,200}"]) {
        match loader().skip_files().load_str("town.yaml", &text) {
            Ok(loaded) => prop_assert!(!loaded.warnings.has_errors()),
            Err(found) => {
                prop_assert!(found.has_errors());
                let shown = found.to_string();
                prop_assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{:?}", shown);
                if let Some(corrected) = loader().skip_files().corrected_block(&found, &text) {
                    prop_assert!(loader().skip_files().load_str("corrected", &corrected).is_ok());
                }
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = loader().skip_files().load_bytes("town.yaml", &bytes);
    }

    #[test]
    fn no_override_makes_it_panic(key in "[a-z._\\[\\]]{0,30}", value in ".{0,30}", tail in yamlish()) {
        let loader = loader().skip_files().set(format!("telemetry.{key}={value}")).set(tail.clone());
        let _ = loader.environment([(format!("TOWNLET_TELEMETRY__{key}"), tail)]).load_str("town.yaml", "");
    }
}
