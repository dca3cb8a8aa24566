//! What the gate says, and why.

use townlet_gate::gate::{Change, Code, Decision, Standing, Verdict};
use townlet_gate::manifest::Manifest;
use townlet_gate::statement::{Approval, Ground};
use townlet_registry::{Digest, Role, Time};

use crate::sample::{at, manifest};
use crate::world::{ROLES, World, approval, asked, rehearsal, scorecard, signed, waiver};

/// Every code that stands in the way, and every one of what does not count.
pub(crate) fn codes(decision: &Decision) -> Vec<Code> {
    let blocking = decision.conditions.iter().filter(|condition| condition.standing.blocks());
    let mut all: Vec<Code> = blocking.flat_map(|condition| &condition.reasons).map(|reason| reason.code).collect();
    all.extend(decision.not_counted.iter().map(|one| one.code));
    all
}

#[track_caller]
pub(crate) fn refused(world: &World, code: Code) -> Decision {
    let decision = world.decide();
    assert_eq!(decision.verdict, Verdict::Reject, "{code}: {decision:#?}");
    assert!(codes(&decision).contains(&code), "{code} is not in {:?}", codes(&decision));
    decision
}

pub(crate) fn changed(change: impl FnOnce(&mut Manifest)) -> World {
    let mut manifest = manifest();
    change(&mut manifest);
    World::of(manifest)
}

#[test]
fn a_release_with_everything_is_approved() {
    let decision = World::sound().decide();
    assert_eq!(decision.verdict, Verdict::Approve, "{:?}", codes(&decision));
    assert!(decision.conditions.iter().all(|condition| condition.standing == Standing::Met));
    assert_eq!((decision.flip, decision.not_counted, decision.inputs.len()), (None, Vec::new(), 11));
    assert_eq!(decision.release.as_deref(), Some("R42"));
}

#[test]
fn a_release_without_a_manifest_is_refused_by_name() {
    let mut world = World::sound();
    world.manifest = None;
    let decision = refused(&world, Code::MissingReleaseManifest);
    assert_eq!((decision.release, decision.manifest), (None, None));
    let mut inputs = World::sound().inputs();
    for broken in [&b"{\"relaese\": 1}"[..], b"\xff", b""] {
        inputs.manifest = Some(broken.to_vec());
        let decision = inputs.decide("production", asked()).unwrap();
        assert!(codes(&decision).contains(&Code::InvalidReleaseManifest));
        assert_eq!(decision.verdict, Verdict::Reject);
    }
}

#[test]
fn a_release_of_nothing_is_refused() {
    refused(&changed(|manifest| manifest.artifacts.clear()), Code::NoArtifacts);
}

#[test]
fn an_approval_by_nobody_is_refused() {
    for nobody in ["", "  "] {
        let world = World::sound().without("product-owner");
        let digest = world.digest();
        let world =
            world.and("nobody", signed("cy", digest, approval("product-owner", nobody, "2026-11-21T13:00:00Z")));
        let decision = refused(&world, Code::ActorEmpty);
        assert!(codes(&decision).contains(&Code::ApprovalMissing));
    }
}

#[test]
fn one_person_in_every_role_is_refused_and_two_more_people_are_what_it_takes() {
    let mut world = World::sound();
    let digest = world.digest();
    for (role, _) in ROLES {
        world = world.without(role).and("dora", signed("dora", digest, approval(role, "dora", "2026-11-21T13:00:00Z")));
    }
    let decision = refused(&world, Code::ApproversNotDistinct);
    let flip = decision.flip.unwrap();
    assert!(flip.exact && flip.changes.len() == 2, "{flip:?}");
    assert!(flip.changes.iter().all(|change| matches!(change, Change::Approved { .. })));
}

#[test]
fn people_who_hold_several_roles_fill_the_one_that_nobody_else_does() {
    let world = World::sound();
    let digest = world.digest();
    let world = world.without("sre-on-call");
    let roles = ["change-board", "sre-on-call"];
    let world = roles.iter().fold(world, |world, role| {
        world.and("dora", signed("dora", digest, approval(role, "dora", "2026-11-21T13:00:00Z")))
    });
    assert_eq!(world.decide().verdict, Verdict::Approve);
}

