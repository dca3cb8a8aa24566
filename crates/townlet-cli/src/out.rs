//! Printing. The standard macros panic where the reader has gone (`| head`);
//! these do not.

use std::fmt;
use std::io::{self, Write};

/// A line on standard output.
///
/// # Errors
/// What the system says; for a reader that has gone, `main` ends quietly.
pub(crate) fn line(text: fmt::Arguments<'_>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_fmt(text)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// A remark on standard error, which nobody has to read.
pub(crate) fn aside(text: fmt::Arguments<'_>) {
    let mut out = io::stderr().lock();
    let _ = out.write_fmt(text).and_then(|()| out.write_all(b"\n"));
}

/// `println!` that returns what went wrong.
macro_rules! say {
    ($($argument:tt)*) => { $crate::out::line(format_args!($($argument)*)) };
}

/// `eprintln!` that nothing can go wrong with.
macro_rules! remark {
    ($($argument:tt)*) => { $crate::out::aside(format_args!($($argument)*)) };
}

pub(crate) use {remark, say};
