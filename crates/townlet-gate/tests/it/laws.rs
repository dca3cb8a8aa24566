//! What holds for every case: generated cases against brute force, and ten thousand decisions made again.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where it stopped")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use proptest::prelude::*;
use townlet_gate::gate::{Case, Change, Decision, Desk, Inputs, ReplayError, Verdict, replay};
use townlet_gate::statement::{AttestationKind, Authorship, Body, Evidence, Ground};
use townlet_registry::Digest;

use crate::sample::{at, manifest};
use crate::world::{
    ROLES, World, approval, asked, attestation, closed, opened, rehearsal, scorecard, signed, waiver, without_incidents,
};

/// Statements of every kind, good and bad.
static STATEMENTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let sound = manifest();
    let (digest, plan) = (sound.digest().unwrap(), sound.rollback_plan.digest().unwrap());
    let card = sound.readiness.scorecard.digest;
    let one = "2026-11-21T13:00:00Z";
    let mut all: Vec<Vec<u8>> = ROLES.map(|(role, who)| signed(who, digest, approval(role, who, one))).into();
    all.extend(ROLES.map(|(role, _)| signed("dora", digest, approval(role, "dora", one))));
    all.push(signed("rosa", digest, approval("change-board", "rosa", one)));
    all.push(signed("cy", digest, approval("product-owner", "", one)));
    all.push(signed("mallory", digest, approval("product-owner", "mallory", one)));
    all.push(signed("ana", Digest::of(b"another"), approval("change-board", "ana", one)));
    all.push(signed("ana", digest, approval("change-board", "ana", "2026-11-10T00:00:00Z")));
    all.push(signed("rosa", digest, Authorship { actor: "rosa".into(), at: sound.generated_at }));
    all.push(signed("ci", card, scorecard(&sound)));
    let mut failed = scorecard(&sound);
    failed.passed = false;
    all.push(signed("ci", card, failed));
    for when in ["2026-11-10T09:00:00Z", "2026-10-01T09:00:00Z", "2026-12-01T09:00:00Z"] {
        all.push(signed("bo", plan, rehearsal(when)));
    }
    let mut broken = rehearsal("2026-11-12T09:00:00Z");
    broken.passed = false;
    all.push(signed("bo", plan, broken));
    for policy in ["performance_p95_ms", "readiness", "error_rate", "rehearsal"] {
        for ground in [Ground::AcceptedRisk, Ground::EvidenceUnavailable] {
            all.push(signed("ana", digest, waiver(policy, ground)));
        }
    }
    let mut expired = waiver("performance_p95_ms", Ground::AcceptedRisk);
    expired.expires_at = at("2026-11-21T13:30:00Z");
    all.push(signed("ana", digest, expired));
    let trained = |by: &str| attestation(AttestationKind::Training, "runbook", Some("rosa"), by);
    all.push(signed("tess", digest, trained("tess")));
    all.push(signed("ana", digest, trained("ana")));
    for person in ["bo", "dora"] {
        all.push(signed("tess", digest, attestation(AttestationKind::Rota, "sre", Some(person), "tess")));
    }
    all.push(signed("bo", digest, attestation(AttestationKind::Item, "dashboards", None, "bo")));
    for when in ["2026-11-21T12:00:00Z", "2026-11-21T13:30:00Z", "2026-11-21T15:00:00Z"] {
        all.push(signed("ana", digest, opened("INC-7", "ana", when)));
        all.push(signed("bo", digest, closed("INC-7", when)));
    }
    all.push(b"not an envelope".to_vec());
    all
});

/// What a board may ask for beside the rest.
const MORE: &str = "    incidents: { closed_by: [sre-on-call] }
    attestations:
      - { kind: training, topic: runbook, of: author, signed_by: [training-lead], max_age: 365d }
      - { kind: rota, topic: sre, of: { approver: sre-on-call }, signed_by: [sre-lead] }
      - { kind: item, topic: dashboards, signed_by: [sre-on-call], max_age: 24h }
";

static SOUND: LazyLock<World> = LazyLock::new(World::sound);

