//! What the board asks somebody to vouch for: trainings, rotas, items of a checklist.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

use townlet_gate::gate::{Board, Code, Decision, Holder, Standing, Verdict};
use townlet_gate::statement::{Attestation, AttestationKind};

use crate::gate::{codes, refused};
use crate::sample::at;
use crate::world::{World, attestation, signed};

const TRAINED: &str = "{ kind: training, topic: runbook, of: author, signed_by: [training-lead], max_age: 365d }";
const ON_CALL: &str = "{ kind: rota, topic: sre, of: { approver: sre-on-call }, signed_by: [sre-lead] }";
const LOOKED_AT: &str = "{ kind: item, topic: dashboards, signed_by: [sre-on-call], max_age: 24h }";

fn asking(rule: &str) -> World {
    World::sound().demanding(&format!("    attestations:\n      - {rule}\n"))
}

fn with(rule: &str, by: &str, change: impl FnOnce(&mut Attestation)) -> World {
    let world = asking(rule);
    let kind = AttestationKind::ALL.into_iter().find(|kind| rule.contains(kind.as_str())).unwrap();
    let person = match kind {
        AttestationKind::Training => Some("rosa"),
        AttestationKind::Rota => Some("bo"),
        AttestationKind::Item => None,
    };
    let topic = if rule == TRAINED {
        "runbook"
    } else if rule == ON_CALL {
        "sre"
    } else {
        "dashboards"
    };
    let mut says = attestation(kind, topic, person, by);
    change(&mut says);
    let digest = world.digest();
    world.and("attestation", signed(by, digest, says))
}

fn standing(decision: &Decision, id: &str) -> Standing {
    decision.conditions.iter().find(|one| one.id == id).unwrap_or_else(|| panic!("no {id}")).standing
}

#[test]
fn a_board_without_attestations_asks_for_none_and_one_with_them_asks_for_each() {
    let board = Board::read(&World::sound().board, "board").unwrap();
    assert!(board.environments["production"].attestations.is_empty());
    for (rule, name) in [(TRAINED, "training:runbook"), (LOOKED_AT, "item:dashboards")] {
        let decision = refused(&asking(rule), Code::AttestationMissing);
        assert_eq!(standing(&decision, &format!("attestation:{name}")), Standing::Unmet);
    }
    refused(&asking(ON_CALL), Code::ApproverNotAttested);
}

#[test]
fn what_somebody_who_may_vouches_for_is_met() {
    for (rule, by) in [(TRAINED, "tess"), (ON_CALL, "tess"), (LOOKED_AT, "bo")] {
        let decision = with(rule, by, |_| {}).decide();
        assert_eq!(decision.verdict, Verdict::Approve, "{rule}: {:?}", codes(&decision));
    }
    // The author has it, and not whoever approves; so nothing is asked of staging.
    let mut world = asking(TRAINED);
    world.environment = "staging";
    assert_eq!(world.decide().verdict, Verdict::Approve);
}

#[test]
fn what_does_not_hold_now_or_is_of_somebody_else_does_not_count() {
    let later = "2026-11-21T14:00:00.001Z";
    type Change = fn(&mut Attestation);
    let cases: [(&str, &str, Change, Code); 9] = [
        (TRAINED, "tess", |says| says.valid_until = at("2026-11-21T14:00:00Z"), Code::AttestationExpired),
        (TRAINED, "tess", |says| says.valid_from = at("2025-11-21T13:59:59.999Z"), Code::AttestationExpired),
        (TRAINED, "tess", |says| says.person = Some("ana".into()), Code::AttestationMissing),
        (TRAINED, "tess", |says| says.topic = "another".into(), Code::AttestationMissing),
        (TRAINED, "tess", |says| says.kind = AttestationKind::Rota, Code::AttestationMissing),
        (TRAINED, "ana", |_| {}, Code::RoleNotHeld),
        (TRAINED, "tess", |says| says.actor = "ana".into(), Code::ActorIsNotSigner),
        (LOOKED_AT, "bo", |says| says.valid_from = at("2026-11-20T13:59:59.999Z"), Code::AttestationExpired),
        (ON_CALL, "tess", |says| says.valid_until = at("2026-11-21T14:00:00Z"), Code::ApproverNotAttested),
    ];
    for (number, (rule, by, change, code)) in cases.into_iter().enumerate() {
        println!("case {number}");
        refused(&with(rule, by, change), code);
    }
    let early = with(TRAINED, "tess", |says| says.valid_from = at(later));
    refused(&early, Code::AttestationNotYetValid);
    // At the limit it counts, to the millisecond.
    let exact = with(TRAINED, "tess", |says| says.valid_from = at("2025-11-21T14:00:00Z"));
    assert_eq!(exact.decide().verdict, Verdict::Approve);
}

