//! What a transport may read of the pipeline that it works for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use townlet_pipeline::{DeadLetterSettings, SinkInfo};
use townlet_testkit::{Script, Scripted};
use townlet_transport::{Connected, Figures, Frame, Outcome, Reading, SendError, Transport, TransportError};

use crate::fakes::{PATIENCE, builder, eager, eventually, lazy, order};

/// Where the figures land that a transport was given.
type Given = Arc<Mutex<Vec<Arc<dyn Figures>>>>;

struct Watching {
    inner: Scripted,
    given: Given,
}

impl Transport for Watching {
    fn watch(&mut self, figures: Arc<dyn Figures>) {
        self.given.lock().unwrap().push(figures);
    }
    fn connect(&mut self) -> Result<Connected, TransportError> {
        self.inner.connect()
    }
    fn send(&mut self, batch: &[Frame]) -> Result<Outcome, SendError> {
        self.inner.send(batch)
    }
    fn close(&mut self) {
        self.inner.close();
    }
}

fn first(given: &Given) -> Arc<dyn Figures> {
    Arc::clone(given.lock().unwrap().first().unwrap())
}

/// Every figure, as `name{labels}` and its number; of a distribution the count.
fn read(figures: &dyn Figures) -> BTreeMap<String, f64> {
    let mut all = BTreeMap::new();
    figures.read(&mut |figure| {
        let labels: Vec<String> = figure.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let value = match figure.reading {
            Reading::Counter(n) => n as f64,
            Reading::Gauge(n) => n,
            Reading::Durations(durations) => durations.count() as f64,
            _ => panic!("{figure:?}"),
        };
        assert!(!figure.help.is_empty());
        let key = format!("{}{{{}}}", figure.name, labels.join(","));
        assert_eq!(all.insert(key, value), None, "each figure comes once: {figure:?}");
    });
    all
}

#[test]
fn a_transport_reads_the_books_of_every_sink_at_one_instant_and_they_balance() {
    let (given, script, other) = (Given::default(), Script::new(), Script::new());
    let (watching, keep) = (script.clone(), Arc::clone(&given));
    let telemetry = builder()
        .sink(eager("main"), SinkInfo::new("script"), move || {
            Ok(Box::new(Watching { inner: watching.transport(), given: Arc::clone(&keep) }) as Box<dyn Transport>)
        })
        .sink(lazy("other"), SinkInfo::new("script"), move || Ok(Box::new(other.transport()) as Box<dyn Transport>))
        .start()
        .unwrap();
    let orders = telemetry.stream("orders").unwrap();
    for id in 1..=10 {
        orders.emit(id, order(id)).unwrap();
    }
    eventually("main has delivered", || script.received_seqs().len() == 10);
    let figures = first(&given);
    eventually("the delivery is on the books", || {
        let seen = read(figures.as_ref());
        let of = |name: &str| seen[name];
        for sink in ["main", "other"] {
            let with = |name: &str| of(&format!("{name}{{sink={sink}}}"));
            let prefixed = |prefix: &str| -> f64 {
                let suffix = format!(",sink={sink}}}");
                seen.iter().filter(|(k, _)| k.starts_with(prefix) && k.ends_with(&suffix)).map(|(_, v)| v).sum()
            };
            let ended = prefixed("delivered_total{") + prefixed("dropped_total{") + with("coalesced_total");
            assert_eq!(with("accepted_total"), ended + with("buffered") + with("spilled"), "{seen:?}");
            assert_eq!((with("accepted_total"), with("residual")), (10.0, 0.0));
        }
        assert_eq!((of("buffered{sink=other}"), of("queue_length{sink=other}")), (10.0, 10.0));
        of("delivered_total{level=sent,sink=main}") == 10.0 && of("flush_duration_seconds{sink=main}") >= 1.0
    });
    telemetry.shutdown(PATIENCE);
    drop((orders, telemetry));
    eventually("nothing is shown once the pipeline is gone", || read(figures.as_ref()).is_empty());
}

/// Where operators look names up.
const NAMES: &str = include_str!("../../../townlet-transport-prometheus/src/lib.rs");

#[test]
fn figures_of_one_name_stand_together_are_documented_and_counters_say_so_in_their_names() {
    let (given, script) = (Given::default(), Script::new());
    let folder = tempfile::tempdir().unwrap();
    let (watching, keep) = (script.clone(), Arc::clone(&given));
    let telemetry = builder()
        .sink(eager("main"), SinkInfo::new("script"), move || {
            Ok(Box::new(Watching { inner: watching.transport(), given: Arc::clone(&keep) }) as Box<dyn Transport>)
        })
        .sink(lazy("other"), SinkInfo::new("stub"), {
            let script = script.clone();
            move || Ok(Box::new(script.transport()) as Box<dyn Transport>)
        })
        .dead_letters("main", DeadLetterSettings::new(folder.path().join("refused.jsonl")))
        .dead_letters("other", DeadLetterSettings::new(folder.path().join("refused.jsonl")))
        .start()
        .unwrap();
    telemetry.stream("orders").unwrap().emit(1, order(1)).unwrap();
    eventually("the transport was built", || !given.lock().unwrap().is_empty());
    let mut names = Vec::new();
    first(&given).read(&mut |figure| {
        let counts = matches!(figure.reading, Reading::Counter(_));
        assert_eq!(figure.name.ends_with("_total"), counts, "{figure:?}");
        assert!(figure.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{figure:?}");
        if names.last() != Some(&figure.name) {
            assert!(!names.contains(&figure.name), "{} comes in two places", figure.name);
            names.push(figure.name);
            assert!(NAMES.contains(&format!("`{}`", figure.name)), "{} is not documented", figure.name);
        }
    });
    assert!(names.len() > 15, "{names:?}");
    telemetry.shutdown(PATIENCE);
}

#[test]
fn a_transport_that_is_built_again_is_given_the_figures_again() {
    let (given, script) = (Given::default(), Script::new());
    let (watching, keep) = (script.clone(), Arc::clone(&given));
    let telemetry = builder()
        .sink(eager("main"), SinkInfo::new("script"), move || {
            Ok(Box::new(Watching { inner: watching.transport(), given: Arc::clone(&keep) }) as Box<dyn Transport>)
        })
        .start()
        .unwrap();
    script.panic_on_send(1);
    telemetry.stream("orders").unwrap().emit(1, order(1)).unwrap();
    eventually("it is delivered after all", || script.received_seqs() == [1]);
    assert_eq!(given.lock().unwrap().len(), 2);
    assert_eq!(read(first(&given).as_ref())["worker_restarts_total{sink=main}"], 1.0);
    telemetry.shutdown(PATIENCE);
}

/// Two processes of one seed have one run id; who adds up their counters must tell them apart.
#[test]
fn the_books_of_each_pipeline_have_a_name_of_their_own_even_where_the_run_id_repeats() {
    let epochs = [(); 2].map(|()| {
        let (given, script) = (Given::default(), Script::new());
        let keep = Arc::clone(&given);
        let telemetry = builder()
            .sink(eager("main"), SinkInfo::new("script"), move || {
                Ok(Box::new(Watching { inner: script.transport(), given: Arc::clone(&keep) }) as Box<dyn Transport>)
            })
            .start()
            .unwrap();
        telemetry.stream("orders").unwrap().emit(1, order(1)).unwrap();
        eventually("the transport was built", || !given.lock().unwrap().is_empty());
        let epoch = first(&given).epoch().to_owned();
        (telemetry.run_id(), epoch)
    });
    let [(run, epoch), (same_run, other)] = epochs;
    assert_eq!(run, same_run);
    assert_ne!(epoch, other);
}
