//! Windows in, verdicts out.

use crate::event::Tick;
use crate::moment::Moment;
use crate::plan::Plan;
use crate::reference::References;
use crate::rule::Condition;
use crate::verdict::Verdict;

/// What the rules remember from window to window.
#[derive(Clone, Debug)]
pub(crate) struct Judge {
    broken: Vec<u32>,
}

impl Judge {
    pub(crate) fn new(plan: &Plan) -> Self {
        Self { broken: vec![0; plan.rules.len()] }
    }

    /// The verdict of every rule about the window that ends at `due`. Without a tick it never came.
    pub(crate) fn window(
        &mut self,
        plan: &Plan,
        _references: &References,
        _due: Moment,
        tick: Option<&Tick>,
    ) -> Vec<Verdict> {
        let rules = plan.rules.iter().zip(&mut self.broken);
        rules
            .map(|(rule, broken)| {
                let Condition::Above { signal, limit, windows } = rule.condition;
                let Some(value) = tick.and_then(|tick| tick.value(signal)) else {
                    return Verdict::Unknown;
                };
                *broken = if value > limit { broken.saturating_add(1) } else { 0 };
                match *broken {
                    0 => Verdict::Pass,
                    n if n < windows => Verdict::Pending,
                    _ => Verdict::Firing,
                }
            })
            .collect()
    }
}
