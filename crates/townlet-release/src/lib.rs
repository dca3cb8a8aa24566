//! Release control in a Cargo workspace.
//!
//! **What it is.** [`setup`] reads what `cargo metadata` says of a workspace and writes the files that a first release
//! needs: suites, change board, policies and the draft of a manifest, at most [`setup::MOST_LINES`] lines in all.
//!
//! [`telemetry`] tells what happens to a release: decisions, approvals, deployments, runs of the suites, rehearsals, as
//! records, spans and measurements with the names of the OpenTelemetry conventions, through our own pipeline.
//!
//! **What it is not.** It runs no suite and decides nothing: `townlet-readiness` and `townlet-gate` do. It reads no file
//! and starts no process.
//!
//! # Guarantees
//! - What it writes is read by `townlet-readiness` and `townlet-gate` without a finding; tests hold it to that.
//! - The same workspace gives the same bytes.
//!
//! # Example
//! ```
//! use townlet_release::setup::{CargoWorkspace, MOST_LINES};
//!
//! let metadata = br#"{ "workspace_root": "/src/hello", "workspace_members": ["a"], "packages": [
//!     { "id": "a", "name": "hello", "targets": [{ "kind": ["bin"], "name": "hello" }] }] }"#;
//! let workspace = CargoWorkspace::from_metadata(metadata)?;
//! let files = workspace.files(true);
//! assert!(files.iter().map(|file| file.text.lines().count()).sum::<usize>() <= MOST_LINES);
//! # Ok::<(), townlet_release::setup::MetadataError>(())
//! ```

pub mod setup;
pub mod telemetry;
