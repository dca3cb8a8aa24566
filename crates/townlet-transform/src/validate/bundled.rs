//! The schemas that `townlet-schema` ships, compiled once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde_json::Value;
use townlet_schema::{Kind, SchemaVersion};

use super::compile::{Compiled, SchemaError};

/// By kind, major and minor.
type Schemas = BTreeMap<(Kind, u16, u16), Compiled>;

static BUNDLED: LazyLock<Result<Schemas, SchemaError>> = LazyLock::new(|| {
    let mut compiled = BTreeMap::new();
    for version in [SchemaVersion::CURRENT, SchemaVersion::new(1, 0, 0), SchemaVersion::LEGACY] {
        for kind in Kind::ALL {
            if let Some(text) = townlet_schema::bundled_schema(*kind, version) {
                let name = format!("{kind} {}.{}", version.major, version.minor);
                compiled.insert((*kind, version.major, version.minor), Compiled::new(&name, text.as_bytes())?);
            }
        }
    }
    Ok(compiled)
});

/// Compiles them; an error here is a defect of the build, reported at start-up like any other schema's.
pub(super) fn prepare() -> Result<(), SchemaError> {
    match &*BUNDLED {
        Ok(_) => Ok(()),
        Err(error) => Err(SchemaError { name: error.name.clone(), reason: error.reason.clone(), source: None }),
    }
}

/// The schema for records of `kind` in `version`: that of its minor. Versions without one pass.
pub(super) fn schema(kind: Kind, version: SchemaVersion) -> Option<&'static Compiled> {
    BUNDLED.as_ref().ok()?.get(&(kind, version.major, version.minor))
}

/// True where a record of `kind` that satisfies its bundled schema still does after members named `name` have been
/// taken out of any of its objects.
///
/// It holds where no part of the schema requires the name, and every keyword in it is one that fewer members cannot
/// break; `anyOf` and `allOf` of such schemas are such schemas again.
pub(crate) fn survives_removal_of(kind: Kind, name: &str) -> bool {
    static PARSED: LazyLock<BTreeMap<Kind, Value>> = LazyLock::new(|| {
        let parsed = |kind| serde_json::from_str(townlet_schema::bundled_schema(kind, SchemaVersion::CURRENT)?).ok();
        Kind::ALL.iter().filter_map(|kind| Some((*kind, parsed(*kind)?))).collect()
    });
    PARSED.get(&kind).is_some_and(|schema| survives(schema, name))
}

fn survives(schema: &Value, name: &str) -> bool {
    let Value::Object(members) = schema else { return true };
    members.iter().all(|(keyword, value)| match (keyword.as_str(), value) {
        ("required", Value::Array(names)) => names.iter().all(|required| required != name),
        ("properties" | "$defs", Value::Object(named)) => named.values().all(|schema| survives(schema, name)),
        ("anyOf" | "allOf", Value::Array(parts)) => parts.iter().all(|schema| survives(schema, name)),
        ("oneOf", Value::Array(parts)) => one_of_survives(parts, name),
        ("items" | "additionalProperties", schema) => survives(schema, name),
        ("enum", Value::Array(options)) => options.iter().all(is_scalar),
        ("const", option) => is_scalar(option),
        (
            "$schema" | "$id" | "$ref" | "$comment" | "title" | "description" | "type" | "format" | "minimum"
            | "maximum" | "minLength" | "maxLength" | "pattern" | "minItems" | "maxItems",
            _,
        ) => true,
        _ => false,
    })
}

/// Alternatives as generators write enums: scalars, which take no object with the member or without it, or objects
/// that a required tag tells apart, so that which one applies does not hang on the member.
fn one_of_survives(parts: &[Value], name: &str) -> bool {
    let is_tag = |tag: &Value| {
        let of = |part: &Value| {
            let required = part.get("required")?.as_array()?.contains(tag);
            let value = part.get("properties")?.get(tag.as_str()?)?.get("const")?.as_str()?.to_owned();
            required.then_some(value)
        };
        let values: Option<BTreeSet<String>> = parts.iter().map(of).collect();
        tag != name && values.is_some_and(|values| values.len() == parts.len())
    };
    // Which of them applies hangs on other members alone.
    let is_list = |part: &Value| part.as_object().is_some_and(|part| part.len() == 1 && part.contains_key("required"));
    if parts.iter().all(is_list) {
        return parts.iter().all(|part| survives(part, name));
    }
    let tags = parts.first().and_then(|part| part.get("required")).and_then(Value::as_array);
    parts.iter().all(|part| part.get("const").is_some_and(is_scalar))
        || (tags.is_some_and(|tags| tags.iter().any(is_tag)) && parts.iter().all(|part| survives(part, name)))
}

fn is_scalar(value: &Value) -> bool {
    !matches!(value, Value::Array(_) | Value::Object(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(schema: &str) -> bool {
        survives(&serde_json::from_str(schema).unwrap(), "x")
    }

    #[test]
    fn only_schemas_that_cannot_miss_the_member_survive_its_removal() {
        assert!(case(r#"{"required":["y"],"properties":{"x":{"type":"null"}},"anyOf":[{"enum":["x"]},true]}"#));
        assert!(!case(r#"{"required":["x"]}"#));
        assert!(!case(r#"{"$defs":{"a":{"items":{"anyOf":[{"required":["x"]}]}}}}"#));
        assert!(!case(r#"{"minProperties":1}"#));
        assert!(!case(r#"{"properties":{"a":{"const":{"x":1}}}}"#));
        assert!(!case(r#"{"not":{"type":"null"}}"#));
        assert!(case(r#"{"oneOf":[{"const":"a"},{"const":"b"}]}"#));
        assert!(!case(r#"{"oneOf":[{"const":"a"},{"properties":{"x":false}}]}"#));
        assert!(case(r#"{"oneOf":[{"required":["a"]},{"required":["b"]}]}"#));
        assert!(!case(r#"{"oneOf":[{"required":["a"]},{"required":["x"]}]}"#));
        let tagged = |tag: &str, one: &str, other: &str| {
            let part = |value| format!(r#"{{"required":["{tag}"],"properties":{{"{tag}":{{"const":"{value}"}}}}}}"#);
            case(&format!(r#"{{"oneOf":[{},{}]}}"#, part(one), part(other)))
        };
        assert!(tagged("t", "a", "b"));
        assert!(!tagged("t", "a", "a"));
        assert!(!tagged("x", "a", "b"));
    }

    #[test]
    fn the_default_redaction_keeps_every_bundled_schema_satisfied() {
        for kind in Kind::ALL {
            for name in ["policy_identity", "policy_hash"] {
                assert!(survives_removal_of(*kind, name), "{kind} without {name}");
            }
        }
    }
}