/// A world of random parts. Most of them are sound, so that each verdict comes up.
fn worlds() -> impl Strategy<Value = World> {
    worlds_of(1)
}

/// The same; to one in which much is missing, so that the way to an approval is long, come `near` in which little is.
fn worlds_of(near: u32) -> impl Strategy<Value = World> {
    let manifests = prop_oneof![12 => Just(0), 1 => Just(1), 1 => Just(2), 1 => Just(3), 1 => Just(4)];
    let samples = prop_oneof![6 => Just(0), 2 => Just(1), 1 => Just(2), 1 => Just(3), 1 => Just(4)];
    let boards = prop_oneof![4 => Just(0), 1 => Just(1), 1 => Just(2), 1 => Just(3), 1 => Just(4)];
    let hours = prop_oneof![10 => Just(14), 1 => Just(13), 1 => Just(16), 1 => Just(7), 1 => Just(23)];
    // What a release needs is there in most worlds, and everything else in few.
    // It is in thousandths: whole numbers are drawn faster.
    let needed = prop_oneof![near => Just(970_u16), 1 => Just(700)];
    let chosen = (needed, proptest::collection::vec(0..1000_u16, STATEMENTS.len())).prop_map(|(needed, draws)| {
        let is_needed =
            |bytes: &Vec<u8>| SOUND.statements.iter().any(|(_, one)| one == bytes) || ATTESTED.contains(bytes);
        let share = |bytes: &Vec<u8>| if is_needed(bytes) { needed } else { 200 };
        STATEMENTS.iter().zip(draws).map(|(bytes, draw)| draw < share(bytes)).collect::<Vec<bool>>()
    });
    let speaks_against = proptest::bool::weighted(0.2);
    (manifests, samples, boards, hours, chosen, speaks_against).prop_map(
        |(which, samples, board, hour, chosen, against)| {
            let mut world = SOUND.clone();
            let made = world.manifest.as_mut().unwrap();
            match which {
                1 => made.artifacts.clear(),
                2 => made.environments = vec!["staging".into()],
                3 => made.window.as_mut().unwrap().opens_at = at("2026-11-21T14:10:00Z"),
                4 => world.manifest = None,
                _ => {}
            }
            let text = world.samples.take().unwrap();
            world.samples = match samples {
                0 => Some(text),
                1 => Some(text.replace("183.5", "283.5")),
                2 => Some(text.replace("0.001", "0.1").replace("183.5", "283.5")),
                3 => Some(text.replacen("\"dropped\": 0", "\"dropped\": 1", 1)),
                _ => None,
            };
            world.board = match board {
                0 => world.board.replace("[performance_p95_ms]", "[performance_p95_ms, readiness, error_rate]"),
                1 => world.board,
                4 => {
                    world.samples = world.samples.map(|text| without_incidents(&text));
                    world.board + MORE
                }
                2 => world.board.replace(
                    "rehearsal: { signed_by: [sre-on-call], in: [staging], max_age: 30d, within: 5m }",
                    "rehearsal: not required",
                ),
                _ => world.board.replace(
                    "waivers: { signed_by: [change-board], policies: [performance_p95_ms], longest: 14d }",
                    "waivers: none",
                ),
            };
            world.as_of = at(&format!("2026-11-21T{hour:02}:00:00Z"));
            let all = STATEMENTS.iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(bytes, _)| bytes);
            let kept = all.filter(|bytes| against || !AGAINST.contains(*bytes));
            world.statements = kept.map(|bytes| ("generated", bytes.clone())).collect();
            world
        },
    )
}

/// What vouches for people and the release: what a board that asks for it needs.
static ATTESTED: LazyLock<BTreeSet<Vec<u8>>> = LazyLock::new(|| {
    let ring = World::sound().ring;
    let vouches =
        |bytes: &&Vec<u8>| Evidence::read(bytes, &ring).is_ok_and(|one| matches!(one.body, Body::Attestation(_)));
    STATEMENTS.iter().filter(vouches).cloned().collect()
});

