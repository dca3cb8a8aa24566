//! Composition: sinks, transforms, identity.

use std::path::PathBuf;
use std::sync::Arc;

use townlet_schema::{Kind, RunId};
use townlet_transform::Chain;
use townlet_transport::{Transport, TransportError};
use townlet_worker::driver::{self, Make};
use townlet_worker::{Backpressure, Options, Route, Sink, SpillMode, seed_from};

use crate::dead_letters::{self, DeadLetterSettings, SinkLetters};
use crate::dynamic::NamedEvent;
use crate::error::BuildError;
use crate::figures::SinkFigures;
use crate::intake::MAX_SINKS;
use crate::ledger::Ledger;
use crate::peer::{Rendering, StateForm};
use crate::shared::{Fittings, Shared, SinkSeat};
use crate::slots::{SharedMake, Slot};
use crate::spooling::{self, Group, SpillSettings};
use crate::stage::Stage;
use crate::status::SinkInfo;
use crate::streams::Streams;
use crate::telemetry::Telemetry;

/// Puts a pipeline together; see [`Telemetry::builder`].
pub struct Builder {
    run_id: Option<RunId>,
    producer: String,
    chain: Option<Chain>,
    runtime_variant: Option<String>,
    sinks: Vec<(Options, SinkInfo, SharedMake)>,
    spills: Vec<(String, SpillSettings)>,
    ledger: Option<PathBuf>,
    states: Vec<(String, StateForm)>,
    dead_letters: Vec<(String, DeadLetterSettings)>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            run_id: None,
            producer: "town".into(),
            chain: None,
            runtime_variant: None,
            sinks: Vec::new(),
            spills: Vec::new(),
            ledger: None,
            states: Vec::new(),
            dead_letters: Vec::new(),
        }
    }
}

impl Builder {
    /// The identity of this run; by default a new UUIDv7. A seeded run passes
    /// one derived from its seed, so that its bytes repeat.
    #[must_use]
    pub fn run_id(mut self, run_id: RunId) -> Self {
        self.run_id = Some(run_id);
        self
    }

    /// The name that this program's streams begin with; default `town`.
    #[must_use]
    pub fn producer(mut self, producer: impl Into<String>) -> Self {
        self.producer = producer.into();
        self
    }

    /// What `tick_health` reports as `runtime_variant`.
    #[must_use]
    pub fn runtime_variant(mut self, variant: impl Into<String>) -> Self {
        self.runtime_variant = Some(variant.into());
        self
    }

    /// The transforms; by default [`Chain::standard`], which redacts.
    #[must_use]
    pub fn transforms(mut self, chain: Chain) -> Self {
        self.chain = Some(chain);
        self
    }

    /// Adds a sink. `make` builds its transport, on the sink's own thread, at the
    /// first batch and again after a panic. The sink named `main` is the one
    /// whose status [`latest_transport_status`](Telemetry::latest_transport_status) leads with.
    #[must_use]
    pub fn sink(
        mut self,
        options: Options,
        info: SinkInfo,
        make: impl Fn() -> Result<Box<dyn Transport>, TransportError> + Send + Sync + 'static,
    ) -> Self {
        self.sinks.push((options, info, Arc::new(make)));
        self
    }

    /// Gives a sink a spill on disk, as [`SpillMode`](crate::SpillMode) says. Its
    /// policy should be [`Backpressure::Spill`], or [`Backpressure::Coalesce`] where states
    /// may merge before they go to disk, unless other events than those on disk may be shed.
    #[must_use]
    pub fn spill(mut self, sink: impl Into<String>, settings: SpillSettings) -> Self {
        self.spills.push((sink.into(), settings));
        self
    }

    /// Keeps what the peer of a sink refuses for good (a 4xx, a partial success of
    /// OTLP, a frame beyond its limit) in a file of lines, redacted as they were sent,
    /// each with the reason, the sink and the time. [`Replay`](crate::Replay) reads
    /// such lines. The sink's worker writes; the ledger counts them as dropped.
    #[must_use]
    pub fn dead_letters(mut self, sink: impl Into<String>, settings: DeadLetterSettings) -> Self {
        self.dead_letters.push((sink.into(), settings));
        self
    }

    /// Keeps totals and last numbers of the sinks without a spill in the folder `path`, at
    /// most once a second and never on the way of an event, so that the run after a
    /// kill can say them, and how much may be lost: [`Telemetry::recovered`]. A second
    /// process is refused; a damaged file is not, and the next run says that it was.
    #[must_use]
    pub fn ledger(mut self, path: impl Into<PathBuf>) -> Self {
        self.ledger = Some(path.into());
        self
    }

