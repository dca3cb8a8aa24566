//! The predecessor's stream, versions 0.2 to 0.9.
//!
//! These types are frozen: they say what old lines say, section by section, and
//! write it again without a loss. [`LegacySnapshot::upgrade`] and
//! [`LegacySnapshot::downgrade`] are the only bridges to the current types.

mod convert;
mod failure;
mod lines;
mod sections;
mod shapes;

pub use failure::LegacyFailure;
pub use lines::{ConsoleSnapshot, LegacyDiff, LegacySnapshot};
pub use sections::LegacySections;
pub use shapes::{
    LegacyChurn, LegacyConflict, LegacyEconomy, LegacyEconomyContext, LegacyEvent, LegacyJob, LegacyOverlayEntry,
    LegacyRelationshipUpdate, LegacyRivalry, LegacyStability,
};
