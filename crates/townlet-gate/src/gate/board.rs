//! `change-board.yaml`: what each environment demands, and who may say it.

use std::collections::BTreeMap;
use std::time::Duration;

use townlet_policy::yaml::{Node, Value};
use townlet_policy::{Code, Findings};
use townlet_registry::Role;

use super::attestation::{self, AttestationRule};
use super::incident::{self, IncidentRules};
use crate::fields::{Reader, shown, tree};
use crate::statement::{Body, Severity};

/// What every environment demands.
///
/// ```yaml
/// environments:
///   staging:
///     authors: [release-engineer]
///     approvals: automatic          # the author's signature is enough
///     policies: none
///     readiness: { signed_by: [ci], max_age: 24h }
///     rehearsal: not required
///     waivers: none
///     window: not required
///   production:
///     authors: [release-engineer]
///     approvals: { roles: [change-board, sre-on-call, product-owner], max_age: 7d }
///     policies: all                 # or a list of their ids
///     readiness: { signed_by: [ci], max_age: 24h }
///     rehearsal: { signed_by: [sre-on-call], in: [staging], max_age: 30d, within: 5m }
///     waivers: { signed_by: [change-board], policies: [performance_p95_ms], longest: 14d }
///     window: required
///     incidents: { closed_by: [sre-on-call] }
///     attestations:
///       - { kind: training, topic: deployment-runbook, of: author, signed_by: [training-lead], max_age: 365d }
///       - { kind: rota, topic: sre, of: { approver: sre-on-call }, signed_by: [sre-lead] }
/// ```
///
/// Every key but the last two is needed: what an environment does not demand, it says. So a slip of the pen demands too
/// much or is refused, and never demands nothing. `incidents` and `attestations` came later, and boards without them mean
/// what they always meant; a misspelt one is refused like any other key. Beside `environments` there may be a block
/// `telemetry`, which says who is told of what happens, and demands nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    /// By name.
    pub environments: BTreeMap<String, Demands>,
}

/// What one environment demands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demands {
    /// Who may make a release: one of these roles.
    pub authors: Vec<Role>,
    /// Who approves.
    pub approvals: Approvals,
    /// Which policies must hold.
    pub policies: Policies,
    /// A passed run of the suites; `None` where none is demanded.
    pub readiness: Option<ReadinessDemand>,
    /// A rehearsed rollback; `None` where none is demanded.
    pub rehearsal: Option<RehearsalDemand>,
    /// What may be waived; `None` for nothing.
    pub waivers: Option<WaiverRules>,
    /// Whether the manifest needs a window. One that it has counts in any case.
    pub window: bool,
    /// That critical incidents are counted from statements; `None` where samples say how many there are.
    pub incidents: Option<IncidentRules>,
    /// What somebody has to vouch for.
    pub attestations: Vec<AttestationRule>,
}

impl Demands {
    /// Whether a statement that is not about a manifest has to be before the gate of `environment`: an attestation of a
    /// topic that is asked for, a critical incident there, the end of any.
    #[must_use]
    pub fn concerns(&self, environment: &str, body: &Body) -> bool {
        match body {
            Body::Attestation(attestation) => self.attestations.iter().any(|rule| rule.is_for(attestation)),
            Body::IncidentOpened(opened) => {
                self.incidents.is_some() && opened.severity == Severity::Critical && opened.environment == environment
            }
            Body::IncidentClosed(_) => self.incidents.is_some(),
            _ => false,
        }
    }
}

/// Who approves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Approvals {
    /// Nobody but the author.
    Automatic,
    /// Each of these roles, by a person of its own, none of them the author.
    Roles {
        /// At least one.
        roles: Vec<Role>,
        /// How long an approval counts.
        max_age: Duration,
    },
}

/// Which policies must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policies {
    /// Every rule of the policy that acts.
    All,
    /// These, by id; none, where the list is empty.
    These(Vec<String>),
}

