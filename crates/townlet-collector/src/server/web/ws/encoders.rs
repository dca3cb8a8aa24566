//! What one subscriber has of each stream, and the next line for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use townlet_schema::{Kind, LinePrefix, SchemaVersion};
use townlet_state::{Cadence, Rendered, StateEncoder};

use super::super::super::live::{Counts, Current, StreamName};

#[derive(Default)]
pub(super) struct Encoders(BTreeMap<Arc<StreamName>, Rendering>);

struct Rendering {
    encoder: StateEncoder,
    version: SchemaVersion,
    keyframe: LinePrefix,
    diff: LinePrefix,
    /// The subscriber asked for the state whole.
    wanted: bool,
}

impl Rendering {
    fn new(name: &StreamName, version: SchemaVersion) -> Self {
        let prefix = |kind| LinePrefix::new(version, kind, &name.run_id, &name.stream);
        // Nothing is lost on a connection, and a broken one is another subscriber.
        let encoder = StateEncoder::new(Cadence::default());
        Self { encoder, version, keyframe: prefix(Kind::Snapshot), diff: prefix(Kind::Diff), wanted: false }
    }

    fn line(&self, rendered: Rendered, body: &[u8], counts: &Counts) -> String {
        let (prefix, count) = match rendered.is_keyframe() {
            true => (&self.keyframe, &counts.keyframes),
            false => (&self.diff, &counts.diffs),
        };
        count.fetch_add(1, Ordering::Relaxed);
        let mut line = Vec::new();
        prefix.write_line(rendered.seq, rendered.tick, rendered.extra(), body, &mut line);
        line.truncate(line.trim_ascii_end().len());
        // JSON is written as UTF-8.
        String::from_utf8(line).unwrap_or_default()
    }
}

impl Encoders {
    /// The line that brings the subscriber to `current`; none where it is there.
    pub(super) fn render(&mut self, name: &Arc<StreamName>, current: &Current, counts: &Counts) -> Option<String> {
        let version = current.version;
        let rendering = self.0.entry(Arc::clone(name)).or_insert_with(|| Rendering::new(name, version));
        if rendering.encoder.base().is_some_and(|base| base.seq == current.state.seq) {
            return None;
        }
        if rendering.version != version {
            // Of another version: what it has is not spoken of in the new terms.
            *rendering = Rendering::new(name, version);
        }
        if std::mem::take(&mut rendering.wanted) {
            rendering.encoder.request_keyframe();
        }
        let mut body = Vec::new();
        let rendered = rendering.encoder.render(&current.state, &mut body);
        rendering.encoder.settled(rendered.seq);
        Some(rendering.line(rendered, &body, counts))
    }

    /// The subscriber wants these streams whole.
    pub(super) fn want(&mut self, run_id: Option<&str>, stream: Option<&str>) {
        for (name, rendering) in &mut self.0 {
            let fits = run_id.is_none_or(|run_id| run_id == name.run_id.as_str())
                && stream.is_none_or(|stream| stream == &*name.stream);
            rendering.wanted |= fits;
        }
    }

    /// A keyframe that was asked for, of the state that the subscriber has.
    pub(super) fn wanted(&mut self, counts: &Counts) -> Option<String> {
        let rendering = self.0.values_mut().find(|rendering| rendering.wanted)?;
        rendering.wanted = false;
        let mut body = Vec::new();
        let rendered = rendering.encoder.refresh(&mut body)?;
        Some(rendering.line(rendered, &body, counts))
    }

    pub(super) fn forget(&mut self, name: &Arc<StreamName>) {
        self.0.remove(name);
    }
}
