//! Policies at the gate: what fails, what nobody can tell, and what is waived.

use townlet_gate::gate::{Change, Code, Standing, Verdict};
use townlet_gate::statement::{Ground, Waiver};
use townlet_registry::Digest;

use crate::gate::{codes, refused};
use crate::sample::at;
use crate::world::{World, signed, waiver};

#[test]
fn a_policy_that_nobody_can_evaluate_does_not_hold() {
    let old = |text: String| text.replace("[[\"2026-11-21T13:30:00Z\", 183.5]]", "[[\"2026-11-21T12:59:59Z\", 183.5]]");
    let none = |text: String| text.replace("[[\"2026-11-21T13:30:00Z\", 183.5]]", "[]");
    let lost = |text: String| text.replacen("\"dropped\": 0", "\"dropped\": 3", 1);
    let late = |text: String| text.replace("[[\"2026-11-21T13:30:00Z\", 0]]", "[[\"2026-11-21T14:00:01Z\", 0]]");
    let broken = |text: String| text.replace("\"source\"", "\"sauce\"");
    type Spoil = fn(String) -> String;
    let cases: [(Code, Spoil); 5] = [
        (Code::EvidenceUnavailable, old),
        (Code::EvidenceUnavailable, none),
        (Code::SamplesIncomplete, lost),
        (Code::SamplesInvalid, late),
        (Code::SamplesInvalid, broken),
    ];
    for (code, change) in cases {
        let mut world = World::sound();
        world.samples = world.samples.map(change);
        let decision = world.decide();
        assert!(codes(&decision).contains(&code) && decision.only_unknown(), "{code}: {decision:#?}");
        assert_ne!(decision.verdict, Verdict::Approve);
    }
    let mut world = World::sound();
    world.samples = None;
    assert!(refused(&world, Code::EvidenceUnavailable).only_unknown());
}

#[test]
fn a_policy_that_fails_is_waived_by_somebody_who_may_on_a_ground_that_fits_until_a_day() {
    let mut world = World::sound();
    world.samples = world.samples.map(|text| text.replace("183.5", "283.5"));
    let digest = world.digest();
    let decision = world.decide();
    assert_eq!(decision.verdict, Verdict::WaiverRequired);
    assert_eq!(codes(&decision), [Code::PolicyViolated, Code::WaiverPossible]);
    assert_eq!(decision.flip.unwrap().changes, [Change::PolicyHolds { policy: "performance_p95_ms".into() }]);
    let good = waiver("performance_p95_ms", Ground::AcceptedRisk);
    let waived = world.clone().and("waiver", signed("ana", digest, good.clone())).decide();
    assert_eq!(waived.verdict, Verdict::Approve);
    let condition = waived.conditions.iter().find(|condition| condition.id == "performance_p95_ms").unwrap();
    assert_eq!((condition.standing, condition.reasons[0].code), (Standing::Waived, Code::PolicyViolated));
    let with = |change: fn(&mut Waiver)| {
        let mut changed = good.clone();
        change(&mut changed);
        changed
    };
    for (code, about, statement) in [
        (Code::OtherManifest, Digest::of(b"another"), good.clone()),
        (Code::OtherEnvironment, digest, with(|one| one.environment = "staging".into())),
        (Code::WaiverWithoutMitigation, digest, with(|one| one.mitigation = " ".into())),
        (Code::WaiverTooLong, digest, with(|one| one.expires_at = at("2026-12-05T13:00:00.001Z"))),
        (Code::WaiverExpired, digest, with(|one| one.expires_at = at("2026-11-21T14:00:00Z"))),
        (Code::WaiverOnOtherGround, digest, with(|one| one.reason = Ground::EvidenceUnavailable)),
        (Code::StatementInFuture, digest, with(|one| one.at = at("2026-11-21T14:00:01Z"))),
    ] {
        let decision = world.clone().and("waiver", signed("ana", about, statement)).decide();
        assert_ne!(decision.verdict, Verdict::Approve, "{code}");
        assert!(codes(&decision).contains(&code), "{code}: {:?}", codes(&decision));
    }
    let by_bo = with(|one| one.actor = "bo".into());
    let decision = world.and("waiver", signed("bo", digest, by_bo)).decide();
    assert!(codes(&decision).contains(&Code::RoleNotHeld) && decision.verdict == Verdict::WaiverRequired);
}

#[test]
fn what_the_board_does_not_list_cannot_be_waived() {
    let mut world = World::sound();
    world.samples = world.samples.map(|text| text.replace("13:30:00Z\", 0]", "13:30:00Z\", 2]"));
    let digest = world.digest();
    let world = world.and("waiver", signed("ana", digest, waiver("open_critical_incidents", Ground::EmergencyFix)));
    refused(&world, Code::WaiverNotPermitted);
}

#[test]
fn a_waiver_that_has_expired_and_is_not_needed_says_nothing() {
    let mut old = waiver("performance_p95_ms", Ground::AcceptedRisk);
    old.expires_at = at("2026-11-21T13:30:00Z");
    let world = World::sound();
    let digest = world.digest();
    let mut world = world.and("waiver", signed("ana", digest, old));
    assert_eq!(world.decide().verdict, Verdict::Approve);
    world.samples = world.samples.map(|text| text.replace("183.5", "283.5"));
    let decision = refused(&world, Code::WaiverExpired);
    let expired = decision.conditions.iter().find(|condition| condition.id == "readiness_waiver_expired").unwrap();
    assert_eq!(expired.standing, Standing::Unmet, "the policy of that name sees it too");
}

#[test]
fn a_policy_that_the_board_names_and_nobody_wrote_is_refused() {
    let mut world = World::sound();
    world.board = world.board.replace("policies: all", "policies: [error_rate, eror_rate]");
    refused(&world, Code::PolicyUnknown);
}
