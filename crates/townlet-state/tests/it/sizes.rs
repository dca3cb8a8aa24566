//! How small diffs are, over the recorded stream of the predecessor.

use std::io::Write;

use flate2::{Compression, write::ZlibEncoder};
use townlet_state::{Cadence, measure};

use crate::data::predecessor;

#[test]
fn bodies_of_diffs_are_at_most_16_percent_of_the_states() {
    let measured = measure(&predecessor(), Cadence::default()).unwrap();
    assert_eq!((measured.lines.len(), measured.keyframes), (120, 1));
    assert!(measured.ratio() <= 0.16, "{:.4}", measured.ratio());
}

#[test]
fn whole_lines_are_at_most_17_5_percent_of_the_states() {
    let measured = measure(&predecessor(), Cadence::default()).unwrap();
    assert!(measured.ratio_wire() <= 0.175, "{:.4}", measured.ratio_wire());
}

#[test]
fn compressed_lines_flushed_after_every_tick_are_at_most_2_2_percent_of_the_states() {
    let measured = measure(&predecessor(), Cadence::default()).unwrap();
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(8));
    for line in &measured.lines {
        encoder.write_all(line).unwrap();
        encoder.flush().unwrap();
    }
    let compressed = encoder.finish().unwrap();
    let ratio = measured.share(compressed.len() as u64);
    assert!(ratio <= 0.022, "{ratio:.4}");
}
