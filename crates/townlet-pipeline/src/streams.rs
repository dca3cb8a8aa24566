//! The streams of this run: names, kinds and numbering.

use std::any::TypeId;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use townlet_schema::{Kind, LinePrefix, Payload, RunId, SchemaVersion};
use townlet_transport::Label;

use crate::error::StreamError;

/// What never changes about a stream.
#[derive(Debug)]
pub(crate) struct StreamInfo {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) label: Label,
    pub(crate) prefix: LinePrefix,
    /// Of its diffs; it is a stream of states that some sink gets in another form
    /// than whole, so that its frames carry them unrendered.
    pub(crate) diff: Option<LinePrefix>,
    /// Items of per-tick sections that found no place in coalesced states.
    pub(crate) items_lost: AtomicU64,
    /// The payload type proves the bundled schema of its kind.
    pub(crate) proven: bool,
    /// No transform is concerned with its kind, and it is rendered once for all.
    pub(crate) passes: bool,
    payload: TypeId,
}

#[derive(Debug)]
pub(crate) struct Streams {
    run_id: RunId,
    infos: Vec<Arc<StreamInfo>>,
    seqs: Vec<u64>,
    /// Kinds that some transform is concerned with.
    concerned: Vec<Kind>,
    /// Some sink gets states in another form than whole.
    renders: bool,
}

impl Streams {
    pub(crate) fn new(run_id: RunId, concerned: Vec<Kind>, renders: bool) -> Self {
        Self { run_id, infos: Vec::new(), seqs: Vec::new(), concerned, renders }
    }

    pub(crate) fn run_id(&self) -> &RunId {
        &self.run_id
    }

    pub(crate) fn infos(&self) -> &[Arc<StreamInfo>] {
        &self.infos
    }

    pub(crate) fn get(&self, stream: u32) -> &Arc<StreamInfo> {
        &self.infos[stream as usize]
    }

    /// The stream of this name, and whether it is new.
    pub(crate) fn open<T: Payload>(&mut self, name: &str) -> Result<(u32, bool), StreamError> {
        let (kind, payload) = (T::KIND, TypeId::of::<T>());
        if let Some(index) = self.infos.iter().position(|i| &*i.name == name) {
            let same = self.infos[index].payload == payload && self.infos[index].kind == kind;
            return if same { Ok((index as u32, false)) } else { Err(StreamError::TypeMismatch(name.into())) };
        }
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        // A broker makes each part between dots a token of its subject, and takes no empty one.
        if name.len() > 128 || !name.bytes().all(fits) || name.split('.').any(str::is_empty) {
            return Err(StreamError::BadName(name.into()));
        }
        let prefix = |kind| LinePrefix::new(SchemaVersion::CURRENT, kind, &self.run_id, name);
        let diff = (self.renders && kind == Kind::Snapshot).then(|| prefix(Kind::Diff));
        self.infos.push(Arc::new(StreamInfo {
            name: name.into(),
            kind,
            label: Label::new(self.run_id.as_str(), name),
            prefix: prefix(kind),
            proven: T::PROVES_SCHEMA,
            passes: diff.is_none() && !self.concerned.contains(&kind),
            diff,
            items_lost: AtomicU64::new(0),
            payload,
        }));
        self.seqs.push(0);
        Ok((self.infos.len() as u32 - 1, true))
    }

    /// The number of the last event of a stream; 0 before the first.
    pub(crate) fn last_seq(&self, stream: u32) -> u64 {
        self.seqs[stream as usize]
    }

    /// Numbers the next event of a stream, from 1.
    pub(crate) fn next_seq(&mut self, stream: u32) -> u64 {
        let seq = &mut self.seqs[stream as usize];
        *seq += 1;
        *seq
    }
}
