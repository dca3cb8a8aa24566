#![expect(clippy::unwrap_used, reason = "tests")]

use townlet_registry::{Checkpoint, Digest, ErrorKind, KeyRing, Role, SignedCheckpoint, Time, TrustedKey};

use crate::support::{noon, ring, signer, trusted};

fn checkpoint() -> SignedCheckpoint {
    let root = Digest::of(b"root");
    Checkpoint { origin: "test.example/log".to_owned(), size: 42, root, at: noon() }.sign(&signer("log")).unwrap()
}

#[test]
fn a_checkpoint_is_a_note_as_c2sp_writes_it() {
    let text = checkpoint().to_string();
    let lines: Vec<&str> = text.split('\n').collect();
    assert_eq!(lines[0], "test.example/log");
    assert_eq!(lines[1], "42");
    assert_eq!(lines[2], "SBNJTRN+FjG7owHVrKtue7eqdM4RhdRWVl71HXN2d7I=");
    assert_eq!(lines[3], "at 2026-11-21T16:00:00.000Z");
    assert_eq!(lines[4], "");
    assert!(lines[5].starts_with("\u{2014} test.example/log "));
    assert_eq!(lines[6..], [""]);
    let back = SignedCheckpoint::parse(&text).unwrap();
    assert_eq!(back, checkpoint());
    assert_eq!(back.verify(&ring(&[])).unwrap().1.person, "log");
}

#[test]
fn lines_of_witnesses_do_not_matter_and_the_line_of_the_log_does() {
    let text = checkpoint().to_string();
    let line = text.split_once("\n\n").unwrap().1.to_owned();
    let witness = line.replace("test.example/log", "witness.example");
    let witnessed = SignedCheckpoint::parse(&format!("{text}{witness}")).unwrap();
    witnessed.verify(&ring(&[])).unwrap();
    let alone = SignedCheckpoint::parse(&text.replace(&line, &witness)).unwrap();
    assert_eq!(alone.verify(&ring(&[])).unwrap_err().kind(), ErrorKind::UnknownKey);
}

#[test]
fn only_a_key_in_the_role_of_the_log_signs_checkpoints_and_only_in_its_time() {
    let unknown = checkpoint().verify(&KeyRing::new()).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::UnknownKey);

    let mut other_role = KeyRing::new();
    other_role.trust(trusted("log", &["sre"])).unwrap();
    let error = checkpoint().verify(&other_role).unwrap_err();
    assert!(error.kind() == ErrorKind::UnknownKey && error.to_string().contains("role `log`"), "{error}");

    let mut later = KeyRing::new();
    later.trust(TrustedKey { from: Time::from_ms(noon().as_ms() + 1), ..trusted("log", &[Role::LOG]) }).unwrap();
    assert_eq!(checkpoint().verify(&later).unwrap_err().kind(), ErrorKind::KeyNotValid);
}

#[test]
fn every_bit_of_a_checkpoint_matters() {
    let ring = ring(&[]);
    let bytes = checkpoint().to_string().into_bytes();
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let passes = std::str::from_utf8(&changed)
            .is_ok_and(|text| SignedCheckpoint::parse(text).is_ok_and(|read| read.verify(&ring).is_ok()));
        assert!(!passes, "bit {} of byte {}", bit % 8, bit / 8);
    }
    for end in 0..bytes.len() {
        assert!(SignedCheckpoint::parse(&String::from_utf8_lossy(&bytes[..end])).is_err());
    }
}

#[test]
fn names_that_a_note_cannot_carry_are_refused() {
    for origin in ["", "two words", "a+b", "a\nb", "a\u{a0}b"] {
        let checkpoint = Checkpoint { origin: origin.to_owned(), size: 0, root: Digest::of(b""), at: noon() };
        assert_eq!(checkpoint.sign(&signer("log")).unwrap_err().kind(), ErrorKind::Malformed, "{origin}");
    }
}
