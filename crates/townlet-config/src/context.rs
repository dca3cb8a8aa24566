//! What one load collects: findings, the catalogue of keys, and who gave what.

use std::collections::BTreeMap;
use std::path::Path;

use crate::correct::Fix;
use crate::diagnostic::{Code, Diagnostic, Diagnostics, Severity, clean, quote};
use crate::keys::{self, KeyInfo, Unknown, Verdict};
use crate::origin::Place;

pub(crate) struct Context<'a> {
    pub(crate) file: &'a str,
    pub(crate) text: &'a str,
    pub(crate) base_dir: Option<&'a Path>,
    pub(crate) home: Option<&'a Path>,
    /// Whether files that keys name are opened.
    pub(crate) check_files: bool,
    pub(crate) found: Diagnostics,
    pub(crate) catalogue: Vec<KeyInfo>,
    pub(crate) unknown: Vec<Unknown>,
    /// Every given key with its place.
    pub(crate) places: BTreeMap<String, Place>,
}

impl Context<'_> {
    /// Reports an error at `place`; the caller may add a help text and a fix.
    pub(crate) fn error(&mut self, code: Code, place: &Place, key: &str, message: impl Into<String>) -> Report<'_> {
        self.report(Severity::Error, code, place, key, message.into())
    }

    pub(crate) fn warn(&mut self, code: Code, place: &Place, key: &str, message: impl Into<String>) -> Report<'_> {
        self.report(Severity::Warning, code, place, key, message.into())
    }

    pub(crate) fn note(&mut self, code: Code, place: &Place, key: &str, message: impl Into<String>) -> Report<'_> {
        self.report(Severity::Note, code, place, key, message.into())
    }

    fn report(&mut self, severity: Severity, code: Code, place: &Place, key: &str, message: String) -> Report<'_> {
        let mut diagnostic = Diagnostic::new(code, severity, key, message);
        diagnostic.locate(place, self.file, self.text);
        Report { diagnostic: Some(diagnostic), into: &mut self.found, fixable: place.is_file() }
    }

    /// Judges the unknown keys, now that the catalogue is complete.
    pub(crate) fn settle_unknown(&mut self) {
        for unknown in std::mem::take(&mut self.unknown) {
            let key = unknown.full();
            if self.found.len() >= Diagnostics::MOST {
                // Nobody reads a suggestion that is only counted.
                self.error(Code::UnknownKey, &unknown.place, &key, String::new());
                continue;
            }
            let verdict = keys::judge(&unknown, &self.catalogue);
            let shown = quote(&key);
            let fix = unknown.fix(&verdict);
            let known = unknown.known.join(", ");
            let (code, message, help) = match &verdict {
                Verdict::Misplaced { belongs } => (
                    Code::MisplacedKey,
                    format!("{shown} does not belong here"),
                    format!("it belongs at {belongs}: move it there"),
                ),
                Verdict::Dotted { key } => (
                    Code::MisplacedKey,
                    format!("{shown} is one name with dots in it"),
                    format!("nest it: {}: ...", key.replace('.', ": {")),
                ),
                Verdict::Similar { name } => {
                    (Code::UnknownKey, format!("{shown} is not a known key"), format!("did you mean '{name}'?"))
                }
                Verdict::SimilarElsewhere { key } => {
                    (Code::UnknownKey, format!("{shown} is not a known key"), format!("did you mean '{key}'?"))
                }
                Verdict::Strange if known.is_empty() => {
                    (Code::UnknownKey, format!("{shown} is not a known key"), "no keys are known here".into())
                }
                Verdict::Strange => {
                    (Code::UnknownKey, format!("{shown} is not a known key"), format!("known here: {known}"))
                }
            };
            self.error(code, &unknown.place, &key, message).help(help).maybe_fix(fix);
        }
    }
}

/// A finding that is filed when it goes out of scope.
pub(crate) struct Report<'a> {
    diagnostic: Option<Diagnostic>,
    into: &'a mut Diagnostics,
    fixable: bool,
}

impl Report<'_> {
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        if let Some(diagnostic) = &mut self.diagnostic {
            diagnostic.help = Some(clean(&help.into()));
        }
        self
    }

    pub(crate) fn fix(self, fix: Fix) -> Self {
        self.maybe_fix(Some(fix))
    }

    pub(crate) fn maybe_fix(mut self, fix: Option<Fix>) -> Self {
        if let Some(diagnostic) = &mut self.diagnostic
            && self.fixable
        {
            diagnostic.fix = fix;
        }
        self
    }
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        if let Some(diagnostic) = self.diagnostic.take() {
            self.into.push(diagnostic);
        }
    }
}
