//! Release control in a workspace, without running anything.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

mod setup;
