//! The mistakes that a model must be able to find, in the place of `src/planted.rs`.

use std::sync::OnceLock;

/// Names the mistake that this process makes.
pub(crate) const VARIABLE: &str = "TOWNLET_PLANTED";

fn mistake() -> Option<&'static str> {
    static MISTAKE: OnceLock<Option<String>> = OnceLock::new();
    MISTAKE.get_or_init(|| std::env::var(VARIABLE).ok()).as_deref()
}

pub(crate) fn is_any() -> bool {
    mistake().is_some()
}

pub(crate) fn is(name: &str) -> bool {
    mistake() == Some(name)
}
