//! Mistakes that the fault schedules of `townlet-lab` have to find.
//!
//! Each is a place in the code that asks [`is`] and does the wrong thing where
//! the answer is yes. Without the feature `planted`, which nothing but that test
//! turns on, the answer is a constant no and the place costs nothing.

#[cfg(feature = "planted")]
mod switch {
    use std::cell::Cell;

    thread_local! {
        static MISTAKE: Cell<&'static str> = const { Cell::new("") };
    }

    /// Makes the mistake of this name, in this thread; `""` for none.
    pub fn plant(name: &'static str) {
        MISTAKE.set(name);
    }

    /// Whether the mistake of this name is made now.
    pub fn is(name: &str) -> bool {
        MISTAKE.get() == name
    }
}

#[cfg(feature = "planted")]
pub use switch::{is, plant};

/// Whether the mistake of this name is made now.
#[cfg(not(feature = "planted"))]
pub(crate) const fn is(_: &str) -> bool {
    false
}
