//! Sections as text, and which of them last.

use townlet_schema::{Object, Section, SectionClass, encode_into};

/// The section `key`, where its items happened in one tick. Sections that this
/// schema does not know last.
pub(crate) fn per_tick(key: &str) -> Option<Section> {
    Section::from_name(key).filter(|section| section.class() == SectionClass::PerTick)
}

pub(crate) fn is_per_tick(key: &str) -> bool {
    per_tick(key).is_some()
}

pub(crate) fn write_key(key: &str, out: &mut Vec<u8>) {
    let written = encode_into(key, out);
    debug_assert!(written.is_ok(), "a text can always be written");
    out.push(b':');
}

/// Compact, in the order of the keys.
pub(crate) fn write_object(object: &Object, out: &mut Vec<u8>) {
    out.push(b'{');
    for (index, (key, value)) in object.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_key(key, out);
        value.write(out);
    }
    out.push(b'}');
}
