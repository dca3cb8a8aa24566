//! JSON text: strict checking, an index over it, and skipping through text that is known to be good.

mod index;
mod scan;
mod skip;

pub(crate) use index::{Doc, Index, Members, Token};
pub(crate) use scan::scan;
pub(crate) use skip::{Cursor, key_name};
