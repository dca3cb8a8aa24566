//! `diff-size`: the recorded stream of the predecessor, with diffs instead of whole states.

use std::io::Write;

use anyhow::{Context, ensure};
use flate2::{Compression, write::ZlibEncoder};
use townlet_state::{Cadence, measure as render};
use townlet_transport_tcp::DEFLATE_LEVEL;

use super::{Finding, Run};

/// 120 ticks, each a whole snapshot.
const RECORDED: &[u8] = include_bytes!("../../../../samples/predecessor/telemetry_stream_0.9.0.jsonl");

/// The stream is as long as it was recorded: every effort measures the same.
pub(super) fn measure(_: &Run) -> anyhow::Result<Finding> {
    let rendered = render(RECORDED, Cadence::default()).context("reading the recorded stream")?;
    ensure!(rendered.lines.len() == 120, "the recorded stream has {} ticks, not 120", rendered.lines.len());
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::new(DEFLATE_LEVEL));
    for line in &rendered.lines {
        encoder.write_all(line)?;
        // A peer must be able to read each tick as it comes.
        encoder.flush()?;
    }
    let compressed = encoder.finish()?.len() as u64;
    let mut finding = Finding::default();
    finding.note("ticks", rendered.lines.len() as u64);
    finding.note("keyframes", rendered.keyframes);
    finding.note("full_bytes", rendered.full_bytes);
    let shares = [
        ("ratio", rendered.body_bytes, 0.16),
        ("ratio_wire", rendered.line_bytes(), 0.175),
        ("ratio_compressed", compressed, 0.022),
    ];
    for (name, bytes, most) in shares {
        let ratio = rendered.share(bytes);
        finding.note(name, (ratio * 1e4).round() / 1e4);
        finding.note(format!("{name}_bytes"), bytes);
        finding.require(ratio <= most, || format!("{name} is {ratio:.4}, above {most}"));
    }
    finding.require(rendered.keyframes == 1, || format!("{} keyframes, not one", rendered.keyframes));
    Ok(finding)
}
