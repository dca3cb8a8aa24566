//! What a chain is made of, as configuration says it.

use std::collections::BTreeMap;

use townlet_schema::Kind;

use crate::redact::Redaction;
use crate::validate::{SchemaSource, ValidatorMode};

/// One entry of `transforms.pipeline`.
#[derive(Clone, Debug)]
pub enum TransformSpec {
    /// `snapshot_normalizer`: see [`SnapshotNormalizer`](crate::SnapshotNormalizer).
    SnapshotNormalizer,
    /// `redact_fields`: see [`RedactFields`](crate::RedactFields).
    RedactFields {
        /// Paths as [`FieldPath`](crate::FieldPath) reads them; at least one.
        fields: Vec<String>,
        /// The kinds it applies to; at least one. The seeds' default is snapshot and diff.
        kinds: Vec<Kind>,
        /// What happens to the fields.
        action: Redaction,
    },
    /// `ensure_fields`: see [`EnsureFields`](crate::EnsureFields).
    EnsureFields {
        /// Fields by kind; an empty list turns the check off for the kind.
        required_fields_by_kind: BTreeMap<Kind, Vec<String>>,
        /// Fields of kinds that the map does not name. The seeds' default is `tick`.
        default_required_fields: Vec<String>,
    },
    /// `schema_validator`: see [`Validator`](crate::Validator).
    SchemaValidator {
        /// Schemas by kind; kinds that it does not name pass. Empty: every kind by the bundled schemas.
        schemas: BTreeMap<Kind, SchemaSource>,
        /// What happens to a record that breaks its schema.
        mode: ValidatorMode,
    },
}

impl TransformSpec {
    /// The id in configuration.
    pub fn id(&self) -> &'static str {
        match self {
            Self::SnapshotNormalizer => "snapshot_normalizer",
            Self::RedactFields { .. } => "redact_fields",
            Self::EnsureFields { .. } => "ensure_fields",
            Self::SchemaValidator { .. } => "schema_validator",
        }
    }

    /// The default redaction: nothing that identifies the acting policy leaves.
    ///
    /// The section `policy_identity` goes from snapshots and diffs, as the predecessor meant it. Events, health and
    /// console results leave this process too, which its never did, so `policy_identity` and `policy_hash` also go
    /// wherever else they stand, in every kind.
    pub fn default_redaction() -> Vec<Self> {
        vec![
            Self::RedactFields {
                fields: vec!["policy_identity".to_owned()],
                kinds: vec![Kind::Snapshot, Kind::Diff],
                action: Redaction::Remove,
            },
            Self::RedactFields {
                fields: vec!["**.policy_identity".to_owned(), "**.policy_hash".to_owned()],
                kinds: Kind::ALL.to_vec(),
                action: Redaction::Remove,
            },
        ]
    }

    /// What an empty `transforms.pipeline` stands for: normalise, redact, ensure, validate.
    pub fn default_pipeline() -> Vec<Self> {
        let fields = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut specs = vec![Self::SnapshotNormalizer];
        specs.extend(Self::default_redaction());
        specs.push(Self::EnsureFields {
            required_fields_by_kind: BTreeMap::from([
                (Kind::Snapshot, fields(&["schema_version", "tick"])),
                (Kind::Diff, fields(&["schema_version", "tick", "changes"])),
            ]),
            default_required_fields: fields(&["tick"]),
        });
        specs.push(Self::SchemaValidator { schemas: BTreeMap::new(), mode: ValidatorMode::Drop });
        specs
    }
}
