//! `townlet tap`: a town in one process, its operator in another.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{command, samples, text, townlet, write};

/// A town that runs until it is ended, with a console.
struct Town {
    child: Child,
    endpoint: String,
    folder: TempDir,
}

impl Town {
    /// With a console on a Unix socket and a token file that it makes.
    fn start() -> Self {
        let folder = TempDir::new().unwrap();
        let socket = folder.path().join("console/c.sock");
        let mut child = simulate(folder.path(), &format!("unix:{}", socket.display()));
        child.arg("--console-token-file").arg(folder.path().join("token"));
        Self::run(child, folder)
    }

    fn run(mut command: Command, folder: TempDir) -> Self {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut remarks = BufReader::new(child.stderr.as_mut().unwrap()).lines().map_while(Result::ok);
        let said = remarks.find_map(|line| line.split_once("townlet tap --endpoint ").map(|(_, rest)| rest.to_owned()));
        let endpoint = said.expect("it says where the console is").split(' ').next().unwrap().to_owned();
        Self { child, endpoint, folder }
    }

    fn token(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    /// Ends it as an operator would.
    fn stop(&mut self) {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        // Its remarks must not fill the pipe.
        std::io::copy(self.child.stderr.as_mut().unwrap(), &mut std::io::sink()).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Town {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn simulate(folder: &Path, console: &str) -> Command {
    let mut simulate = command(&["simulate", "--ticks", "1000000", "--tick-ms", "5", "--agents", "3"]);
    simulate.arg("--config").arg(samples().join("configs/stdout.yaml")).args(["--console", console]);
    simulate.current_dir(folder);
    simulate
}

fn json_lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("one JSON object a line")).collect()
}

#[test]
fn what_is_tapped_is_the_redacted_stream_of_the_other_process() {
    let mut town = Town::start();
    let token = town.token();
    let words = ["tap", "--endpoint", &town.endpoint, "--token-file", text(&token)];
    let ran = townlet(&[&words[..], &["--limit", "60"]].concat()).expect(0);
    let lines = json_lines(&ran.stdout);
    assert_eq!(lines.len(), 60);
    assert!(lines.iter().any(|line| line["payload_type"] == "snapshot"), "of every kind");
    assert!(lines.iter().any(|line| line["payload_type"] == "event"));
    // The town names its policy in every snapshot and in its own events.
    assert!(!ran.stdout.contains("policy_hash"), "{}", ran.stdout);
    assert!(lines.iter().all(|line| line.get("policy_identity").is_none()));
    assert!(ran.stderr.contains("the tap ended (limit): 60 frames shown"), "{}", ran.stderr);

    let filtered = ["--kinds", "health,failure", "--stream", "town.h*", "--stream", "nowhere", "--limit", "5"];
    let ran = townlet(&[&words[..], &filtered].concat()).expect(0);
    let lines = json_lines(&ran.stdout);
    assert_eq!(lines.len(), 5);
    assert!(lines.iter().all(|line| line["stream"] == "town.health"), "{}", ran.stdout);

    // One that watches when the town ends.
    let mut watching = command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = String::new();
    BufReader::with_capacity(1, watching.stdout.as_mut().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with("{\"schema_version\""), "{first}");
    // Read on, so that it is not the pipe that holds it up.
    let mut rest = watching.stdout.take().unwrap();
    let reader = std::thread::spawn(move || std::io::copy(&mut rest, &mut std::io::sink()));
    town.stop();
    let ended = watching.wait_with_output().unwrap();
    reader.join().unwrap().unwrap();
    let remarks = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(0), "{remarks}");
    assert!(remarks.contains("the tap ended (pipeline_ended)"), "{remarks}");
}

#[test]
fn a_wrong_token_is_rejected_and_a_missing_peer_is_unavailable() {
    let mut town = Town::start();
    let wrong = write(town.folder.path(), "wrong", "not-the-right-token-at-all\n");
    Command::new("chmod").args(["600", &wrong]).status().unwrap();
    let ran = townlet(&["tap", "--endpoint", &town.endpoint, "--token-file", &wrong]).expect(10);
    assert!(ran.stderr.contains("not authorised") && !ran.stderr.contains("not-the-right-token"), "{}", ran.stderr);
    assert_eq!(ran.stdout, "");

    let (endpoint, token) = (town.endpoint.clone(), town.token());
    town.stop();
    let ran = townlet(&["tap", "--endpoint", &endpoint, "--token-file", text(&token)]).expect(3);
    assert!(ran.stderr.contains("no console answers on unix:"), "{}", ran.stderr);
}

#[test]
fn wrong_usage_is_refused_before_anybody_is_asked() {
    let folder = TempDir::new().unwrap();
    let token = write(folder.path(), "token", "a-token-of-some-length\n");
    let nobody = "unix:/nonexistent/c.sock";
    let tap = |more: &[&str]| townlet(&[&["tap", "--token-file", &token], more].concat());
    tap(&[]).expect(2);
    tap(&["--endpoint", "tcp:192.0.2.1:7070"]).expect(2);
    tap(&["--endpoint", nobody, "--kinds", "events"]).expect(2);
    tap(&["--endpoint", nobody, "--limit", "0"]).expect(2);
    let open = tap(&["--endpoint", nobody]).expect(2);
    assert!(open.stderr.contains("chmod 600"), "{}", open.stderr);
    Command::new("chmod").args(["600", &token]).status().unwrap();
    tap(&["--endpoint", nobody]).expect(3);
    townlet(&["tap", "--endpoint", nobody, "--token-file", "/nonexistent/token"]).expect(2);
    let none = townlet(&["tap", "--endpoint", nobody]).expect(2);
    assert!(none.stderr.contains("TOWNLET_CONSOLE_TOKEN"), "{}", none.stderr);
    townlet(&["simulate", "--ticks", "1", "--console", "tcp:0.0.0.0:0"]).expect(2);
    townlet(&["simulate", "--ticks", "1", "--console", "tcp:127.0.0.1:0"]).expect(2);
}

#[test]
fn the_token_may_come_from_the_environment_and_the_console_be_a_port() {
    let folder = TempDir::new().unwrap();
    let mut child = simulate(folder.path(), "tcp:127.0.0.1:0");
    child.env("TOWNLET_CONSOLE_TOKEN", "tok-from-the-environment");
    let mut town = Town::run(child, folder);
    assert!(town.endpoint.starts_with("tcp:127.0.0.1:"), "{}", town.endpoint);
    let tap = |token: &str| {
        let mut tap = command(&["tap", "--endpoint", &town.endpoint, "--limit", "3"]);
        tap.env("TOWNLET_CONSOLE_TOKEN", token).output().unwrap()
    };
    let begin = Instant::now();
    assert_eq!(tap("tok-from-somewhere-else").status.code(), Some(10));
    assert!(begin.elapsed() >= Duration::from_secs(1), "guessing takes time");
    let shown = tap("tok-from-the-environment");
    assert_eq!((shown.status.code(), String::from_utf8(shown.stdout).unwrap().lines().count()), (Some(0), 3));
    town.stop();
}
