//! Spills: one log and one thread a folder, for all sinks that name it.

use std::path::PathBuf;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use townlet_schema::Kind;
use townlet_spill::{OsDisk, Spill, SpillOptions};
use townlet_worker::driver::{Bells, Depot, spawn_spooler};
use townlet_worker::{Machine, Route, Sink, SpillMode, SpoolStatus, Spooler, SpoolerOptions};

use crate::books::{self, Recovered};
use crate::error::BuildError;
use crate::shared::{Shared, State};

const GRACE: Duration = Duration::from_secs(1);

/// A spill of one sink: see [`Builder::spill`](crate::Builder::spill).
#[derive(Clone, Debug)]
pub struct SpillSettings {
    /// `buffer.spill.path`: a folder of its own. Sinks that name the same one
    /// share a log; the options of the first count. A second process is refused.
    pub path: PathBuf,
    /// What goes through it.
    pub mode: SpillMode,
    /// Its bounds, and when it syncs.
    pub options: SpillOptions,
    /// At shutdown, how long storing what was not delivered may take beyond the
    /// deadline; of several spills the longest counts. What is not stored by then is
    /// `dropped(undelivered_at_shutdown)`. A second: a sync of a busy disk takes
    /// tenths of seconds, and only one that hangs uses it up.
    pub grace: Duration,
}

impl SpillSettings {
    /// What does not fit into memory goes to `path`: at most 1 GiB, synced by group commit.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), mode: SpillMode::Overflow, options: SpillOptions::default(), grace: GRACE }
    }
}

/// A folder and the sinks that use it.
pub(crate) struct Group {
    pub(crate) settings: SpillSettings,
    pub(crate) sinks: Vec<usize>,
}

/// The folders, each with its sinks.
pub(crate) fn groups(settings: impl IntoIterator<Item = (usize, SpillSettings)>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (sink, settings) in settings {
        match groups.iter_mut().find(|group| group.settings.path == settings.path) {
            Some(group) => group.sinks.push(sink),
            None => groups.push(Group { settings, sinks: vec![sink] }),
        }
    }
    groups
}

/// A log that is open, with its sinks on the books.
pub(crate) struct Opened {
    spooler: Spooler,
    sinks: Vec<usize>,
    epoch: Duration,
    pub(crate) recovered: Recovered,
}

/// Opens the log of a group. `stream` is the account of frames of earlier runs.
pub(crate) fn open(group: Group, sinks: &mut [Sink], stream: u32) -> Result<Opened, BuildError> {
    let Group { settings: SpillSettings { path, options, .. }, sinks: members } = group;
    let failed = |source| BuildError::Spill { path: path.clone(), source };
    // Ages count over restarts.
    let epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let fsync = options.fsync;
    let mut tail = 0;
    let disk = Box::new(OsDisk::new(&path));
    let (spill, recovery) = Spill::open_with(disk, options, epoch, |_, _| tail += 1).map_err(failed)?;
    if !recovery.is_clean() {
        tracing::warn!(path = %path.display(), recovery = %recovery, "telemetry_spill_recovered");
    }
    let mut spooler = Spooler::new(spill, SpoolerOptions { kinds: KINDS, fsync });
    let mut found = 0;
    for &sink in &members {
        let name = sinks[sink].main().options().name.clone();
        found += spooler.add(&name, stream, sinks[sink].machine(Route::Main)).map_err(failed)?;
    }
    for (sink, records) in spooler.unclaimed() {
        tracing::warn!(path = %path.display(), sink, records, "telemetry_spill_unclaimed: no sink of this name is \
            configured; its events stay, and take room, until one is or `max_bytes` makes them go");
    }
    let recovered = books::recovered(&path, recovery.extra.as_deref(), found, recovery.lost_at_most());
    if let Some(run_id) = &recovered.run_id {
        tracing::info!(path = %path.display(), run_id, recovered = found,
            lost_at_most = recovered.lost_at_most, "telemetry_recovered");
    }
    Ok(Opened { spooler, sinks: members, epoch, recovered })
}

/// The payload types of this schema.
static KINDS: &[&str] = &{
    let mut names = [""; Kind::ALL.len()];
    let mut n = 0;
    while n < names.len() {
        names[n] = Kind::ALL[n].as_str();
        n += 1;
    }
    names
};

impl Opened {
    /// The sinks that it serves.
    pub(crate) fn sinks(&self) -> impl Iterator<Item = usize> {
        self.sinks.iter().copied()
    }

    /// Starts its thread; `index` is the place of its bell.
    pub(crate) fn start(self, shared: &Arc<Shared>, index: usize) -> Result<(), BuildError> {
        let name = format!("spool-{index}");
        let depot = Arc::new(SpillDepot { shared: Arc::clone(shared), index, sinks: self.sinks, epoch: self.epoch });
        // Before the first event: should the process be killed, the books on disk are this run's.
        let account = depot.account(&mut depot.lock());
        let mut spooler = self.spooler;
        spooler.begin(depot.now(), &account);
        let started = spawn_spooler(&name, depot, spooler);
        started.map(drop).map_err(|source| BuildError::Thread { sink: name, source })
    }
}

struct SpillDepot {
    shared: Arc<Shared>,
    index: usize,
    sinks: Vec<usize>,
    epoch: Duration,
}

impl Depot for SpillDepot {
    type State = State;

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    fn machine<'a>(&self, state: &'a mut State, index: usize) -> &'a mut Machine {
        state.sinks.all()[self.sinks[index]].machine(Route::Main)
    }

    fn bell(&self) -> &Bells {
        &self.shared.spoolers[self.index]
    }

    fn wake(&self, index: usize) {
        self.shared.bells[self.sinks[index]][0].ring_work();
    }

    fn room(&self) -> &Bells {
        &self.shared.room
    }

    fn now(&self) -> Duration {
        self.epoch + self.shared.now()
    }

    fn account(&self, state: &mut State) -> Vec<u8> {
        let is_over = self.is_over(state);
        books::account(state, &self.sinks, is_over)
    }

    fn accepted(&self, state: &mut State) -> u64 {
        let sinks = state.sinks.all();
        self.sinks.iter().map(|&sink| sinks[sink].statement().account.accepted()).sum()
    }

    fn publish(&self, state: &mut State, status: &SpoolStatus) {
        let slot = &mut state.spools[self.index];
        if *slot != *status {
            slot.clone_from(status);
        }
    }

    fn is_over(&self, state: &mut State) -> bool {
        // What the stage holds may still have to be stored.
        let sinks = state.sinks.all();
        state.closed && state.intake.is_idle() && self.sinks.iter().all(|&sink| sinks[sink].is_finished())
    }

    fn ended(&self, state: &mut State) {
        state.spoolers_running -= 1;
    }
}