    /// The form in which a sink gets the states; by default each whole.
    #[must_use]
    pub fn states(mut self, sink: impl Into<String>, form: StateForm) -> Self {
        self.states.push((sink.into(), form));
        self
    }

    /// Starts the threads.
    ///
    /// # Errors
    /// [`BuildError::Sinks`] without a sink, with more than 32, with two of one
    /// name, or one whose name is empty, longer than 128 bytes or has control
    /// characters; [`BuildError::Producer`] where the producer's name makes no
    /// stream name; [`BuildError::Thread`] where the operating system refuses one.
    pub fn start(mut self) -> Result<Telemetry, BuildError> {
        if self.sinks.is_empty() || self.sinks.len() > MAX_SINKS {
            return Err(BuildError::Sinks(format!(
                "a pipeline has 1 to {MAX_SINKS} sinks, this one has {}; for none use the stub",
                self.sinks.len()
            )));
        }
        for (n, (options, ..)) in self.sinks.iter().enumerate() {
            let name = &options.name;
            if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
                return Err(BuildError::Sinks(format!(
                    "{name:?} is not a name for a sink: use 1 to 128 bytes without control characters"
                )));
            }
            if self.sinks[..n].iter().any(|(earlier, ..)| earlier.name == options.name) {
                return Err(BuildError::Sinks(format!("two sinks are named `{}`; names must differ", options.name)));
            }
        }
        let spills = self.take_spills()?;
        let forms = self.take_forms()?;
        let dead_letters = self.take_dead_letters()?;
        let run_id = self.run_id.unwrap_or_else(|| RunId::from_u128(uuid::Uuid::now_v7().as_u128()));
        // One sink without a second lane shares its thread with the stage; one with a
        // spill does not, since what waits must get there while its sink is stuck.
        // Nor does one that coalesces, which it can do with rendered states only.
        let apart = |policy| matches!(policy, Backpressure::FanOut | Backpressure::Coalesce);
        let inline = self.sinks.len() == 1 && !apart(self.sinks[0].0.backpressure) && spills.is_empty();
        let mut sinks: Vec<Sink> =
            self.sinks.iter().map(|(o, ..)| Sink::new(o.clone(), seed_from(&o.name), inline)).collect();
        let chain = match self.chain {
            Some(chain) => chain,
            None => Chain::standard()?,
        };
        let concerned = Kind::ALL.iter().copied().filter(|kind| chain.concerns(*kind)).collect();
        let redactions = chain.redactions();
        let stage = Stage::new(chain, inline);
        let coalesces = |(options, ..): &(Options, _, _)| options.backpressure == Backpressure::Coalesce;
        let renders = self.sinks.iter().any(coalesces) || forms.iter().any(|form| *form != StateForm::Whole);
        let mut streams = Streams::new(run_id, concerned, renders);
        let mut opened = Vec::new();
        let grace = spills.iter().map(|group| group.settings.grace).max().unwrap_or_default();
        if !spills.is_empty() {
            let (recovered, _) = streams.open::<NamedEvent>(&format!("{}.recovered", self.producer))?;
            for group in spills {
                opened.push(spooling::open(group, &mut sinks, recovered)?);
            }
        }
        let slots = self.sinks.iter().map(|(_, info, make)| Slot::new(info.clone(), Arc::clone(make))).collect();
        let mut recovered: Vec<_> = opened.iter().map(|log| log.recovered.clone()).collect();
        let mut spooler_of = vec![None; sinks.len()];
        for (n, log) in opened.iter().enumerate() {
            log.sinks().for_each(|sink| spooler_of[sink] = Some(n));
        }
        let unspilled = spooler_of.iter().enumerate().filter(|(_, spooler)| spooler.is_none()).map(|(sink, _)| sink);
        let unspilled: Vec<usize> = unspilled.collect();
        // Where each sink has a spill, all books are there.
        let ledger = self.ledger.filter(|_| !unspilled.is_empty());
        let ledger = ledger.map(|path| Ledger::open(&path, unspilled)).transpose()?;
        recovered.extend(ledger.iter().map(|ledger| ledger.recovered.clone()));
        let states_only = (0..).zip(&forms).filter(|(_, form)| matches!(form, StateForm::Legacy(_)));
        let states_only = states_only.fold(0, |bits, (sink, _)| bits | 1 << sink);
        let fittings = Fittings { spooler_of, spills: opened.len(), grace, slots, dead_letters, states_only };
        let shared = Arc::new(Shared::new(sinks, fittings, streams, stage, inline));
        let telemetry = Telemetry::new(Arc::clone(&shared), self.producer, self.runtime_variant, recovered)?;
        for (index, log) in opened.into_iter().enumerate() {
            log.start(&shared, index)?;
        }
        if let Some(ledger) = ledger {
            shared.lock().ledger_runs = true;
            ledger.start(&shared)?;
        }
        let figures = SinkFigures::of(&shared);
        for (sink, (options, ..)) in self.sinks.into_iter().enumerate() {
            let lanes: &[Route] = match options.backpressure {
                Backpressure::FanOut => &[Route::Main, Route::Lane],
                _ => &[Route::Main],
            };
            for route in lanes {
                let rendering = Rendering { form: forms[sink], redactions: Arc::clone(&redactions) };
                let seat = Arc::new(SinkSeat { shared: Arc::clone(&shared), sink, route: *route, rendering });
                let (makes, figures) = (Arc::clone(&shared), Arc::clone(&figures));
                let make: Make = Box::new(move || {
                    let mut transport = makes.slots[sink].make()?;
                    transport.watch(Arc::clone(&figures));
                    Ok(transport)
                });
                let name = match route {
                    Route::Main => options.name.clone(),
                    Route::Lane => format!("{}.lane", options.name),
                };
                driver::spawn(&name, seat, make).map_err(|source| BuildError::Thread { sink: name, source })?;
            }
        }
        if !inline {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("telemetry-stage".into())
                .spawn(move || shared.run_stage())
                .map_err(|source| BuildError::Thread { sink: "stage".into(), source })?;
        }
        Ok(telemetry)
    }

    /// For each sink where what its peer refuses is kept.
    fn take_dead_letters(&mut self) -> Result<Vec<Option<Arc<SinkLetters>>>, BuildError> {
        let mut settings = Vec::new();
        for (name, of) in std::mem::take(&mut self.dead_letters) {
            let Some(sink) = self.sinks.iter().position(|(options, ..)| options.name == name) else {
                return Err(BuildError::Sinks(format!("dead letters name the sink `{name}`, which there is not")));
            };
            settings.push((sink, of));
        }
        let names: Vec<&str> = self.sinks.iter().map(|(options, ..)| options.name.as_str()).collect();
        Ok(dead_letters::by_sink(&names, settings))
    }

    /// The form for each sink.
    fn take_forms(&mut self) -> Result<Vec<StateForm>, BuildError> {
        let mut forms = vec![StateForm::Whole; self.sinks.len()];
        for (name, form) in std::mem::take(&mut self.states) {
            let Some(sink) = self.sinks.iter().position(|(options, ..)| options.name == name) else {
                return Err(BuildError::Sinks(format!("a form of states names the sink `{name}`, which there is not")));
            };
            let fans_out = self.sinks[sink].0.backpressure == Backpressure::FanOut;
            forms[sink] = match form {
                StateForm::Diffs(_) if fans_out => StateForm::Whole,
                StateForm::Legacy(_) if fans_out => {
                    let what = "writes for old readers, which need one lane: `fan_out` is not a policy for it";
                    return Err(BuildError::Sinks(format!("sink `{name}` {what}")));
                }
                form => form,
            };
        }
        Ok(forms)
    }

    /// The spills by folder; their sinks are told.
    fn take_spills(&mut self) -> Result<Vec<Group>, BuildError> {
        let mut settings = Vec::new();
        for (name, spill) in std::mem::take(&mut self.spills) {
            let Some(sink) = self.sinks.iter().position(|(options, ..)| options.name == name) else {
                return Err(BuildError::Sinks(format!("a spill names the sink `{name}`, which there is not")));
            };
            self.sinks[sink].0.spill = Some(spill.mode);
            settings.push((sink, spill));
        }
        for (sink, (options, ..)) in self.sinks.iter().enumerate() {
            let has = settings.iter().filter(|(of, _)| *of == sink).count();
            if has > 1 || options.backpressure == Backpressure::Spill && has == 0 {
                let what = if has == 0 { "spills, but has no spill: give it a folder" } else { "has two spills" };
                return Err(BuildError::Sinks(format!("sink `{}` {what}", options.name)));
            }
            if options.backpressure == Backpressure::FanOut && has > 0 {
                let what = "has a spill: then `spill` is the policy, or `coalesce`, not `fan_out`";
                return Err(BuildError::Sinks(format!("sink `{}` {what}", options.name)));
            }
            // What the log has comes again after a crash: a state that was merged as well would be there twice.
            if options.backpressure == Backpressure::Coalesce && options.spill == Some(SpillMode::WriteAhead) {
                let what = "writes ahead, so that its log has every state: nothing could merge; the policy is `spill`";
                return Err(BuildError::Sinks(format!("sink `{}` {what}", options.name)));
            }
        }
        Ok(spooling::groups(settings))
    }
}
