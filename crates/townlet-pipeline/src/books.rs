//! Books across restarts: what a run leaves behind with its spill, and what the
//! next one makes of it.

use std::path::{Path, PathBuf};

use townlet_schema::{Json, Number, Object, encode_into};
use townlet_worker::Account;

use crate::shared::State;

/// What is known of the run that used a spill, or a ledger, before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// `buffer.spill.path`, or `ledger_path`.
    pub path: PathBuf,
    /// That run; none where the folder was new or its account cannot be read.
    pub run_id: Option<String>,
    /// It ended by `shutdown`, so that its account is final.
    pub ended: bool,
    /// Events, over all sinks of the spill, or of those without one, that it had accepted
    /// by its last account, which is at most about a second old.
    pub accepted: u64,
    /// Of them delivered.
    pub delivered: u64,
    /// Of them dropped, for known reasons.
    pub dropped: u64,
    /// Events found on disk; they are on the books of this run now, under the
    /// stream `recovered`.
    pub recovered: u64,
    /// The most that is neither delivered, nor dropped, nor found. After an end it
    /// is the difference of the books; after a kill it is what memory may have
    /// held, `buffer.max_queue_length` of each sink, twice under `fan_out`. What damage to the folder has
    /// cost comes on top.
    pub lost_at_most: u64,
    /// The last number of each stream by that account, as far as it had room for them.
    pub last_seqs: Vec<(String, u64)>,
    /// Streams that it had no room for.
    pub streams_left_out: u64,
    /// Of a ledger: its file is damaged. What is said here is then of an account before
    /// the last one, or there is none.
    pub damaged: bool,
}

/// Bytes of an account that the numbers of streams may take: some thousand of them. A spill takes 64 KiB in all, and
/// books without them are better than none.
const SEQS: usize = 48 << 10;

fn number(n: u64) -> Json {
    Json::Number(Number::from(n))
}

/// The account of this moment, as it is stored.
pub(crate) fn account(state: &mut State, sinks: &[usize], ended: bool) -> Vec<u8> {
    let infos = state.streams.infos();
    // A name needs no escapes; with it stand two quotes, a colon, a comma and at most 20 digits.
    let mut taken = 0;
    let fitting = infos.iter().take_while(|info| {
        taken += info.name.len() + 24;
        taken <= SEQS
    });
    let seqs: Object = fitting
        .enumerate()
        .map(|(n, info)| (info.name.to_string(), number(state.streams.last_seq(n as u32))))
        .collect();
    let left_out = infos.len() - seqs.len();
    let mut sum = Account::default();
    let (mut held, mut room) = (0, 0_u64);
    let all = state.sinks.all();
    for &sink in sinks {
        let statement = all[sink].statement();
        sum += &statement.account;
        held += statement.spilled + statement.buffered;
        // The second lane of `fan_out` has bounds of its own; after a retuning more may wait than these.
        let lanes = 1 + u64::from(all[sink].has_lane());
        let bound = (all[sink].main().options().max_queue_length as u64).saturating_mul(lanes);
        room = room.saturating_add(bound.max(statement.buffered));
    }
    let fields: Object = [
        ("run_id".to_owned(), Json::from(state.streams.run_id().as_str())),
        ("ended".to_owned(), Json::Bool(ended)),
        ("accepted".to_owned(), number(sum.accepted())),
        ("delivered".to_owned(), number(sum.delivered())),
        ("dropped".to_owned(), number(sum.dropped() + sum.coalesced())),
        ("held".to_owned(), number(held)),
        ("memory_holds_at_most".to_owned(), number(room)),
        ("last_seqs".to_owned(), Json::Object(seqs)),
        ("streams_left_out".to_owned(), number(left_out as u64)),
    ]
    .into_iter()
    .collect();
    let mut out = Vec::new();
    // Text and finite numbers encode.
    let _ = encode_into(&fields, &mut out);
    out
}

/// What a stored account means, with `found` events on disk and at most
/// `damaged` that cannot be read.
pub(crate) fn recovered(path: &Path, stored: Option<&[u8]>, found: u64, damaged: u64) -> Recovered {
    let path = path.to_owned();
    let tree = stored.and_then(|bytes| Json::parse(bytes).ok());
    let Some(fields) = tree.as_ref().and_then(Json::as_object) else {
        return Recovered { path, recovered: found, lost_at_most: damaged, ..Recovered::default() };
    };
    let get = |key: &str| fields.get(key).and_then(Json::as_u64).unwrap_or_default();
    let ended = fields.get("ended") == Some(&Json::Bool(true));
    let (accepted, delivered, dropped) = (get("accepted"), get("delivered"), get("dropped"));
    let lost_at_most = if ended {
        accepted.saturating_sub(delivered).saturating_sub(dropped).saturating_sub(found).max(damaged)
    } else {
        // How much more was accepted after that account nobody knows; but what was
        // neither settled nor written was in memory, which has bounds.
        get("memory_holds_at_most").saturating_add(damaged)
    };
    let seqs = fields.get("last_seqs").and_then(Json::as_object);
    let seqs = seqs.into_iter().flat_map(Object::iter).filter_map(|(name, seq)| Some((name.to_owned(), seq.as_u64()?)));
    Recovered {
        path,
        run_id: fields.get("run_id").and_then(Json::as_str).map(str::to_owned),
        ended,
        accepted,
        delivered,
        dropped,
        recovered: found,
        lost_at_most,
        last_seqs: seqs.collect(),
        streams_left_out: get("streams_left_out"),
        damaged: false,
    }
}
