//! Real processes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use townlet_readiness::{Ended, Invocation, Processes, Ran, UnixProcesses};

fn path() -> BTreeMap<String, OsString> {
    BTreeMap::from([("PATH".to_owned(), std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))])
}

fn shell(script: &str, timeout: Option<Duration>, dir: &Path) -> Ran {
    run(&UnixProcesses::default(), &["sh", "-c", script], &path(), timeout, dir)
}

fn run(
    processes: &UnixProcesses,
    command: &[&str],
    env: &BTreeMap<String, OsString>,
    timeout: Option<Duration>,
    directory: &Path,
) -> Ran {
    let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    processes.run(&Invocation { command: &command, directory, env, timeout, output_limit: 4096 })
}

/// Whether a process is there and not a zombie.
fn is_alive(pid: &str) -> bool {
    let pid = pid.trim();
    assert!(pid.parse::<u32>().is_ok(), "{pid:?} is no process");
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    !stat.rsplit(')').next().unwrap().trim_start().starts_with(['Z', 'X'])
}

/// A killed process is gone soon, and not at once.
#[track_caller]
fn dies(pid: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while is_alive(pid) {
        assert!(Instant::now() < deadline, "{pid} is still alive");
        std::thread::yield_now();
    }
}

/// Runs a script into its timeout, with more time until it has come as far as to write these files: a busy machine
/// may need seconds to start a shell.
#[track_caller]
fn times_out(script: &str, files: &[&str]) -> (Ran, Vec<String>) {
    for timeout in [Duration::from_millis(300), Duration::from_secs(3), Duration::from_secs(30)] {
        let dir = TempDir::new().unwrap();
        let ran = shell(script, Some(timeout), dir.path());
        assert_eq!(ran.ended, Ended::TimedOut);
        let texts = files.iter().map(|name| std::fs::read_to_string(dir.path().join(name)).unwrap_or_default());
        let texts: Vec<String> = texts.collect();
        if texts.iter().all(|text| text.ends_with('\n')) {
            return (ran, texts);
        }
    }
    panic!("{files:?} were not written in half a minute");
}

#[test]
fn exit_codes_signals_and_outputs_arrive() {
    let dir = TempDir::new().unwrap();
    let ran = shell("echo out; echo err >&2; pwd; exit 7", None, dir.path());
    assert_eq!(ran.ended, Ended::Exited { code: 7 });
    let out = String::from_utf8(ran.stdout.kept).unwrap();
    assert!(out.starts_with("out\n") && out.trim().ends_with(dir.path().file_name().unwrap().to_str().unwrap()));
    assert_eq!(ran.stderr.kept, b"err\n");
    assert_eq!(shell("kill -9 $$", None, dir.path()).ended, Ended::Signalled { signal: 9 });
    // Nothing comes in, so nothing can wait for a person.
    assert_eq!(shell("cat", None, dir.path()).ended, Ended::Exited { code: 0 });
}

#[test]
fn a_command_that_does_not_exist_is_an_answer() {
    let dir = TempDir::new().unwrap();
    let ran = run(&UnixProcesses::default(), &["no-such-program-here"], &path(), None, dir.path());
    let Ended::NotStarted { reason } = ran.ended else { panic!("{ran:?}") };
    assert!(reason.contains("no-such-program-here"), "{reason}");
    let ran = run(&UnixProcesses::default(), &["sh"], &path(), None, &dir.path().join("no-such-folder"));
    let Ended::NotStarted { reason } = ran.ended else { panic!("{ran:?}") };
    assert_eq!(reason, "sh: its working directory is not there");
    assert!(matches!(run(&UnixProcesses::default(), &[], &path(), None, dir.path()).ended, Ended::NotStarted { .. }));
}

#[test]
fn a_timeout_kills_children_and_grandchildren() {
    let script = "sh -c 'sleep 300 & echo $! > grandchild; wait' & echo $! > child; wait";
    let (ran, pids) = times_out(script, &["child", "grandchild"]);
    assert!(!ran.stdout.left_open);
    pids.iter().for_each(|pid| dies(pid));
}

