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
    let mut schema = schema.to_value();
    require_all(&mut schema);
    schema
}

/// Every key is always written, also where its value is null, and readers want it so.
fn require_all(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            let keys = object.get("properties").and_then(Value::as_object);
            if let Some(keys) = keys.map(|keys| keys.keys().cloned().collect::<Vec<_>>()) {
                object.insert("required".to_owned(), keys.into());
            }
            object.values_mut().for_each(require_all);
        }
        Value::Array(items) => items.iter_mut().for_each(require_all),
        _ => {}
    }
}
