//! A JSON Schema of the operator's: refused at the start with a reason, or usable, and then it judges a body as the
//! schema library judges the same body as a tree.
//!
//! An input is a schema on one line, then a body.

#![no_main]

use std::collections::BTreeMap;

use jsonschema::{Draft, PatternOptions};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use townlet_schema::{ENVELOPE_KEYS, Kind};
use townlet_transform::{CheckError, Head, SchemaSource, Validator};

fuzz_target!(|input: &[u8]| {
    let Ok(input) = std::str::from_utf8(input) else { return };
    let (schema, body) = input.split_once('\n').unwrap_or((input, "{}"));
    let source = SchemaSource::Text { name: "fuzz.json".to_owned(), text: schema.to_owned() };
    let validator = match Validator::new(&BTreeMap::from([(Kind::Health, source)])) {
        Ok(validator) => validator,
        Err(error) => {
            assert!(!error.reason.is_empty() && error.to_string().contains("fuzz.json"), "{error}");
            return;
        }
    };
    let head = Head::new(Kind::Health, "town", 7);
    for body in [body, "{}"] {
        let verdict = validator.check(&head, body.as_bytes());
        assert_eq!(validator.check(&head, body.as_bytes()), verdict, "two verdicts of one body");
        // A schema that speaks of the envelope sees more than the body.
        if !ENVELOPE_KEYS.iter().any(|key| schema.contains(key)) && !schema.contains('\\') {
            as_the_library(schema, body, &verdict);
        }
    }
});

fn as_the_library(schema: &str, body: &str, verdict: &Result<(), CheckError>) {
    if matches!(verdict, Err(CheckError::Malformed(_))) {
        return;
    }
    let tree = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let (schema, body) = (tree(schema), tree(body));
    let library = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(100_000))
        .should_validate_formats(true)
        .offline()
        .build(&schema)
        .unwrap_or_else(|error| panic!("the library refuses it: {error}"));
    assert_eq!(library.is_valid(&body), verdict.is_ok(), "{schema} on {body}: {verdict:?}");
}