#[test]
fn a_group_that_ignores_sigterm_is_killed_all_the_same() {
    let script = "trap '' TERM; sh -c 'trap \"\" TERM; echo $$ > child; while :; do sleep 1; done'";
    let started = Instant::now();
    let (_, pids) = times_out(script, &["child"]);
    assert!(started.elapsed() < Duration::from_secs(60));
    dies(&pids[0]);
}

#[test]
fn a_group_has_time_to_put_its_files_in_order() {
    let script = "trap 'echo tidy > last; exit 0' TERM; sleep 300 & wait";
    let (_, last) = times_out(script, &["last"]);
    assert_eq!(last, ["tidy\n"]);
}

#[test]
fn what_a_command_leaves_in_the_background_does_not_outlive_it() {
    let dir = TempDir::new().unwrap();
    let started = Instant::now();
    let ran = shell("sleep 300 & echo $! > left; echo done", None, dir.path());
    assert_eq!((ran.ended, ran.stdout.kept.as_slice()), (Ended::Exited { code: 0 }, b"done\n".as_slice()));
    assert!(started.elapsed() < Duration::from_secs(60));
    dies(&std::fs::read_to_string(dir.path().join("left")).unwrap());
}

#[test]
fn a_process_that_left_the_group_cannot_hold_up_the_run() {
    let dir = TempDir::new().unwrap();
    if run(&UnixProcesses::default(), &["setsid", "true"], &path(), None, dir.path()).ended
        != (Ended::Exited { code: 0 })
    {
        assert!(std::env::var_os("CI").is_none(), "setsid (util-linux) is missing");
        eprintln!("SKIPPED: setsid is not installed");
        return;
    }
    let ran =
        shell("setsid sh -c 'echo $$ > outside; exec sleep 30' & while [ ! -s outside ]; do :; done", None, dir.path());
    assert_eq!(ran.ended, Ended::Exited { code: 0 });
    assert!(ran.stdout.left_open, "{ran:?}");
    let outside = std::fs::read_to_string(dir.path().join("outside")).unwrap();
    assert!(std::process::Command::new("kill").arg(outside.trim()).status().unwrap().success());
}

#[test]
fn a_flood_of_output_is_kept_at_both_ends() {
    let dir = TempDir::new().unwrap();
    let ran = shell("echo first; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last", None, dir.path());
    assert_eq!(ran.stdout.total, 3_000_012);
    assert!(ran.stdout.shortened && ran.stdout.kept.len() < 5000, "{}", ran.stdout.kept.len());
    assert!(ran.stdout.kept.starts_with(b"first\n") && ran.stdout.kept.ends_with(b"\nlast\n"));
}

#[test]
fn a_command_sees_the_environment_that_it_is_given_and_nothing_else() {
    let dir = TempDir::new().unwrap();
    let mut env = path();
    env.insert("GIVEN".into(), "yes".into());
    let ran = run(&UnixProcesses::default(), &["env"], &env, None, dir.path());
    let text = String::from_utf8(ran.stdout.kept).unwrap();
    let names: Vec<&str> = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    assert_eq!(
        {
            let mut names = names;
            names.sort_unstable();
            names
        },
        ["GIVEN", "PATH"]
    );
}

#[test]
fn a_run_that_is_called_off_kills_what_is_running_and_starts_no_more() {
    let dir = TempDir::new().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let processes = UnixProcesses::new(Arc::clone(&stop));
    let started = dir.path().join("started");
    let watcher = std::thread::spawn({
        let (stop, started) = (Arc::clone(&stop), started.clone());
        move || {
            while std::fs::read_to_string(&started).unwrap_or_default().is_empty() {
                std::thread::yield_now();
            }
            stop.store(true, Ordering::Relaxed);
        }
    });
    let ran = run(&processes, &["sh", "-c", "echo $$ > started; sleep 300"], &path(), None, dir.path());
    assert_eq!(ran.ended, Ended::Cancelled);
    watcher.join().unwrap();
    dies(&std::fs::read_to_string(started).unwrap());
    assert_eq!(run(&processes, &["true"], &path(), None, dir.path()).ended, Ended::Cancelled);
}
