//! What a stream of states costs with diffs, and without.

use townlet_schema::{ENVELOPE_KEYS, Json, Kind, LinePrefix, Object, ReadError, RunId, SchemaVersion};

use crate::sections::write_object;
use crate::{Cadence, State, StateEncoder};

/// A stream of states, rendered for one peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// Bytes of the bodies if every state travelled whole.
    pub full_bytes: u64,
    /// Bytes of the bodies as they were rendered.
    pub body_bytes: u64,
    /// The lines as they go on the wire, each with its newline.
    pub lines: Vec<Vec<u8>>,
    /// How many of them are keyframes.
    pub keyframes: u64,
}

impl Measured {
    /// Bytes of the lines.
    pub fn line_bytes(&self) -> u64 {
        self.lines.iter().map(|line| line.len() as u64).sum()
    }

    /// Bodies to whole states; 0 for no states.
    pub fn ratio(&self) -> f64 {
        self.share(self.body_bytes)
    }

    /// Lines, envelope and newline included, to whole states; 0 for no states.
    pub fn ratio_wire(&self) -> f64 {
        self.share(self.line_bytes())
    }

    /// `bytes` to whole states, as for lines that were compressed; 0 for no states.
    pub fn share(&self, bytes: u64) -> f64 {
        if self.full_bytes == 0 { 0.0 } else { bytes as f64 / self.full_bytes as f64 }
    }
}

/// Renders recorded snapshots, one JSON object a line, in any version, as a
/// stream for one peer: the first whole, the others as `cadence` has it. Their
/// envelopes are left out, and they are numbered from 1; the new envelopes are
/// as long as those of a real run.
///
/// # Errors
/// A line that is no JSON object.
pub fn measure(lines: &[u8], cadence: Cadence) -> Result<Measured, ReadError> {
    let run = RunId::from_u128(0x0193_2c07_1d3a_7cc2_8f6e_0123_4567_89ab);
    let prefix = |kind| LinePrefix::new(SchemaVersion::CURRENT, kind, &run, "town");
    let (keyframe, diff) = (prefix(Kind::Snapshot), prefix(Kind::Diff));
    let mut encoder = StateEncoder::new(cadence);
    let (mut measured, mut body) = (Measured::default(), Vec::new());
    for (line, seq) in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).zip(1..) {
        let tree = Json::parse(line)?;
        let tick = tree.get("tick").and_then(Json::as_u64).unwrap_or(seq);
        let mut sections: Object = tree.read()?;
        sections.retain(|key, _| !ENVELOPE_KEYS.contains(&key));

        body.clear();
        write_object(&sections, &mut body);
        measured.full_bytes += body.len() as u64;
        body.clear();
        let rendered = encoder.render(&State::new(seq, tick, sections), &mut body);
        measured.body_bytes += body.len() as u64;
        let prefix = if rendered.is_keyframe() { &keyframe } else { &diff };
        let mut line = Vec::new();
        prefix.write_line(rendered.seq, rendered.tick, rendered.extra(), &body, &mut line);
        measured.lines.push(line);
    }
    measured.keyframes = encoder.keyframes();
    Ok(measured)
}
