//! Books that survive a kill where there is no spill: one small file, written by a
//! thread of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use townlet_spill::{Disk, OsDisk, SlotHealth, TwoSlot};

use crate::books::{self, Recovered};
use crate::error::BuildError;
use crate::shared::{Shared, State};

/// The file in its folder.
const NAME: &str = "ledger";

/// Books that changed are stored this often, and no more often.
const EVERY: Duration = Duration::from_secs(1);

/// The file, open and ours alone.
pub(crate) struct Ledger {
    disk: OsDisk,
    file: TwoSlot,
    /// Whose books it keeps: of those without a spill, which keeps its own.
    sinks: Vec<usize>,
    path: PathBuf,
    saved: Vec<u8>,
    failing: bool,
    pub(crate) recovered: Recovered,
}

impl Ledger {
    /// Opens the ledger in the folder `path`, which is made where it is missing. What is
    /// damaged is passed: the run starts without it, and says so.
    pub(crate) fn open(path: &Path, sinks: Vec<usize>) -> Result<Self, BuildError> {
        let failed = |detail: String| BuildError::Ledger { path: path.to_owned(), detail };
        let mut disk = OsDisk::new(path);
        match disk.lock() {
            Ok(true) => {}
            Ok(false) => return Err(failed("another process keeps its books there; give each a folder".into())),
            Err(error) => return Err(failed(error.to_string())),
        }
        let (file, stored, health) = TwoSlot::load(&mut disk, NAME);
        let mut recovered = books::recovered(path, stored.as_deref(), 0, 0);
        recovered.damaged = match health {
            SlotHealth::Empty | SlotHealth::Good => stored.is_some() && recovered.run_id.is_none(),
            SlotHealth::OneDamaged | SlotHealth::Lost => true,
        };
        if recovered.damaged {
            tracing::warn!(path = %path.display(), ?health, "telemetry_ledger_damaged");
        }
        if let Some(run_id) = &recovered.run_id {
            tracing::info!(path = %path.display(), run_id, ended = recovered.ended, accepted = recovered.accepted,
                lost_at_most = recovered.lost_at_most, "telemetry_recovered");
        }
        Ok(Self { disk, file, sinks, path: path.to_owned(), saved: Vec::new(), failing: false, recovered })
    }

    /// Starts its thread. Before the first event the file names this run.
    pub(crate) fn start(mut self, shared: &Arc<Shared>) -> Result<(), BuildError> {
        let account = self.account(&mut shared.lock(), false);
        self.save(account);
        let shared = Arc::clone(shared);
        let started = std::thread::Builder::new().name("telemetry-ledger".into()).spawn(move || self.run(&shared));
        started.map(drop).map_err(|source| BuildError::Thread { sink: "ledger".into(), source })
    }

    fn run(mut self, shared: &Shared) {
        let mut state = shared.lock();
        loop {
            // A dead sink must not keep the last word from being written.
            let ended = state.closed && state.intake.is_idle() && self.has_ended(&mut state);
            let account = self.account(&mut state, ended);
            drop(state);
            self.save(account);
            state = shared.lock();
            if ended {
                break;
            }
            state = shared.ledger.wait_for_work(state, EVERY);
        }
        drop(state);
        // First: whoever hears of the end may open it again.
        drop(self);
        shared.lock().ledger_runs = false;
        shared.room.ring_room();
    }

    fn has_ended(&self, state: &mut State) -> bool {
        let sinks = state.sinks.all();
        self.sinks.iter().all(|&sink| sinks[sink].is_finished())
    }

    fn account(&self, state: &mut State, ended: bool) -> Vec<u8> {
        books::account(state, &self.sinks, ended)
    }

    fn save(&mut self, account: Vec<u8>) {
        if account == self.saved {
            return;
        }
        match self.file.save(&mut self.disk, &account) {
            Ok(_) => {
                self.saved = account;
                if std::mem::take(&mut self.failing) {
                    tracing::info!(path = %self.path.display(), "telemetry_ledger_well");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(path = %self.path.display(), error = %error, "telemetry_ledger_error");
                }
            }
        }
    }
}
