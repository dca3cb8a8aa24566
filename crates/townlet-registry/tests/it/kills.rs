//! Processes that append until they are killed, again and again on one file. What they printed was acknowledged.
//! 50 kills; `TOWNLET_KILLS=10000` (`cargo xtask registry --full`) for more. A failing run prints the seed that chose
//! the moments.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot be set up must stop")]

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use townlet_registry::{Digest, Error, ErrorKind, Registry};

use crate::support::{ORIGIN, noon, note, ring, signer};

/// With these set, this test is the process that appends and is killed.
const FILE: &str = "TOWNLET_APPEND_TO";
const WRITER: &str = "TOWNLET_APPEND_AS";
/// What a line with an acknowledgement begins with; the harness of the tests prints others.
const ACK: &str = "acknowledged ";

fn append_for_ever(path: &Path, writer: &str) {
    // Another one may write without a pause for longer than is waited. What was not taken in is told again.
    let patiently = |result: Result<String, Error>| match result {
        Err(error) if error.kind() == ErrorKind::Busy => None,
        result => Some(result.unwrap()),
    };
    let mut registry = loop {
        match Registry::create(path, ORIGIN) {
            Err(error) if error.kind() == ErrorKind::Busy => {}
            made => break made.unwrap(),
        }
    };
    let already = registry.size().unwrap();
    for number in 0.. {
        let text = format!("{writer} {already} {number}");
        let line = match number % 16 {
            5 => registry.store(text.as_bytes()).map(|digest| format!("content {digest}")),
            11 => registry.checkpoint(&signer("log"), noon()).map(|checkpoint| {
                format!("checkpoint {} {}", checkpoint.unverified().size, checkpoint.unverified().root)
            }),
            _ => registry
                .append(&note(writer, "release-42", &text), noon())
                .map(|receipt| format!("entry {} {}", receipt.index, receipt.digest)),
        };
        let Some(line) = patiently(line) else { continue };
        // Nobody reads any more: the test that started this has gone.
        if writeln!(io::stdout(), "{ACK}{line}").and_then(|()| io::stdout().flush()).is_err() {
            return;
        }
    }
}

fn start(path: &Path, writer: &str) -> (Child, BufReader<ChildStdout>) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kills::no_acknowledged_record_is_lost_by_kill_9_and_the_log_always_opens", "--nocapture"])
        .env(FILE, path)
        .env(WRITER, writer)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

/// What was acknowledged so far.
#[derive(Default)]
struct Acknowledged {
    entries: BTreeMap<u64, Digest>,
    contents: Vec<Digest>,
    checkpoints: BTreeMap<u64, Digest>,
}

impl Acknowledged {
    fn take(&mut self, line: &str) {
        let Some((_, line)) = line.split_once(ACK) else { return };
        let words: Vec<&str> = line.trim_end().split(' ').collect();
        match words.as_slice() {
            ["entry", index, digest] => {
                let before = self.entries.insert(index.parse().unwrap(), digest.parse().unwrap());
                assert_eq!(before, None, "two receipts for entry {index}");
            }
            ["content", digest] => self.contents.push(digest.parse().unwrap()),
            ["checkpoint", size, root] => drop(self.checkpoints.insert(size.parse().unwrap(), root.parse().unwrap())),
            _ => panic!("the appender printed `{line}`"),
        }
    }

    fn check(&self, registry: &Registry) {
        for (index, digest) in &self.entries {
            let record = registry.record(digest).unwrap().expect("an acknowledged entry");
            assert_eq!(record.index, *index);
        }
        for digest in &self.contents {
            registry.content(digest).unwrap().expect("an acknowledged content");
        }
        for (size, root) in &self.checkpoints {
            assert_eq!(registry.root_at(*size).unwrap(), *root, "the log at {size} entries");
        }
    }
}

/// A small generator (xorshift64*), so that a seed repeats the moments as far as the scheduler does.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) % bound
    }
}

#[test]
fn no_acknowledged_record_is_lost_by_kill_9_and_the_log_always_opens() {
    if let (Some(path), Ok(writer)) = (std::env::var_os(FILE), std::env::var(WRITER)) {
        return append_for_ever(Path::new(&path), &writer);
    }
    let kills: u32 = std::env::var("TOWNLET_KILLS").map_or(50, |kills| kills.parse().unwrap());
    let seed = std::env::var("TOWNLET_SEED").map_or(0x5eed, |seed| seed.parse().unwrap());
    println!("replay with TOWNLET_KILLS={kills} TOWNLET_SEED={seed}");
    let mut chance = Chance(seed);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registry.db");
    let ring = ring(&["ada", "bob"]);
    let mut acknowledged = Acknowledged::default();
    let mut killed = 0;
    for round in 0.. {
        if killed >= kills {
            break;
        }
        // A new file now and then, so that its making is interrupted, too.
        if round % 10 == 0 {
            acknowledged = Acknowledged::default();
            for side in ["db", "db-wal", "db-shm"] {
                drop(std::fs::remove_file(path.with_extension(side)));
            }
        }
        let mut writers = vec![start(&path, "ada")];
        if chance.below(2) == 0 {
            writers.push(start(&path, "bob"));
        }
        // Killed after so many lines of the first, in the middle of whatever it does by then.
        let mut line = String::new();
        for _ in 0..chance.below(27) {
            line.clear();
            if writers[0].1.read_line(&mut line).unwrap() == 0 {
                break;
            }
            acknowledged.take(&line);
        }
        for _ in 0..chance.below(40_000) {
            std::hint::spin_loop();
        }
        for (child, _) in &mut writers {
            child.kill().unwrap();
            killed += 1;
        }
        for (mut child, mut out) in writers {
            let status = child.wait().unwrap();
            assert_eq!(status.code(), None, "it ended by itself: {status}");
            loop {
                line.clear();
                // A line that the kill cut in two was never handed over.
                if out.read_line(&mut line).unwrap() == 0 || !line.ends_with('\n') {
                    break;
                }
                acknowledged.take(&line);
            }
        }
        let registry = Registry::create(&path, ORIGIN).unwrap();
        acknowledged.check(&registry);
        let report = registry.verify(&ring, None).unwrap();
        assert_eq!(report.findings, []);
        assert!(report.size >= acknowledged.entries.len() as u64);
    }
    println!("{killed} processes killed");
    assert!(killed >= kills);
}
