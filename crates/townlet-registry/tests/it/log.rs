#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use townlet_registry::{
    Digest, Envelope, ErrorKind, KeyRing, Predicate, Query, Registry, SignedCheckpoint, Statement, Subject, Time,
    merkle,
};

use crate::support::{Kept, NOON, ORIGIN, empty, filled, minutes, noon, note, ring, signer};

/// Entries are looked at on every core; the answer does not show it.
#[test]
fn what_is_wrong_is_told_in_the_order_of_the_log_and_the_first_of_it_refuses_a_bundle() {
    let wrong = [3, 70, 71, 199, 640, 641, 1023];
    let mut kept = empty();
    let by = |n: &u32| if wrong.contains(n) { "mallory" } else { "ada" };
    let notes: Vec<_> = (0..1024).map(|n| note(by(&n), &format!("release-{n}"), "fine")).collect();
    kept.registry.append_all(&notes, noon()).unwrap();
    kept.registry.checkpoint(&signer("log"), noon()).unwrap();
    let ring = ring(&["ada"]);
    let bundle = kept.registry.bundle_all().unwrap();
    for _ in 0..3 {
        let findings = kept.registry.verify(&ring, None).unwrap().findings;
        let told: Vec<&str> = findings.iter().map(|finding| finding.what.split(':').next().unwrap()).collect();
        assert_eq!(told, wrong.map(|n| format!("entry {n}")));
        let refused = bundle.verify(&ring, None).unwrap_err();
        assert!(refused.to_string().starts_with("entry 3: "), "{refused}");
    }
}

#[test]
fn an_acknowledged_statement_is_found_by_digest_type_subject_and_name() {
    let mut kept = empty();
    let envelope = note("ada", "release-42", "fine");
    let receipt = kept.registry.append(&envelope, noon()).unwrap();
    kept.registry.append(&note("ada", "release-43", "fine"), noon()).unwrap();
    assert_eq!((receipt.index, receipt.at, receipt.new), (0, noon(), true));

    let registry = Registry::open_read_only(&kept.path()).unwrap();
    let record = registry.record(&receipt.digest).unwrap().unwrap();
    assert_eq!((record.index, record.at, &record.envelope), (0, noon(), &envelope));
    let found =
        |query: Query| -> Vec<u64> { registry.find(&query).unwrap().iter().map(|record| record.index).collect() };
    let (one, other) = (Digest::of(b"release-42"), Digest::of(b"release-43"));
    assert_eq!(found(Query::new()), [0, 1]);
    assert_eq!(found(Query::new().of_type("https://example.com/note/v1")), [0, 1]);
    assert_eq!(found(Query::new().of_type("https://example.com/note/v2")), [0; 0]);
    assert_eq!(found(Query::new().about(other)), [1]);
    assert_eq!(found(Query::new().named("release-42")), [0]);
    assert_eq!(found(Query::new().named("release-42").about(one)), [0]);
    assert_eq!(found(Query::new().named("release-42").about(other)), [0; 0]);
}

#[test]
fn a_subject_is_what_has_both_the_name_and_the_digest() {
    struct Plain;
    impl serde::Serialize for Plain {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_unit()
        }
    }
    impl Predicate for Plain {
        const TYPE: &'static str = "https://example.com/plain/v1";
    }
    let mut kept = empty();
    let (a, b) = (Subject::new("a", Digest::of(b"1")), Subject::new("b", Digest::of(b"2")));
    let both = Envelope::sign(&Statement { subjects: vec![a, b], predicate: Plain }, &signer("ada")).unwrap();
    kept.registry.append(&both, noon()).unwrap();
    let found = |name: &str, digest: &[u8]| {
        let query = Query::new().named(name).about(Digest::of(digest));
        kept.registry.find(&query).unwrap().len()
    };
    assert_eq!((found("a", b"1"), found("b", b"2"), found("a", b"2")), (1, 1, 0));
}

