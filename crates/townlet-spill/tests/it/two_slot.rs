//! The two-slot file by itself.

use townlet_spill::{ErrorKind, SlotHealth, TwoSlot};

use crate::disk::{DiskFault, SimDisk, Survival};

fn payload(number: u64) -> Vec<u8> {
    format!("payload {number} ").repeat(1 + (number as usize * 37) % 200).into_bytes()
}

/// Saves until something fails; returns the newest payload that was reported saved.
fn save_all(disk: &SimDisk, count: u64) -> (u64, u64) {
    let mut handle = disk.handle();
    let (mut file, _, _) = TwoSlot::load(&mut handle, "totals");
    let (mut saved, mut begun) = (0, 0);
    for number in 1..=count {
        begun = number;
        match file.save(&mut handle, &payload(number)) {
            Ok(_) => saved = number,
            Err(_) if disk.has_crashed() => break,
            Err(_) => {}
        }
    }
    (saved, begun)
}

#[test]
fn a_crash_or_an_error_at_any_step_leaves_the_last_saved_payload_or_a_newer_one() {
    let whole = SimDisk::new(1);
    save_all(&whole, 7);
    for step in 0..whole.steps() {
        for fault in [DiskFault::Crash, DiskFault::Eio] {
            for chance in 0..20 {
                let disk = SimDisk::new(chance);
                disk.fault_at(step, fault).short_transfers(3);
                let (saved, begun) = save_all(&disk, 7);
                let after = disk.reboot(chance, Survival::Mixed);
                let (mut file, found, health) = TwoSlot::load(&mut after.handle(), "totals");
                let may_be: Vec<Option<Vec<u8>>> = (saved..=begun).map(|n| (n > 0).then(|| payload(n))).collect();
                assert!(may_be.contains(&found), "step {step} {fault:?} {chance}: {saved}..={begun}, {health:?}");
                file.save(&mut after.handle(), b"next").unwrap();
                let again = after.reboot(1, Survival::None);
                let (_, found, health) = TwoSlot::load(&mut again.handle(), "totals");
                assert_eq!(found.as_deref(), Some(&b"next"[..]));
                assert_ne!(health, SlotHealth::Lost);
            }
        }
    }
}

#[test]
fn damage_to_one_slot_brings_the_other_and_says_so() {
    let disk = SimDisk::new(2);
    save_all(&disk, 4);
    // Of four, the third and fourth are there.
    let image = disk.image();
    for (at, wanted) in [(40, Some(4)), ((128 << 10) + 40, Some(3))] {
        let mut image = image.clone();
        image.get_mut("totals").unwrap()[at] ^= 1;
        let (_, found, health) = TwoSlot::load(&mut SimDisk::with_image(1, &image).handle(), "totals");
        assert_eq!((found, health), (wanted.map(payload), SlotHealth::OneDamaged));
    }
    let mut image = image;
    image.insert("totals".to_owned(), vec![9; 200_000]);
    let (_, found, health) = TwoSlot::load(&mut SimDisk::with_image(1, &image).handle(), "totals");
    assert_eq!((found, health), (None, SlotHealth::Lost));
}

#[test]
fn a_payload_on_a_full_disk_can_still_be_replaced_by_a_small_one() {
    let disk = SimDisk::new(3);
    save_all(&disk, 2);
    disk.capacity(Some(0));
    let mut handle = disk.handle();
    let (mut file, _, _) = TwoSlot::load(&mut handle, "totals");
    file.save(&mut handle, &[b'x'; 8000]).unwrap();
    assert_eq!(file.save(&mut handle, &vec![0; TwoSlot::MAX_PAYLOAD + 1]).unwrap_err().kind(), ErrorKind::TooLarge);
}
