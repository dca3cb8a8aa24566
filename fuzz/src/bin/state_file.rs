//! The two-slot file: whatever is in it, it loads as one of its payloads or none, takes a new one, and keeps one of the
//! two when the write of a newer one is cut off.
//!
//! An input is the length of the first slot, where to cut, then the bytes of both slots.

#![no_main]

use libfuzzer_sys::fuzz_target;
use townlet_fuzz::disk::Folder;
use townlet_spill::{SlotHealth, TwoSlot};

const SLOT: usize = 128 << 10;
const PREFIX: usize = 24;

fuzz_target!(|input: &[u8]| {
    let [low, high, cut, bytes @ ..] = input else { return };
    let (first, second) = bytes.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(bytes.len()));
    if [first, second].into_iter().any(is_of_the_far_future) {
        return;
    }
    let mut folder = Folder::default();
    let mut file = first.to_vec();
    if !second.is_empty() {
        file.resize(SLOT, 0);
        file.extend_from_slice(second);
    }
    if !bytes.is_empty() {
        folder.put("state", file.clone());
    }

    let (mut slots, found, health) = TwoSlot::load(&mut folder, "state");
    assert_eq!(found.is_some(), matches!(health, SlotHealth::Good | SlotHealth::OneDamaged), "{health:?}");
    if let Some(found) = &found {
        assert!(stands_in(&file, found), "made up: {found:?}");
    }
    let (_, again, same) = TwoSlot::load(&mut folder, "state");
    assert_eq!((&again, same), (&found, health), "loading changes what is there");

    // The next payload is cut off somewhere, by a crash: the one before is there, or the new one is whole. Or the other
    // one of the file: a prefix that was all its damage has been written right.
    folder.fail_after(usize::from(*cut));
    let saved = slots.save(&mut folder, b"cut off in the middle").is_ok();
    folder.mend();
    let (mut slots, left, _) = TwoSlot::load(&mut folder, "state");
    let whole = left.as_deref() == Some(b"cut off in the middle");
    let stood = left == found || left.as_ref().is_some_and(|left| stands_in(&file, left));
    assert!(whole || (!saved && stood), "{found:?} became {left:?}");

    for payload in [&b"next"[..], b"", b"last"] {
        slots.save(&mut folder, payload).unwrap_or_else(|error| panic!("a file that takes nothing: {error}"));
        let (_, left, health) = TwoSlot::load(&mut folder, "state");
        assert_eq!(left.as_deref(), Some(payload), "{health:?}");
    }
    let (_, _, health) = TwoSlot::load(&mut folder, "state");
    assert_eq!(health, SlotHealth::Good, "two good writes mend both slots");
});

/// Generations are counted up and compared; one that 2^63 saves would lead to is no accident, and nobody's file.
fn is_of_the_far_future(slot: &[u8]) -> bool {
    slot.get(15).is_some_and(|highest| *highest >= 0x80)
}

fn stands_in(file: &[u8], payload: &[u8]) -> bool {
    [PREFIX, SLOT + PREFIX].into_iter().any(|at| file.get(at..at + payload.len()) == Some(payload))
}
