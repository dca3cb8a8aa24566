//! What a release is: one document, named by its digest, that everybody signs about and nobody changes.
//!
//! | the template of the predecessor | here |
//! |---|---|
//! | `artifacts[].hash`, free text | `digest` and `bytes`, computed from the file |
//! | `scorecard_path`, `readiness_run_id` | `readiness`: run, path and digest of the scorecard |
//! | `secrets[].rotation_evidence`, a URL | the same with its digest |
//! | `migrations[].dry_run`, `rollback`, URLs | the same with their digests |
//! | `approvals` | signed statements about the digest of the manifest, kept beside it |
//! | `rollback_plan.trigger`, a second dialect | `rollback_plan.policy`: the policy file and its rules |
//! | `rollback_plan.rehearsed_at`, a typed date | a signed rehearsal of the digest of the rollback plan |
//! | `metadata.environment` | `environments` |

mod files;
mod import;
mod read;
mod variables;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use townlet_registry::{Digest, Time, canonical};

pub use files::{Files, Folder};
pub use import::{Import, Moved, import};
pub use read::{draft, read};
pub use variables::Variables;

/// The form of a manifest that this crate reads and writes.
pub const MANIFEST_FORM: &str = "townlet.release-manifest/1";

/// A release. Its digest is the one of its canonical JSON, however the file is laid out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`MANIFEST_FORM`].
    pub schema: String,
    /// Its name, such as `2025.10.02` or `R42`.
    pub release: String,
    /// When the manifest was made.
    pub generated_at: Time,
    /// Who made it, signs that, and does not approve it.
    pub author: String,
    /// Where it may go.
    pub environments: Vec<String>,
    /// When it may go there.
    pub window: Option<Window>,
    /// What is shipped.
    pub artifacts: Vec<Artifact>,
    /// The run of the suites that speaks for it.
    pub readiness: Readiness,
    /// What is switched on step by step.
    pub feature_flags: Vec<Flag>,
    /// Secrets by version; never their values.
    pub secrets: Vec<Secret>,
    /// Changes of stored data.
    pub migrations: Vec<Migration>,
    /// Configuration that changes with the release.
    pub config_deltas: Vec<ConfigDelta>,
    /// How to undo it.
    pub rollback_plan: RollbackPlan,
    /// What it replaces.
    pub previous: Option<Previous>,
    /// Everything else worth keeping. No rule reads it.
    pub metadata: BTreeMap<String, String>,
}

/// A file or address, and what was there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// A path beside the manifest, or an address with `://`.
    pub at: String,
    /// Of its bytes.
    pub digest: Digest,
}

/// One thing that is shipped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// Unique in the manifest.
    pub name: String,
    /// Its own version.
    pub version: String,
    /// Where it was read.
    pub path: String,
    /// Of its bytes.
    pub digest: Digest,
    /// How many there are.
    pub bytes: u64,
}

/// When a release may go out: from `opens_at` on, until before `closes_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The first moment.
    pub opens_at: Time,
    /// The first moment after it.
    pub closes_at: Time,
}

/// Which run of the suites speaks for the release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Readiness {
    /// The run.
    pub run_id: String,
    /// Its scorecard.
    pub scorecard: Pinned,
}

/// A feature flag.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flag {
    /// Unique in the manifest.
    pub name: String,
    /// Percentages in the order in which they are set, each more than the one before: `5%->25%->50%`.
    pub rollout_plan: Vec<u8>,
    /// What to set when things go wrong, such as `disable`.
    pub fallback: String,
}

/// A secret, by its version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Unique in the manifest.
    pub name: String,
    /// Which version of it is used.
    pub version: String,
    /// What shows that it was rotated.
    pub rotation_evidence: Pinned,
}

/// A change of stored data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Migration {
    /// Unique in the manifest.
    pub id: String,
    /// What it did when nothing depended on it.
    pub dry_run: Pinned,
    /// What undoes it.
    pub rollback: Pinned,
}

/// A file of the configuration that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigDelta {
    /// The file, as in `configs/production/2025.10.02.toml`; unique in the manifest.
    pub path: String,
    /// What it was; nothing for a new file.
    pub from: Option<Digest>,
    /// What it becomes; nothing for a file that goes.
    pub to: Option<Digest>,
}

/// How to undo the release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackPlan {
    /// The policy whose rules start it.
    pub policy: Pinned,
    /// The ids of those rules.
    pub rules: Vec<String>,
    /// What to do, in this order.
    pub steps: Vec<String>,
}

/// The release that this one replaces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Previous {
    /// Its name.
    pub release: String,
    /// Of its manifest.
    pub manifest: Digest,
}

impl Manifest {
    /// Its canonical JSON: the bytes that everybody's signature is about.
    ///
    /// # Errors
    /// Where a number cannot be written exactly; files of more than 2⁵³ bytes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, townlet_registry::Error> {
        canonical::to_vec(self)
    }

    /// Its name: the digest of [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// As for it.
    pub fn digest(&self) -> Result<Digest, townlet_registry::Error> {
        self.to_bytes().map(|bytes| Digest::of(&bytes))
    }
}

impl RollbackPlan {
    /// What a rehearsal is about. It outlives the release, as long as the next one is undone in the same way.
    ///
    /// # Errors
    /// As for [`Manifest::to_bytes`].
    pub fn digest(&self) -> Result<Digest, townlet_registry::Error> {
        canonical::to_vec(self).map(|bytes| Digest::of(&bytes))
    }
}