#[test]
fn an_append_whose_answer_got_lost_can_be_repeated() {
    let mut kept = empty();
    let envelope = note("ada", "r", "fine");
    let first = kept.registry.append(&envelope, noon()).unwrap();
    let again = kept.registry.append(&envelope, minutes(3)).unwrap();
    assert_eq!((again.index, again.digest, again.at, again.new), (0, first.digest, noon(), false));
    assert_eq!(kept.registry.size().unwrap(), 1);
    // Twice in one call is once, too.
    let other = note("bob", "r", "fine");
    let receipts = kept.registry.append_all(&[other.clone(), other], noon()).unwrap();
    assert_eq!((receipts[0].new, receipts[1].new, receipts[1].index), (true, false, 1));
}

#[test]
fn the_log_does_not_go_back_in_time() {
    let mut kept = empty();
    kept.registry.append(&note("ada", "r", "first"), noon()).unwrap();
    let receipt = kept.registry.append(&note("ada", "r", "second"), minutes(-4)).unwrap();
    assert_eq!(receipt.at, noon());
    let error = kept.registry.append(&note("ada", "r", "third"), minutes(-6)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("look at the clock"), "{error}");
    assert!(kept.registry.verify(&ring(&["ada"]), None).unwrap().findings.is_empty());
}

/// A clock that begins at 1970 would otherwise sign with a key that is not valid yet, and the log stays unsound.
#[test]
fn a_checkpoint_is_never_earlier_than_what_it_covers() {
    let mut kept = filled(3);
    assert_eq!(kept.registry.checkpoint(&signer("log"), minutes(-4)).unwrap().unverified().at, noon());
    for now in [minutes(-6), Time::from_ms(0)] {
        let error = kept.registry.checkpoint(&signer("log"), now).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().contains("look at the clock"), "{error}");
    }
    let report = kept.registry.verify(&ring(&["ada"]), None).unwrap();
    assert_eq!((report.checkpoints, report.findings), (1, vec![]));
}

#[test]
fn what_is_no_statement_does_not_come_into_the_log() {
    let mut kept = empty();
    let bytes = Envelope::sign_bytes("text/plain", b"hello".to_vec(), &signer("ada"));
    let all = [note("ada", "r", "fine"), bytes];
    assert_eq!(kept.registry.append_all(&all, noon()).unwrap_err().kind(), ErrorKind::Malformed);
    // All or none.
    assert!(kept.registry.is_empty().unwrap());
}

#[test]
fn a_registry_keeps_its_name_and_is_not_made_over_something_else() {
    let kept = filled(1);
    let error = Registry::create(&kept.path(), "other.example/log").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("registry.db") && error.to_string().contains(ORIGIN), "{error}");
    assert_eq!(Registry::create(&kept.path(), ORIGIN).unwrap().size().unwrap(), 1);

    let missing = Registry::open(&kept.folder.path().join("none.db")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Missing);
    let unfinished = kept.folder.path().join("empty.db");
    std::fs::write(&unfinished, b"").unwrap();
    assert_eq!(Registry::open(&unfinished).unwrap_err().kind(), ErrorKind::Missing);
    Registry::create(&unfinished, ORIGIN).unwrap();
    let text = kept.folder.path().join("text.db");
    std::fs::write(&text, "not a database, but long enough to be looked at as one ".repeat(40)).unwrap();
    assert_eq!(Registry::create(&text, ORIGIN).unwrap_err().kind(), ErrorKind::Damaged);
    assert_eq!(Registry::create(&text, "two words").unwrap_err().kind(), ErrorKind::Malformed);
}

