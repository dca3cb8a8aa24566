//! Numeric fields of JSON lines, by path, for transports that publish figures.
//!
//! **What it is.** A [`FieldPath`] names numbers in a line (`jobs.*.needs.hunger`);
//! [`Fields`] holds the newest value of each, by stream, up to a bound.
//!
//! **What it is not.** It builds no tree, enters no array, and knows no payload
//! type. Of diffs it knows the notation (`patch`), not the state that they change.
//!
//! # Guarantees and limits
//! - At most as many fields are held as was said. What is beyond is counted, and
//!   those that were held first stay.
//! - A field that a line shows to be gone disappears; one that a line does not
//!   speak of stays as it was. Doing the same line twice changes nothing.
//! - Where a key has a `.` in it, a member that goes takes along fields of a
//!   neighbour whose name continues its own with a `.`; the next line brings them back.
//!
//! # Example
//! ```
//! use townlet_fields::{Fields, Line};
//!
//! let mut fields = Fields::new(vec!["jobs.*.wallet".parse()?], 100);
//! fields.take("town", Line::Whole(br#"{"jobs":{"ann":{"wallet":1.5},"bob":{"wallet":2}}}"#));
//! fields.take("town", Line::Diff(br#"{"base_seq":1,"patch":{"jobs":{"ann":{"wallet":3},"bob":[]}}}"#));
//! assert_eq!(fields.iter().collect::<Vec<_>>(), [("town", "jobs.ann.wallet", 3.0)]);
//! # Ok::<(), townlet_fields::BadPath>(())
//! ```

mod path;
mod table;
mod walk;

pub use path::{BadPath, FieldPath};
pub use table::{Fields, Left, Line};
