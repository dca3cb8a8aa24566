//! `kill -9` of a host with a spill, against an oracle of the ids that it told.
//!
//! `TOWNLET_KILLS=1000` runs so many cycles.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::host::{Work, check, spawn};
use crate::support::{Collector, text, townlet, write};

fn cycles(default: u64) -> u64 {
    std::env::var("TOWNLET_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// What one run of the host said.
#[derive(Debug, Default)]
struct Said {
    run: Option<String>,
    /// Of the run before: its id, whether it ended, recovered, lost at most.
    recovered: Option<(String, bool, u64, u64)>,
    /// Of it: accepted, delivered, and the last number of its orders, by its last account.
    totals: [u64; 3],
    emitted: u64,
    durable: BTreeSet<u64>,
    refused: Vec<String>,
    account: Vec<u64>,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["run", id] => self.run = Some(id.to_owned()),
            ["recovered", run, ended, n, lost, accepted, delivered, last] => {
                self.recovered = Some((run.to_owned(), ended == "true", number(n), number(lost)));
                self.totals = [number(accepted), number(delivered), number(last)];
            }
            ["emitted", seq] => self.emitted = number(seq),
            ["durable", seq] => assert!(self.durable.insert(number(seq)), "{line} twice"),
            ["refused", ..] => self.refused.push(line.to_owned()),
            ["account", ref rest @ ..] => self.account = rest.iter().map(|n| number(n)).collect(),
            _ => panic!("{line:?}"),
        }
    }

    /// The rest of the output; a line that the kill cut short says nothing.
    fn hear_out(&mut self, from: &mut impl BufRead) {
        let mut rest = String::new();
        from.read_to_string(&mut rest).unwrap();
        let whole = rest.rfind('\n').map_or("", |end| &rest[..end]);
        whole.lines().for_each(|line| self.hear(line));
    }
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or_else(|e| panic!("{word:?}: {e}"))
}

/// Runs the host until it has said `wanted` lines that begin with `word`, and kills it.
fn killed(config: &str, work: Work, word: &str, wanted: u64) -> Said {
    let mut child = spawn(config, work);
    let mut said = Said::default();
    let mut output = BufReader::new(child.stderr.take().unwrap());
    let mut seen = 0;
    while seen < wanted {
        let mut line = String::new();
        assert!(output.read_line(&mut line).unwrap() > 0, "it ended by itself: {said:?}");
        seen += u64::from(line.starts_with(word));
        said.hear(line.trim_end());
    }
    child.kill().unwrap();
    said.hear_out(&mut output);
    assert!(!child.wait().unwrap().success());
    said
}

/// Runs the host to its end.
fn ended(config: &str) -> Said {
    let mut child = spawn(config, Work::Drain);
    let mut said = Said::default();
    said.hear_out(&mut BufReader::new(child.stderr.take().unwrap()));
    assert!(child.wait().unwrap().success(), "{said:?}");
    said
}

/// Ids of a sink's lines by run, all of them checked.
fn ids(files: &[PathBuf]) -> BTreeMap<String, BTreeSet<u64>> {
    let mut found: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for file in files {
        let content = std::fs::read(file).unwrap();
        let lines: Vec<&[u8]> = content.split(|b| *b == b'\n').filter(|line| !line.is_empty()).collect();
        for line in &lines {
            let Ok(tree) = serde_json::from_slice::<Value>(line) else {
                // A kill in the middle of a write: the whole line comes again, or came.
                assert!(
                    lines.iter().any(|whole| whole.len() > line.len() && whole.starts_with(line)),
                    "corrupted line"
                );
                continue;
            };
            if tree["payload_type"] != "event" {
                continue;
            }
            let (seq, payload) = (tree["seq"].as_u64().unwrap(), &tree["payload"]);
            assert_eq!(
                (payload["id"].as_u64(), payload["check"].as_str()),
                (Some(seq), Some(&*check(seq))),
                "corrupted"
            );
            found.entry(tree["run_id"].as_str().unwrap().to_owned()).or_default().insert(seq);
        }
    }
    found
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % below
    }
}

