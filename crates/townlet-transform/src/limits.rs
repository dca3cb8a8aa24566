//! The bounds that every record keeps.

/// Nesting that a body may have, the outermost object counted: deep enough for telemetry, shallow enough for
/// the stack of every recursive reader.
pub const MAX_DEPTH: usize = townlet_schema::MAX_DEPTH;

/// Bytes that a body may have: the largest `max_buffer_bytes` that the configuration allows, so that a larger
/// body could never be sent.
pub const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;
