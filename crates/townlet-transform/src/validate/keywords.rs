//! What a schema may say: every keyword of JSON Schema 2020-12, nothing that would be ignored without a word.

use serde_json::{Map, Value};

/// How a keyword holds subschemas.
enum Holds {
    Nothing,
    One,
    List,
    Named,
}

/// The one dialect, with and without the empty fragment.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Formats that schema generators write for numbers. They constrain no string.
const NUMBER_FORMATS: [&str; 12] =
    ["int8", "int16", "int32", "int64", "int128", "uint8", "uint16", "uint32", "uint64", "uint128", "float", "double"];

/// Formats that are checked.
const FORMATS: [&str; 17] = [
    "date",
    "date-time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "iri",
    "iri-reference",
    "json-pointer",
    "regex",
    "relative-json-pointer",
    "time",
    "uri",
    "uri-reference",
    "uri-template",
    "uuid",
];

/// Looks through `schema` and all it holds; says what cannot be enforced and where.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    match schema {
        Value::Object(_) | Value::Bool(_) => subschema(schema, "#"),
        _ => Err("a schema must be an object or a boolean".to_owned()),
    }
}

fn subschema(schema: &Value, at: &str) -> Result<(), String> {
    let Value::Object(members) = schema else { return Ok(()) };
    for (keyword, value) in members {
        let place = format!("{at}/{}", keyword.replace('~', "~0").replace('/', "~1"));
        let holds = holds(keyword, &place)?;
        own_rules(keyword, value, &place, members)?;
        match (holds, value) {
            (Holds::One, _) => subschema(value, &place)?,
            (Holds::List, Value::Array(list)) => {
                for (n, schema) in list.iter().enumerate() {
                    subschema(schema, &format!("{place}/{n}"))?;
                }
            }
            (Holds::Named, Value::Object(named)) => {
                for (name, schema) in named {
                    subschema(schema, &format!("{place}/{name}"))?;
                }
            }
            // The shape itself is the meta-schema's business, which the compiler checks.
            _ => {}
        }
    }
    Ok(())
}

fn holds(keyword: &str, place: &str) -> Result<Holds, String> {
    Ok(match keyword {
        "not"
        | "if"
        | "then"
        | "else"
        | "items"
        | "contains"
        | "additionalProperties"
        | "propertyNames"
        | "unevaluatedItems"
        | "unevaluatedProperties"
        | "contentSchema" => Holds::One,
        "allOf" | "anyOf" | "oneOf" | "prefixItems" => Holds::List,
        "properties" | "patternProperties" | "dependentSchemas" | "$defs" | "definitions" => Holds::Named,
        "$schema" | "$id" | "$ref" | "$anchor" | "$dynamicRef" | "$dynamicAnchor" | "$comment" | "type" | "enum"
        | "const" | "multipleOf" | "maximum" | "exclusiveMaximum" | "minimum" | "exclusiveMinimum" | "maxLength"
        | "minLength" | "pattern" | "maxItems" | "minItems" | "uniqueItems" | "maxContains" | "minContains"
        | "maxProperties" | "minProperties" | "required" | "dependentRequired" | "title" | "description"
        | "default" | "deprecated" | "readOnly" | "writeOnly" | "examples" | "format" | "contentEncoding"
        | "contentMediaType" => Holds::Nothing,
        _ if keyword.starts_with("x-") => Holds::Nothing,
        "additionalItems" => return Err(refused(place, "is not in 2020-12: write `prefixItems` and `items`")),
        "dependencies" => {
            return Err(refused(place, "is not in 2020-12: write `dependentRequired` or `dependentSchemas`"));
        }
        "id" => return Err(refused(place, "is not in 2020-12: write `$id`")),
        "$recursiveRef" | "$recursiveAnchor" => {
            return Err(refused(place, "is not in 2020-12: write `$dynamicRef` and `$dynamicAnchor`"));
        }
        _ => {
            return Err(refused(
                place,
                "is no keyword of JSON Schema 2020-12 and would check nothing; prefix own annotations with `x-`",
            ));
        }
    })
}

fn own_rules(keyword: &str, value: &Value, place: &str, siblings: &Map<String, Value>) -> Result<(), String> {
    match (keyword, value) {
        ("$schema", Value::String(dialect)) if dialect.trim_end_matches('#') != DIALECT => {
            Err(refused(place, &format!("names `{dialect}`; only `{DIALECT}` is supported")))
        }
        ("format", Value::String(format)) => {
            if FORMATS.contains(&format.as_str()) || NUMBER_FORMATS.contains(&format.as_str()) {
                Ok(())
            } else {
                Err(refused(place, &format!("names the format `{format}`, which is not checked here")))
            }
        }
        ("then" | "else", _) if !siblings.contains_key("if") => Err(refused(place, "has no `if` beside it")),
        ("maxContains" | "minContains", _) if !siblings.contains_key("contains") => {
            Err(refused(place, "has no `contains` beside it"))
        }
        _ => Ok(()),
    }
}

fn refused(place: &str, what: &str) -> String {
    format!("{place} {what}")
}

/// The names that the root of `schema` speaks of in `properties` or `required`, through local references and
/// combinations.
pub(super) fn root_names(schema: &Value) -> Vec<String> {
    let mut names = Vec::new();
    let mut seen = Vec::new();
    collect(schema, schema, &mut names, &mut seen);
    names.sort_unstable();
    names.dedup();
    names
}

fn collect<'a>(root: &'a Value, schema: &'a Value, names: &mut Vec<String>, seen: &mut Vec<&'a Value>) {
    let Value::Object(members) = schema else { return };
    if seen.iter().any(|known| std::ptr::eq(*known, schema)) {
        return;
    }
    seen.push(schema);
    if let Some(Value::Object(properties)) = members.get("properties") {
        names.extend(properties.keys().cloned());
    }
    if let Some(Value::Array(required)) = members.get("required") {
        names.extend(required.iter().filter_map(Value::as_str).map(str::to_owned));
    }
    if let Some(target) = members.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'))
        && let Some(target) = root.pointer(target)
    {
        collect(root, target, names, seen);
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        for part in members.get(keyword).and_then(Value::as_array).into_iter().flatten() {
            collect(root, part, names, seen);
        }
    }
    for keyword in ["if", "then", "else"] {
        members.get(keyword).into_iter().for_each(|part| collect(root, part, names, seen));
    }
}
