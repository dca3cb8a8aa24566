//! JSON Schemas (draft 2020-12): generated from the types, and as committed.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

use crate::observation::ObservationEnvelope;
use crate::{
    ConsoleResult, Diff, Envelope, EventRecord, Failure, Health, Json, Kind, NarrationRecord, Number, Object,
    RunMarker, SchemaVersion, Section, SectionClass, Snapshot, TransportStatus,
};

/// Generates every schema of [`SchemaVersion::CURRENT`] from the types: file
/// name and text, one for each kind of line, one for the observation envelope
/// and one for the transport status.
///
/// They are what stands under `schemas/1.1.0/`; a test compares them.
pub fn json_schemas() -> Vec<(String, String)> {
    let lines = Kind::ALL.iter().map(|kind| {
        let body = match kind {
            Kind::Snapshot => generated::<Snapshot>(),
            Kind::Diff => generated::<Diff>(),
            Kind::Event => generated::<EventRecord>(),
            Kind::Health => generated::<Health>(),
            Kind::Failure => generated::<Failure>(),
            Kind::Console => generated::<ConsoleResult>(),
            Kind::Narration => generated::<NarrationRecord>(),
            Kind::Run => generated::<RunMarker>(),
        };
        (kind.as_str(), line(*kind, body))
    });
    let others =
        [("observation", generated::<ObservationEnvelope>()), ("transport_status", generated::<TransportStatus>())];
    let named = lines.chain(others).map(|(name, mut schema)| {
        let version = SchemaVersion::CURRENT;
        schema.insert("$id", format!("urn:townlet:schema:{version}:{name}"));
        (format!("{name}.schema.json"), Json::Object(schema).to_pretty() + "\n")
    });
    named.collect()
}

/// The committed schema of whole lines of `kind` that applies to `version`:
/// that of its minor, also for patches of it. 0.9 has snapshots and diffs only,
/// as the predecessor bundled them.
pub fn bundled_schema(kind: Kind, version: SchemaVersion) -> Option<&'static str> {
    macro_rules! file {
        ($path:literal) => {
            Some(include_str!(concat!("../schemas/", $path, ".schema.json")))
        };
    }
    match (version.major, version.minor, kind) {
        (1, 1, Kind::Snapshot) => file!("1.1.0/snapshot"),
        (1, 1, Kind::Diff) => file!("1.1.0/diff"),
        (1, 1, Kind::Event) => file!("1.1.0/event"),
        (1, 1, Kind::Health) => file!("1.1.0/health"),
        (1, 1, Kind::Failure) => file!("1.1.0/failure"),
        (1, 1, Kind::Console) => file!("1.1.0/console"),
        (1, 1, Kind::Narration) => file!("1.1.0/narration"),
        (1, 1, Kind::Run) => file!("1.1.0/run"),
        (1, 0, Kind::Snapshot) => file!("1.0.0/snapshot"),
        (1, 0, Kind::Diff) => file!("1.0.0/diff"),
        (1, 0, Kind::Event) => file!("1.0.0/event"),
        (1, 0, Kind::Health) => file!("1.0.0/health"),
        (1, 0, Kind::Failure) => file!("1.0.0/failure"),
        (1, 0, Kind::Console) => file!("1.0.0/console"),
        (1, 0, Kind::Narration) => file!("1.0.0/narration"),
        (1, 0, Kind::Run) => file!("1.0.0/run"),
        (0, 9, Kind::Snapshot) => file!("0.9/snapshot"),
        (0, 9, Kind::Diff) => file!("0.9/diff"),
        _ => None,
    }
}

/// The schema of a type as our own tree, so that the order of its keys does not
/// hang on a feature of serde_json.
fn generated<T: JsonSchema>() -> Object {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    let mut tree = Json::from_serialize(&schema).unwrap_or_default();
    tidy(&mut tree);
    if let Json::Object(object) = tree { object } else { Object::new() }
}

