//! A WebSocket client that we did not write: `websockets` of Python, under TLS.

use std::process::{Command, Stdio};

use townlet_collector::web::{BearerToken, WebOptions};
use townlet_collector::{Collector, CollectorOptions};

use crate::support::*;
use crate::web_support::*;
use crate::web_watch::Town;

/// Debian's own interpreter, for which the package is installed.
const PYTHON: &str = "/usr/bin/python3";

/// Brings lines, waits for their acknowledgement, then watches.
const PROGRAM: &str = r#"
import asyncio, json, ssl, sys
import websockets
port, ca = int(sys.argv[1]), sys.argv[2]
context = ssl.create_default_context(cafile=ca)
token = {"Authorization": "Bearer hunter2-hunter2"}
def line(seq):
    return json.dumps({"run_id": "py", "stream": "events", "seq": seq, "tick": seq, "text": "äöü " * 1000})
async def main():
    url = f"wss://localhost:{port}"
    async with websockets.connect(url + "/v1/telemetry/ws", ssl=context, extra_headers=token,
                                  subprotocols=["townlet.v1"]) as producer:
        assert producer.subprotocol == "townlet.v1", producer.subprotocol
        await producer.send("\n".join(line(seq) for seq in range(1, 41)) + "\n")
        # In pieces (RFC 6455, section 5.4), and as bytes.
        async def pieces():
            for piece in (line(41)[:100], line(41)[100:], "\n"):
                yield piece
        await producer.send(pieces())
        await producer.send((line(41) + "\n" + line(42)).encode())
        acks = []
        while not acks or acks[-1] < 43:
            acks.append(json.loads(await producer.recv())["ack"])
        assert acks == sorted(acks), acks
        await (await producer.ping())
    async with websockets.connect(url + "/ws/telemetry?token=hunter2-hunter2", ssl=context) as viewer:
        first = json.loads(await viewer.recv())
        assert first["payload_type"] == "snapshot" and first["seq"] == 1, first
        print("watching", flush=True)
        second = json.loads(await viewer.recv())
        assert second["payload_type"] == "diff" and second["base_seq"] == 1, second
        assert second["patch"]["filler"] == "2", second
        await viewer.send('{"type":"keyframe"}')
        third = json.loads(await viewer.recv())
        assert third["payload_type"] == "snapshot" and third["seq"] == 2, third
    try:
        await websockets.connect(url + "/ws/telemetry?token=wrong-wrong", ssl=context)
        raise SystemExit("a wrong token was taken")
    except websockets.exceptions.InvalidStatusCode as error:
        assert error.status_code == 401, error
    print("done", flush=True)
asyncio.run(main())
"#;

/// False where it is not there, which is said, and is a failure where `CI` is set.
fn is_there() -> bool {
    let found = Command::new(PYTHON).args(["-c", "import websockets"]).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        eprintln!("SKIPPED: {PYTHON} has no module websockets (python3-websockets) to talk to");
        assert!(std::env::var_os("CI").is_none(), "with CI set, python3-websockets has to be there");
    }
    found
}

#[test]
fn a_foreign_client_brings_lines_and_watches_states() {
    use std::io::BufRead;
    if !is_there() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let pki = townlet_testkit::certs::Pki::new();
    let web = WebOptions::new(anywhere(), web_tls(&pki)).with_token(BearerToken::new("hunter2-hunter2").unwrap());
    let collector = Collector::bind(CollectorOptions { web: Some(web), ..plain(dir.path()) }).unwrap();
    let mut town = Town::new(&collector, 1, "town");
    town.tick();
    wait_for(&collector, "the state", |report| report.totals.stored == 1);
    let mut child = Command::new(PYTHON)
        .args(["-c", PROGRAM, &collector.web_addr().unwrap().port().to_string(), &pki.ca_file().display().to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "watching");
    town.tick();
    assert_eq!(said.next().unwrap().unwrap(), "done");
    assert!(child.wait().unwrap().success());
    drop(town);
    let report = stop(collector);
    let events = report.streams.iter().find(|stream| stream.stream.as_deref() == Some("events")).unwrap();
    assert_eq!((events.received, events.stored, events.duplicates, events.sequence.missing), (43, 42, 1, 0));
}
