#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use townlet_registry::{Bundle, Digest, Envelope, ErrorKind, KeyRing, Registry, Role, SignedCheckpoint, TrustedKey};

use crate::support::{Story, empty, filled, minutes, noon, note, release, ring, signer, story, trusted};

#[test]
fn a_bundle_has_what_is_about_a_release_and_what_that_names() {
    let Story { kept, ring, checkpoints } = story();
    let bundle = kept.registry.bundle(&release(), &[]).unwrap();
    let text = bundle.to_bytes();
    assert_eq!(Bundle::parse(&text).unwrap(), bundle);
    let verified = Bundle::parse(&text).unwrap().verify(&ring, None).unwrap();
    // The rehearsal is about something else, but named by entry 1.
    let indices: Vec<u64> = verified.entries.iter().map(|entry| entry.record.index).collect();
    let wanted: Vec<u64> = [0, 1].into_iter().chain((2..64).step_by(2)).collect();
    assert_eq!(indices, wanted);
    assert_eq!(verified.contents.values().next().unwrap().len(), 4400);
    assert_eq!(verified.checkpoint, *checkpoints[2].unverified());
    let people: Vec<&str> = verified.entries[4].signed_by.iter().map(|who| who.person).collect();
    assert_eq!(people, ["ada", "bob"]);
    // What the entries name beyond that is said, not hidden: here, the subjects themselves.
    assert!(verified.absent.contains(&release()));
    assert!(verified.absent.contains(&Digest::of(b"rehearsal-7")));
    assert_eq!(verified.absent.len(), 2);
}

#[test]
fn a_bundle_of_an_entry_is_asked_for_by_its_digest() {
    let Story { kept, ring, .. } = story();
    let record = kept.registry.records(5..6).unwrap().remove(0);
    let bundle = kept.registry.bundle(&record.digest, &[]).unwrap();
    assert_eq!(bundle.verify(&ring, None).unwrap().entries[0].record, record);
}

#[test]
fn a_verifier_that_holds_an_earlier_checkpoint_learns_that_nothing_was_taken_back() {
    let Story { kept, ring, checkpoints } = story();
    let bundle = kept.registry.bundle(&release(), &[]).unwrap();
    for held in &checkpoints {
        bundle.verify(&ring, Some(held)).unwrap();
    }
    let whole = kept.registry.bundle_all().unwrap();
    for held in &checkpoints {
        whole.verify(&ring, Some(held)).unwrap();
    }
}

#[test]
fn a_log_cut_below_the_checkpoint_that_is_held_is_found_at_every_length() {
    let Story { ring, checkpoints, kept } = story();
    let envelopes: Vec<_> = kept.registry.records(0..64).unwrap();
    // Whoever has the key of the log can sign a shorter one; the verifier's checkpoint is what tells.
    let held = checkpoints.last().unwrap();
    for length in 2..64_u64 {
        let mut cut = empty();
        for record in envelopes.iter().take(usize::try_from(length).unwrap()) {
            cut.registry.append(&record.envelope, record.at).unwrap();
        }
        cut.registry.checkpoint(&signer("log"), minutes(70)).unwrap();
        for bundle in [cut.registry.bundle(&release(), &[]).unwrap(), cut.registry.bundle_all().unwrap()] {
            bundle.verify(&ring, None).unwrap();
            let error = bundle.verify(&ring, Some(held)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Forked);
            assert!(error.to_string().contains(&format!("has {length} entries, but had 64")), "{error}");
        }
    }
}

#[test]
fn a_log_with_another_past_is_found_by_the_checkpoint_that_is_held() {
    let Story { ring, checkpoints, .. } = story();
    let mut other = filled(70);
    other.registry.append(&note("ada", "release-42", "fine"), minutes(64)).unwrap();
    other.registry.checkpoint(&signer("log"), minutes(70)).unwrap();
    for held in &checkpoints {
        let whole = other.registry.bundle_all().unwrap();
        whole.verify(&ring, None).unwrap();
        assert_eq!(whole.verify(&ring, Some(held)).unwrap_err().kind(), ErrorKind::Forked);
        // It never had those checkpoints, so it cannot prove to begin with them.
        let bundle = other.registry.bundle(&release(), &[]).unwrap();
        assert_eq!(bundle.verify(&ring, Some(held)).unwrap_err().kind(), ErrorKind::Missing);
        let refused = other.registry.bundle(&release(), std::slice::from_ref(held)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Forked);
    }
}

#[test]
fn a_bundle_can_be_made_for_a_checkpoint_that_was_forgotten_here() {
    let mut kept = empty();
    let mut held = Vec::new();
    for number in 0..40 {
        kept.registry.append(&note("ada", "release-42", &number.to_string()), noon()).unwrap();
        held.push(kept.registry.checkpoint(&signer("log"), noon()).unwrap());
    }
    let ring = ring(&["ada"]);
    let bundle = kept.registry.bundle(&release(), &[]).unwrap();
    // The last 16 beside its own are covered without being asked for.
    for (size, held) in (1..).zip(&held) {
        let verified = bundle.verify(&ring, Some(held));
        assert_eq!(verified.is_ok(), size >= 24, "{size}");
        if let Err(error) = verified {
            assert_eq!(error.kind(), ErrorKind::Missing);
        }
        let asked = kept.registry.bundle(&release(), std::slice::from_ref(held)).unwrap();
        asked.verify(&ring, Some(held)).unwrap();
    }
}