#[test]
fn a_rehearsal_in_the_future_is_refused() {
    let world = World::sound().without("rehearsal");
    let plan = world.plan();
    for when in ["2026-11-21T14:00:00.001Z", "2027-01-01T00:00:00Z"] {
        let world = world.clone().and("future", signed("bo", plan, rehearsal(when)));
        let decision = refused(&world, Code::RollbackRehearsalInFuture);
        assert!(codes(&decision).contains(&Code::RollbackRehearsalMissing));
    }
    let now = world.and("now", signed("bo", plan, rehearsal("2026-11-21T14:00:00Z")));
    assert_eq!(now.decide().verdict, Verdict::Approve);
}

#[test]
fn a_rehearsal_is_fresh_for_exactly_as_long_as_the_board_says() {
    let world = World::sound().without("rehearsal");
    let plan = world.plan();
    let mut world = world.and("rehearsal", signed("bo", plan, rehearsal("2026-10-22T14:00:00Z")));
    assert_eq!(world.decide().verdict, Verdict::Approve, "30 days to the millisecond");
    world.as_of = Time::from_ms(world.as_of.as_ms() + 1);
    refused(&world, Code::RollbackRehearsalOverdue);
}

#[test]
fn the_last_rehearsal_decides() {
    let world = World::sound();
    let plan = world.plan();
    let mut failed = rehearsal("2026-11-15T09:00:00Z");
    failed.passed = false;
    let after_failure = world.clone().and("failed", signed("bo", plan, failed.clone()));
    refused(&after_failure, Code::RollbackRehearsalFailed);
    let mended = after_failure.and("again", signed("bo", plan, rehearsal("2026-11-15T10:00:00Z")));
    assert_eq!(mended.decide().verdict, Verdict::Approve);
    let together = mended.and(
        "together",
        signed("bo", plan, {
            failed.finished_at = at("2026-11-15T10:00:00Z");
            failed
        }),
    );
    refused(&together, Code::RollbackRehearsalFailed);
    let mut slow = rehearsal("2026-11-16T10:00:00Z");
    slow.started_at = at("2026-11-16T09:54:59.999Z");
    refused(&world.and("slow", signed("bo", plan, slow)), Code::RollbackRehearsalTooSlow);
}

#[test]
fn what_failed_does_not_pass_because_whoever_signed_it_has_a_new_key() {
    let sound = World::sound();
    let plan = sound.plan();
    let (mut failed, mut slow) = (rehearsal("2026-11-15T09:00:00Z"), rehearsal("2026-11-15T09:00:00Z"));
    failed.passed = false;
    slow.started_at = at("2026-11-15T08:00:00Z");
    for (code, mut said) in [(Code::RollbackRehearsalFailed, failed), (Code::RollbackRehearsalTooSlow, slow)] {
        said.actor = "dora".into();
        let mut world = sound.clone().and("against", signed("dora", plan, said));
        refused(&world, code);
        let dora = *world.ring.keys().find(|(_, key)| key.person == "dora").unwrap().0;
        world.ring.revoke(&dora, at("2026-11-20T00:00:00Z"), "a new laptop").unwrap();
        let decision = refused(&world, code);
        assert_eq!(decision.flip.unwrap().changes, [Change::Rehearsed]);
    }
    // Nor does a failed run, about which somebody else says that it passed.
    let mut card = scorecard(&manifest());
    card.passed = false;
    let card = signed("ci", manifest().readiness.scorecard.digest, card);
    let mut world = sound.without("scorecard").and("failed", card);
    world.board = world.board.replace("signed_by: [ci]", "signed_by: [ci, change-board]");
    let mut passed = scorecard(&manifest());
    passed.actor = "ana".into();
    let mut world = world.and("passed", signed("ana", manifest().readiness.scorecard.digest, passed));
    refused(&world, Code::ReadinessFailed);
    let ci = *world.ring.keys().find(|(_, key)| key.person == "ci").unwrap().0;
    world.ring.revoke(&ci, at("2026-11-21T12:00:00Z"), "rotated").unwrap();
    refused(&world, Code::ReadinessFailed);
}

