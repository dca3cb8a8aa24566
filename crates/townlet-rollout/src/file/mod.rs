//! Plan files: a plan and its policy in one YAML, as people write and review them.
//!
//! ```yaml
//! plan: parser                    # its name
//! environment: production
//! flag: telemetry_parser_cli
//! every: 1m                       # the length of a window
//! metrics:                        # as in a policy: what is measured, one value a window
//!   parse_duration_ms.p95: { unit: ms, worse: up }
//!   cpu_percent: { unit: "%", worse: up }
//!   parser_failures: { unit: count, worse: up }
//! rules:                          # as in a policy
//!   - { id: slow, when: "parse_duration_ms.p95 > 90ms for 10m", action: hold }
//!   - { id: broken, when: "parse_duration_ms.p95 > 200ms for 2m", action: rollback }
//! baselines:                      # what the metrics were before
//!   history: [cpu_percent]        # the same minutes of earlier days; control: [...] for one that runs beside
//!   stated: { parse_duration_ms.p95: { level: 83.5ms, sd: 2%, memory: 0.5 } }
//!   rare: [parser_failures]       # counts, mostly 0, compared by counts; or stated: { events: 0, in: 24h }
//! detectors:                      # got worse than its baseline: threefold or absent at once, small shifts in time
//!   - { id: busier, metric: cpu_percent, tolerance: 2pp, action: rollback }
//!   - { id: failing, metric: parser_failures, action: hold }
//! switched: [parse_duration_ms.p95]   # emitted only while the flag is on
//! steps: [{ percent: 10, soak: 10m }, { percent: 100 }]
//! restart: [{ service: parser-service, ready_within: 1m }]
//! checkpoints: [15m, 90m, 24h]    # counted from the last step
//! snapshots: [24h]                # checkpoints at which a validation snapshot is kept
//! rollback:
//!   steps: [{ flag: "off", within: 20s }, { restart: parser-service, within: 1m }]
//!   recovered: [cpu_percent]      # must be back within the band; none of them switched
//!   band: 5%
//!   silent: [parse_duration_ms.p95]   # must send nothing more
//!   windows: 2
//! sign_off: [qa, devops]
//! ```
//!
//! What may be left out has the default of [`Preflight`](crate::Preflight), [`Limits`](crate::Limits) and of this table: `grace` 15s,
//! `observation` 5m, `emission: { within: 5m, optional: [] }`, `rollback.total` 5m.

mod sections;
mod signals;
mod surroundings;

use townlet_policy::reader::Reader;
use townlet_policy::{Code, Finding, Findings, Level, Place, Policy, yaml};

use crate::plan::Plan;

/// A plan, and the policy that stands in it.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanFile {
    /// The plan.
    pub plan: Plan,
    /// Its metrics and rules, with what surrounds them taken from the plan.
    pub policy: Policy,
}

/// The keys of a plan beside those of a policy.
const KEYS: [&str; 17] = [
    "plan",
    "environment",
    "flag",
    "every",
    "grace",
    "baselines",
    "detectors",
    "switched",
    "steps",
    "restart",
    "emission",
    "observation",
    "checkpoints",
    "snapshots",
    "preflight",
    "limits",
    "rollback",
];

impl PlanFile {
    /// Reads a plan. What is wrong goes into `found`, each with its place; `None` if any of it is an error. A plan that
    /// reads well but cannot be run is an error too ([`Plan::problems`]).
    pub fn read(text: &str, found: &mut Findings) -> Option<Self> {
        let root = yaml::parse(text, found)?;
        let policy = Policy::read_sections(&root, found);
        let mut reader = Reader::new(found);
        let own = KEYS.into_iter().chain(["sign_off"]);
        let all: Vec<&str> = own.chain(["gap", "max_gap", "metrics", "rules"]).collect();
        reader.keys(&root, "a plan", &all);
        let mut policy = policy.unwrap_or_else(empty);
        let plan = sections::plan(&mut reader, &root, &mut policy);
        let broken = reader.broken || found.has_errors();
        if !broken {
            for problem in plan.problems() {
                let place = root.entries().iter().find(|entry| entry.key == problem.section);
                let place = place.map_or(Place::TOP, |entry| entry.place);
                found.push(Finding::new(Code::Value, Level::Error, place, problem.what));
            }
            policy.surroundings = surroundings::of(&plan, &root);
        }
        found.sort();
        (!found.has_errors()).then_some(Self { plan, policy })
    }

    /// Looks for rules and steps that cannot do what they say.
    pub fn lint(&self, found: &mut Findings) {
        townlet_policy::lint(&self.policy, found);
    }
}

/// Stands in for a policy that could not be read, so that the rest is looked at as well.
fn empty() -> Policy {
    Policy {
        metrics: Vec::new(),
        rules: Vec::new(),
        settings: townlet_policy::evaluate::Settings::default(),
        surroundings: townlet_policy::Surroundings::default(),
    }
}
