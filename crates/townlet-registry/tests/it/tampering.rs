//! Every change of a bundle of 50 KiB that is small enough to be tried out, and the sly ones that keep its form.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up must stop")]

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use townlet_registry::{Bundle, KeyRing};

use crate::support::{Story, release, story};

fn bundle() -> (Vec<u8>, KeyRing) {
    let Story { kept, ring, .. } = story();
    let bytes = kept.registry.bundle(&release(), &[]).unwrap().to_bytes();
    assert!(bytes.len() >= 50 * 1024, "{} bytes", bytes.len());
    passes(&bytes, &ring).then_some((bytes, ring)).unwrap()
}

/// The text with a check sum that fits, as whoever changes it on purpose would leave it.
fn sealed(bytes: &[u8]) -> Vec<u8> {
    let end = bytes.windows(5).rposition(|word| word == b"\nend ").map_or(bytes.len(), |at| at + 1);
    let mut bytes = bytes[..end].to_vec();
    bytes.extend(format!("end crc32:{:08x}\n", crc32fast::hash(&bytes)).into_bytes());
    bytes
}

/// Whether a change on purpose gets through.
fn gets_through(bytes: &[u8], ring: &KeyRing) -> bool {
    passes(&sealed(bytes), ring)
}

fn passes(bytes: &[u8], ring: &KeyRing) -> bool {
    Bundle::parse(bytes).is_ok_and(|bundle| bundle.verify(ring, None).is_ok())
}

/// Tries a change at every one of `count` places, on every core. Returns those that were not detected.
fn undetected(count: usize, try_at: impl Fn(usize) -> bool + Sync) -> Vec<usize> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        let try_at = &try_at;
        let shares: Vec<_> = (0..cores)
            .map(|core| scope.spawn(move || (core..count).step_by(cores).filter(|at| try_at(*at)).collect::<Vec<_>>()))
            .collect();
        shares.into_iter().flat_map(|share| share.join().unwrap()).collect()
    })
}

#[test]
fn every_flip_of_every_bit_is_detected() {
    let (bytes, ring) = bundle();
    let through = undetected(bytes.len(), |at| {
        let mut changed = bytes.clone();
        (0..8).any(|bit| {
            changed[at] = bytes[at] ^ (1 << bit);
            passes(&changed, &ring)
        })
    });
    assert_eq!(through, [0; 0]);
}

/// The same without the help of the check sum. By default one bit of each byte, of each third in entries and contents;
/// all with `TOWNLET_FULL=1` (`cargo xtask registry --full`).
#[test]
fn flips_are_detected_by_hashes_and_signatures_alone() {
    let (bytes, ring) = bundle();
    let full = std::env::var_os("TOWNLET_FULL").is_some();
    let lines = lines(&bytes);
    let mut in_entry = Vec::with_capacity(bytes.len());
    for line in &lines[..lines.len() - 1] {
        in_entry.extend(std::iter::repeat_n(line.starts_with(b"{") || line.starts_with(b"content"), line.len()));
    }
    let flips = AtomicUsize::new(0);
    let through = undetected(in_entry.len(), |at| {
        let mut changed = bytes.clone();
        let tried = |bit: usize| full || (bit == at / 3 % 8 && (!in_entry[at] || at % 3 == 0));
        (0..8).filter(|bit| tried(*bit)).any(|bit| {
            flips.fetch_add(1, Ordering::Relaxed);
            changed[at] = bytes[at] ^ (1 << bit);
            gets_through(&changed, &ring)
        })
    });
    println!("{} flips of {} bytes", flips.into_inner(), bytes.len());
    assert_eq!(through, [0; 0]);
}

#[test]
fn every_truncation_is_detected() {
    let (bytes, ring) = bundle();
    assert_eq!(undetected(bytes.len(), |at| passes(&bytes[..at], &ring)), [0; 0]);
    let end = bytes.windows(5).rposition(|word| word == b"\nend ").unwrap();
    let cut = undetected(end, |at| at % 7 == 0 && gets_through(&[&bytes[..at], b"\n"].concat(), &ring));
    assert_eq!(cut, [0; 0]);
}

#[test]
fn every_byte_left_out_doubled_or_inserted_is_detected() {
    let (bytes, ring) = bundle();
    let left_out = undetected(bytes.len(), |at| passes(&[&bytes[..at], &bytes[at + 1..]].concat(), &ring));
    assert_eq!(left_out, [0; 0]);
    let doubled = undetected(bytes.len(), |at| passes(&[&bytes[..=at], &bytes[at..]].concat(), &ring));
    assert_eq!(doubled, [0; 0]);
    let end = bytes.windows(5).rposition(|word| word == b"\nend ").unwrap();
    for (shift, byte) in [b'\n', b' ', b'\r', b'0'].into_iter().enumerate() {
        let inserted = undetected(end, |at| {
            at % 16 == shift && gets_through(&[&bytes[..at], &[byte], &bytes[at..]].concat(), &ring)
        });
        assert_eq!(inserted, [0; 0]);
    }
}

/// The lines of the text, each with its newline.
fn lines(bytes: &[u8]) -> Vec<Vec<u8>> {
    bytes.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
}

