//! Telling a producer what is here already, so that it need not come again.
//!
//! `Townlet-Resume: run/stream=N, …` asks from number N on; the answer has, for
//! each stream where N is here, the number up to which all are. Names are
//! percent-encoded; the answer repeats them as they were asked.

use super::super::super::intake::Session;
use super::super::head::percent_decoded;

/// Streams that are answered for; the rest comes again.
const MOST: usize = 16;

/// None where there is nothing to say.
pub(super) fn answer(asked: &str, session: &mut Session) -> Option<String> {
    let items = asked.split(',').take(MOST).filter_map(|item| {
        let (name, from) = item.trim().rsplit_once('=')?;
        let (run_id, stream) = name.split_once('/')?;
        let up_to = session.has_up_to(&percent_decoded(run_id)?, &percent_decoded(stream)?, from.parse().ok()?)?;
        Some(format!("{name}={up_to}"))
    });
    let items: Vec<String> = items.collect();
    (!items.is_empty()).then(|| items.join(", "))
}
