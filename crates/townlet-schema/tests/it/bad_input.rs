//! What must be refused with a reason.

use townlet_schema::{Json, MAX_DEPTH, MAX_LINE_BYTES, ReadErrorKind, read_head, read_record};

#[track_caller]
fn refused(bytes: &[u8], kind: ReadErrorKind) {
    for (reader, error) in [
        ("parse", Json::parse(bytes).err()),
        ("read_head", read_head(bytes).err()),
        ("read_record", read_record(bytes).err()),
    ] {
        let error = error.unwrap_or_else(|| panic!("{reader} took it"));
        assert_eq!(error.kind(), kind, "{reader}: {error}");
        assert!(!error.to_string().is_empty() && error.to_string().len() < 400);
    }
}

#[test]
fn text_that_is_not_json_is_refused_with_the_byte() {
    for text in [
        "",
        " ",
        "{",
        "}",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\":1}x",
        "{\"a\":1} {",
        "{\"a\":[1,]}",
        "{\"a\":[1 2]}",
        "{\"a\":[1}",
        "{\"a\":{]}",
        "{\"a\":nul}",
        "{\"a\":tru}",
        "{\"a\":NaN}",
        "{\"a\":Infinity}",
        "{\"a\":-Infinity}",
        "{\"a\":01}",
        "{\"a\":1.}",
        "{\"a\":.5}",
        "{\"a\":1e}",
        "{\"a\":-}",
        "{\"a\":+1}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"abc}",
        "{\"a\":\"\\",
        "{\"a\":'b'}",
        "{\"tick\":}",
        "{\"tick\":x}",
        "{\"run_id\":\"",
        "2026-11-21 INFO tick_health tick=1",
        "{\"a\" 1}",
        "{\"a\":\"\u{1}\"}",
        "{\"abcdefgh\u{0}\":1}",
    ] {
        let error = Json::parse(text.as_bytes()).expect_err(text);
        assert_eq!(error.kind(), ReadErrorKind::Syntax, "{text:?}: {error}");
        assert!(error.offset().is_some_and(|at| at <= text.len()), "{text:?}: {error}");
        assert_eq!(read_head(text.as_bytes()).expect_err(text).kind(), ReadErrorKind::Syntax, "{text:?}");
    }
}