/// What speaks against a release: runs and rehearsals that failed, and incidents.
static AGAINST: LazyLock<BTreeSet<Vec<u8>>> = LazyLock::new(|| {
    let ring = World::sound().ring;
    let failed = |bytes: &&Vec<u8>| match Evidence::read(bytes, &ring).map(|evidence| evidence.body) {
        Ok(Body::Scorecard(card)) => !card.passed,
        Ok(Body::Rehearsal(rehearsal)) => !rehearsal.passed,
        Ok(Body::IncidentOpened(_)) => true,
        _ => false,
    };
    STATEMENTS.iter().filter(failed).cloned().collect()
});

fn case(world: &World) -> Case {
    world.inputs().case(world.environment, world.as_of).unwrap_or_else(|error| panic!("{error}"))
}

fn verdict(case: &Case) -> Verdict {
    case.judge().verdict
}

/// How far a verdict is from approval.
fn distance(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Approve => 0,
        Verdict::WaiverRequired => 1,
        Verdict::Reject => 2,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn one_more_approval_never_makes_it_worse(world in worlds(), role in 0..3_usize) {
        let before = verdict(&case(&world));
        let (role, _) = ROLES[role];
        for (by, about) in [("dora", world.manifest.as_ref()), ("ana", world.manifest.as_ref())] {
            let Some(about) = about else { continue };
            let more = signed(by, about.digest().unwrap(), approval(role, by, "2026-11-21T12:30:00Z"));
            let after = verdict(&case(&world.clone().and("more", more)));
            prop_assert!(distance(after) <= distance(before), "{before:?} became {after:?}");
        }
    }

    #[test]
    fn to_leave_out_what_does_not_speak_against_a_release_never_approves_it(world in worlds()) {
        let mut desk = Desk::default();
        let mut approves = |world: &World| {
            let case = desk.case(&world.inputs(), world.environment, world.as_of).unwrap();
            verdict(&case) == Verdict::Approve
        };
        if approves(&world) {
            return Ok(());
        }
        for at in 0..world.statements.len() {
            let mut less = world.clone();
            let (_, gone) = less.statements.remove(at);
            prop_assert!(AGAINST.contains(&gone) || !approves(&less), "without statement {at}");
        }
        for part in 0..2 {
            let mut less = world.clone();
            if part == 0 { less.manifest = None } else { less.samples = None }
            prop_assert!(!approves(&less), "without part {part}");
        }
    }

    #[test]
    fn the_order_of_statements_and_doubles_make_no_difference(world in worlds(), by in 0..30_usize) {
        let decision = world.decide().to_bytes().unwrap();
        let mut other = world.clone();
        other.statements.reverse();
        if let Some(one) = other.statements.get(by).cloned() {
            other.statements.push(one);
        }
        prop_assert_eq!(other.decide().to_bytes().unwrap(), decision);
    }

    #[test]
    fn a_smallest_change_approves_and_no_smaller_one_does(world in worlds()) {
        let case = case(&world);
        let approves = |changes: &BTreeSet<Change>| verdict(&case.with(changes)) == Verdict::Approve;
        let Some(flip) = case.flip() else {
            prop_assert!(approves(&BTreeSet::new()));
            return Ok(());
        };
        prop_assert!(flip.exact);
        let found: BTreeSet<Change> = flip.changes.iter().cloned().collect();
        let all = case.changes();
        // Nothing, or everything of it, is known without a search.
        if found.is_empty() {
            prop_assert!(all.len() <= 2 || !approves(&all.iter().cloned().collect()));
            return Ok(());
        }
        prop_assert!(approves(&found), "{found:?}");
        for size in 0..found.len().min(5) {
            for smaller in combinations(&all, size) {
                prop_assert!(!approves(&smaller), "{found:?} is larger than {smaller:?}");
            }
        }
    }
}

/// All subsets of that size.
fn combinations(of: &[Change], size: usize) -> Vec<BTreeSet<Change>> {
    match (size, of) {
        (0, _) => vec![BTreeSet::new()],
        (_, []) => Vec::new(),
        (_, [first, rest @ ..]) => {
            let with = combinations(rest, size - 1).into_iter().map(|mut set| {
                set.insert(first.clone());
                set
            });
            with.chain(combinations(rest, size)).collect()
        }
    }
}