#[test]
fn a_clock_that_was_set_back_makes_no_rehearsal_faster_than_its_steps() {
    let world = World::sound();
    let mut slow = rehearsal("2026-11-16T10:00:00Z");
    // Six minutes, in the middle of which somebody set the clock back by four.
    slow.steps[0].duration_ms = 360_000;
    let plan = world.plan();
    refused(&world.and("slow", signed("bo", plan, slow)), Code::RollbackRehearsalTooSlow);
}

#[test]
fn a_rehearsal_counts_where_it_ran_by_whom_and_of_which_plan() {
    let world = World::sound().without("rehearsal");
    let plan = world.plan();
    let mut elsewhere = rehearsal("2026-11-10T09:00:00Z");
    elsewhere.environment = "laptop".into();
    let mut half = rehearsal("2026-11-10T09:00:00Z");
    half.steps[0].passed = false;
    let mut by_ci = rehearsal("2026-11-10T09:00:00Z");
    by_ci.actor = "ci".into();
    let good = rehearsal("2026-11-10T09:00:00Z");
    for (code, statement) in [
        (Code::RollbackRehearsalElsewhere, signed("bo", plan, elsewhere)),
        (Code::RollbackRehearsalFailed, signed("bo", plan, half)),
        (Code::RoleNotHeld, signed("ci", plan, by_ci)),
        (Code::RollbackRehearsalOfOtherPlan, signed("bo", Digest::of(b"another plan"), good.clone())),
        (Code::SignatureNotBelieved, signed("mallory", plan, good)),
    ] {
        let decision = refused(&world.clone().and("rehearsal", statement), code);
        assert_eq!(decision.flip.unwrap().changes, [Change::Rehearsed]);
    }
}

#[test]
fn an_approval_counts_for_this_manifest_by_this_person_in_this_role_for_this_long() {
    let world = World::sound().without("product-owner");
    let digest = world.digest();
    let good = approval("product-owner", "cy", "2026-11-21T13:00:00Z");
    let with = |change: fn(&mut Approval)| {
        let mut changed = good.clone();
        change(&mut changed);
        changed
    };
    for (code, by, about, statement) in [
        (Code::OtherManifest, "cy", Digest::of(b"another"), good.clone()),
        (Code::OtherEnvironment, "cy", digest, with(|one| one.environment = "staging".into())),
        (Code::ActorIsNotSigner, "ana", digest, good.clone()),
        (Code::RoleNotHeld, "ana", digest, with(|one| one.actor = "ana".into())),
        (Code::StatementInFuture, "cy", digest, with(|one| one.at = at("2026-11-21T14:00:00.001Z"))),
        (Code::ApprovalExpired, "cy", digest, with(|one| one.at = at("2026-11-14T14:00:00Z"))),
        (Code::ApprovalExpired, "cy", digest, with(|one| one.expires_at = Some(at("2026-11-21T14:00:00Z")))),
        (Code::SignatureNotBelieved, "mallory", digest, with(|one| one.actor = "mallory".into())),
        (Code::SignatureNotBelieved, "cy", digest, with(|one| one.at = at("2025-12-31T23:59:59Z"))),
    ] {
        let decision = refused(&world.clone().and("product-owner", signed(by, about, statement)), code);
        assert_eq!(decision.flip.unwrap().changes, [Change::Approved { role: Role::new("product-owner").unwrap() }]);
    }
    let until = with(|one| one.expires_at = Some(at("2026-11-21T14:00:00.001Z")));
    assert_eq!(world.and("product-owner", signed("cy", digest, until)).decide().verdict, Verdict::Approve);
}

