//! Other clauses.

use super::half;
use crate::rule::{MinSamples, Timing};

pub(super) fn variants(timing: &Timing) -> Vec<Timing> {
    let mut all = Vec::new();
    let mut push = |edit: &dyn Fn(&mut Timing)| {
        let mut edited = timing.clone();
        edit(&mut edited);
        if edited != *timing {
            all.push(edited);
        }
    };
    push(&|edited| edited.lasting = half(timing.lasting));
    push(&|edited| edited.lasting = std::time::Duration::ZERO);
    push(&|edited| edited.keep = half(timing.keep));
    push(&|edited| edited.keep = std::time::Duration::ZERO);
    if let Some(MinSamples { count, within }) = timing.min_samples {
        push(&|edited| edited.min_samples = None);
        if count > 1 {
            push(&|edited| edited.min_samples = Some(MinSamples { count: count / 2, within }));
        }
        if !half(within).is_zero() {
            push(&|edited| edited.min_samples = Some(MinSamples { count, within: half(within) }));
        }
    }
    if let Some(gap) = timing.max_gap {
        push(&|edited| edited.max_gap = None);
        if !half(gap).is_zero() {
            push(&|edited| edited.max_gap = Some(half(gap)));
        }
    }
    push(&|edited| edited.unless_no_data = false);
    all
}
