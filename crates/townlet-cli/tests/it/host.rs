//! A host to be killed: this test binary once more, with a configuration in its
//! environment. It tells what happens in lines on standard error (standard output
//! is the test runner's): `recovered …` for each spill and ledger, `run <id>`,
//! `emitted <seq>`, `durable <seq>`, and at its end
//! `account <accepted> <delivered> <dropped> <spilled> <residual>`.

use std::io::{Write, stderr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use serde::Serialize;
use townlet_config::{Factories, Identity, Loader, start};
use townlet_pipeline::{Receipts, Stream, Telemetry};
use townlet_schema::{HeapSize, Kind, Payload, RunId};
use townlet_transport::Level;
use townlet_transport_file::FileFactory;
use townlet_transport_tcp::TcpFactory;

/// Receipts that are waited for at once.
const WINDOW: usize = 256;
const PATIENCE: Duration = Duration::from_secs(60);
const CONFIG: &str = "KILLED_HOST_CONFIG";
const WORK: &str = "KILLED_HOST_WORK";

/// What a host does.
#[derive(Clone, Copy)]
pub(crate) enum Work {
    /// It emits until it is killed, and tells of each event that is durable.
    Receipted,
    /// It emits until it is killed, as fast as it can.
    Plain,
    /// It delivers what earlier runs left, and ends.
    Drain,
}

/// Starts a host in a process of its own; it speaks on `stderr`.
pub(crate) fn spawn(config: &str, work: Work) -> Child {
    let work = match work {
        Work::Receipted => "receipted",
        Work::Plain => "plain",
        Work::Drain => "drain",
    };
    let mut command = Command::new(std::env::current_exe().expect("tests have a path"));
    command.args(["host::a_host_runs_when_another_test_starts_it", "--exact", "--nocapture"]);
    command.env(CONFIG, config).env(WORK, work).env("RUST_BACKTRACE", "0");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts")
}

/// What follows from a number, so that a reader can tell whether it came through whole.
pub(crate) fn check(id: u64) -> String {
    format!("{:x}", id.wrapping_mul(0x9e37_79b9_7f4a_7c15)).repeat(1 + (id % 7) as usize)
}

#[derive(Serialize)]
struct Order {
    event: &'static str,
    payload: Details,
}

#[derive(Serialize)]
struct Details {
    id: u64,
    check: String,
}

impl HeapSize for Order {
    fn heap_size(&self) -> usize {
        self.payload.check.heap_size()
    }
}

impl Payload for Order {
    const KIND: Kind = Kind::Event;
}

fn order(id: u64) -> Order {
    Order { event: "order", payload: Details { id, check: check(id) } }
}

/// One write, so that a kill finds whole lines.
fn say(line: String) {
    stderr().write_all((line + "\n").as_bytes()).expect("somebody reads");
}

#[test]
fn a_host_runs_when_another_test_starts_it() {
    let Ok(path) = std::env::var(CONFIG) else { return };
    let factories: Factories = vec![Arc::new(FileFactory), Arc::new(TcpFactory)];
    let loader = factories.iter().fold(Loader::new(), |loader, factory| loader.factory(&**factory));
    let config = loader.load_file(&path).expect("it loads").config;
    let identity = Identity {
        run_id: RunId::from_u128(uuid::Uuid::now_v7().as_u128()),
        producer: "town".into(),
        runtime_variant: None,
        started_at: 0,
        seed: None,
    };
    let telemetry = start(&config, &factories, &identity).expect("it starts");
    for found in telemetry.recovered() {
        let run = found.run_id.as_deref().unwrap_or("-");
        let last = found.last_seqs.iter().find(|(name, _)| name == "town.orders").map_or(0, |(_, seq)| *seq);
        let of_then = format!("{} {} {}", found.accepted, found.delivered, last);
        say(format!("recovered {run} {} {} {} {of_then}", found.ended, found.recovered, found.lost_at_most));
    }
    say(format!("run {}", telemetry.run_id().as_str()));
    let orders = telemetry.stream::<Order>("orders").expect("it is a name");
    match std::env::var(WORK).as_deref() {
        Ok("receipted") => emit_with_receipts(&orders),
        Ok("plain") => emit(&orders),
        _ => drain(&telemetry, config.sinks[0].worker.shutdown_timeout),
    }
}

fn emit(orders: &Stream<Order>) {
    for id in 1.. {
        say(format!("emitted {}", orders.emit(id, order(id)).expect("it is open").seq));
    }
}

fn emit_with_receipts(orders: &Stream<Order>) {
    let (hand_over, receipts) = sync_channel::<(u64, Receipts)>(WINDOW);
    let waiter = std::thread::spawn(move || {
        for (seq, receipt) in receipts {
            match receipt.wait(Level::Durable, PATIENCE) {
                Ok(()) => say(format!("durable {seq}")),
                Err(reason) => say(format!("refused {seq} {reason}")),
            }
        }
    });
    for id in 1.. {
        let (emitted, receipt) = orders.emit_with_receipt(id, order(id)).expect("it is open");
        say(format!("emitted {}", emitted.seq));
        if hand_over.send((emitted.seq, receipt)).is_err() {
            break;
        }
    }
    waiter.join().expect("it waits for all");
}

fn drain(telemetry: &Telemetry, timeout: Duration) {
    telemetry.flush(timeout);
    let books = telemetry.shutdown(timeout);
    let (_, end) = &books.sinks[0];
    let account = &end.account;
    let (accepted, delivered, dropped) = (account.accepted(), account.delivered(), account.dropped());
    say(format!("account {accepted} {delivered} {dropped} {} {}", end.spilled, books.residual()));
}
