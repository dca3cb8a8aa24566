//! States for readers of schema 0.9.

use townlet_schema::{Json, Kind, Object, SchemaVersion, Section};

use crate::State;
use crate::cadence::{Cadence, Reason, Since};
use crate::sections::write_key;

/// Renders the states of one stream as lines of 0.9.7, for one peer that knows
/// nothing later: `wire: legacy-0.9`.
///
/// The form is the predecessor's: first a snapshot with its 27 keys, then diffs
/// with the whole new value of each section that changed under `changes`, and
/// the names of sections that are gone under `removed`. Those lines have no
/// envelope, and so no way to find a loss: its readers count on a connection
/// that keeps order. When they get a snapshot is decided as by
/// [`StateEncoder`](crate::StateEncoder).
///
/// Sections of today that 0.9 did not have are left out. `conflict.rivalry` has
/// the three scores of a tie again. Sections that this schema does not know go
/// along as they are.
///
/// ```
/// use townlet_schema::{Json, Kind, Object};
/// use townlet_state::{Cadence, LegacyEncoder, State};
///
/// let object = |text: &str| Json::parse(text.as_bytes()).map(|json| json.as_object().cloned().unwrap_or_default());
/// let mut reader = LegacyEncoder::new(Cadence::default());
/// let mut line = Vec::new();
/// reader.render(&State::new(1, 40, object(r#"{"jobs":{"ann":{"wallet":1.0}},"utilities":{"power":true,"water":true}}"#)?), &mut line);
/// line.clear();
/// reader.render(&State::new(2, 41, object(r#"{"jobs":{},"utilities":{"power":true,"water":true}}"#)?), &mut line);
/// assert_eq!(line, b"{\"schema_version\":\"0.9.7\",\"tick\":41,\"payload_type\":\"diff\",\"changes\":{\"jobs\":{}}}\n");
/// # Ok::<(), townlet_schema::ReadError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LegacyEncoder {
    cadence: Cadence,
    base: Option<(u64, Object)>,
    since: Since,
    requested: bool,
}

impl LegacyEncoder {
    /// For a peer that has nothing yet.
    pub fn new(cadence: Cadence) -> Self {
        Self { cadence, base: None, since: Since::default(), requested: false }
    }

    /// Appends the line for `state`, its newline included, and takes the peer to
    /// have it from now on. Says which kind of line it is, and of a snapshot why.
    pub fn render(&mut self, state: &State, out: &mut Vec<u8>) -> (Kind, Option<Reason>) {
        let sections = downgraded(&state.sections);
        let start = out.len();
        let reason = match &self.base {
            None => Some(Reason::NoBase),
            _ if self.requested => Some(Reason::Requested),
            _ if self.since.is_due(self.cadence) => Some(Reason::Due),
            Some((seq, _)) if state.seq <= *seq => Some(Reason::OutOfOrder),
            Some((_, base)) => {
                begin(state.tick, Kind::Diff, out);
                write_changes(base, &sections, out);
                None
            }
        };
        if reason.is_some() {
            begin(state.tick, Kind::Snapshot, out);
            for (key, value) in in_order(&sections) {
                out.push(b',');
                write_key(key, out);
                value.write(out);
            }
            self.since.keyframe(out.len() - start);
            self.requested = false;
        } else {
            self.since.diff(out.len() - start);
        }
        out.extend_from_slice(b"}\n");
        self.base = Some((state.seq, sections));
        (if reason.is_some() { Kind::Snapshot } else { Kind::Diff }, reason)
    }

    /// The next state travels whole.
    pub fn request_keyframe(&mut self) {
        self.requested = true;
    }

    /// Nothing is known any more of what the peer has.
    pub fn connection_lost(&mut self) {
        self.base = None;
    }

    /// State `seq` was rendered and did not reach the peer, although the
    /// connection stands. The next one travels whole: these readers cannot tell.
    pub fn withdraw(&mut self, seq: u64) {
        if self.base.as_ref().is_some_and(|(base, _)| *base >= seq) {
            self.base = None;
        }
    }
}

fn begin(tick: u64, kind: Kind, out: &mut Vec<u8>) {
    let (version, kind) = (SchemaVersion::LEGACY, kind.as_str());
    let head = format!(r#"{{"schema_version":"{version}","tick":{tick},"payload_type":"{kind}""#);
    out.extend_from_slice(head.as_bytes());
}

fn write_changes(base: &Object, next: &Object, out: &mut Vec<u8>) {
    out.extend_from_slice(br#","changes":{"#);
    let mut separator: &[u8] = b"";
    for (key, value) in in_order(next).filter(|(key, value)| base.get(key) != Some(value)) {
        out.extend_from_slice(separator);
        separator = b",";
        write_key(key, out);
        value.write(out);
    }
    out.push(b'}');
    let removed: Vec<Json> = base.keys().filter(|key| !next.contains_key(key)).map(Json::from).collect();
    if !removed.is_empty() {
        out.extend_from_slice(br#","removed":"#);
        Json::Array(removed).write(out);
    }
}

/// Known sections in the order that they always had, others behind.
fn in_order(sections: &Object) -> impl Iterator<Item = (&str, &Json)> {
    let known = Section::ALL.iter().filter_map(|section| Some((section.name(), sections.get(section.name())?)));
    known.chain(sections.iter().filter(|(key, _)| Section::from_name(key).is_none()))
}

/// The sections as 0.9 had them.
///
/// On the tree and not on types: redaction may have put a mask where a number
/// was, and such a state must go out as well.
fn downgraded(sections: &Object) -> Object {
    let mut old = sections.clone();
    for later in [Section::AffordanceRuntime, Section::Personalities, Section::SocialEvents] {
        old.remove(later.name());
    }
    // Never null in 0.9: absent where nobody knows it.
    if old.get("policy_identity").is_some_and(Json::is_null) {
        old.remove("policy_identity");
    }
    let rivalry = old.get_mut("conflict").and_then(Json::as_object_mut).and_then(|c| c.get_mut("rivalry"));
    if let Some(Json::Object(owners)) = rivalry {
        for (owner, others) in owners.iter_mut() {
            let ties = sections.get("relationship_snapshot").and_then(|ties| ties.get(owner));
            let others = others.as_object_mut().into_iter().flat_map(Object::iter_mut);
            for (other, score) in others.filter(|(_, score)| score.as_number().is_some()) {
                *score = tie(ties.and_then(|ties| ties.get(other)), score);
            }
        }
    }
    old
}

/// The scores of a tie, its rivalry being the one of the conflict.
fn tie(tie: Option<&Json>, rivalry: &Json) -> Json {
    let of = |name: &str| tie.and_then(|tie| tie.get(name)).cloned().unwrap_or_else(zero);
    let scores = [("trust", of("trust")), ("familiarity", of("familiarity")), ("rivalry", rivalry.clone())];
    Json::Object(scores.into_iter().collect())
}

fn zero() -> Json {
    Json::try_from(0.0).unwrap_or_default()
}
