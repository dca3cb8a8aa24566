//! Files that something else wrote to. Whatever stands in them: an error or a finding, never a panic, and never a log
//! that verifies with other entries than were written.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must stop")]

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use townlet_registry::{Digest, Error, ErrorKind, KeyRing, Query, Registry, Report};

use crate::support::{ORIGIN, filled, noon, note, ring, signer};

/// A registry whose log file has gone back into it, so that one file is all there is.
fn whole_file() -> (Vec<u8>, Digest) {
    let mut kept = filled(24);
    kept.registry.store(&b"evidence ".repeat(900)).unwrap();
    kept.registry.checkpoint(&signer("log"), noon()).unwrap();
    let path = kept.path();
    let root = kept.registry.root_at(24).unwrap();
    drop(kept.registry);
    assert!(!path.with_extension("db-wal").exists());
    (fs::read(path).unwrap(), root)
}

/// Everything that a reader can do.
fn read_all(path: &Path, ring: &KeyRing) -> Result<Report, Error> {
    let registry = Registry::open_read_only(path)?;
    let report = registry.verify(ring, None)?;
    drop(registry.find(&Query::new().named("release-3")));
    drop(registry.bundle(&Digest::of(b"release-3"), &[]));
    drop(registry.bundle_all().map(|bundle| bundle.verify(ring, None).is_ok()));
    for record in registry.records(0..100)? {
        registry.record(&record.digest)?;
    }
    Ok(report)
}

fn check(bytes: &[u8], root: Digest, folder: &Path, ring: &KeyRing) {
    let path = folder.join("damaged.db");
    for side in ["db-wal", "db-shm"] {
        drop(fs::remove_file(path.with_extension(side)));
    }
    fs::write(&path, bytes).unwrap();
    match read_all(&path, ring) {
        Ok(report) if report.findings.is_empty() => assert_eq!((report.size, report.root), (24, root)),
        Ok(report) => assert!(report.findings.iter().all(|finding| !finding.what.is_empty())),
        Err(error) => {
            let kinds = [ErrorKind::Damaged, ErrorKind::Missing, ErrorKind::Io, ErrorKind::Malformed];
            assert!(kinds.contains(&error.kind()), "{error}");
            assert!(error.to_string().contains("damaged.db"), "{error}");
        }
    }
    // A writer that comes upon it does not panic either.
    if let Ok(mut registry) = Registry::create(&path, ORIGIN) {
        drop(registry.append(&note("ada", "release-3", "later"), noon()));
        drop(registry.checkpoint(&signer("log"), noon()));
    }
}

#[test]
fn a_file_with_a_byte_changed_is_refused_found_or_reads_as_it_was() {
    let (bytes, root) = whole_file();
    let (folder, ring) = (tempfile::tempdir().unwrap(), ring(&["ada"]));
    // A step without common factors with the page size meets every kind of byte on every page.
    for at in (0..bytes.len()).step_by(331) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        check(&damaged, root, folder.path(), &ring);
    }
}

#[test]
fn a_file_that_was_cut_off_or_filled_with_zeros_is_refused_or_found() {
    let (bytes, root) = whole_file();
    let (folder, ring) = (tempfile::tempdir().unwrap(), ring(&["ada"]));
    for page in 0..bytes.len() / 4096 {
        check(&bytes[..page * 4096], root, folder.path(), &ring);
        check(&bytes[..page * 4096 + 1000], root, folder.path(), &ring);
        let mut zeros = bytes.clone();
        zeros[page * 4096..(page + 1) * 4096].fill(0);
        check(&zeros, root, folder.path(), &ring);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]
    #[test]
    fn a_file_with_anything_written_over_it_never_makes_a_panic(
        places in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(any::<u8>(), 1..64)), 1..6)
    ) {
        let (mut bytes, root) = whole_file();
        let (folder, ring) = (tempfile::tempdir().unwrap(), ring(&["ada"]));
        for (place, new) in places {
            let at = place.index(bytes.len() - new.len());
            bytes[at..at + new.len()].copy_from_slice(&new);
        }
        check(&bytes, root, folder.path(), &ring);
    }
}

