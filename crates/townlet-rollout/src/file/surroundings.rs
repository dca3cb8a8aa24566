//! What a plan tells lint about its rules.

use std::time::Duration;

use townlet_policy::yaml::Node;
use townlet_policy::{
    Baseline, Basis, Check, Condition, Limit, MetricId, Offset, Op, Place, Rollback, Step, Surroundings, Test,
    UndoStep, Verified,
};
use townlet_stats::Direction;

use crate::plan::{Plan, Undo};

/// The least history that a baseline is made of; a longer one ends at the start all the same.
const HISTORY: Duration = Duration::from_hours(72);

pub(super) fn of(plan: &Plan, root: &Node) -> Surroundings {
    let place =
        |key: &str| root.entries().iter().find(|entry| entry.key == key).map_or(Place::TOP, |entry| entry.place);
    let ids = |wanted: &dyn Fn(&crate::plan::Signal) -> bool| -> Vec<MetricId> {
        let signals = plan.signals.iter().enumerate();
        signals.filter(|(_, signal)| wanted(signal)).map(|(index, _)| MetricId(index)).collect()
    };
    let start = Offset::after(Duration::ZERO);
    let flag = Step { name: flag(plan), at: Some(start), place: place("steps") };
    let restarts =
        plan.services.iter().map(|service| Step { name: restart(&service.name), at: None, place: place("restart") });
    let baseline = |metrics: Vec<MetricId>, until: Offset| Baseline {
        metrics,
        from: Offset::before(HISTORY),
        until,
        place: place("baselines"),
    };
    let histories = ids(&|signal| signal.needs_history());
    let stated = ids(&crate::plan::Signal::is_stated);
    let baselines = [(histories, start), (stated, start)];
    Surroundings {
        steps: std::iter::once(flag).chain(restarts).collect(),
        baselines: baselines
            .into_iter()
            .filter(|(of, _)| !of.is_empty())
            .map(|(of, until)| baseline(of, until))
            .collect(),
        rollback: Some(rollback(plan, place("rollback"))),
        measured: Some((0..plan.signals.len()).map(MetricId).collect()),
        switched: ids(&|signal| signal.behind_flag),
        every: Some(plan.every),
        watched: Some(plan.longest()),
        stated: Vec::new(),
    }
}

fn flag(plan: &Plan) -> String {
    format!("flag {}", plan.flag)
}

fn restart(service: &str) -> String {
    format!("restart of {service}")
}

fn rollback(plan: &Plan, place: Place) -> Rollback {
    let steps = plan.rollback.steps.iter().map(|step| {
        let undoes = match &step.undo {
            Undo::FlagOff => flag(plan),
            Undo::Restart(service) => restart(service),
        };
        // The engine reads every step back.
        UndoStep {
            name: format!("{undoes} back"),
            undoes: Some(undoes),
            within: Some(step.within),
            checked: true,
            place,
        }
    });
    let test =
        |index: usize, check| Verified { condition: Condition::Test(Test { metric: MetricId(index), check }), place };
    let recovered = plan.rollback.recovered.iter().filter_map(|index| {
        let limit = |value| Limit { value, basis: Basis::Relative, two_sided: false };
        let band = plan.rollback.band;
        let check = match plan.signals.get(*index)?.direction {
            Direction::LowerIsBetter => Check::Compare { op: Op::Le, limit: limit(band) },
            Direction::HigherIsBetter => Check::Compare { op: Op::Ge, limit: limit(-band) },
            Direction::Band => Check::In { low: limit(-band), high: limit(band) },
        };
        Some(test(*index, check))
    });
    let lasting = Some(plan.every.saturating_mul(plan.rollback.windows));
    let silent = plan.rollback.silent.iter().map(|index| test(*index, Check::Absent { lasting }));
    Rollback {
        steps: steps.collect(),
        total: Some(plan.rollback.total),
        verified: recovered.chain(silent).collect(),
        place,
    }
}