#[test]
fn a_reader_writes_nothing() {
    let kept = filled(1);
    let mut reader = Registry::open_read_only(&kept.path()).unwrap();
    assert_eq!(reader.append(&note("ada", "r", "x"), noon()).unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(reader.store(b"x").unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(reader.size().unwrap(), 1);
}

/// A path that was mistyped must not change how another program's database is kept.
#[test]
fn a_database_of_somebody_else_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("other.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    let before = std::fs::read(&path).unwrap();
    assert_eq!(Registry::open(&path).unwrap_err().kind(), ErrorKind::Damaged);
    assert_eq!(Registry::create(&path, ORIGIN).unwrap_err().kind(), ErrorKind::Damaged);
    assert!(std::fs::read(&path).unwrap() == before);
}

/// As when several jobs of one pipeline begin at once where there is no registry yet.
#[test]
fn several_makers_of_one_registry_get_the_same_one() {
    for _ in 0..20 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("registry.db");
        let begin = std::sync::Barrier::new(6);
        std::thread::scope(|scope| {
            for person in ["ada", "bob", "cyd", "dee", "eve", "fay"] {
                let (path, begin) = (&path, &begin);
                scope.spawn(move || {
                    begin.wait();
                    let mut registry = Registry::create(path, ORIGIN).unwrap();
                    registry.append(&note(person, "r", "fine"), noon()).unwrap();
                });
            }
        });
        assert_eq!(Registry::open(&path).unwrap().size().unwrap(), 6);
    }
}

#[test]
fn several_writers_take_turns() {
    let kept = empty();
    let path = kept.path();
    std::thread::scope(|scope| {
        for person in ["ada", "bob", "cyd"] {
            let path = &path;
            scope.spawn(move || {
                let mut registry = Registry::open(path).unwrap();
                for number in 0..40 {
                    registry.append(&note(person, "r", &number.to_string()), noon()).unwrap();
                }
            });
        }
    });
    let report = kept.registry.verify(&ring(&["ada", "bob", "cyd"]), None).unwrap();
    assert_eq!((report.size, report.signatures), (120, 120));
    assert_eq!(report.findings, []);
}

#[test]
fn an_entry_of_somebody_who_is_not_believed_is_found_by_its_place() {
    let mut kept = filled(3);
    kept.registry.append(&note("mallory", "r", "fine"), noon()).unwrap();
    let report = kept.registry.verify(&ring(&["ada"]), None).unwrap();
    assert_eq!(report.signatures, 3);
    let [finding] = report.findings.as_slice() else { panic!("{:?}", report.findings) };
    assert_eq!(finding.kind, ErrorKind::UnknownKey);
    assert!(finding.what.starts_with("entry 3: nobody vouched for key"), "{finding}");
}

#[test]
fn a_log_that_was_cut_off_or_rewritten_does_not_fit_a_checkpoint_that_was_held() {
    let mut kept = filled(9);
    let held = kept.registry.checkpoint(&signer("log"), noon()).unwrap();
    kept.registry.append(&note("ada", "r", "later"), noon()).unwrap();
    let ring = ring(&["ada", "bob"]);
    assert_eq!(kept.registry.verify(&ring, Some(&held)).unwrap().findings, []);

    // Another log of that name, by someone who has every key, shorter or with another past.
    let shorter = filled(8);
    let findings = shorter.registry.verify(&ring, Some(&held)).unwrap().findings;
    assert!(findings[0].kind == ErrorKind::Forked && findings[0].what.contains("cut off"), "{findings:?}");
    let mut rewritten = filled(8);
    rewritten.registry.append(&note("bob", "release-8", "fine"), noon()).unwrap();
    let findings = rewritten.registry.verify(&ring, Some(&held)).unwrap().findings;
    assert!(findings[0].kind == ErrorKind::Forked && findings[0].what.contains("are not those"), "{findings:?}");
}

#[derive(Clone, Debug)]
enum Act {
    Append { person: u8, about: u8, text: u8, clock: i64 },
    Store(Vec<u8>),
    Checkpoint,
    Reopen,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let append = (0..3_u8, 0..4_u8, 0..6_u8, -4..5_i64);
    let act = prop_oneof![
        8 => append.prop_map(|(person, about, text, clock)| Act::Append { person, about, text, clock }),
        1 => prop::collection::vec(any::<u8>(), 0..9).prop_map(Act::Store),
        1 => Just(Act::Checkpoint),
        1 => Just(Act::Reopen),
    ];
    prop::collection::vec(act, 1..40)
}

/// MTH of RFC 6962 to the letter.
fn root(leaves: &[Digest]) -> Digest {
    match leaves {
        [] => Digest::of(b""),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            merkle::node(&root(left), &root(right))
        }
    }
}

/// What a registry must be like: a plain list.
#[derive(Default)]
struct Model {
    entries: Vec<(Time, Envelope)>,
    contents: BTreeMap<Digest, Vec<u8>>,
    checkpoints: BTreeMap<u64, SignedCheckpoint>,
    clock: i64,
}

impl Model {
    fn leaves(&self) -> Vec<Digest> {
        let entry = |(at, envelope): &(Time, Envelope)| {
            let envelope = String::from_utf8(envelope.to_vec().unwrap()).unwrap();
            merkle::leaf(format!("{{\"at\":\"{at}\",\"envelope\":{envelope}}}").as_bytes())
        };
        self.entries.iter().map(entry).collect()
    }

