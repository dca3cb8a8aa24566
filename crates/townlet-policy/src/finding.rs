//! What is wrong with a policy, where, and what to do about it.

use std::error::Error;
use std::fmt;

use crate::time::printable;

/// Where something stands in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Characters to underline, at least 1.
    pub width: u32,
}

impl Place {
    /// The head of the file, for what is missing altogether.
    pub const TOP: Self = Self { line: 1, column: 1, width: 1 };

    /// A place further right on the same line.
    #[must_use]
    pub fn shifted(self, columns: usize, width: usize) -> Self {
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { line: self.line, column: self.column.saturating_add(small(columns)), width: small(width).max(1) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Worth knowing.
    Note,
    /// The policy can be used; it probably does not do what was meant.
    Warning,
    /// The policy is refused.
    Error,
}

impl Level {
    /// `note`, `warning` or `error`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $text:literal,)+) => {
        /// What kind of finding it is: stable, for tools that filter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code { $($(#[doc = $doc])+ $name,)+ }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The name that is printed, in snake case.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

codes! {
    /// The text is not YAML, or uses a part of it that a policy does not need.
    Syntax = "syntax",
    /// YAML reads this text as something other than what its author meant.
    YamlTrap = "yaml_trap",
    /// More text, values or nesting than a policy can need.
    TooLarge = "too_large",
    /// A key or a name stands twice.
    Duplicate = "duplicate",
    /// A key that has no meaning where it stands.
    UnknownKey = "unknown_key",
    /// Something that cannot be left out is.
    Missing = "missing",
    /// A value of another kind than its key takes.
    Value = "value",
    /// A rule that does not follow the grammar.
    Expression = "expression",
    /// A rule names a metric that the policy does not declare.
    UnknownMetric = "unknown_metric",
    /// A test names a rule that the policy does not have.
    UnknownRule = "unknown_rule",
    /// A limit whose unit is not that of the metric.
    Unit = "unit",
    /// No value makes the rule bad.
    NeverBad = "never_bad",
    /// No value makes the rule good.
    NeverGood = "never_good",
    /// A rollback is always there before the rule fires.
    DeadRule = "dead_rule",
    /// The rule fires only while another one does, which does as much.
    ShadowedRule = "shadowed_rule",
    /// Where one of two rules is good, the other is bad.
    Contradiction = "contradiction",
    /// A limit with two sides on a metric with one bad direction.
    TwoSided = "two_sided",
    /// Limits in `%` and in `pp` of the same baseline.
    MixedUnits = "mixed_units",
    /// A limit on the side where the metric gets better.
    WrongSide = "wrong_side",
    /// One sample is enough to undo a release.
    OneSample = "one_sample",
    /// A moment of silence passes for absence.
    AbsentAtOnce = "absent_at_once",
    /// Data that ends makes the rule good, and nobody notices.
    GapUnnoticed = "gap_unnoticed",
    /// Not accepted, and nothing happens.
    ActionGap = "action_gap",
    /// The rule cannot come to fire while somebody watches.
    Unreachable = "unreachable",
    /// A rule about a metric that nobody measures.
    NoSource = "no_source",
    /// A baseline with samples from after the change.
    ContaminatedBaseline = "contaminated_baseline",
    /// A step of the change that no step of the rollback takes back.
    MissingRollback = "missing_rollback",
    /// A step of the rollback that can fail without anybody noticing.
    UncheckedRollback = "unchecked_rollback",
    /// A rollback that cannot be shown in the time it has.
    SlowRollback = "slow_rollback",
    /// Recovery is read from what the rollback switches off.
    SwitchedOff = "switched_off",
    /// What decides stands outside the rules.
    SecondSource = "second_source",
    /// A test of the policy expects something else.
    TestFailed = "test_failed",
    /// A change of the policy that its tests do not notice.
    Survivor = "survivor",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One finding. `Display` prints it without the source line; [`Findings`] prints it with one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// The kind of finding.
    pub code: Code,
    /// How bad it is.
    pub level: Level,
    /// Where.
    pub place: Place,
    /// What is wrong. Quoted input is shortened and escaped.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Finding {
    /// A finding at a place.
    #[must_use]
    pub fn new(code: Code, level: Level, place: Place, message: impl Into<String>) -> Self {
        Self { code, level, place, message: harmless(&message.into()), help: None }
    }

    /// The same with a remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(harmless(&help.into()));
        self
    }
}

/// Whatever was quoted: a terminal obeys none of it.
fn harmless(text: &str) -> String {
    text.chars().map(printable).collect()
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}] at {}: {}", self.level.as_str(), self.code, self.place, self.message)?;
        if let Some(help) = &self.help {
            write!(f, " ({help})")?;
        }
        Ok(())
    }
}

