//! JSON Schemas of the records, from their types.

use schemars::{JsonSchema, schema_for};
use serde_json::Value;

use super::types::{Report, SCHEMA_VERSION, Scorecard};
use crate::rehearsal::Record;

/// The JSON Schema (2020-12) of every record of [`SCHEMA_VERSION`], by name. They are committed under
/// `schemas/` of this crate, one folder a version.
#[must_use]
pub fn json_schemas() -> [(&'static str, Value); 3] {
    [
        ("readiness_report", schema::<Report>("report")),
        ("readiness_scorecard", schema::<Scorecard>("scorecard")),
        ("rehearsal", schema::<Record>("rehearsal")),
    ]
}

fn schema<T: JsonSchema>(name: &str) -> Value {
    let mut schema = schema_for!(T);
    schema.insert("$id".to_owned(), format!("urn:townlet:readiness:{name}:{SCHEMA_VERSION}").into());
    // A record of another version is another kind of record.
    if let Some(version) = schema.pointer_mut("/properties/schema_version") {
        *version = serde_json::json!({ "const": SCHEMA_VERSION });
    }
    schema.to_value()
}