    fn act(&mut self, kept: &mut Kept, act: Act) {
        match act {
            Act::Append { person, about, text, clock } => {
                self.clock += clock;
                let now = minutes(self.clock);
                let person = ["ada", "bob", "cyd"][usize::from(person)];
                let envelope = note(person, &format!("release-{about}"), &text.to_string());
                let last = self.entries.last().map_or(now, |(at, _)| *at);
                let appended = kept.registry.append(&envelope, now);
                if last.as_ms() - now.as_ms() > 5 * 60_000 {
                    assert_eq!(appended.unwrap_err().kind(), ErrorKind::Conflict);
                    self.clock = (last.as_ms() - NOON) / 60_000;
                    return;
                }
                let receipt = appended.unwrap();
                let known = self.entries.iter().position(|(_, known)| *known == envelope);
                assert_eq!(receipt.new, known.is_none());
                if known.is_none() {
                    self.entries.push((last.max(now), envelope.clone()));
                }
                let place = known.unwrap_or(self.entries.len() - 1);
                assert_eq!(receipt.index, place as u64);
                assert_eq!(receipt.at, self.entries[place].0);
                assert_eq!(receipt.digest, envelope.digest().unwrap());
            }
            Act::Store(bytes) => {
                let digest = kept.registry.store(&bytes).unwrap();
                assert_eq!(digest, Digest::of(&bytes));
                self.contents.insert(digest, bytes);
            }
            Act::Checkpoint => {
                let now = minutes(self.clock);
                let signed = kept.registry.checkpoint(&signer("log"), now).unwrap();
                assert_eq!(signed.unverified().at, self.entries.last().map_or(now, |(at, _)| now.max(*at)));
                assert_eq!(signed.unverified().size, self.entries.len() as u64);
                assert_eq!(signed.unverified().root, root(&self.leaves()));
                self.checkpoints.insert(signed.unverified().size, signed);
            }
            Act::Reopen => kept.registry = Registry::open(&kept.path()).unwrap(),
        }
    }

    fn compare(&self, registry: &Registry, ring: &KeyRing) {
        assert_eq!(registry.size().unwrap(), self.entries.len() as u64);
        let records = registry.records(0..u64::MAX).unwrap();
        let entries: Vec<_> = records.iter().map(|record| (record.at, record.envelope.clone())).collect();
        assert_eq!(entries, self.entries);
        for about in 0..4 {
            let name = format!("release-{about}");
            let found = registry.find(&Query::new().named(&name)).unwrap();
            let by_digest = registry.find(&Query::new().about(Digest::of(name.as_bytes()))).unwrap();
            let wanted: Vec<_> = (0_u64..)
                .zip(&self.entries)
                .filter(|(_, (_, envelope))| envelope.head().unwrap().subjects[0].name == name)
                .map(|(place, _)| place)
                .collect();
            assert_eq!(found.iter().map(|record| record.index).collect::<Vec<_>>(), wanted);
            assert_eq!(by_digest, found);
        }
        for (digest, bytes) in &self.contents {
            assert_eq!(registry.content(digest).unwrap().as_ref(), Some(bytes));
        }
        let checkpoints: Vec<_> = self.checkpoints.values().cloned().collect();
        assert_eq!(registry.checkpoints().unwrap(), checkpoints);
        let report = registry.verify(ring, checkpoints.first()).unwrap();
        assert_eq!(report.findings, []);
        assert_eq!((report.size, report.root), (self.entries.len() as u64, root(&self.leaves())));
        assert_eq!((report.checkpoints, report.contents), (checkpoints.len() as u64, self.contents.len() as u64));
        let leaves = self.leaves();
        for size in 0..=leaves.len() {
            assert_eq!(registry.root_at(size as u64).unwrap(), root(&leaves[..size]));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn a_registry_is_a_plain_list(acts in acts()) {
        let (mut kept, mut model) = (empty(), Model::default());
        let ring = ring(&["ada", "bob", "cyd"]);
        for act in acts {
            model.act(&mut kept, act);
        }
        model.compare(&kept.registry, &ring);
    }
}
