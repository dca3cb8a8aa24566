//! What `inspect` takes from a line beyond its envelope.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hasher};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use townlet_schema::{Json, Kind, Object, Record};

/// What a record is, over all schema versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) name: &'static str,
    pub(super) cadence: Cadence,
}

/// How often a loop emits records of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cadence {
    /// One state each tick: snapshots and the diffs between them.
    State,
    /// One envelope of observations each tick.
    Observation,
    /// Whenever something happens.
    Other,
}

impl Class {
    pub(super) fn of(record: &Record) -> Self {
        let class = |name, cadence| Self { name, cadence };
        match record {
            Record::Snapshot(_) | Record::LegacySnapshot(_) => class(Kind::Snapshot.as_str(), Cadence::State),
            Record::Diff(_) | Record::StateDiff(_) | Record::LegacyDiff(_) => {
                class(Kind::Diff.as_str(), Cadence::State)
            }
            Record::Event(_) => class(Kind::Event.as_str(), Cadence::Other),
            Record::Health(_) => class(Kind::Health.as_str(), Cadence::Other),
            Record::Failure(_) | Record::LegacyFailure(_) => class(Kind::Failure.as_str(), Cadence::Other),
            Record::Console(_) => class(Kind::Console.as_str(), Cadence::Other),
            Record::Narration(_) => class(Kind::Narration.as_str(), Cadence::Other),
            Record::Run(_) => class(Kind::Run.as_str(), Cadence::Other),
            Record::Observation(_) => class("observation", Cadence::Observation),
            Record::ConsoleSnapshot(_) => class("console_snapshot", Cadence::Other),
            _ => class("other", Cadence::Other),
        }
    }
}

/// The top-level keys that a comparison needs.
#[derive(Default, Deserialize)]
struct Probe<'a> {
    #[serde(borrow, default)]
    runtime_variant: Option<&'a RawValue>,
    #[serde(borrow, default)]
    queue_metrics: Option<&'a RawValue>,
    #[serde(borrow, default)]
    changes: Option<&'a RawValue>,
    #[serde(borrow, default)]
    envelope: Option<&'a RawValue>,
    #[serde(borrow, default)]
    agents: Option<&'a RawValue>,
    #[serde(borrow, default)]
    global: Option<&'a RawValue>,
    #[serde(borrow, default)]
    dto_schema_version: Option<Cow<'a, str>>,
}

impl<'a> Probe<'a> {
    fn inside(raw: &'a RawValue) -> Self {
        serde_json::from_str(raw.get()).unwrap_or_default()
    }
}

/// The parts of a record that a comparison looks at.
#[derive(Default)]
pub(super) struct Compared {
    /// `runtime_variant`: absent, or null or a name.
    pub(super) runtime_variant: Option<Option<String>>,
    pub(super) queue_metrics: Option<BTreeMap<String, f64>>,
    pub(super) observations: Vec<Observation>,
    pub(super) dto_schema_version: Option<String>,
}

/// One agent's tensors: their shape as text, their values as a digest.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Observation {
    pub(super) agent: String,
    pub(super) shape: String,
    pub(super) digest: u64,
}

impl Compared {
    /// The parts of a state that diffs led to.
    pub(super) fn of_state(sections: &Object) -> Self {
        let queue = sections.get("queue_metrics").and_then(Json::as_object);
        let number = |(name, value): (&str, &Json)| Some((name.to_owned(), value.as_number()?.as_f64()));
        Self {
            // A null says as little as no key does, as in a line.
            runtime_variant: sections.get("runtime_variant").and_then(Json::as_str).map(|name| Some(name.to_owned())),
            queue_metrics: queue.map(|metrics| metrics.iter().filter_map(number).collect()),
            ..Self::default()
        }
    }

