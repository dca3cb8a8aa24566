//! The receiving side of one sink: a collector without its sockets, a reader that
//! follows its states over all runs, and one to whom not every line comes.

use std::collections::{HashMap, HashSet};

use townlet_collector::{Connection, Receiver, Took};
use townlet_schema::read_head;
use townlet_state::{Follower, Step};
use townlet_testkit::disk::Dice;
use townlet_transport::Frame;

use super::ground_truth::{Arriving, FIRST_STATES, Id, NAMES, Truth, number_of, run_id};

/// Gaps that are kept of a stream: more than there ever are.
const GAPS: usize = 1 << 16;
/// So many states at a stretch are more than late lines.
const GOES_ON: u32 = 8;
/// Streams that are followed: those of all runs.
const FOLLOWED: usize = 1 << 10;

#[derive(Debug)]
pub(crate) struct Peer {
    collector: Receiver,
    connection: Connection,
    /// By stream of states.
    readers: Vec<Follower>,
    /// As those, behind something that loses every fourth line.
    far_readers: Vec<Follower>,
    losses: Dice,
    /// Lines of older runs than the one that the reader holds, at a stretch.
    behind: [u32; NAMES.len() - FIRST_STATES],
    /// Keyframes that came, by rendering.
    keyframes: HashSet<(Id, u64)>,
    /// The newest state that came, by run and stream.
    newest: HashMap<(u32, usize), u64>,
    /// A line came behind later ones: readers may have missed something.
    disturbed: bool,
    /// States that came as diffs.
    pub(crate) diffs: u64,
}

impl Default for Peer {
    fn default() -> Self {
        let collector = Receiver::new(GAPS, FOLLOWED);
        let readers: Vec<_> = NAMES[FIRST_STATES..].iter().map(|name| Follower::new(name)).collect();
        let (far_readers, losses) = (readers.clone(), Dice::new(4));
        let connection = collector.connect();
        let (behind, keyframes, newest) = Default::default();
        Self {
            collector,
            connection,
            readers,
            far_readers,
            losses,
            behind,
            keyframes,
            newest,
            disturbed: false,
            diffs: 0,
        }
    }
}

impl Peer {
    /// The next lines come over another connection.
    pub(crate) fn connect(&mut self) {
        self.connection = self.collector.connect();
    }

    /// A line comes; `first`: its number has not come before.
    pub(crate) fn take(&mut self, truth: &mut Truth, line: &Frame, first: bool, how: Arriving) {
        let id = Id::of(line);
        let took = self.connection.take(line.line());
        let head = id.is_state().then(|| read_head(line.line()));
        let head = head.map(|head| head.unwrap_or_else(|e| panic!("no line: {id:?}: {e}")));
        let rendering = head.as_ref().and_then(|head| head.rendering);
        let new = match rendering {
            Some(rendering) => {
                // Each line comes at most once, so whoever knows them by name has to keep them all.
                let is_new = self.keyframes.insert((id, rendering));
                assert!(is_new, "two keyframes of {id:?} have the name {rendering}");
                is_new
            }
            None => first,
        };
        let expected = if new { Took::New } else { Took::Duplicate };
        assert_eq!(took, expected, "the collector, of {id:?}, rendering {rendering:?}");
        let Some(head) = head else { return };
        self.disturbed |= how.late;
        self.diffs += u64::from(head.base_seq.is_some());
        let newest = self.newest.entry((id.run, id.stream)).or_default();
        *newest = id.seq.max(*newest);
        let reader = &mut self.readers[id.stream - FIRST_STATES];
        let place = |reader: &Follower| {
            let run = reader.run_id().and_then(|run| number_of(run.as_str()));
            run.zip(reader.state().map(|state| state.seq))
        };
        let before = place(reader);
        let mut feed = |reader: &mut Follower| {
            let step = reader.feed_read(&head, line.line());
            if let (Some((run, seq)), Some(state)) = (place(reader), reader.state()) {
                truth.check_state(Id { run, seq, ..id }, &state.sections);
            }
            step.unwrap_or_else(|e| panic!("a reader cannot take {id:?}: {e}"))
        };
        let step = feed(reader);
        // Whatever is lost, a state is a true one.
        if self.losses.below(4) > 0 {
            feed(&mut self.far_readers[id.stream - FIRST_STATES]);
        }
        let behind = &mut self.behind[id.stream - FIRST_STATES];
        *behind = if before.is_some_and(|(run, _)| id.run < run) { *behind + 1 } else { 0 };
        // Late lines neither put a reader back, nor to an older run unless that one goes on.
        assert!(*behind >= GOES_ON || place(reader) >= before, "{id:?} puts a reader back from {before:?}");
        let of_run = run_id(id.run);
        if let Some(state) = self.collector.state(of_run.as_str(), NAMES[id.stream]) {
            truth.check_state(Id { seq: state.seq, ..id }, &state.sections);
        }
        if reader.run_id() == Some(&of_run) && reader.state().is_some_and(|state| state.seq == id.seq) {
            truth.check_what_merged(id);
        }
        // What lost connections brought, and when, does not matter: where one begins is a whole state.
        let misses = matches!(step, Step::Gap { .. }) && !how.late;
        assert!(!misses, "a diff against a state that the peer does not have: {id:?}, {step:?}");
        // What comes in order leads to the newest state: nobody has to ask for a whole one.
        if id.run == how.live && !self.disturbed {
            let at = reader.state().map(|state| state.seq);
            assert!(reader.run_id() == Some(&of_run), "a reader stays with another run than that of {id:?}");
            assert!(at == Some(*newest) && !reader.is_stale(), "a reader is at {at:?}, and {newest} came");
        }
    }

    /// At the end: the collector shows the newest state that came of a run.
    pub(crate) fn judge(&self, run: u32) {
        for (stream, name) in NAMES.iter().enumerate().skip(FIRST_STATES) {
            let Some(newest) = self.newest.get(&(run, stream)).filter(|_| !self.disturbed) else { continue };
            let shown = self.collector.state(run_id(run).as_str(), name).map(|state| state.seq);
            assert_eq!(shown, Some(*newest), "what subscribers of {name} see");
        }
    }
}