#[test]
fn whoever_made_the_release_neither_approves_nor_waives() {
    let world = World::sound().without("change-board");
    let digest = world.digest();
    let own = signed("rosa", digest, approval("change-board", "rosa", "2026-11-21T13:00:00Z"));
    refused(&world.and("own", own), Code::ApproverIsAuthor);
    let mut world = World::sound();
    world.samples = world.samples.map(|text| text.replace("183.5", "283.5"));
    let mut own = waiver("performance_p95_ms", Ground::AcceptedRisk);
    own.actor = "rosa".into();
    let decision = world.and("own", signed("rosa", digest, own)).decide();
    assert_eq!(decision.verdict, Verdict::WaiverRequired);
    assert!(codes(&decision).contains(&Code::ApproverIsAuthor));
}

#[test]
fn the_author_signs_and_the_name_in_the_manifest_is_theirs() {
    refused(&World::sound().without("author"), Code::AuthorSignatureMissing);
    // Whoever writes another name into the manifest, to approve it themselves, cannot sign as that other.
    refused(&changed(|manifest| manifest.author = "cy".into()), Code::AuthorSignatureMissing);
}

#[test]
fn a_revoked_key_says_nothing_any_more() {
    let mut world = World::sound();
    let key = world.ring.keys().find(|(_, key)| key.person == "cy").map(|(id, _)| *id).unwrap();
    world.ring.revoke(&key, at("2026-11-21T13:30:00Z"), "lost").unwrap();
    refused(&world, Code::SignatureNotBelieved);
    world.as_of = at("2026-11-21T13:30:00Z");
    refused(&world, Code::SignatureNotBelieved);
}

#[test]
fn a_changed_byte_of_a_statement_is_noticed() {
    let mut world = World::sound();
    let text = String::from_utf8(world.statements[3].1.clone()).unwrap();
    let (head, tail) = text.split_at(text.find("\"sig\":\"").unwrap() + 7);
    let other = if tail.starts_with('A') { 'B' } else { 'A' };
    world.statements[3].1 = format!("{head}{other}{}", &tail[1..]).into_bytes();
    refused(&world, Code::SignatureNotBelieved);
    world.statements[3].1 = b"{}".to_vec();
    refused(&world, Code::StatementInvalid);
}

#[test]
fn the_manifest_is_for_this_place_and_this_time() {
    refused(&changed(|manifest| manifest.environments = vec!["staging".into()]), Code::OtherEnvironment);
    refused(&changed(|manifest| manifest.window = None), Code::WindowMissing);
    refused(&changed(|manifest| manifest.rollback_plan.steps.clear()), Code::RollbackPlanMissing);
    refused(&changed(|manifest| manifest.generated_at = at("2026-11-21T14:00:00.001Z")), Code::ManifestInFuture);
    let mut world = World::sound();
    world.as_of = at("2026-11-22T20:00:00Z");
    refused(&world, Code::WindowClosed);
    world.environment = "prodution";
    refused(&world, Code::EnvironmentNotOnBoard);
    assert_eq!(world.decide().flip.unwrap().changes, []);
}

#[test]
fn before_the_window_opens_the_smallest_change_is_to_wait() {
    let world = changed(|manifest| manifest.window.as_mut().unwrap().opens_at = at("2026-11-21T14:20:00Z"));
    let decision = refused(&world, Code::WindowNotOpen);
    assert_eq!(decision.flip.unwrap().changes, [Change::AskedLater { at: at("2026-11-21T14:20:00Z") }]);
    // With samples that are too old by then, another manifest is as far away as new samples are.
    let late = changed(|manifest| manifest.window.as_mut().unwrap().opens_at = at("2026-11-21T20:00:00Z"));
    let flip = late.decide().flip.unwrap();
    assert!(flip.changes.contains(&Change::AskedLater { at: at("2026-11-21T20:00:00Z") }), "{flip:?}");
    assert_eq!(flip.changes.len(), 4, "waiting, and three new samples: {flip:?}");
}

#[test]
fn a_fault_of_the_manifest_costs_every_signature_about_it() {
    let decision = refused(&changed(|manifest| manifest.artifacts.clear()), Code::NoArtifacts);
    let flip = decision.flip.unwrap();
    assert!(flip.changes.contains(&Change::ManifestRevised) && flip.changes.len() == 4, "{flip:?}");
}