    /// Takes the parts from a line, from inside `changes` of a diff, and from
    /// inside an observation's `envelope` and `global`. Parts of another shape
    /// than expected are as good as absent: what is wrong with a body has been
    /// said by the schema's reader.
    pub(super) fn of(line: &[u8]) -> Self {
        let Ok(outer) = serde_json::from_slice::<Probe<'_>>(line) else { return Self::default() };
        let inner = outer.changes.or(outer.envelope).map(Probe::inside).unwrap_or_default();
        let global = outer.global.or(inner.global).map(Probe::inside).unwrap_or_default();
        let queue = outer.queue_metrics.or(inner.queue_metrics).or(global.queue_metrics);
        let variant = outer.runtime_variant.or(inner.runtime_variant);
        let agents = outer.agents.or(inner.agents);
        Self {
            runtime_variant: variant.and_then(|raw| serde_json::from_str(raw.get()).ok()),
            queue_metrics: queue.and_then(|raw| serde_json::from_str(raw.get()).ok()),
            observations: agents.and_then(|raw| observations(raw.get())).unwrap_or_default(),
            dto_schema_version: outer.dto_schema_version.or(inner.dto_schema_version).map(Cow::into_owned),
        }
    }
}

fn observations(agents: &str) -> Option<Vec<Observation>> {
    #[derive(Deserialize)]
    struct Agent<'a> {
        #[serde(borrow)]
        agent_id: Cow<'a, str>,
        #[serde(borrow, default)]
        map: Option<&'a RawValue>,
        #[serde(borrow, default)]
        features: Option<&'a RawValue>,
    }
    let agents: Vec<Agent<'_>> = serde_json::from_str(agents).ok()?;
    let mut out = Vec::new();
    for agent in agents {
        let mut hasher = DefaultHasher::new();
        let mut shape = String::new();
        for (name, raw) in [("map", agent.map), ("features", agent.features)] {
            let Some(raw) = raw else { continue };
            let mut dims = Vec::new();
            let walk = Tensor { hasher: &mut hasher, dims: &mut dims, depth: 0 };
            walk.deserialize(&mut serde_json::Deserializer::from_str(raw.get())).ok()?;
            let dims: Vec<_> = dims.iter().map(usize::to_string).collect();
            let separator = if shape.is_empty() { "" } else { ", " };
            shape.push_str(&format!("{separator}{name} {}", if dims.is_empty() { "-".into() } else { dims.join("x") }));
        }
        out.push(Observation { agent: agent.agent_id.into_owned(), shape, digest: hasher.finish() });
    }
    Some(out)
}

/// Walks nested arrays of numbers: their lengths along the first elements, and
/// all values as 64-bit floats into the hasher, so that `1` and `1.0` are equal.
struct Tensor<'a> {
    hasher: &'a mut DefaultHasher,
    dims: &'a mut Vec<usize>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Tensor<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tensor<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nested arrays of numbers")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        // -0.0 equals 0.0.
        self.hasher.write_u64((value + 0.0).to_bits());
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.visit_f64(value as f64)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.visit_f64(value as f64)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.visit_f64(f64::from(u8::from(value)))
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.hasher.write_u8(b'n');
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.hasher.write(value.as_bytes());
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            self.hasher.write(key.as_bytes());
            map.next_value_seed(Tensor { hasher: self.hasher, dims: &mut Vec::new(), depth: self.depth + 1 })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let at = self.dims.len();
        let first_here = at == self.depth;
        if first_here {
            self.dims.push(0);
        }
        let mut len = 0;
        loop {
            let seed = Tensor { hasher: &mut *self.hasher, dims: &mut *self.dims, depth: self.depth + 1 };
            if seq.next_element_seed(seed)?.is_none() {
                break;
            }
            len += 1;
        }
        if first_here {
            self.dims[at] = len;
        }
        // Rows of other lengths than the first must not hash alike.
        self.hasher.write_usize(len);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::observations;

    #[test]
    fn shape_and_values_of_tensors_are_told_apart() {
        let of = |text: &str| observations(&format!("[{text}]")).unwrap().remove(0);
        let base = of(r#"{"agent_id":"alice","map":[[[1,2],[3,4]]],"features":[0.5,1]}"#);
        assert_eq!(base.shape, "map 1x2x2, features 2");
        assert_eq!(base, of(r#"{"agent_id":"alice","features":[0.5,1.0],"map":[[[1.0,2],[3,4]]],"wallet":3}"#));
        assert_ne!(base.digest, of(r#"{"agent_id":"alice","map":[[[1,2],[3,4]]],"features":[0.5,1.1]}"#).digest);
        let ragged = of(r#"{"agent_id":"alice","map":[[[1,2,3],[4]]],"features":[0.5,1]}"#);
        assert_ne!(base.digest, ragged.digest);
        assert_eq!(ragged.shape, "map 1x2x3, features 2");
    }
}