/// The quick half sees every byte of every entry, and knows nothing of people.
#[test]
fn the_tree_alone_finds_every_changed_entry_and_a_log_that_was_cut_off() {
    let changes = (0..24).flat_map(|index| {
        let body = "cast(replace(cast(body AS TEXT), '00.000Z', '01.000Z') AS BLOB)";
        [
            format!("UPDATE entry SET body = {body} WHERE idx = {index}"),
            format!("DELETE FROM entry WHERE idx = {index}"),
        ]
    });
    for change in changes {
        let mut kept = filled(24);
        let held = kept.registry.checkpoint(&signer("log"), noon()).unwrap();
        let db = rusqlite::Connection::open(kept.path()).unwrap();
        let ring = ring(&["ada"]);
        assert_eq!(kept.registry.verify_tree(&ring, Some(&held)).unwrap().findings, []);
        db.execute_batch(&change).unwrap();
        let report = kept.registry.verify_tree(&ring, Some(&held)).unwrap();
        assert!(!report.findings.is_empty(), "{change}");
        assert_eq!(report.signatures, 0);
    }
    let mut kept = filled(3);
    kept.registry.append(&note("mallory", "r", "fine"), noon()).unwrap();
    assert_eq!(kept.registry.verify_tree(&ring(&["ada"]), None).unwrap().findings, []);
}

/// Changes that SQLite itself sees nothing wrong with.
#[test]
fn rows_that_were_changed_are_found_and_named() {
    for (change, what) in [
        (
            "UPDATE entry SET body = cast(replace(cast(body AS TEXT), '00.000Z', '01.000Z') AS BLOB) WHERE idx = 5",
            "entry 5: ",
        ),
        ("UPDATE entry SET at_ms = at_ms + 1 WHERE idx = 5", "entry 5: "),
        ("UPDATE entry SET predicate_type = 'x' WHERE idx = 5", "entry 5: "),
        ("UPDATE entry SET digest = zeroblob(32) WHERE idx = 5", "entry 5: "),
        ("UPDATE entry SET digest = zeroblob(31) WHERE idx = 5", "SQLite"),
        ("DELETE FROM entry WHERE idx = 5", "entry 5 is missing"),
        ("DELETE FROM entry WHERE idx = 23", "cut off"),
        ("DELETE FROM entry", "cut off"),
        ("UPDATE entry SET idx = 30 WHERE idx = 23", "entry 23 is missing"),
        ("UPDATE subject SET name = 'x' WHERE idx = 5", "entry 5: would be found"),
        ("DELETE FROM subject WHERE idx = 23", "entry 23: would be found"),
        ("INSERT INTO subject SELECT digest, 4, name FROM subject WHERE idx = 5", "entry 4: would be found"),
        ("UPDATE node SET hash = zeroblob(32) WHERE level = 1 AND place = 2", "hash 2 of level 1"),
        ("DELETE FROM node WHERE level = 3 AND place = 1", "hash 1 of level 3"),
        ("UPDATE content SET bytes = zeroblob(9)", "content sha256:"),
        ("UPDATE checkpoint SET note = replace(note, '24', '25')", "checkpoint of 25 entries: the signature"),
        ("UPDATE checkpoint SET note = 'x'", "checkpoint: no empty line"),
        ("UPDATE log SET origin = 'other'", "of the log `test.example/log`"),
        ("DELETE FROM log", "the log has no name"),
        ("DROP TABLE node", "no such table"),
        ("PRAGMA user_version = 2", "version 2"),
        ("PRAGMA application_id = 0", "no registry of ours"),
    ] {
        let mut kept = filled(24);
        kept.registry.store(b"evidence").unwrap();
        kept.registry.checkpoint(&signer("log"), noon()).unwrap();
        let db = rusqlite::Connection::open(kept.path()).unwrap();
        db.execute_batch(change).unwrap();
        let found = match Registry::open(&kept.path()).and_then(|registry| registry.verify(&ring(&["ada"]), None)) {
            Ok(report) => report.findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            Err(error) => error.to_string(),
        };
        assert!(found.contains(what), "{change}: {found}");
    }
}