#[test]
fn nobody_vouches_for_themselves() {
    let rule = TRAINED.replace("training-lead", "release-engineer");
    let world = asking(&rule);
    let digest = world.digest();
    let says = attestation(AttestationKind::Training, "runbook", Some("rosa"), "rosa");
    refused(&world.and("herself", signed("rosa", digest, says)), Code::AttestationByHolder);
}

#[test]
fn an_item_is_about_one_manifest() {
    let world = asking(LOOKED_AT);
    let says = attestation(AttestationKind::Item, "dashboards", None, "bo");
    let other = townlet_registry::Digest::of(b"another manifest");
    refused(&world.and("other", signed("bo", other, says)), Code::AttestationMissing);
}

#[test]
fn a_training_outlives_the_key_of_who_vouched_for_it() {
    let mut world = with(TRAINED, "tess", |_| {});
    let id = *world.ring.keys().find(|(_, key)| key.person == "tess").unwrap().0;
    world.ring.revoke(&id, at("2026-11-21T13:30:00Z"), "she left").unwrap();
    assert_eq!(world.decide().verdict, Verdict::Approve);
    // Revoked from before it was signed, it proves nothing.
    let mut stolen = with(TRAINED, "tess", |_| {});
    stolen.ring.revoke(&id, at("2026-11-01T00:00:00Z"), "stolen").unwrap();
    refused(&stolen, Code::SignatureNotBelieved);
}

#[test]
fn the_fewest_changes_name_the_attestation() {
    let decision = asking(TRAINED).decide();
    let flip = decision.flip.unwrap();
    let advice: Vec<String> = flip.changes.iter().map(|change| change.advice()).collect();
    assert_eq!(advice, ["have training:runbook attested by somebody who may"]);
}

#[test]
fn rules_that_ask_nobody_or_nothing_are_refused_with_what_to_write() {
    for (rule, says) in [
        ("{ kind: rotta, topic: sre, of: author, signed_by: [x] }", "kind is training, rota or item, not 'rotta'"),
        ("{ kind: rota, topic: sre, of: { approver: cook }, signed_by: [x] }", "nobody approves as 'cook' here"),
        ("{ kind: rota, topic: sre, of: cook, signed_by: [x] }", "of is author or { approver: ROLE }"),
        ("{ kind: rota, topic: sre, signed_by: [x] }", "an attestation needs of"),
        ("{ kind: item, topic: t, of: author, signed_by: [x], max_age: 1d }", "an item is of the release"),
        ("{ kind: training, topic: t, of: author, signed_by: [x] }", "an attestation needs max_age"),
        ("{ kind: item, topic: t, signed_by: [], max_age: 1d }", "signed_by lists nobody"),
        ("{ kind: item, topic: t, signed_by: [x], max_age: 1d, maxage: 2d }", "has no key 'maxage'"),
    ] {
        let text = format!("{}    attestations: [{rule}]\n", World::sound().board.trim_end_matches(' '));
        let found = Board::read(&text, "board").unwrap_err().to_string();
        assert!(found.contains(says), "{rule}:\n{found}");
    }
    let twice = format!("{}    attestations: [{TRAINED}, {TRAINED}]\n", World::sound().board);
    assert!(Board::read(&twice, "board").unwrap_err().to_string().contains("'training:runbook' is asked for twice"));
    let held = Board::read(&asking(ON_CALL).board, "board").unwrap();
    assert!(
        matches!(&held.environments["production"].attestations[0].holder, Holder::Approver(role) if role.as_str() == "sre-on-call")
    );
}
