//! What several fuzz targets share: second opinions that are too simple to be wrong.
//!
//! A target is a file below `src/bin/`; its seeds lie in `seeds/<target>/`, its words, if any, in
//! `dictionaries/<target>.dict`. `cargo xtask fuzz` builds them all at once and runs each for a bounded time.
//!
//! A target asserts what must hold of every input, beyond "it does not panic": two readers agree, what was written
//! reads back, the pieces in which bytes arrive do not matter.

pub mod disk;
pub mod json;
pub mod pieces;
pub mod places;
pub mod redaction;
