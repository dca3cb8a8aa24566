//! The real standard output: this test program starts itself again.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::thread::spawn;

use townlet_testkit::{frame_of_len, frames, seqs_of};
use townlet_transport::{ErrorKind, Transport};
use townlet_transport_stdout::StdoutTransport;

const ROLE: &str = "TOWNLET_STDOUT_TEST_ROLE";
/// The exit code of a child that saw a clean end.
const CLEAN_END: i32 = 42;

/// Not a test but what the children do; without its variable it does nothing.
#[test]
fn child() {
    match std::env::var(ROLE).as_deref() {
        Ok("chatter") => chatter(),
        Ok("endless") => endless(),
        _ => {}
    }
}

/// Sends while two threads print as fast as they can.
fn chatter() {
    let printers: Vec<_> = (0..2)
        .map(|_| {
            spawn(|| {
                for _ in 0..2000 {
                    print!("chat-");
                    println!("ter");
                }
            })
        })
        .collect();
    let mut sink = StdoutTransport::new();
    sink.connect().unwrap();
    for seq in 0..200 {
        let batch: Vec<_> = (1..=5).map(|n| frame_of_len(seq * 5 + n, 3000)).collect();
        sink.send(&batch).unwrap();
    }
    for printer in printers {
        printer.join().unwrap();
    }
}

/// Sends until the reader is gone.
#[expect(clippy::disallowed_methods, reason = "the exit code is the child's whole report")]
fn endless() {
    let mut sink = StdoutTransport::new();
    for seq in 1.. {
        sink.connect().unwrap();
        if let Err(error) = sink.send(&frames(seq..=seq)) {
            let clean = error.error.kind() == ErrorKind::Closed;
            std::process::exit(if clean { CLEAN_END } else { 1 });
        }
    }
}

fn start(role: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process::child", "--nocapture", "--test-threads=1"])
        .env(ROLE, role)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn nothing_that_others_print_gets_into_a_line() {
    let mut child = start("chatter");
    let mut output = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut output).unwrap();
    assert!(child.wait().unwrap().success());
    // `print!` without a line end may stand before a batch, never inside a line.
    let lines: Vec<&[u8]> = output.split(|b| *b == b'\n').collect();
    let objects: Vec<&[u8]> =
        lines.iter().filter_map(|l| l.iter().position(|b| *b == b'{').map(|at| &l[at..])).collect();
    assert_eq!(seqs_of(&objects), (1..=1000).collect::<Vec<_>>());
    for object in objects {
        assert_eq!((object.len(), object.last()), (2999, Some(&b'}')));
        assert!(!object.windows(5).any(|w| w == b"chat-"));
    }
}

#[test]
fn a_reader_that_stops_early_ends_the_program_cleanly() {
    let mut child = start("endless");
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("\"seq\":3,") {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the child ended early");
    }
    drop(reader);
    assert_eq!(child.wait().unwrap().code(), Some(CLEAN_END));
}
