//! Signatures that were verified before are not verified again, and nothing else is taken on trust.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must stop")]

use std::time::Instant;

use rusqlite::Connection;
use townlet_registry::{Digest, Envelope, ErrorKind, Registry, Vetted};

use crate::support::{Kept, filled, minutes, noon, note, ring, signer, trusted};

fn vetted(kept: &Kept) -> Vetted {
    let ring = ring(&["ada"]);
    kept.registry.verify(&ring, None).unwrap().to_keep(&ring).unwrap().unwrap()
}

fn change(kept: &Kept, statement: &str) {
    assert_eq!(Connection::open(kept.path()).unwrap().execute(statement, []).unwrap(), 1);
}

#[test]
fn only_signatures_of_later_entries_are_verified() {
    let (mut kept, ring) = (filled(50), ring(&["ada"]));
    let before = vetted(&kept);
    assert_eq!(Vetted::from_bytes(&before.to_bytes().unwrap()).unwrap(), before);
    let same = kept.registry.verify_since(&ring, None, &before).unwrap();
    assert_eq!((same.signatures, same.vetted, same.findings.as_slice()), (0, 50, &[][..]));
    kept.registry.append(&note("ada", "release-42", "later"), minutes(1)).unwrap();
    let grown = kept.registry.verify_since(&ring, None, &before).unwrap();
    assert_eq!((grown.signatures, grown.vetted, grown.size), (1, 50, 51));
    assert_eq!(grown.to_keep(&ring).unwrap().unwrap().size, 51);
    // A later entry that nobody believes is found as ever.
    kept.registry.append(&note("mallory", "release-42", "later"), minutes(2)).unwrap();
    let found = kept.registry.verify_since(&ring, None, &before).unwrap();
    assert_eq!(found.findings.len(), 1);
    assert_eq!((found.findings[0].kind, found.to_keep(&ring).unwrap()), (ErrorKind::UnknownKey, None));
}

#[test]
fn with_other_keys_another_log_or_a_shorter_one_everything_is_verified() {
    let (kept, ada) = (filled(20), ring(&["ada"]));
    let before = vetted(&kept);
    let mut revoked = ada.clone();
    revoked.revoke(&signer("ada").key_id(), noon(), "lost").unwrap();
    let found = kept.registry.verify_since(&revoked, None, &before).unwrap();
    assert_eq!((found.vetted, found.findings.len()), (0, 20));
    for other in [
        Vetted { origin: "another/log".into(), ..before.clone() },
        Vetted { root: Digest::of(b"another root"), ..before.clone() },
        Vetted { size: 21, ..before.clone() },
        Vetted { size: 19, ..before.clone() },
        Vetted { size: u64::MAX, ..before.clone() },
    ] {
        let report = kept.registry.verify_since(&ada, None, &other).unwrap();
        assert_eq!((report.vetted, report.signatures), (0, 20), "{other:?}");
    }
    // One more key in the ring is another ring.
    let mut more = ada;
    more.trust(trusted("bob", &["sre"])).unwrap();
    assert_eq!(kept.registry.verify_since(&more, None, &before).unwrap().signatures, 20);
}

/// Whoever has every key makes the log anew, shorter or with another past. Who verified it before knows better.
#[test]
fn a_log_that_was_cut_off_or_rewritten_since_does_not_pass_whatever_the_keys() {
    let (kept, ada) = (filled(9), ring(&["ada", "bob"]));
    let before = kept.registry.verify(&ada, None).unwrap().to_keep(&ada).unwrap().unwrap();
    let shorter = filled(8);
    let mut rewritten = filled(8);
    rewritten.registry.append(&note("bob", "release-8", "fine"), noon()).unwrap();
    for ring in [ada.clone(), ring(&["ada", "bob", "cyd"])] {
        for (log, says) in [(&shorter, "cut off"), (&rewritten, "are not those")] {
            let report = log.registry.verify_since(&ring, None, &before).unwrap();
            let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
            assert!(finding.kind == ErrorKind::Forked && finding.what.contains(says), "{finding}");
            // So that what is known is not written over with less.
            assert_eq!(report.to_keep(&ring).unwrap(), None);
        }
        assert_eq!(kept.registry.verify_since(&ring, None, &before).unwrap().findings, []);
    }
}

#[test]
fn what_was_changed_since_is_found_in_every_table() {
    for (statement, says) in [
        ("UPDATE entry SET body = (SELECT body FROM entry WHERE idx = 8) WHERE idx = 7", "entry 7"),
        ("UPDATE entry SET at_ms = at_ms + 1 WHERE idx = 7", "entry 7"),
        ("UPDATE subject SET name = 'release-8' WHERE idx = 7", "entry 7"),
        ("UPDATE node SET hash = zeroblob(32) WHERE level = 0 AND place = 7", "hash 7 of level 0"),
        ("DELETE FROM entry WHERE idx = 7", "entry 7 is missing"),
        ("DELETE FROM entry WHERE idx = 19", "rows of entries behind the end"),
    ] {
        let (kept, ring) = (filled(20), ring(&["ada"]));
        let before = vetted(&kept);
        change(&kept, statement);
        let found = kept.registry.verify_since(&ring, None, &before).unwrap().findings;
        assert!(found.iter().any(|finding| finding.what.contains(says)), "{statement}: {found:?}");
    }
}

#[test]
fn a_log_that_was_made_anew_with_the_stored_hashes_of_the_old_one_is_found() {
    let (mut forged, old, ring) = (crate::support::empty(), filled(20), ring(&["ada"]));
    let before = vetted(&old);
    let notes: Vec<Envelope> = (0..20).map(|n| note("mallory", &format!("release-{n}"), "fine")).collect();
    forged.registry.append_all(&notes, noon()).unwrap();
    let db = Connection::open(forged.path()).unwrap();
    db.execute("ATTACH DATABASE ?1 AS old", [old.path().to_str().unwrap()]).unwrap();
    db.execute_batch("DELETE FROM node; INSERT INTO node SELECT * FROM old.node;").unwrap();
    drop(db);
    let forged = Registry::open(&forged.path()).unwrap();
    assert_eq!(forged.root_at(20).unwrap(), before.root);
    let report = forged.verify_since(&ring, None, &before).unwrap();
    assert!(report.findings.iter().any(|finding| finding.kind == ErrorKind::UnknownKey), "{:?}", report.findings);
}

/// How long it takes is printed, with `--nocapture`; what is asserted does not depend on the machine.
#[test]
fn ten_thousand_entries_whose_signatures_were_verified_before_take_no_signature_more() {
    let (kept, ring) = (filled(10_000), ring(&["ada"]));
    let start = Instant::now();
    let full = kept.registry.verify(&ring, None).unwrap();
    let (first, before) = (start.elapsed(), full.to_keep(&ring).unwrap().unwrap());
    let mut times: Vec<_> = (0..5)
        .map(|_| {
            let start = Instant::now();
            let again = kept.registry.verify_since(&ring, None, &before).unwrap();
            assert_eq!((again.signatures, again.vetted, again.findings.len()), (0, 10_000, 0));
            start.elapsed()
        })
        .collect();
    times.sort();
    println!("10,000 entries: {first:?} with every signature; vetted {:?} (median of 5)", times[2]);
    assert_eq!((full.signatures, full.vetted), (10_000, 0));
}
