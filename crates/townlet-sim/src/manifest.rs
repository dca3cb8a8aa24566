//! What the town is built from, as digests: its affordances and its policy are part of the program, not of a file.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use townlet_schema::snapshot::AffordanceManifest;

use crate::affordances::Affordance;
use crate::policy::{Choice, OPTION_COMMIT_TICKS};
use crate::town::{self, Fixture};

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The built-in affordances of a town with so many households.
pub(crate) fn affordances(agents: u32) -> AffordanceManifest {
    let mut text = String::new();
    for fixture in Fixture::ALL {
        let affordance = Affordance::of(fixture);
        let (name, duration, effects) = (affordance.name(), affordance.duration(), affordance.effects());
        text += &format!("{} {name} {duration} {effects:?}\n", fixture.name());
    }
    AffordanceManifest {
        path: "builtin:core".to_owned(),
        checksum: sha256(&text),
        object_count: (town::blocks(agents as usize) * Fixture::ALL.len()) as u64,
        affordance_count: Affordance::ALL.len() as u64,
    }
}

/// Digest of what the scripted policy can choose and how long it keeps to it.
pub(crate) fn policy_hash() -> String {
    sha256(
        &Choice::ALL.iter().fold(format!("scripted {OPTION_COMMIT_TICKS}"), |text, choice| text + " " + choice.name()),
    )
}
