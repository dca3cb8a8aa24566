//! What is signed and kept: any bytes are refused, or are what they say to the byte; and nobody is believed whom the ring
//! does not know.
//!
//! An input begins with a letter that says which: b undle, e nvelope, k ey ring, c heckpoint, v etted, d ecision, r aw
//! record of a probe.

#![no_main]

use libfuzzer_sys::fuzz_target;
use townlet_gate::gate::Decision;
use townlet_gate::statement::{Body, Evidence};
use townlet_history::History;
use townlet_history::readyz::{self, Probe, Summary};
use townlet_registry::{Bundle, Envelope, KeyRing, Record, SignedCheckpoint, Time, Vetted};

fuzz_target!(|bytes: &[u8]| {
    let [which, bytes @ ..] = bytes else { return };
    match which {
        b'b' => bundle(bytes),
        b'e' => envelope(bytes),
        b'k' => ring(bytes),
        b'c' => checkpoint(bytes),
        b'v' => {
            if let Ok(vetted) = Vetted::from_bytes(bytes) {
                assert_eq!(vetted.to_bytes().expect("what was read can be written"), bytes);
            }
        }
        b'd' => {
            if let Ok(decision) = Decision::from_bytes(bytes) {
                assert!(
                    decision.to_bytes().expect("what was read can be written") == bytes,
                    "another text of the same decision"
                );
                let _ = townlet_gate::gate::explain(&decision);
            }
        }
        b'r' => probes(bytes),
        _ => {}
    }
});

fn bundle(bytes: &[u8]) {
    let Ok(bundle) = Bundle::parse(bytes) else { return };
    assert_eq!(bundle.to_bytes(), bytes, "another text of the same bundle");
    assert!(bundle.verify(&KeyRing::new(), None).is_err(), "believed without a key");
}

fn envelope(bytes: &[u8]) {
    let Ok(envelope) = Envelope::from_slice(bytes) else { return };
    assert_eq!(envelope.to_vec().expect("what was read can be written"), bytes);
    let _ = Body::read(&envelope);
    if let Ok(evidence) = Evidence::read(bytes, &KeyRing::new()) {
        assert!(evidence.signers.is_err(), "believed without a key");
    }
    let (at, digest) = (Time::from_ms(0), envelope.digest().expect("as above"));
    let history = History::read(&[Record { index: 0, at, digest, envelope }], &KeyRing::new(), at);
    assert_eq!(history, History { not_counted: history.not_counted.clone(), ..History::default() });
}

fn ring(bytes: &[u8]) {
    let Ok(ring) = KeyRing::from_json(bytes) else { return };
    let written = ring.to_json().expect("what was read can be written");
    assert_eq!(KeyRing::from_json(&written).expect("and read again"), ring);
    ring.digest().expect("and has a name");
}

fn checkpoint(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(checkpoint) = SignedCheckpoint::parse(text) else { return };
    assert_eq!(checkpoint.to_string(), text, "another text of the same checkpoint");
    assert!(checkpoint.verify(&KeyRing::new()).is_err(), "believed without a key");
}

fn probes(bytes: &[u8]) {
    let Ok(probes) = readyz::read(bytes) else { return };
    let written: String = probes.iter().map(Probe::line).collect();
    assert_eq!(readyz::read(written.as_bytes()).as_ref(), Ok(&probes));
    if let Some(summary) = Summary::of(&probes) {
        assert_eq!(summary.ready + summary.not_ready + summary.unanswered, summary.probes);
    }
}
