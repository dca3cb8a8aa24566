//! Exit codes, the same for every command.

use std::fmt;
use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Yes; all well.
    Yes,
    /// No, or findings.
    No,
    /// Wrong usage, or a configuration that cannot be used.
    Usage,
    /// A file or peer that is needed cannot be had.
    Unavailable,
    /// Somebody who decides said no.
    Rejected,
    /// It takes a waiver, and one is possible.
    WaiverRequired,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Yes => 0,
            Exit::No => 1,
            Exit::Usage => 2,
            Exit::Unavailable => 3,
            Exit::Rejected => 10,
            Exit::WaiverRequired => 11,
        })
    }
}

/// An error that knows its exit code. What has none exits with 3: something
/// that was needed could not be had.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) message: String,
}

impl Failure {
    /// The configuration or the arguments are at fault.
    pub(crate) fn usage(message: impl fmt::Display) -> anyhow::Error {
        Self { exit: Exit::Usage, message: message.to_string() }.into()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// An error and its causes on one line. Some errors say their cause themselves: it is
/// not said twice.
pub(crate) fn told(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_stands_in_the_midst_of_its_error_is_not_said_again() {
        let cause = std::io::Error::other("in use");
        let error = anyhow::Error::new(cause).context("cannot listen: in use; choose another");
        assert_eq!(told(&error), "cannot listen: in use; choose another");
    }
}
