//! A workspace that has none yet gets what release control needs.

mod files;
mod workspace;

pub use files::{File, MOST_LINES, MOST_PRODUCTS};
pub use workspace::{CargoWorkspace, MetadataError, Product};
