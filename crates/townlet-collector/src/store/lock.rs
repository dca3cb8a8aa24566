//! One collector for a folder: two of them would each store what the other has.

use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::StoreError;

/// How long an ending collector gets to leave the folder.
const PATIENCE: Duration = Duration::from_secs(1);

/// How often to look meanwhile.
const LOOK: Duration = Duration::from_millis(10);

/// Locks the folder itself (`flock`), so that there is no file to be left
/// behind: the lock ends with the process, however it ends. `None` where the
/// file system knows no locks.
pub(super) fn lock(dir: &Path) -> Result<Option<File>, StoreError> {
    let deadline = Instant::now() + PATIENCE;
    let unlocked = |error: io::Error| {
        tracing::warn!(dir = %dir.display(), %error, "collector_store_not_locked: start no second collector there");
        Ok(None)
    };
    let folder = match File::open(dir) {
        Ok(folder) => folder,
        Err(error) => return unlocked(error),
    };
    loop {
        match folder.try_lock() {
            Ok(()) => return Ok(Some(folder)),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::park_timeout(LOOK),
            Err(TryLockError::WouldBlock) => {
                let message = "another collector uses this folder; stop it, or choose another folder";
                let busy = io::Error::new(io::ErrorKind::ResourceBusy, message);
                return Err(StoreError::new("locking", dir, busy));
            }
            Err(TryLockError::Error(error)) => return unlocked(error),
        }
    }
}
