//! Printing. The standard macros panic where the reader has gone (`| head`);
//! these do not.

use std::fmt;
use std::io::{self, Write};

use townlet_gate::gate::on_one_row;

/// A line on standard output. A reader that has gone wants no more of it, which
/// changes nothing about the command and its exit code.
///
/// # Errors
/// What else the system says, such as a full disk.
pub(crate) fn line(text: fmt::Arguments<'_>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    read_or_not(out.write_fmt(text).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()))
}

/// A row on standard output, with texts of others in it.
///
/// # Errors
/// Those of [`line()`].
pub(crate) fn one_row(text: fmt::Arguments<'_>) -> io::Result<()> {
    line(format_args!("{}", on_one_row(&text.to_string())))
}

/// A document on standard output, to the byte.
///
/// # Errors
/// Those of [`line()`].
pub(crate) fn whole(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    read_or_not(out.write_all(bytes).and_then(|()| out.flush()))
}

fn read_or_not(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
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

/// [`say`] of one row, with texts of others in it.
macro_rules! row {
    ($($argument:tt)*) => { $crate::out::one_row(format_args!($($argument)*)) };
}

/// `eprintln!` that nothing can go wrong with.
macro_rules! remark {
    ($($argument:tt)*) => { $crate::out::aside(format_args!($($argument)*)) };
}

pub(crate) use {remark, row, say};