/// A passed run of the suites.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadinessDemand {
    /// Who may say that it passed.
    pub signed_by: Vec<Role>,
    /// How long that counts.
    pub max_age: Duration,
}

/// A rehearsed rollback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RehearsalDemand {
    /// Who may say that it worked.
    pub signed_by: Vec<Role>,
    /// Where it may have been run.
    pub environments: Vec<String>,
    /// How long it counts.
    pub max_age: Duration,
    /// How long it may take.
    pub within: Duration,
}

/// What may be waived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaiverRules {
    /// Who may.
    pub signed_by: Vec<Role>,
    /// What: ids of rules, `readiness`, `rehearsal`.
    pub policies: Vec<String>,
    /// For how long at most.
    pub longest: Duration,
}

impl Board {
    /// Reads `change-board.yaml`.
    ///
    /// # Errors
    /// Every fault with its line.
    pub fn read(text: &str, file: &str) -> Result<Self, Findings> {
        let mut found = Findings::new(file, text);
        let root = tree(text, &mut found);
        let environments = root.map(|root| environments(&mut Reader { found: &mut found }, &root));
        found.sort();
        match environments {
            Some(environments) if !found.has_errors() => Ok(Self { environments }),
            _ => Err(found),
        }
    }
}

fn environments(reader: &mut Reader<'_>, root: &Node) -> BTreeMap<String, Demands> {
    let what = "a change board";
    // What stands in `telemetry` is read by townlet-config.
    reader.keys(root, what, &["environments", "telemetry"]);
    let Some(node) = reader.needed(root, "environments", what) else { return BTreeMap::new() };
    if node.entries().is_empty() {
        let message = format!("environments is a mapping of at least one, not {}", node.describe());
        reader.fault(Code::Value, node.place, message, "without one, nothing goes anywhere");
    }
    let entries = node.entries().iter();
    entries.filter_map(|entry| Some((entry.key.clone(), demands(reader, &entry.node, &entry.key)?))).collect()
}

const KEYS: &[&str] =
    &["authors", "approvals", "policies", "readiness", "rehearsal", "waivers", "window", "incidents", "attestations"];

fn demands(reader: &mut Reader<'_>, node: &Node, name: &str) -> Option<Demands> {
    let what = format!("the environment '{}'", shown(name));
    reader.keys(node, &what, KEYS);
    let authors = reader.needed(node, "authors", &what).and_then(|node| roles(reader, node, "authors"));
    let approvals = reader.needed(node, "approvals", &what).and_then(|node| approvals(reader, node));
    let policies = reader.needed(node, "policies", &what).and_then(|node| policies(reader, node));
    let readiness = optional(reader, node, "readiness", &what, "not required", readiness);
    let rehearsal = optional(reader, node, "rehearsal", &what, "not required", rehearsal);
    let waivers = optional(reader, node, "waivers", &what, "none", waivers);
    let window = reader.needed(node, "window", &what).and_then(|node| match node.text() {
        Some("required") => Some(true),
        Some("not required") => Some(false),
        _ => {
            reader.fault(Code::Value, node.place, "window is required or not required", "");
            None
        }
    });
    let approving = match &approvals {
        Some(Approvals::Roles { roles, .. }) => roles.as_slice(),
        _ => &[],
    };
    let attestations = node.get("attestations").map(|node| attestation::read(reader, node, approving));
    let incidents = node.get("incidents").map(|node| incident::read(reader, node));
    Some(Demands {
        authors: authors?,
        approvals: approvals?,
        policies: policies?,
        readiness: readiness?,
        rehearsal: rehearsal?,
        waivers: waivers?,
        window: window?,
        incidents: incidents.flatten(),
        attestations: attestations.unwrap_or_default(),
    })
}