/// Takes out what says nothing to a validator: default values, and the formats
/// of Rust's number types, for which the integer's bounds are spelled out.
fn tidy(schema: &mut Json) {
    match schema {
        Json::Array(items) => items.iter_mut().for_each(tidy),
        Json::Object(object) => {
            object.remove("default");
            if let Some(Json::String(text)) = object.get_mut("description") {
                // The first paragraph: what follows is for readers of the Rust documentation.
                let first = text.split("\n\n").next().unwrap_or_default();
                *text = first.replace('\n', " ");
            }
            let format = object.get("format").and_then(Json::as_str).unwrap_or_default().to_owned();
            if matches!(format.as_str(), "uint64" | "int64" | "double") {
                object.remove("format");
            }
            // schemars writes the minimum of an unsigned integer as a float or an integer
            // depending on its version; a schema has one spelling here.
            if format == "uint64" {
                object.insert("minimum", Number::from(0u64));
            }
            for (key, value) in object.iter_mut() {
                // Below `properties` and `$defs` keys are names, not keywords.
                match (key, &mut *value) {
                    ("properties" | "$defs", Json::Object(named)) => named.iter_mut().for_each(|(_, v)| tidy(v)),
                    _ => tidy(value),
                }
            }
        }
        _ => {}
    }
}

/// A body's schema with the envelope's fields in front: what a line must be.
fn line(kind: Kind, mut body: Object) -> Object {
    let mut envelope = generated::<Envelope>();
    let mut properties = match envelope.remove("properties") {
        Some(Json::Object(properties)) => properties,
        _ => Object::new(),
    };
    if let Some(Json::Object(of_kind)) = properties.get_mut("payload_type") {
        of_kind.remove("enum");
        of_kind.insert("const", kind.as_str());
    }
    let mut required = match envelope.remove("required") {
        Some(Json::Array(required)) => required,
        _ => Vec::new(),
    };
    if kind == Kind::Diff {
        constrain_changes(&mut body);
        required.push("base_seq".into());
        properties.insert("base_seq", Object::from_iter([("type", Json::from("integer")), ("minimum", 0u64.into())]));
    }
    if let Some(Json::Object(own)) = body.remove("properties") {
        properties.extend(own);
    }
    if let Some(Json::Array(own)) = body.remove("required") {
        required.extend(own);
    }
    body.insert("properties", properties);
    body.insert("required", required);
    body
}

/// Gives each known section of a diff's `changes`, and each per-tick section
/// beside a `patch`, the schema that it has in a snapshot. A diff has `changes`
/// or a `patch`. What stands in a patch depends on the state that it changes,
/// which no schema sees.
fn constrain_changes(diff: &mut Object) {
    let mut snapshot = generated::<Snapshot>();
    let (sections, definitions) = (snapshot.remove("properties"), snapshot.remove("$defs"));
    let properties = diff.get_mut("properties").and_then(Json::as_object_mut);
    let changes = properties.and_then(|p| p.get_mut("changes")).and_then(Json::as_object_mut);
    if let (Some(changes), Some(sections), Some(definitions)) = (changes, sections, definitions) {
        let of_tick = Section::ALL.iter().filter(|section| section.class() == SectionClass::PerTick);
        let of_tick: Vec<_> =
            of_tick.filter_map(|section| Some((section.name(), sections.get(section.name())?.clone()))).collect();
        changes.insert("properties", sections);
        diff.insert("$defs", definitions);
        if let Some(Json::Object(properties)) = diff.get_mut("properties") {
            let description = "What changed inside the sections: a patch, as the documentation of `Patch` has it.";
            let patch = [("type", Json::from("object")), ("description", description.into())];
            properties.insert("patch", Object::from_iter(patch));
            properties.extend(of_tick);
        }
        diff.remove("required");
        let form = |key: &str| Json::Object(Object::from_iter([("required", Json::Array(vec![key.into()]))]));
        diff.insert("oneOf", Json::Array(vec![form("changes"), form("patch")]));
    }
}
