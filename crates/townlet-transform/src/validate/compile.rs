//! From the text of a schema to something that checks records.

use std::borrow::Cow;
use std::path::PathBuf;

use jsonschema::PatternOptions;
use serde_json::Value;
use townlet_schema::Kind;

use super::keywords;
use super::view::{Field, Indexed, Line, View};
use crate::record::Head;
use crate::text::Doc;

/// Steps that one `pattern` with look-around may take on one string; plain patterns take linear time.
const BACKTRACK_LIMIT: usize = 100_000;

/// A schema that cannot be used, found when the chain is built.
#[derive(Debug, thiserror::Error)]
#[error("schema {name}: {reason}")]
pub struct SchemaError {
    /// The file, or the name given with the text.
    pub name: String,
    /// What is wrong, with the place in the schema.
    pub reason: String,
    /// The failed read, where there was one.
    #[source]
    pub source: Option<std::io::Error>,
}

/// Where a schema comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemaSource {
    /// The one that `townlet-schema` ships for the kind and the record's version.
    Bundled,
    /// A file.
    File(PathBuf),
    /// Text at hand.
    Text {
        /// What errors and warnings call it.
        name: String,
        /// The schema.
        text: String,
    },
}

/// Envelope fields that every line has. Their values are right by type; `run_id`, `seq` and `base_seq` are stamped
/// after the chain, so a schema that names them sees the nil UUID, 1 and 1.
const ENVELOPE: [&str; 7] = ["schema_version", "payload_type", "run_id", "stream", "seq", "tick", "base_seq"];

/// A schema ready to check records of one kind.
pub(super) struct Compiled {
    pub(super) name: String,
    validator: jsonschema::Validator<Indexed>,
    /// The envelope fields that the schema names. Others are not shown to it, so that a closed schema written for
    /// the body alone, or for a predecessor's payload, keeps its meaning.
    envelope: Vec<&'static str>,
}

/// The first thing that a record breaks.
pub(super) struct Finding {
    pub(super) place: String,
    pub(super) keyword: String,
}

impl Compiled {
    pub(super) fn new(name: &str, text: &[u8]) -> Result<Self, SchemaError> {
        let error = |reason: String| SchemaError { name: name.to_owned(), reason, source: None };
        let schema: Value = serde_json::from_slice(text).map_err(|e| error(format!("not JSON: {e}")))?;
        keywords::check(&schema).map_err(error)?;
        let validator = jsonschema::options_for::<Indexed>()
            .with_draft(jsonschema::Draft::Draft202012)
            .with_pattern_options(PatternOptions::fancy_regex().backtrack_limit(BACKTRACK_LIMIT))
            .should_validate_formats(true)
            .offline()
            .build(&schema)
            .map_err(|e| error(reason(&e)))?;
        let names = keywords::root_names(&schema);
        let envelope = ENVELOPE.into_iter().filter(|field| names.iter().any(|name| name == field)).collect();
        Ok(Self { name: name.to_owned(), validator, envelope })
    }

    /// Checks `doc` as the body of the line that `head` begins.
    pub(super) fn check(&self, head: &Head, doc: Doc<'_>) -> Result<(), Finding> {
        let fields = self.envelope.iter().filter(|field| **field != "base_seq" || head.kind == Kind::Diff);
        let envelope = fields.map(|field| (*field, value_of(field, head))).collect();
        let line = Line { doc, envelope };
        let view = View::Line(&line);
        if self.validator.is_valid(view) {
            return Ok(());
        }
        match self.validator.validate(view) {
            Ok(()) => Ok(()),
            Err(error) => {
                Err(Finding { place: error.instance_path().to_string(), keyword: error.kind().keyword().to_owned() })
            }
        }
    }
}

fn value_of<'a>(field: &str, head: &'a Head) -> Field<'a> {
    match field {
        "schema_version" => Field::Text(Cow::Owned(head.schema_version.to_string())),
        "payload_type" => Field::Text(Cow::Borrowed(head.kind.as_str())),
        "run_id" => Field::Text(Cow::Borrowed("00000000-0000-0000-0000-000000000000")),
        "stream" => Field::Text(Cow::Borrowed(&head.stream)),
        "seq" | "base_seq" => Field::Count(1),
        _ => Field::Count(head.tick),
    }
}

/// The compiler's reason, with the place in the schema; a reference that leaves the document gets a plain word.
fn reason(error: &jsonschema::ValidationError<'_>) -> String {
    let place = error.instance_path().to_string();
    let what = match error.kind() {
        jsonschema::error::ValidationErrorKind::Referencing(e) => {
            format!("a `$ref` leads nowhere within the schema, and nothing is fetched: {e}")
        }
        _ => error.to_string(),
    };
    if place.is_empty() { what } else { format!("#{place}: {what}") }
}
