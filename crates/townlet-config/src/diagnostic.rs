//! What is wrong with a configuration, where, and what to do about it.

use std::error::Error;
use std::fmt;

use crate::correct::Fix;
use crate::origin::{Origin, Place};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The configuration is used as it stands; something is worth knowing.
    Note,
    /// The configuration is used; it probably does not do what was meant.
    Warning,
    /// The configuration is refused.
    Error,
}

impl Severity {
    /// `note`, `warning` or `error`.
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
            /// The name that is printed, in snake case.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

codes! {
    /// The text is not YAML, or uses a part of it that a configuration does not need.
    Syntax = "syntax",
    /// The file cannot be read or is not UTF-8.
    Unreadable = "unreadable",
    /// More text, nodes or nesting than a configuration can need.
    TooLarge = "too_large",
    /// A key stands twice in one mapping.
    DuplicateKey = "duplicate_key",
    /// No such key.
    UnknownKey = "unknown_key",
    /// The key exists, elsewhere.
    MisplacedKey = "misplaced_key",
    /// The key exists, for another `transport.type`.
    NotForType = "not_for_type",
    /// A number where text belongs, text where a list belongs, …
    WrongType = "wrong_type",
    /// A number outside its bounds.
    OutOfRange = "out_of_range",
    /// A word that is not one of the words allowed here.
    BadChoice = "bad_choice",
    /// A key that must be given is not.
    Missing = "missing",
    /// Two values that contradict each other.
    Conflict = "conflict",
    /// The transport exists, but not in this program.
    NotBuiltIn = "not_built_in",
    /// The setting is known and does not exist in this version.
    NotAvailable = "not_available",
    /// An endpoint that is not `host:port`, or not a URL where one belongs.
    Endpoint = "endpoint",
    /// Plaintext TCP without both acknowledgements or off the loopback.
    Plaintext = "plaintext",
    /// A file named by a key does not exist or cannot be read.
    File = "file",
    /// The transport itself refused its settings.
    Transport = "transport",
    /// A transform entry that is none of the accepted forms.
    Transform = "transform",
    /// Redaction is switched off, or was added to a custom pipeline.
    Redaction = "redaction",
    /// The key is accepted and changes nothing here.
    NoEffect = "no_effect",
    /// An environment variable or `--set` argument that names no key.
    BadOverride = "bad_override",
    /// A limit that does not fit the tick cadence.
    Cadence = "cadence",
    /// A changed key that a running pipeline does not take over.
    NeedsRestart = "needs_restart",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One finding. `Display` prints it with the source line and a caret.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Diagnostic {
    /// The kind of finding.
    pub code: Code,
    /// Whether the configuration is refused for it.
    pub severity: Severity,
    /// The file, or the environment variable or `--set` argument at fault.
    pub file: String,
    /// Line in `file`, from 1; 0 where the value does not come from a file.
    pub line: u32,
    /// Column in characters, from 1; 0 where the value does not come from a file.
    pub column: u32,
    /// The dotted key; empty where the text as a whole is at fault.
    pub key: String,
    /// What is wrong. Quoted input is shortened and escaped.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
    pub(crate) source: Option<Box<str>>,
    pub(crate) width: u32,
    pub(crate) fix: Option<Fix>,
}

impl Diagnostic {
    pub(crate) fn new(code: Code, severity: Severity, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code,
            severity,
            file: String::new(),
            line: 0,
            column: 0,
            key: clean(&key.into()),
            message: clean(&message.into()),
            help: None,
            source: None,
            width: 1,
            fix: None,
        }
    }

    /// Ties the finding to a place; `file` and `text` are those of the file layer.
    pub(crate) fn locate(&mut self, place: &Place, file: &str, text: &str) {
        self.width = place.width.max(1);
        match &place.origin {
            Origin::Default => self.file = file.to_owned(),
            Origin::File { line, column } => {
                self.file = file.to_owned();
                (self.line, self.column) = (*line, *column);
                self.source = lines(text).nth((*line as usize).saturating_sub(1)).map(|l| visible(l, *column));
            }
            other => self.file = other.to_string(),
        }
    }
}

/// The lines of a text as YAML counts them: a carriage return ends one without a line feed too (YAML 1.2.2,
/// section 5.4).
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('\r'))
}

