//! Why a release may not go out: a closed list, each with what it means and what to do.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal, $remedy:literal;)+) => {
        /// A reason, or why something that was handed in does not count. The names are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum Code { $($(#[doc = $doc])+ #[serde(rename = $text)] $name,)+ }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable name.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// What it means.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc, "\n",)+).trim_ascii(),)+ }
            }

            /// What to do.
            #[must_use]
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$name => $remedy,)+ }
            }
        }
    };
}

codes! {
    /// There is no manifest, so nobody knows what would go out.
    MissingReleaseManifest = "MISSING_RELEASE_MANIFEST", "make one with townlet manifest new";
    /// The manifest cannot be read as one.
    InvalidReleaseManifest = "INVALID_RELEASE_MANIFEST", "see townlet manifest check";
    /// The manifest says that it was made later than now.
    ManifestInFuture = "MANIFEST_IN_FUTURE", "correct the clock that made it, and make it again";
    /// The author has not signed the manifest, so that anybody may have made it.
    AuthorSignatureMissing = "AUTHOR_SIGNATURE_MISSING", "townlet manifest sign, with the author's key";
    /// The manifest names no artifact: nothing would go out under its name.
    NoArtifacts = "NO_ARTIFACTS", "list what is shipped, with its files";
    /// The manifest is not for this environment.
    OtherEnvironment = "OTHER_ENVIRONMENT", "list the environment in the manifest, and have it approved again";
    /// The change board does not know this environment.
    EnvironmentNotOnBoard = "ENVIRONMENT_NOT_ON_BOARD", "add it to change-board.yaml";
    /// The change board asks for a window, and the manifest has none.
    WindowMissing = "WINDOW_MISSING", "give the manifest a window";
    /// The window opens later.
    WindowNotOpen = "WINDOW_NOT_OPEN", "wait, or make a manifest with another window";
    /// The window has closed.
    WindowClosed = "WINDOW_CLOSED", "make a manifest with another window, and have it approved";
    /// There is no way back: the rollback plan names no rule or no step.
    RollbackPlanMissing = "ROLLBACK_PLAN_MISSING", "give the plan the rules that start it and the steps to take";

    /// No believed statement says what the suites came to, for the scorecard that the manifest names.
    ScorecardMissing = "SCORECARD_MISSING", "townlet readiness run, and townlet attest scorecard";
    /// The suites did not pass.
    ReadinessFailed = "READINESS_FAILED", "mend what failed, run again, and make a manifest with the new scorecard";
    /// The suites ran too long ago.
    ReadinessOverdue = "READINESS_OVERDUE", "run them again, and make a manifest with the new scorecard";
    /// The scorecard is of another run than the manifest says.
    ScorecardOfOtherRun = "SCORECARD_OF_OTHER_RUN", "give the manifest the run of its scorecard";

    /// A role of the change board has not approved.
    ApprovalMissing = "APPROVAL_MISSING", "townlet approve --role ROLE, by somebody whose key has it: townlet keys trust gives it";
    /// Every role has approved, and too few people: one person counts for one role.
    ApproversNotDistinct = "APPROVERS_NOT_DISTINCT", "have another person approve for one of the roles";
    /// An approval is too old, or its own end has come.
    ApprovalExpired = "APPROVAL_EXPIRED", "approve again";
    /// Whoever made the release approved it.
    ApproverIsAuthor = "APPROVER_IS_AUTHOR", "have somebody else approve";

    /// No rehearsal of this rollback plan counts.
    RollbackRehearsalMissing = "ROLLBACK_REHEARSAL_MISSING", "townlet rehearse, in an environment that the board lists, and townlet attest rehearsal";
    /// The last rehearsal is too long ago.
    RollbackRehearsalOverdue = "ROLLBACK_REHEARSAL_OVERDUE", "townlet rehearse, and townlet attest rehearsal";
    /// The last rehearsal failed, whatever an earlier one did.
    RollbackRehearsalFailed = "ROLLBACK_REHEARSAL_FAILED", "mend the rollback, and rehearse it again";
    /// The last rehearsal took longer than the board allows.
    RollbackRehearsalTooSlow = "ROLLBACK_REHEARSAL_TOO_SLOW", "make the rollback faster, and rehearse it again";
    /// A rehearsal that will have happened.
    RollbackRehearsalInFuture = "ROLLBACK_REHEARSAL_IN_FUTURE", "correct the clock, and rehearse again";
    /// A rehearsal of other steps, or of another policy.
    RollbackRehearsalOfOtherPlan = "ROLLBACK_REHEARSAL_OF_OTHER_PLAN", "rehearse the plan of this manifest";
    /// A rehearsal in an environment that the board does not list.
    RollbackRehearsalElsewhere = "ROLLBACK_REHEARSAL_ELSEWHERE", "rehearse where the board says";

    /// Nobody who may has vouched for what the change board asks for.
    AttestationMissing = "ATTESTATION_MISSING", "townlet attest training, rota or item, by somebody who may";
    /// What was vouched for holds no more.
    AttestationExpired = "ATTESTATION_EXPIRED", "have it attested again";
    /// What was vouched for does not hold yet.
    AttestationNotYetValid = "ATTESTATION_NOT_YET_VALID", "wait, or have somebody in place for whom it holds";
    /// Somebody vouched for their own training or duty.
    AttestationByHolder = "ATTESTATION_BY_HOLDER", "have somebody else attest it";
    /// Whoever approved has not the training or the duty that the change board asks of that role.
    ApproverNotAttested = "APPROVER_NOT_ATTESTED", "have somebody approve who has it, or attest that they have";

    /// A critical incident is open there.
    IncidentOpen = "INCIDENT_OPEN", "end it, and close it with townlet incident close, by somebody who may";

    /// A policy is violated.
    PolicyViolated = "POLICY_VIOLATED", "mend the release, or have the policy waived where the board permits it";
    /// A policy that the board demands does not exist.
    PolicyUnknown = "POLICY_UNKNOWN", "correct its id in change-board.yaml, or write the policy";
    /// Nobody can tell whether the policy holds: samples are missing, too old or too few.
    EvidenceUnavailable = "EVIDENCE_UNAVAILABLE", "collect the samples up to now, and ask again";
    /// Samples were lost on the way, so those that arrived prove nothing.
    SamplesIncomplete = "SAMPLES_INCOMPLETE", "find out what was lost, and take samples of another window";
    /// The samples cannot be read, or there are some from after now.
    SamplesInvalid = "SAMPLES_INVALID", "correct them; townlet gate says the line";

    /// The policy fails, and the board permits to waive it.
    WaiverPossible = "WAIVER_POSSIBLE", "townlet waive, by somebody who may, or mend what fails";
    /// A waiver has expired.
    WaiverExpired = "WAIVER_EXPIRED", "mend what fails, or waive it again";
    /// The board does not permit to waive this here.
    WaiverNotPermitted = "WAIVER_NOT_PERMITTED", "mend what fails";
    /// A waiver is for longer than the board permits.
    WaiverTooLong = "WAIVER_TOO_LONG", "waive it for a shorter time";
    /// A waiver says nothing about why, or about what is done meanwhile.
    WaiverWithoutMitigation = "WAIVER_WITHOUT_MITIGATION", "say why, and what is done about the risk";
    /// A waiver of a known failure does not cover what is unknown, nor the other way round.
    WaiverOnOtherGround = "WAIVER_ON_OTHER_GROUND", "waive it on the ground that fits";

    /// A statement that names nobody.
    ActorEmpty = "ACTOR_EMPTY", "sign with the name that the key ring has";
    /// A statement speaks for somebody who did not sign it.
    ActorIsNotSigner = "ACTOR_IS_NOT_SIGNER", "have the person sign with their own key";
    /// A signature does not fit, or its key is unknown, expired or revoked.
    SignatureNotBelieved = "SIGNATURE_NOT_BELIEVED", "sign with a key that the ring believes";
    /// The signer does not hold the role.
    RoleNotHeld = "ROLE_NOT_HELD", "have somebody sign who holds it, or give them the role in the key ring";
    /// A statement is dated later than now.
    StatementInFuture = "STATEMENT_IN_FUTURE", "correct the clock, and sign again";
    /// A statement is about another manifest.
    OtherManifest = "OTHER_MANIFEST", "sign about this one: every change of a manifest makes it another";
    /// What was handed in is no statement that this gate reads.
    StatementInvalid = "STATEMENT_INVALID", "leave it out, or sign it again";
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Code {
    type Err = String;

    /// Reads the stable name.
    fn from_str(name: &str) -> Result<Self, String> {
        let known = Self::ALL.iter().find(|code| code.as_str() == name).copied();
        known.ok_or_else(|| {
            let near = townlet_policy::nearest(name, Self::ALL.iter().map(|code| code.as_str()));
            let help = near.map_or(String::new(), |near| format!("; {near}?"));
            format!("there is no reason '{}'{help}", crate::fields::shown(name))
        })
    }
}