#[test]
fn every_exchange_of_two_lines_is_detected() {
    let (bytes, ring) = bundle();
    let lines = lines(&bytes);
    let through = undetected(lines.len() * lines.len(), |pair| {
        let (a, b) = (pair / lines.len(), pair % lines.len());
        if a >= b || lines[a] == lines[b] {
            return false;
        }
        let mut changed = lines.clone();
        changed.swap(a, b);
        gets_through(&changed.concat(), &ring)
    });
    assert_eq!(through, [0; 0]);
}

/// Where the entries are: the line with place and proof, and the one below.
fn entries(lines: &[Vec<u8>]) -> Vec<usize> {
    (0..lines.len()).filter(|at| lines[*at].starts_with(b"entry ")).collect()
}

#[test]
fn every_exchange_of_two_whole_entries_is_detected() {
    let (bytes, ring) = bundle();
    let lines = lines(&bytes);
    let entries = entries(&lines);
    let through = undetected(entries.len() * entries.len(), |pair| {
        let (a, b) = (entries[pair / entries.len()], entries[pair % entries.len()]);
        if a >= b {
            return false;
        }
        let (mut both, mut bodies, mut proofs) = (lines.clone(), lines.clone(), lines.clone());
        both.swap(a, b);
        both.swap(a + 1, b + 1);
        bodies.swap(a + 1, b + 1);
        proofs.swap(a, b);
        [both, bodies, proofs].iter().any(|changed| gets_through(&changed.concat(), &ring))
    });
    assert_eq!(through, [0; 0]);
}

/// A bundle with its count of entries and contents set to what they are.
fn recounted(lines: &[Vec<u8>]) -> Vec<u8> {
    let count = |word: &[u8]| lines.iter().filter(|line| line.starts_with(word)).count();
    let holds = format!(
        "holds {} entries, {} contents, {} earlier sizes\n",
        count(b"entry "),
        count(b"content "),
        count(b"began ")
    );
    let mut lines = lines.to_vec();
    lines[2] = holds.into_bytes();
    sealed(&lines.concat())
}

#[test]
fn no_entry_can_be_inserted_not_even_a_true_one() {
    let Story { kept, ring, .. } = story();
    let (bytes, _) = bundle();
    let lines = lines(&bytes);
    assert_eq!(recounted(&lines), bytes);
    // Entry 3 is in the log, about something else, with its true proof.
    let digest = kept.registry.records(3..4).unwrap()[0].digest;
    let other = self::lines(&kept.registry.bundle(&digest, &[]).unwrap().to_bytes());
    let at = entries(&other)[0];
    for place in entries(&lines) {
        let mut changed = lines.clone();
        changed.splice(place..place, other[at..at + 2].to_vec());
        assert!(!gets_through(&recounted(&changed), &ring));
        // An entry that is there already.
        let mut twice = lines.clone();
        twice.splice(place..place, lines[place..place + 2].to_vec());
        assert!(!gets_through(&recounted(&twice), &ring));
    }
    let content = format!("content {} {}\n", townlet_registry::Digest::of(b"abc"), "YWJj");
    for place in 0..=lines.len() {
        let mut changed = lines.clone();
        changed.insert(place, content.clone().into_bytes());
        assert!(!gets_through(&recounted(&changed), &ring));
    }
}

#[test]
fn an_entry_that_was_left_out_is_missed_where_another_names_it_and_in_the_whole_log() {
    let Story { kept, ring, .. } = story();
    let (bytes, _) = bundle();
    let lines = lines(&bytes);
    // Entry 0, the rehearsal, is named by entry 1.
    let mut changed = lines.clone();
    let first = entries(&lines)[0];
    changed.drain(first..first + 2);
    let changed = recounted(&changed);
    let verified = Bundle::parse(&changed).unwrap();
    let verified = verified.verify(&ring, None).unwrap();
    let left_out = kept.registry.records(0..1).unwrap()[0].digest;
    assert!(verified.absent.contains(&left_out));

    let whole = self::lines(&kept.registry.bundle_all().unwrap().to_bytes());
    for place in entries(&whole) {
        let mut changed = whole.clone();
        changed.drain(place..place + 2);
        assert!(!gets_through(&recounted(&changed), &ring));
    }
}

#[test]
fn every_exchange_of_keys_is_detected() {
    let (bytes, ring) = bundle();
    let text = String::from_utf8(bytes).unwrap();
    let keys: Vec<String> = ring.keys().map(|(id, _)| id.to_string()).collect();
    let mut tried = 0;
    for key in &keys {
        for (at, _) in text.match_indices(key.as_str()) {
            for other in keys.iter().filter(|other| *other != key) {
                let changed = format!("{}{other}{}", &text[..at], &text[at + key.len()..]);
                assert!(!gets_through(changed.as_bytes(), &ring));
                tried += 1;
            }
        }
        for other in keys.iter().filter(|other| *other != key) {
            assert!(!gets_through(text.replace(key, other).as_bytes(), &ring) || !text.contains(key));
        }
    }
    assert!(tried > 60, "{tried}");
}

#[test]
fn flips_in_a_bundle_of_the_whole_log_are_detected_too() {
    let Story { kept, ring, .. } = story();
    let bytes = kept.registry.bundle_all().unwrap().to_bytes();
    assert!(passes(&bytes, &ring));
    let end = bytes.windows(5).rposition(|word| word == b"\nend ").unwrap();
    let through = undetected(end, |at| {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        at % 19 == 0 && gets_through(&changed, &ring)
    });
    assert_eq!(through, [0; 0]);
}