/// What may be declined in words. `None` where a fault has been found.
#[expect(clippy::option_option, reason = "declined and broken are two things")]
fn optional<T>(
    reader: &mut Reader<'_>,
    node: &Node,
    key: &str,
    what: &str,
    declined: &str,
    read: fn(&mut Reader<'_>, &Node) -> Option<T>,
) -> Option<Option<T>> {
    let node = reader.needed(node, key, what)?;
    if node.text() == Some(declined) {
        return Some(None);
    }
    if !matches!(node.value, Value::Map(_)) {
        let help = format!("write {declined}, or what is demanded");
        reader.fault(Code::Value, node.place, format!("{key} cannot be {}", node.describe()), &help);
        return None;
    }
    read(reader, node).map(Some)
}

/// A list of at least one role.
fn roles(reader: &mut Reader<'_>, node: &Node, key: &str) -> Option<Vec<Role>> {
    let names = reader.texts(node, key);
    if names.is_empty() {
        reader.fault(Code::Value, node.place, format!("{key} lists nobody"), "name at least one role");
        return None;
    }
    let read = names.into_iter().map(Role::new).collect::<Result<_, _>>();
    read.map_err(|error| reader.fault(Code::Value, node.place, error.to_string(), "")).ok()
}

pub(super) fn needed_roles(reader: &mut Reader<'_>, node: &Node, key: &str, what: &str) -> Option<Vec<Role>> {
    reader.needed(node, key, what).and_then(|node| roles(reader, node, key))
}

pub(super) fn span(reader: &mut Reader<'_>, node: &Node, key: &str, what: &str) -> Option<Duration> {
    reader.needed(node, key, what).and_then(|node| reader.duration(node, key))
}

fn approvals(reader: &mut Reader<'_>, node: &Node) -> Option<Approvals> {
    if node.text() == Some("automatic") {
        return Some(Approvals::Automatic);
    }
    reader.keys(node, "approvals", &["roles", "max_age"]);
    let roles = needed_roles(reader, node, "roles", "approvals");
    let max_age = span(reader, node, "max_age", "approvals");
    Some(Approvals::Roles { roles: roles?, max_age: max_age? })
}

fn policies(reader: &mut Reader<'_>, node: &Node) -> Option<Policies> {
    match node.text() {
        Some("all") => Some(Policies::All),
        Some("none") => Some(Policies::These(Vec::new())),
        Some(_) => {
            reader.fault(Code::Value, node.place, "policies is all, none, or a list of ids", "");
            None
        }
        None => Some(Policies::These(reader.texts(node, "policies"))),
    }
}

fn readiness(reader: &mut Reader<'_>, node: &Node) -> Option<ReadinessDemand> {
    reader.keys(node, "readiness", &["signed_by", "max_age"]);
    let signed_by = needed_roles(reader, node, "signed_by", "readiness");
    let max_age = span(reader, node, "max_age", "readiness");
    Some(ReadinessDemand { signed_by: signed_by?, max_age: max_age? })
}

fn rehearsal(reader: &mut Reader<'_>, node: &Node) -> Option<RehearsalDemand> {
    let what = "rehearsal";
    reader.keys(node, what, &["signed_by", "in", "max_age", "within"]);
    let signed_by = needed_roles(reader, node, "signed_by", what);
    let environments = reader.needed(node, "in", what).map(|node| reader.texts(node, "in"));
    let max_age = span(reader, node, "max_age", what);
    let within = span(reader, node, "within", what);
    Some(RehearsalDemand { signed_by: signed_by?, environments: environments?, max_age: max_age?, within: within? })
}

fn waivers(reader: &mut Reader<'_>, node: &Node) -> Option<WaiverRules> {
    let what = "waivers";
    reader.keys(node, what, &["signed_by", "policies", "longest"]);
    let signed_by = needed_roles(reader, node, "signed_by", what);
    let policies = reader.needed(node, "policies", what).map(|node| reader.texts(node, "policies"));
    let longest = span(reader, node, "longest", what);
    Some(WaiverRules { signed_by: signed_by?, policies: policies?, longest: longest? })
}