#[test]
fn the_suites_have_passed_lately_in_the_run_that_the_manifest_names() {
    let world = World::sound().without("scorecard");
    let about = world.manifest.as_ref().unwrap().readiness.scorecard.digest;
    let good = scorecard(world.manifest.as_ref().unwrap());
    let decision = refused(&world, Code::ScorecardMissing);
    assert!(decision.only_unknown(), "nobody knows, and nobody said no");
    assert_eq!(decision.flip.unwrap().changes, [Change::ScorecardSigned]);
    let mut failed = good.clone();
    failed.passed = false;
    let decision = refused(&world.clone().and("failed", signed("ci", about, failed.clone())), Code::ReadinessFailed);
    assert!(!decision.only_unknown());
    let flip = decision.flip.unwrap().changes;
    assert!(
        flip.contains(&Change::SuitesPassed) && flip.contains(&Change::ManifestRevised) && flip.len() == 5,
        "{flip:?}"
    );
    let both = world.clone().and("good", signed("ci", about, good.clone())).and("failed", signed("ci", about, failed));
    refused(&both, Code::ReadinessFailed);
    let mut other = good.clone();
    other.run_id = "run124".into();
    refused(&world.clone().and("other", signed("ci", about, other)), Code::ScorecardOfOtherRun);
    let mut world = world.and("good", signed("ci", about, good));
    world.as_of = at("2026-11-22T11:00:00.001Z");
    refused(&world, Code::ReadinessOverdue);
}

#[test]
fn staging_approves_itself_by_policy_and_still_wants_an_author_and_a_passed_run() {
    let mut world = World::sound();
    for name in ["rehearsal", "change-board", "sre-on-call", "product-owner"] {
        world = world.without(name);
    }
    (world.environment, world.samples) = ("staging", None);
    assert_eq!(world.decide().verdict, Verdict::Approve);
    refused(&world.clone().without("author"), Code::AuthorSignatureMissing);
    refused(&world.without("scorecard"), Code::ScorecardMissing);
}

#[test]
fn every_reason_is_told_and_not_the_first_alone() {
    let mut world = changed(|manifest| {
        manifest.artifacts.clear();
        manifest.rollback_plan.rules.clear();
        manifest.environments.clear();
    });
    world.as_of = at("2026-11-30T00:00:00Z");
    world.statements.clear();
    let codes = codes(&world.decide());
    for code in [
        Code::AuthorSignatureMissing,
        Code::OtherEnvironment,
        Code::WindowClosed,
        Code::NoArtifacts,
        Code::RollbackPlanMissing,
        Code::ScorecardMissing,
        Code::ApprovalMissing,
        Code::RollbackRehearsalMissing,
        Code::EvidenceUnavailable,
    ] {
        assert!(codes.contains(&code), "{code} is not in {codes:?}");
    }
    assert_eq!(codes.iter().filter(|code| **code == Code::ApprovalMissing).count(), 3);
}

#[test]
fn without_a_board_policies_or_keys_there_is_no_decision() {
    let inputs = World::sound().inputs();
    for part in 0..3 {
        let mut broken = inputs.clone();
        let bytes = [&mut broken.board, &mut broken.policy, &mut broken.keys].into_iter().nth(part).unwrap();
        *bytes = b"{".to_vec();
        assert!(broken.decide("production", asked()).is_err(), "{part}");
    }
}

#[test]
fn every_code_has_a_name_of_its_own_a_meaning_and_a_remedy() {
    let mut names: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    for code in Code::ALL {
        assert_eq!(code.as_str().parse(), Ok(*code));
        assert!(!code.meaning().is_empty() && !code.meaning().starts_with(' ') && !code.remedy().is_empty(), "{code}");
        assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{code}\""));
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Code::ALL.len());
    let wrong: Result<Code, _> = "ROLLBACK_REHEARSAL_OVERDU".parse();
    assert!(wrong.unwrap_err().contains("ROLLBACK_REHEARSAL_OVERDUE?"));
}