#[test]
fn half_surrogates_are_refused() {
    for text in [
        r#"{"a":"\ud800"}"#,
        r#"{"a":"\udc00"}"#,
        r#"{"a":"\ud800\ud800"}"#,
        r#"{"a":"\ud800x"}"#,
        r#"{"a":"\ud83d\n"}"#,
        r#"{"\udfff":1}"#,
        r#"{"a":["\udbff\ue000"]}"#,
    ] {
        refused(text.as_bytes(), ReadErrorKind::LoneSurrogate);
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_refused() {
    for bytes in [&b"{\"a\":\"\xff\"}"[..], b"{\"a\":\"\xed\xa0\x80\"}", b"{\"a\":\"\xc0\x80\"}", b"\xef\xbb"] {
        refused(bytes, ReadErrorKind::Utf8);
    }
}

#[test]
fn ten_thousand_levels_are_refused_and_128_are_read() {
    for (open, close) in [("[", "]"), ("{\"k\":", "}")] {
        let nest = |levels: usize| format!("{{\"a\":{}1{}}}", open.repeat(levels - 1), close.repeat(levels - 1));
        assert!(Json::parse(nest(MAX_DEPTH).as_bytes()).is_ok());
        assert!(read_head(nest(MAX_DEPTH).as_bytes()).is_ok());
        refused(nest(MAX_DEPTH + 1).as_bytes(), ReadErrorKind::TooDeep);
        refused(nest(10_000).as_bytes(), ReadErrorKind::TooDeep);
        refused(format!("{{\"a\":{}", open.repeat(1_000_000)).as_bytes(), ReadErrorKind::TooDeep);
    }
}

#[test]
fn a_line_beyond_16_mib_is_refused_before_it_is_looked_at() {
    let mut line = vec![b' '; MAX_LINE_BYTES - 2];
    line.extend_from_slice(b"{}");
    assert!(read_head(&line).is_ok());
    line.insert(0, 0xff);
    refused(&line, ReadErrorKind::TooLarge);
    let string = format!("{{\"a\":\"{}\"}}", "x".repeat(64 * 1024 * 1024));
    refused(string.as_bytes(), ReadErrorKind::TooLarge);
}

#[test]
fn a_key_that_stands_twice_is_refused_at_any_level() {
    for (text, path) in [
        (r#"{"schema_version":"0.9.0","tick":1,"jobs":{},"jobs":{}}"#, "jobs"),
        (r#"{"schema_version":"0.9.0","tick":1,"jobs":{"ann":1,"bob":2,"\u0061nn":3}}"#, "jobs.ann"),
    ] {
        let error = read_record(text.as_bytes()).expect_err(text);
        assert_eq!((error.kind(), error.path().as_deref()), (ReadErrorKind::DuplicateKey, Some(path)), "{error}");
    }
}

#[test]
fn numbers_beyond_a_float_are_refused() {
    let error = Json::parse(b"[1e999]").unwrap_err();
    assert_eq!((error.kind(), error.offset()), (ReadErrorKind::NumberRange, Some(1)));
    assert_eq!(Json::parse(b"[-1e999]").unwrap_err().kind(), ReadErrorKind::NumberRange);
}

#[test]
fn a_line_that_is_no_object_is_refused() {
    for text in ["[]", "1", "null", "\"x\"", "[{\"tick\":1}]", "true"] {
        for error in [read_head(text.as_bytes()).err(), read_record(text.as_bytes()).err()] {
            assert_eq!(error.expect(text).kind(), ReadErrorKind::NotAnObject, "{text}");
        }
    }
}

/// Found by fuzzing: unknown fields are ignored, and the envelope's keys were such where a version has none.
#[test]
fn what_is_read_typed_has_a_head_too() {
    for (text, field, kind) in [
        (r#"{"command":{"name":"x"},"result":1,"payload_type":"jonsole"}"#, "payload_type", ReadErrorKind::UnknownKind),
        (
            r#"{"name":"x","status":"ok","result":1,"schema_versions":1,"run_id":7}"#,
            "run_id",
            ReadErrorKind::InvalidField,
        ),
        (r#"{"schema_version":"0.9.0","tick":1,"jobs":{},"seq":-1}"#, "seq", ReadErrorKind::InvalidField),
        (r#"{"schema_version":"0.9.0","tick":1,"jobs":{},"rendering":1.0}"#, "rendering", ReadErrorKind::InvalidField),
        (r#"{"schema_version":"0.9.0","tick":1,"stream":null}"#, "stream", ReadErrorKind::InvalidField),
        (
            r#"{"schema_version":"0.9.0","tick":1,"dto_schema_version":"1"}"#,
            "dto_schema_version",
            ReadErrorKind::InvalidField,
        ),
        (
            r#"{"schema_version":"1.0.0","payload_type":"run","run_id":"01932c07-1d3a-7cc2-8f6e-0123456789ab","stream":"town","seq":1,"tick":0,"base_seq":null,"started_at_ms":0,"producer":"town"}"#,
            "base_seq",
            ReadErrorKind::InvalidField,
        ),
    ] {
        for (reader, error) in
            [("read_head", read_head(text.as_bytes()).err()), ("read_record", read_record(text.as_bytes()).err())]
        {
            let error = error.unwrap_or_else(|| panic!("{reader} took {text}"));
            assert_eq!((error.kind(), error.path().as_deref()), (kind, Some(field)), "{reader}: {error}");
        }
    }
}

/// Found by fuzzing: serde quotes a field that it does not know as it stands.
#[test]
fn no_error_carries_a_control_character_of_the_input_into_a_log() {
    for text in [
        r#"{"tick":1,"dto_schema_version":"0.2.0","agents":[],"global":{},"x\u001b[2J\nINFO all is well":1}"#,
        r#"{"schema_version":"0.9.0","tick":1,"jobs":{"a\u001b":1}}"#,
        r#"{"schema_version":"1.0.0","payload_type":"\u007f","tick":1}"#,
    ] {
        let error = read_record(text.as_bytes()).expect_err(text).to_string();
        assert!(!error.contains(char::is_control), "{error:?}");
    }
}

#[test]
fn versions_without_a_reader_are_refused_by_name() {
    for version in ["0.1.0", "0.10.0", "0.90.1", "2.0.0", "65535.0.0"] {
        let line = format!("{{\"schema_version\":\"{version}\",\"tick\":1}}");
        let error = read_record(line.as_bytes()).expect_err(version);
        assert_eq!(
            (error.kind(), error.path().as_deref()),
            (ReadErrorKind::UnsupportedVersion, Some("schema_version")),
            "{error}"
        );
        assert!(error.to_string().contains(version));
    }
    for line in [r#"{"schema_version":1}"#, r#"{"schema_version":"1.0"}"#, r#"{"schema_version":null}"#, "{}"] {
        assert_eq!(read_record(line.as_bytes()).unwrap_err().path().as_deref(), Some("schema_version"), "{line}");
    }
}

#[test]
fn keys_in_hostile_order_are_sorted_once() {
    use std::fmt::Write as _;
    let mut text = String::from("{");
    for n in 0..400_000u64 {
        let _ = write!(text, "\"{:x}\":0,", n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    }
    text.push_str("\"z\":0}");
    // A sorted list that grew entry by entry would move 10^11 entries here.
    assert_eq!(Json::parse(text.as_bytes()).unwrap().as_object().unwrap().len(), 400_001);
}