/// Everything found in one file, in the order of the file.
///
/// Printing stays useful on hopeless input: after [`Findings::MOST`] findings
/// the rest is only counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Findings {
    file: String,
    lines: Vec<String>,
    found: Vec<Finding>,
    unlisted: usize,
}

impl Findings {
    /// The most findings that are kept.
    pub const MOST: usize = 200;
    /// The longest piece of a source line that is printed.
    const SHOWN: usize = 160;

    /// None yet, in this file with this text.
    #[must_use]
    pub fn new(file: &str, text: &str) -> Self {
        let lines = text.lines().map(str::to_owned).collect();
        Self { file: file.to_owned(), lines, found: Vec::new(), unlisted: 0 }
    }

    /// Adds one.
    pub fn push(&mut self, finding: Finding) {
        if self.found.len() < Self::MOST {
            self.found.push(finding);
            return;
        }
        self.unlisted += 1;
        // An error must never hide behind a pile of warnings.
        if finding.level == Level::Error
            && let Some(weaker) = self.found.iter_mut().find(|f| f.level < Level::Error)
        {
            *weaker = finding;
        }
    }

    /// Adds an error.
    pub(crate) fn error(&mut self, code: Code, place: Place, message: impl Into<String>) {
        self.push(Finding::new(code, Level::Error, place, message));
    }

    /// Orders by place.
    pub fn sort(&mut self) {
        self.found.sort_by_key(|f| (f.place.line, f.place.column));
    }

    /// The findings.
    pub fn iter(&self) -> std::slice::Iter<'_, Finding> {
        self.found.iter()
    }

    /// The worst level, if anything was found.
    #[must_use]
    pub fn worst(&self) -> Option<Level> {
        self.found.iter().map(|f| f.level).max()
    }

    /// Whether the file is refused.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.worst() == Some(Level::Error)
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Number of findings kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// The line of the text, from 1.
    pub(crate) fn line(&self, line: u32) -> Option<&str> {
        self.lines.get((line as usize).checked_sub(1)?).map(String::as_str)
    }

    /// One finding with its source line and a caret.
    fn print(&self, finding: &Finding, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column, width } = finding.place;
        let gutter = line.to_string().len();
        let file: String = self.file.chars().map(printable).collect();
        writeln!(f, "{}[{}]: {}", finding.level.as_str(), finding.code, finding.message)?;
        write!(f, "{:gutter$}--> {file}:{line}:{column}", "")?;
        if let Some(source) = self.line(line) {
            let skipped = (column as usize).saturating_sub(Self::SHOWN / 2);
            let shown: String = source.chars().skip(skipped).take(Self::SHOWN).map(printable).collect();
            let before = (column as usize).saturating_sub(1 + skipped);
            let room = shown.chars().count().saturating_sub(before).max(1);
            let carets = "^".repeat((width as usize).clamp(1, room));
            let shown = shown.trim_end();
            write!(f, "\n{:gutter$} |\n{line} | {shown}\n{:gutter$} | {:before$}{carets}", "", "", "")?;
        }
        if let Some(help) = &finding.help {
            write!(f, "\n{:gutter$} = help: {help}", "")?;
        }
        Ok(())
    }
}

impl<'a> IntoIterator for &'a Findings {
    type Item = &'a Finding;
    type IntoIter = std::slice::Iter<'a, Finding>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, finding) in self.found.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            self.print(finding, f)?;
        }
        if self.unlisted > 0 {
            write!(f, "\n\n… and {} more", self.unlisted)?;
        }
        Ok(())
    }
}

impl Error for Findings {}
