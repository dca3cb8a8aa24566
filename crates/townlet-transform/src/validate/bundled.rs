//! The schemas that `townlet-schema` ships, compiled once.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;
use townlet_schema::{Kind, SchemaVersion};

use super::compile::{Compiled, SchemaError};

/// By kind, major and minor.
type Schemas = BTreeMap<(Kind, u16, u16), Compiled>;

static BUNDLED: LazyLock<Result<Schemas, SchemaError>> = LazyLock::new(|| {
    let mut compiled = BTreeMap::new();
    for version in [SchemaVersion::CURRENT, SchemaVersion::LEGACY] {
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

/// True where a shipped record of `kind` still satisfies its bundled schema without the member `name` of its body:
/// the schema's root neither requires it nor says anything that depends on which members there are.
pub(crate) fn is_optional_member(kind: Kind, name: &str) -> bool {
    let text = townlet_schema::bundled_schema(kind, SchemaVersion::CURRENT);
    let Some(Ok(Value::Object(schema))) = text.map(serde_json::from_str) else { return false };
    const SAFE: [&str; 11] = [
        "$schema",
        "$id",
        "$defs",
        "$comment",
        "title",
        "description",
        "type",
        "properties",
        "required",
        "additionalProperties",
        "default",
    ];
    let required = schema.get("required").and_then(Value::as_array);
    schema.keys().all(|keyword| SAFE.contains(&keyword.as_str()))
        && !required.is_some_and(|names| names.iter().any(|required| required == name))
}