/// A configuration that spills to `spool`, with the rest of its transport block.
fn config(dir: &Path, name: &str, transport: &str, write_ahead: bool) -> String {
    let yaml = format!(
        "telemetry:\n  transport:\n    {transport}\n    retry: {{backoff_seconds: 0.01, max_backoff_seconds: 0.05}}\n    \
         buffer:\n      max_queue_length: 2000\n      spill: {{path: spool, write_ahead: {write_ahead}}}\n  worker: \
         {{backpressure: spill, block_timeout_seconds: 5, shutdown_timeout_seconds: 60}}\n"
    );
    write(dir, name, &yaml)
}

const FILE: &str = "{type: file, file_path: out/stream.jsonl}";

/// Flow form has no room for the keys that all share.
fn block(flow: &str) -> String {
    flow.trim_matches(['{', '}']).split(", ").collect::<Vec<_>>().join("\n    ")
}

/// A port that nobody listens on: bound once, then given back.
fn nobody() -> String {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    block(&format!("{{type: tcp, endpoint: localhost:{port}, ca_file: ca.pem}}"))
}

/// Every id that was delivered was emitted, by a run that is known.
fn assert_none_spurious(delivered: &BTreeMap<String, BTreeSet<u64>>, runs: &[Said]) {
    for (run, seqs) in delivered {
        let said = runs.iter().find(|said| said.run.as_ref() == Some(run));
        let said = said.unwrap_or_else(|| panic!("spurious: nobody was run {run}"));
        // The last one may have been taken over without having been told.
        assert!(seqs.last() <= Some(&(said.emitted + 1)), "spurious: {seqs:?} of {said:?}");
    }
}

/// Each run tells of the one before it, once that had begun.
fn assert_statements_follow(runs: &[Said]) {
    for pair in runs.windows(2) {
        let (Some(run), Some((told, ended, ..))) = (&pair[0].run, &pair[1].recovered) else { continue };
        assert_eq!((told, *ended), (run, false));
    }
}

#[test]
fn a_receipted_event_is_never_missing_spurious_or_corrupted_however_often_the_host_is_killed() {
    let dir = TempDir::new().unwrap();
    townlet(&["certs", "--out", text(dir.path())]).expect(0);
    let collector = Collector::start(dir.path(), &dir.path().join("collected"));
    let peer = format!("{{type: tcp, endpoint: localhost:{}, ca_file: ca.pem, settle_at: peer_acked}}", collector.port);
    let configs = [
        config(dir.path(), "dead.yaml", &nobody(), true),
        config(dir.path(), "file.yaml", &block(FILE), true),
        config(dir.path(), "peer.yaml", &block(&peer), true),
    ];
    let mut dice = Dice(0x5eed);
    let mut runs = Vec::new();
    for _ in 0..cycles(20) {
        let config = &configs[dice.roll(3) as usize];
        // Now and then in the middle of the start.
        let wanted = if dice.roll(8) == 0 { 0 } else { dice.roll(300) };
        runs.push(killed(config, Work::Receipted, "durable", wanted));
    }
    let last = ended(&configs[1]);
    let [accepted, delivered, dropped, spilled, residual] = last.account[..] else { panic!("{last:?}") };
    assert_eq!((delivered, dropped, spilled, residual), (accepted, 0, 0, 0), "{last:?}");
    assert_statements_follow(&runs);
    runs.push(last);
    collector.stop();

    let mut files = files_below(&dir.path().join("collected"));
    files.extend(files_below(&dir.path().join("out")));
    let files: Vec<PathBuf> = files.into_iter().filter(|f| f.extension().is_some_and(|e| e == "jsonl")).collect();
    let found = ids(&files);
    assert_none_spurious(&found, &runs);
    let mut receipted = 0;
    for said in &runs {
        let nothing = BTreeSet::new();
        let delivered = said.run.as_ref().and_then(|run| found.get(run)).unwrap_or(&nothing);
        let missing: Vec<&u64> = said.durable.difference(delivered).collect();
        assert!(missing.is_empty(), "missing {missing:?} of {:?}", said.run);
        assert_eq!(said.refused, Vec::<String>::new());
        receipted += said.durable.len();
    }
    assert!(receipted > 100, "there was something to lose: {receipted}");
    eprintln!("{} runs, {receipted} receipts: none missing, spurious or corrupted", runs.len());
}

