//! The files of a release that people write, and the records that runs leave: any text is refused with places that exist,
//! or is what its reader says, and what can be written back reads as the same.
//!
//! An input begins with a letter that says which: m anifest, b oard, g ate policy, s amples, u suites, r ehearsal,
//! c scorecard, j unit, t imes of Criterion.

#![no_main]

use libfuzzer_sys::fuzz_target;
use townlet_fuzz::places::have_places;
use townlet_gate::gate::{Board, Samples, read_policy};
use townlet_gate::manifest;
use townlet_policy::Findings;
use townlet_readiness::report::Scorecard;
use townlet_readiness::{rehearsal, results, suite};

const FILE: &str = "fuzz.yaml";

fuzz_target!(|bytes: &[u8]| {
    let [which, text @ ..] = bytes else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    match which {
        b'm' => release_manifest(text),
        b'b' => refused(Board::read(text, FILE).map(drop), text),
        b'g' => refused(read_policy(text, FILE).map(drop), text),
        b's' => refused(Samples::read(text, FILE).map(drop), text),
        b'u' => read_with(text, |text, found| suite::Config::read(text, found).is_some()),
        b'r' => read_with(text, |text, found| rehearsal::Config::read(text, found).is_some()),
        b'c' => scorecard(text),
        b'j' => drop(results::read_junit(text)),
        b't' => drop(results::Estimates::read(text)),
        _ => {}
    }
});

fn refused(read: Result<(), Findings>, text: &str) {
    if let Err(found) = read {
        assert!(found.has_errors(), "refused for no reason: {found}");
        have_places(&found, text);
    }
}

fn read_with(text: &str, read: impl Fn(&str, &mut Findings) -> bool) {
    let mut found = Findings::new(FILE, text);
    let is_read = read(text, &mut found);
    assert_eq!(is_read, !found.has_errors(), "{found}");
    have_places(&found, text);
}

fn release_manifest(text: &str) {
    match manifest::read(text, FILE) {
        Err(found) => refused(Err(found), text),
        Ok(read) => {
            // Its digest is that of its canonical text, however the file is laid out.
            let canonical = read.to_bytes().expect("what was read can be written");
            let again = manifest::read(std::str::from_utf8(&canonical).expect("JSON"), FILE);
            assert_eq!(again.unwrap_or_else(|found| panic!("{found}")), read);
        }
    }
}

fn scorecard(text: &str) {
    let Ok(card) = serde_json::from_str::<Scorecard>(text) else { return };
    let written = serde_json::to_string(&card).expect("what was read can be written");
    assert_eq!(serde_json::from_str::<Scorecard>(&written).expect("and read again"), card);
}