/// Stores every input of a decision by its digest.
fn store(inputs: &Inputs, kept: &mut BTreeMap<Digest, Vec<u8>>) {
    kept.extend(inputs.parts().into_iter().map(|(input, bytes)| (input.digest, bytes.to_vec())));
}

#[test]
fn ten_thousand_stored_decisions_replay_to_identical_bytes() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut kept, mut decided, mut verdicts) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
    // Two desks: nothing that the one has read is known to the other.
    let (mut first, mut second) = (Desk::default(), Desk::default());
    let worlds = worlds_of(3);
    for _ in 0..10_000 {
        let world = proptest::strategy::ValueTree::current(&worlds.new_tree(&mut runner).unwrap());
        let inputs = world.inputs();
        let decision = first.decide(&inputs, world.environment, world.as_of).unwrap();
        store(&inputs, &mut kept);
        *verdicts.entry(decision.verdict.as_str()).or_insert(0_u32) += 1;
        decided.push(decision.to_bytes().unwrap());
    }
    for bytes in &decided {
        let again = replay(&mut second, bytes, |digest| kept.get(&digest).cloned()).unwrap();
        assert!(again.same, "{:#?}\n{:#?}", again.stored, again.again);
    }
    // The test would show little if one verdict came up alone.
    assert!(verdicts.len() == 3 && verdicts.values().all(|count| *count >= 200), "{verdicts:?}");
}

#[test]
fn what_a_desk_remembers_changes_no_decision() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut desk, worlds) = (Desk::default(), worlds());
    for _ in 0..100 {
        let world = proptest::strategy::ValueTree::current(&worlds.new_tree(&mut runner).unwrap());
        let remembered = desk.decide(&world.inputs(), world.environment, world.as_of).unwrap();
        assert_eq!(world.decide(), remembered);
    }
}

#[test]
fn a_decision_that_was_changed_or_lost_an_input_does_not_replay() {
    let world = World::sound();
    let (inputs, decision) = (world.inputs(), world.decide());
    let mut kept = BTreeMap::new();
    store(&inputs, &mut kept);
    let bytes = decision.to_bytes().unwrap();
    assert_eq!(Decision::from_bytes(&bytes).as_ref(), Ok(&decision));
    let mut changed = decision.clone();
    changed.verdict = Verdict::Reject;
    let again =
        replay(&mut Desk::default(), &changed.to_bytes().unwrap(), |digest| kept.get(&digest).cloned()).unwrap();
    assert!(!again.same && again.again == decision);
    changed = decision.clone();
    changed.as_of = asked();
    changed.environment = "staging".into();
    assert!(
        !replay(&mut Desk::default(), &changed.to_bytes().unwrap(), |digest| kept.get(&digest).cloned()).unwrap().same
    );
    for lost in decision.inputs.iter().map(|input| input.digest) {
        let fetch = |digest: Digest| kept.get(&digest).filter(|_| digest != lost).cloned();
        assert!(
            matches!(replay(&mut Desk::default(), &bytes, fetch), Err(ReplayError::Missing(_, digest)) if digest == lost)
        );
        let altered = |digest: Digest| if digest == lost { Some(b"{}".to_vec()) } else { kept.get(&digest).cloned() };
        assert!(matches!(replay(&mut Desk::default(), &bytes, altered), Err(ReplayError::Altered(..))));
    }
    let text = String::from_utf8(bytes).unwrap();
    // The same decision in another text would have another digest.
    let seconds = ".000Z";
    assert!(text.contains(seconds) && text.contains("\"standing\":\"met\""));
    for wrong in [
        text.replace("decision/1", "decision/2"),
        format!(" {text}"),
        text.replacen(seconds, "Z", 1),
        text.replacen("\"standing\":\"met\"", "\"standing\":\"met\",\"waivable\":false", 1),
    ] {
        assert!(
            matches!(replay(&mut Desk::default(), wrong.as_bytes(), |_| None), Err(ReplayError::NotADecision(_))),
            "{wrong}"
        );
    }
}
