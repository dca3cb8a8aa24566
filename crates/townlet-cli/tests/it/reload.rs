//! SIGHUP: `simulate` takes over a changed configuration while it runs.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use tempfile::TempDir;

use crate::support::{command, lines_below, text, write};

struct Town {
    child: Child,
    remarks: Lines<BufReader<ChildStderr>>,
}

impl Town {
    fn start(config: &Path) -> Self {
        Self::start_with(config, &[])
    }

    fn start_with(config: &Path, more: &[&str]) -> Self {
        let mut simulate = command(&["simulate", "--ticks", "1000000", "--tick-ms", "2", "--agents", "2"]);
        simulate.args(["--config", text(config)]).args(more).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = simulate.spawn().unwrap();
        let remarks = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, remarks }
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Reads on until a line has `what`.
    fn says(&mut self, what: &str) -> String {
        let mut seen = Vec::new();
        for line in self.remarks.by_ref().map_while(Result::ok) {
            if line.contains(what) {
                return line;
            }
            seen.push(line);
        }
        panic!("it never said {what:?}:\n{}", seen.join("\n"));
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(folder: &Path, name: &str, rest: &str) -> String {
    let out = folder.join(name).join("town.jsonl");
    write(
        folder,
        "town.yaml",
        // Lossless, however slow the machine is.
        &format!(
            "telemetry:\n  worker: {{backpressure: block, block_timeout_seconds: 5}}\n  transport:\n    type: file\n    \
             file_path: {}\n{rest}",
            out.display()
        ),
    )
}

fn wait_for_lines(folder: &Path) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !folder.join("town.jsonl").metadata().is_ok_and(|file| file.len() > 1000) {
        assert!(std::time::Instant::now() < deadline, "nothing came into {}", folder.display());
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
}

#[test]
fn a_changed_file_goes_elsewhere_and_a_broken_one_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let path = config(folder.path(), "first", "");
    let mut town = Town::start(Path::new(&path));
    wait_for_lines(&first);

    write(folder.path(), "town.yaml", "telemetry:\n  transprot: {}\n");
    town.signal("-HUP");
    town.says("was not taken over");
    assert!(town.says("transprot").contains("transprot"));

    config(folder.path(), "second", "    buffer: {max_batch_size: 9}\n    keyframe_every: 7\n");
    town.signal("-HUP");
    assert!(town.says("reloaded").ends_with("other transports: main; other limits: main"));
    assert!(town.says("needs_restart").contains("telemetry.transport.keyframe_every"));
    wait_for_lines(&second);
    town.signal("-TERM");
    town.says("ticks/sec");
    assert!(town.child.wait().unwrap().success(), "the books balance");

    // Every state is in one of the two, none in both.
    let mut seqs: Vec<u64> = [&first, &second]
        .into_iter()
        .flat_map(|folder| lines_below(folder))
        .filter(|line| line["payload_type"] == "snapshot" || line["payload_type"] == "diff")
        .map(|line| line["seq"].as_u64().unwrap())
        .collect();
    seqs.sort_unstable();
    assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "{} states", seqs.len());
}

#[test]
fn a_stream_that_is_captured_goes_on_into_its_file() {
    let folder = TempDir::new().unwrap();
    let path = config(folder.path(), "first", "");
    let captured = folder.path().join("captured").join("town.jsonl");
    let mut town = Town::start_with(Path::new(&path), &["--telemetry-path", text(&captured)]);
    wait_for_lines(&folder.path().join("captured"));

    config(folder.path(), "second", "");
    town.signal("-HUP");
    let said = town.says("reloaded");
    assert!(said.contains("other transports: none; other limits: none"), "{said}");
    town.signal("-TERM");
    town.says("residual 0");
    assert!(town.child.wait().unwrap().success());
    assert!(!folder.path().join("second").exists(), "the sinks of the configuration are not in use");
}