#[test]
fn a_checkpoint_of_another_log_or_by_nobody_is_not_held() {
    let Story { kept, ring, .. } = story();
    let bundle = kept.registry.bundle(&release(), &[]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut other = townlet_registry::Registry::create(&folder.path().join("r.db"), "another.example/log").unwrap();
    let foreign = other.checkpoint(&signer("log"), noon()).unwrap();
    assert_eq!(bundle.verify(&ring, Some(&foreign)).unwrap_err().kind(), ErrorKind::Forked);
    let forged = empty().registry.checkpoint(&signer("mallory"), noon()).unwrap();
    assert_eq!(bundle.verify(&ring, Some(&forged)).unwrap_err().kind(), ErrorKind::UnknownKey);
}

#[test]
fn nothing_and_what_is_newer_than_the_checkpoint_are_not_bundled() {
    let mut kept = filled(2);
    let missing = |kept: &crate::support::Kept, what: &str| {
        let error = kept.registry.bundle(&release(), &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Missing);
        assert!(error.to_string().contains(what), "{error}");
    };
    missing(&kept, "says nothing about sha256:");
    kept.registry.append(&note("ada", "release-42", "fine"), noon()).unwrap();
    missing(&kept, "no checkpoint yet");
    kept.registry.checkpoint(&signer("log"), noon()).unwrap();
    kept.registry.append(&note("ada", "release-42", "more"), noon()).unwrap();
    missing(&kept, "entry 3 is newer than the checkpoint of 3 entries");
}

#[test]
fn a_key_that_was_revoked_before_it_signed_refuses_the_bundle_and_names_the_entry() {
    let Story { kept, mut ring, .. } = story();
    let bundle = kept.registry.bundle(&release(), &[]).unwrap();
    ring.revoke(&signer("bob").key_id(), minutes(10), "laptop stolen").unwrap();
    let error = bundle.verify(&ring, None).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::KeyNotValid);
    // 12 is the first that bob signed since then: 0 and 6 stay his.
    assert!(error.to_string().starts_with("entry 12: key"), "{error}");
    assert!(error.to_string().contains("laptop stolen"), "{error}");
}

#[test]
fn other_keys_than_the_verifiers_own_refuse_the_bundle() {
    let Story { kept, ring, .. } = story();
    let bundle = kept.registry.bundle(&release(), &[]).unwrap();
    // The verifier never heard of one of them.
    for left_out in ["ada", "bob", "log"] {
        let mut fewer = KeyRing::new();
        for (_, key) in ring.keys().filter(|(_, key)| key.person != left_out) {
            fewer.trust(key.clone()).unwrap();
        }
        assert_eq!(bundle.verify(&fewer, None).unwrap_err().kind(), ErrorKind::UnknownKey);
    }
    // The key of the log, but not trusted as one.
    let mut demoted = KeyRing::new();
    for (_, key) in ring.keys() {
        demoted.trust(TrustedKey { roles: [Role::new("sre").unwrap()].into(), ..key.clone() }).unwrap();
    }
    assert_eq!(bundle.verify(&demoted, None).unwrap_err().kind(), ErrorKind::UnknownKey);
    // Other keys under the same names.
    let mut swapped = KeyRing::new();
    for (person, role) in [("ada", "sre"), ("bob", "sre"), ("log", Role::LOG)] {
        let public = signer(&format!("false {person}")).public();
        swapped.trust(TrustedKey { public, ..trusted(person, &[role]) }).unwrap();
    }
    assert_eq!(bundle.verify(&swapped, None).unwrap_err().kind(), ErrorKind::UnknownKey);
}

proptest! {
    /// Lines that look as if they belonged, in any order, and a check sum that fits.
    #[test]
    fn no_text_makes_a_reader_panic(
        lines in prop::collection::vec(
            prop_oneof![
                Just("townlet-bundle/1".to_owned()),
                Just("about the whole log".to_owned()),
                "holds [0-9]{1,20} entries, [0-9]{1,3} contents, [0-9]{1,3} earlier sizes",
                "(began|entry|content|about) [0-9a-zA-Z+/=,: -]{0,60}",
                Just("\u{2014} test.example/log AAAA".to_owned()),
                ".{0,20}",
                Just(String::new()),
            ],
            0..14,
        )
    ) {
        let text = lines.join("\n") + "\n";
        drop(SignedCheckpoint::parse(&text));
        drop(KeyRing::from_json(text.as_bytes()));
        drop(Envelope::from_slice(text.as_bytes()));
        let sealed = format!("{text}end crc32:{:08x}\n", crc32fast::hash(text.as_bytes()));
        prop_assert!(Bundle::parse(sealed.as_bytes()).is_err());
        prop_assert!(Bundle::parse(text.as_bytes()).is_err());
    }
}

/// Whoever bundles beside a writer gets the log of one moment: all that was about the subject when the checkpoint was
/// signed, or an error that says that something is newer.
#[test]
fn a_bundle_that_is_made_beside_a_writer_is_of_one_moment() {
    let kept = filled(1);
    kept_checkpoint(&kept.path(), 0);
    let (path, done) = (kept.path(), AtomicBool::new(false));
    let reader = Registry::open_read_only(&path).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1..60 {
                kept_checkpoint(&path, number);
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            match reader.bundle(&Digest::of(b"release-0"), &[]) {
                Ok(bundle) => {
                    let ring = ring(&["ada"]);
                    let verified = bundle.verify(&ring, None).unwrap();
                    assert_eq!(verified.entries.len() as u64, verified.checkpoint.size, "all of this log is about it");
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::Missing, "{error}"),
            }
        }
    });
}

/// One more note about `release-0`, and a checkpoint over it.
fn kept_checkpoint(path: &Path, number: u32) {
    let mut registry = Registry::open(path).unwrap();
    registry.append(&note("ada", "release-0", &format!("note {number}")), noon()).unwrap();
    registry.checkpoint(&signer("log"), noon()).unwrap();
}