/// The longest source line that is printed whole.
const SHOWN: usize = 160;

/// A source line that is safe on a terminal: control characters and tabs become
/// one visible column each, so that the caret still fits; what lies far behind
/// the caret is cut.
fn visible(line: &str, column: u32) -> Box<str> {
    let end = (column as usize).saturating_add(SHOWN);
    let mut out: String = line.chars().take(end).map(printable).collect();
    if line.chars().nth(end).is_some() {
        out.push('…');
    }
    out.into()
}

fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c) => {
            '\u{fffd}'
        }
        c => c,
    }
}

/// Text that may hold parts of the input, made harmless on a terminal and cut
/// where nobody would read on.
pub(crate) fn clean(text: &str) -> String {
    const LONGEST: usize = 600;
    let mut out: String = text.chars().take(LONGEST).map(printable).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    out
}

/// User text for a message: shortened, and harmless on a terminal.
pub(crate) fn quote(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut out: String = text.chars().take(LONGEST).map(printable).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push('…');
    }
    format!("'{out}'")
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]: {}", self.severity.as_str(), self.code, self.message)?;
        let gutter = self.line.to_string().len();
        let arrow = if self.source.is_some() { gutter } else { 1 };
        match (self.file.is_empty(), self.line) {
            (true, _) => {}
            (false, 0) => write!(f, "\n{:arrow$}--> {}", "", clean(&self.file))?,
            (false, line) => write!(f, "\n{:arrow$}--> {}:{line}:{}", "", clean(&self.file), self.column)?,
        }
        if let Some(source) = &self.source {
            // A caret far to the right would need a line of its own in every terminal: show the end of the line.
            let skipped = (self.column as usize).saturating_sub(SHOWN);
            let shown: String = source.chars().skip(skipped).collect();
            let before =
                (self.column as usize).saturating_sub(1) - skipped.min((self.column as usize).saturating_sub(1));
            let room = shown.chars().count().saturating_sub(before).max(1);
            let carets = "^".repeat((self.width as usize).clamp(1, room));
            write!(
                f,
                "\n{:gutter$} |\n{} | {}\n{:gutter$} | {:before$}{carets}",
                "",
                self.line,
                shown.trim_end(),
                "",
                ""
            )?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n{:arrow$} = help: {}", "", help)?;
        }
        Ok(())
    }
}

/// All findings of one load, in the order of the file.
///
/// Printing stays useful on hopeless input: after [`Diagnostics::MOST`] findings
/// the rest is only counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diagnostics {
    found: Vec<Diagnostic>,
    unlisted: usize,
}

impl Diagnostics {
    /// The most findings that are kept.
    pub const MOST: usize = 200;

    /// The findings, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.found.iter()
    }

    /// Those for which the configuration is refused.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        self.found.iter().filter(|d| d.severity == Severity::Error)
    }

    /// True where at least one finding is an error.
    pub fn has_errors(&self) -> bool {
        self.errors().next().is_some()
    }

    /// Number of findings kept.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// True where nothing was found.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// Findings beyond [`MOST`](Self::MOST), counted and not kept.
    pub fn unlisted(&self) -> usize {
        self.unlisted
    }

    /// The findings as a plain list.
    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.found
    }

    pub(crate) fn first_mut(&mut self) -> Option<&mut Diagnostic> {
        self.found.first_mut()
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        if self.found.len() < Self::MOST {
            self.found.push(diagnostic);
            return;
        }
        self.unlisted += 1;
        // An error must never hide behind a pile of warnings.
        if diagnostic.severity == Severity::Error
            && let Some(weaker) = self.found.iter_mut().find(|d| d.severity < Severity::Error)
        {
            *weaker = diagnostic;
        }
    }

    /// Orders by place; findings without one come last.
    pub(crate) fn sort(&mut self) {
        self.found.sort_by_key(|d| (d.line == 0, d.line, d.column));
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.found.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{diagnostic}")?;
        }
        if self.unlisted > 0 {
            write!(f, "\n\n… and {} more", self.unlisted)?;
        }
        Ok(())
    }
}

impl Error for Diagnostics {}
