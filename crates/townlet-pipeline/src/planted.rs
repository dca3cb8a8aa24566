//! Mistakes that the fault schedules have to find; see `townlet_spill::planted`.

#[cfg(feature = "planted")]
pub(crate) use townlet_spill::planted::is;

/// Whether the mistake of this name is made now.
#[cfg(not(feature = "planted"))]
pub(crate) const fn is(_: &str) -> bool {
    false
}