#[test]
fn a_killed_run_lost_no_more_than_the_next_one_says() {
    let dir = TempDir::new().unwrap();
    townlet(&["certs", "--out", text(dir.path())]).expect(0);
    let configs =
        [config(dir.path(), "dead.yaml", &nobody(), false), config(dir.path(), "file.yaml", &block(FILE), false)];
    let mut dice = Dice(0xb0b);
    let mut runs = Vec::new();
    for cycle in 0..cycles(10) {
        let wanted = 1 + dice.roll(6000);
        runs.push(killed(&configs[(cycle % 2) as usize], Work::Plain, "emitted", wanted));
    }
    runs.push(ended(&configs[1]));
    assert_statements_follow(&runs);
    let found = ids(&files_below(&dir.path().join("out")));
    assert_none_spurious(&found, &runs);
    let (mut lost, mut most) = (0, 0);
    for pair in runs.windows(2) {
        let run = pair[0].run.as_ref().unwrap();
        let there = found.get(run).map_or(0, |seqs| seqs.range(..=pair[0].emitted).count() as u64);
        let (_, _, _, at_most) = pair[1].recovered.as_ref().unwrap();
        assert!(pair[0].emitted - there <= *at_most, "{} of {} are there, told {at_most}", there, pair[0].emitted);
        lost += pair[0].emitted - there;
        most += at_most;
    }
    assert!(lost > 0, "memory held something when it was killed");
    eprintln!("{} runs lost {lost}, told at most {most}", runs.len());
}

/// Runs the host until its books are on disk, and a while more, and kills it.
fn killed_with_books(config: &str, ledger: &Path) -> Said {
    let mut child = spawn(config, Work::Plain);
    let mut said = Said::default();
    let mut output = BufReader::new(child.stderr.take().unwrap());
    let has_books = || {
        let stored = std::fs::read(ledger).unwrap_or_default();
        let of = |text: &[u8]| stored.windows(text.len()).filter(|at| *at == text).count();
        // An account of nothing is written at the start.
        of(b"\"accepted\":") > of(b"\"accepted\":0,")
    };
    let mut left = None;
    while left != Some(0) {
        let mut line = String::new();
        assert!(output.read_line(&mut line).unwrap() > 0, "it ended by itself: {said:?}");
        said.hear(line.trim_end());
        left = match left {
            Some(left) => Some(left - 1),
            None => (said.emitted % 500 == 1 && has_books()).then_some(700),
        };
    }
    child.kill().unwrap();
    said.hear_out(&mut output);
    assert!(!child.wait().unwrap().success());
    said
}

#[test]
fn without_a_spill_totals_and_numbers_survive_a_kill_and_what_is_lost_is_bounded() {
    let dir = TempDir::new().unwrap();
    let yaml = "telemetry:\n  ledger_path: books\n  transport:\n    type: file\n    file_path: out/stream.jsonl\n    \
                buffer: {max_queue_length: 500}\n  worker: {backpressure: block, block_timeout_seconds: 5}\n";
    let config = write(dir.path(), "ledger.yaml", yaml);
    for _ in 0..cycles(3).min(50) {
        let _ = std::fs::remove_dir_all(dir.path().join("books"));
        let said = killed_with_books(&config, &dir.path().join("books/ledger"));
        let next = ended(&config);
        let Some((run, ended, recovered, lost)) = next.recovered else { panic!("{next:?}") };
        assert_eq!((Some(&run), ended, recovered, lost), (said.run.as_ref(), false, 0, 500));
        let [accepted, delivered, last] = next.totals;
        assert!(0 < accepted && accepted <= said.emitted + 1 && delivered <= accepted, "{:?}", next.totals);
        assert_eq!(last, accepted, "the only stream");
        let found = ids(&files_below(&dir.path().join("out")));
        let arrived = found.get(&run).map_or(0, |ids| ids.len() as u64);
        assert!(arrived >= delivered, "{arrived} arrived, {delivered} had been delivered");
        assert!(said.emitted <= arrived + lost, "{} emitted, {arrived} arrived, at most {lost} lost", said.emitted);
    }
}
