//! `/ws/telemetry`: the states as they are, then what changes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use townlet_collector::web::{BearerToken, WebOptions};
use townlet_collector::{Collector, Via};
use townlet_schema::{Kind, LinePrefix, Object, RunId, SchemaVersion, read_head};
use townlet_state::{Cadence, Follower, State, StateEncoder, Step};
use townlet_testkit::certs::Pki;
use townlet_tls::{ClientOptions, ClientStream, ClientTls, Endpoint};
use tungstenite::client::IntoClientRequest;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::{Message, WebSocket};

use crate::support::*;
use crate::web_support::*;

/// A producer of states, on the stream listener.
pub(crate) struct Town {
    socket: TcpStream,
    encoder: StateEncoder,
    run: RunId,
    name: &'static str,
    seq: u64,
}

impl Town {
    pub(crate) fn new(collector: &Collector, run: u128, name: &'static str) -> Self {
        let socket = TcpStream::connect(collector.local_addr()).unwrap();
        Self { socket, encoder: StateEncoder::new(Cadence::default()), run: run_id(run), name, seq: 0 }
    }

    /// The next state: one wallet changes, one event happens.
    pub(crate) fn tick(&mut self) -> State {
        self.tick_with("")
    }

    fn tick_with(&mut self, filler: &str) -> State {
        let (state, line) = self.next(filler);
        self.socket.write_all(&line).unwrap();
        state
    }

    fn next(&mut self, filler: &str) -> (State, Vec<u8>) {
        self.seq += 1;
        let seq = self.seq;
        let jobs = Object::from_iter((0..20).map(|n| (format!("agent-{n}"), if n == seq % 20 { seq } else { 7 })));
        let event = Object::from_iter([("event", townlet_schema::Json::from("door")), ("tick", seq.into())]);
        let state = Object::from_iter([
            ("jobs", townlet_schema::Json::from(jobs)),
            ("filler", townlet_schema::Json::from(format!("{seq}{filler}"))),
            ("events", townlet_schema::Json::Array(vec![event.into()])),
        ]);
        let state = State::new(seq, seq * 10, state);
        let (mut body, mut line) = (Vec::new(), Vec::new());
        let rendered = self.encoder.render(&state, &mut body);
        let prefix = LinePrefix::new(SchemaVersion::CURRENT, rendered.kind, &self.run, self.name);
        prefix.write_line(rendered.seq, rendered.tick, rendered.extra(), &body, &mut line);
        (state, line)
    }

    /// As [`tick`](Self::tick), when the collector has it.
    fn tick_taken(&mut self, collector: &Collector) -> State {
        let before = collector.report().totals.stored;
        let state = self.tick();
        wait_for(collector, "the state", |report| report.totals.stored > before);
        state
    }
}

/// A connection of a subscriber.
pub(crate) trait Way: Read + Write {}

impl<S: Read + Write> Way for S {}

pub(crate) struct Viewer(WebSocket<Box<dyn Way>>);

impl Viewer {
    pub(crate) fn join(collector: &Collector, query: &str) -> Self {
        Self::over(Box::new(narrow(collector)), "ws", collector, query)
    }

    fn join_secure(collector: &Collector, pki: &Pki) -> Self {
        Self::over(Box::new(secure(collector, pki)), "wss", collector, "")
    }

    fn over(way: Box<dyn Way>, scheme: &str, collector: &Collector, query: &str) -> Self {
        let address = collector.web_addr().unwrap();
        let request = format!("{scheme}://{address}/ws/telemetry{query}").into_client_request().unwrap();
        let handshake = tungstenite::client(request, way);
        Self(handshake.unwrap_or_else(|error| panic!("{error}")).0)
    }

    pub(crate) fn next(&mut self) -> Vec<u8> {
        match self.0.read().unwrap() {
            Message::Text(text) => text.as_bytes().to_vec(),
            other => panic!("{other:?}"),
        }
    }

    /// Reads until the follower is in this state; says how many lines it took.
    fn reach(&mut self, follower: &mut Follower, seq: u64) -> usize {
        let mut lines = 0;
        while follower.state().is_none_or(|state| state.seq < seq) {
            lines += 1;
            let line = self.next();
            let step = follower.feed(&line).unwrap();
            assert!(matches!(step, Step::Keyframe | Step::Diff), "{step:?} at {}", String::from_utf8_lossy(&line));
        }
        lines
    }
}

/// The same under TLS.
fn secure(collector: &Collector, pki: &Pki) -> ClientStream {
    let options = ClientOptions { ca_file: Some(pki.ca_file().to_owned()), ..ClientOptions::default() };
    let endpoint = Endpoint::parse(&format!("localhost:{}", collector.web_addr().unwrap().port())).unwrap();
    let tls = ClientTls::load(&options).unwrap();
    let tls = tls.handshake(narrow(collector), &endpoint, Instant::now() + PATIENCE).unwrap();
    tls.sock.set_read_timeout(Some(PATIENCE)).unwrap();
    tls
}

/// A connection with a small buffer, so that what nobody reads piles up soon.
fn narrow(collector: &Collector) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&collector.web_addr().unwrap().into()).unwrap();
    let socket = TcpStream::from(socket);
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn kind_and_base(line: &[u8]) -> (Kind, Option<u64>) {
    let head = read_head(line).unwrap();
    (head.payload_type.unwrap(), head.base_seq)
}

#[test]
fn each_subscriber_gets_the_state_whole_and_then_diffs_against_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_web(dir.path(), web_options());
    let mut town = Town::new(&collector, 1, "town");
    town.tick_taken(&collector);
    town.tick_taken(&collector);
    let mut first = Viewer::join(&collector, "?mode=spectator");
    let line = first.next();
    assert_eq!(kind_and_base(&line), (Kind::Snapshot, None), "though the last line that came was a diff");
    let mut follower = Follower::new("town");
    follower.feed(&line).unwrap();
    assert_eq!(follower.state().unwrap().seq, 2);

    let third = town.tick_taken(&collector);
    let line = first.next();
    assert_eq!(kind_and_base(&line), (Kind::Diff, Some(2)));
    follower.feed(&line).unwrap();
    assert_eq!(follower.state(), Some(&third), "what happened in the tick, too");

    let mut second = Viewer::join(&collector, "");
    assert_eq!(kind_and_base(&second.next()), (Kind::Snapshot, None));
    let fourth = town.tick_taken(&collector);
    for viewer in [&mut first, &mut second] {
        let line = viewer.next();
        assert_eq!(kind_and_base(&line), (Kind::Diff, Some(3)));
        assert_eq!(read_head(&line).unwrap().run_id.as_deref(), Some(run_id(1).as_str()));
    }
    assert_eq!(fourth.seq, 4);
    let metrics = metrics(&collector);
    assert_eq!(metrics["townlet_web_ws_connections"], 2.0);
    assert_eq!(metrics["townlet_web_ws_messages_total{type=\"snapshot\"}"], 2.0);
    assert_eq!(metrics["townlet_web_ws_messages_total{type=\"diff\"}"], 3.0);
    assert_eq!(metrics["townlet_collector_connections{via=\"subscriber\"}"], 2.0);
    drop((first, second));
    wait_for(&collector, "the subscribers to leave", |report| {
        report.connections.iter().filter(|c| c.via == Via::Subscriber).all(|c| c.ended.is_some())
    });
    drop(town);
    stop(collector);
}

#[test]
fn a_slow_subscriber_gets_fewer_steps_and_the_same_state_and_every_event_in_them() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_web(dir.path(), web_options());
    falls_behind(&collector, || Viewer::join(&collector, ""));
    let metrics = metrics(&collector);
    assert!(metrics["townlet_web_ws_coalesced_total"] > 100.0);
    assert_eq!(metrics["townlet_web_ws_dropped_items_total"], 0.0);
    stop(collector);
}

#[test]
fn under_tls_a_slow_subscriber_fares_no_worse() {
    let dir = tempfile::tempdir().unwrap();
    let pki = Pki::new();
    let collector = with_web(dir.path(), WebOptions::new(anywhere(), web_tls(&pki)));
    falls_behind(&collector, || Viewer::join_secure(&collector, &pki));
    let mut scrape = secure(&collector, &pki);
    scrape.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    scrape.flush().unwrap();
    let mut text = String::new();
    scrape.read_to_string(&mut text).unwrap();
    let days = text
        .lines()
        .find_map(|line| line.strip_prefix("townlet_collector_certificate_remaining_seconds{listener=\"web\"} "));
    assert!((80..=90).contains(&(days.unwrap().parse::<u32>().unwrap() / 86_400)), "{text}");
    stop(collector);
}

fn falls_behind(collector: &Collector, join: impl Fn() -> Viewer) {
    let mut town = Town::new(collector, 1, "town");
    town.tick_taken(collector);
    let mut slow = join();
    let mut follower = Follower::new("town");
    slow.reach(&mut follower, 1);
    // Far more than the buffers of a connection hold, and nobody reads.
    let filler = "x".repeat(4 * 1024);
    let last = (0..400).map(|_| town.tick_with(&filler)).last().unwrap();
    let report = wait_for(collector, "the states", |report| report.totals.stored == 401);
    assert_eq!(report.connections_open, 2, "{report:#?}");

    let (mut lines, mut events) = (0, 0);
    while follower.state().unwrap().seq < last.seq {
        let line = slow.next();
        lines += 1;
        assert_ne!(kind_and_base(&line), (Kind::Diff, None));
        let step = follower.feed(&line).unwrap();
        assert!(matches!(step, Step::Keyframe | Step::Diff), "{step:?}");
        events += follower.state().unwrap().sections.get("events").unwrap().as_array().unwrap().len();
    }
    assert!(lines < 300, "{lines} lines for 400 states");
    assert_eq!(events, 400, "of each tick what happened in it, once");
    for section in ["jobs", "filler"] {
        assert_eq!(follower.state().unwrap().sections.get(section), last.sections.get(section));
    }
    drop((slow, town));
}

#[test]
fn a_subscriber_that_reads_nothing_is_cut_after_its_time_and_no_one_else_waits_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let collector =
        with_web(dir.path(), WebOptions { subscriber_timeout: Duration::from_millis(150), ..web_options() });
    let mut town = Town::new(&collector, 1, "town");
    town.tick_taken(&collector);
    let _stuck = Viewer::join(&collector, "");
    let filler = "x".repeat(8 * 1024);
    let cut = || collector.report().endings.contains_key("not_reading");
    let mut ticks = 1;
    while !cut() {
        town.tick_with(&filler);
        ticks += 1;
        wait_for(&collector, "the state, whoever reads it", |report| report.totals.stored == ticks);
    }
    drop(town);
    stop(collector);
}

#[test]
fn a_keyframe_comes_when_it_is_asked_for_and_other_words_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_web(dir.path(), web_options());
    let mut town = Town::new(&collector, 1, "town");
    town.tick_taken(&collector);
    let mut viewer = Viewer::join(&collector, "");
    assert_eq!(kind_and_base(&viewer.next()).0, Kind::Snapshot);
    for said in [
        "not JSON",
        "{}",
        "{\"type\":\"command\",\"payload\":{}}",
        "{\"type\":7}",
        "{\"type\":\"keyframe\",\"stream\":\"other\"}",
    ] {
        viewer.0.send(Message::text(said)).unwrap();
    }
    viewer.0.send(Message::Ping("are you there".into())).unwrap();
    assert!(matches!(viewer.0.read().unwrap(), Message::Pong(_)), "and nothing before it");
    viewer.0.send(Message::text(r#"{"type":"keyframe"}"#)).unwrap();
    let line = viewer.next();
    let head = read_head(&line).unwrap();
    assert_eq!((head.payload_type, head.seq, head.rendering), (Some(Kind::Snapshot), Some(1), Some(1)));
    town.tick_taken(&collector);
    assert_eq!(kind_and_base(&viewer.next()), (Kind::Diff, Some(1)));
    viewer.0.send(Message::text("x".repeat(5000))).unwrap();
    let Ok(Message::Close(Some(frame))) = viewer.0.read() else { panic!("it should be closed") };
    assert_eq!(frame.code, CloseCode::Size);
    drop(town);
    stop(collector);
}

#[test]
fn a_subscriber_may_choose_its_streams_and_a_new_run_begins_whole() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_web(dir.path(), web_options());
    let mut town = Town::new(&collector, 1, "town");
    let mut port = Town::new(&collector, 1, "port");
    let mut viewer = Viewer::join(&collector, "?stream=po%72t");
    town.tick_taken(&collector);
    port.tick_taken(&collector);
    let line = viewer.next();
    assert_eq!(read_head(&line).unwrap().stream.as_deref(), Some("port"));
    let mut again = Town::new(&collector, 2, "port");
    again.tick_taken(&collector);
    let line = viewer.next();
    let head = read_head(&line).unwrap();
    assert_eq!((head.run_id.as_deref(), head.payload_type), (Some(run_id(2).as_str()), Some(Kind::Snapshot)));
    port.tick_taken(&collector);
    assert_eq!(kind_and_base(&viewer.next()), (Kind::Diff, Some(1)), "the other run goes on");
    drop((viewer, town, port, again));
    stop(collector);
}

#[test]
fn a_line_that_was_lost_leaves_no_wrong_state_and_the_next_keyframe_mends_it() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_web(dir.path(), web_options());
    let mut town = Town::new(&collector, 1, "town");
    town.tick_taken(&collector);
    let mut viewer = Viewer::join(&collector, "");
    assert_eq!(kind_and_base(&viewer.next()).0, Kind::Snapshot);
    // Its diff is lost, and nobody can apply the next one.
    let _lost = town.next("");
    town.tick_taken(&collector);
    town.encoder.request_keyframe();
    let fourth = town.tick_taken(&collector);
    let mut follower = Follower::new("town");
    let line = viewer.next();
    assert_eq!(read_head(&line).unwrap().seq, Some(4));
    assert_eq!(kind_and_base(&line), (Kind::Diff, Some(1)), "against what this subscriber has");
    let mut late = Viewer::join(&collector, "");
    follower.feed(&late.next()).unwrap();
    assert_eq!(follower.state(), Some(&fourth));
    assert_eq!(metrics(&collector)["townlet_live_stale_lines_total"], 1.0);
    drop((viewer, late, town));
    stop(collector);
}

#[test]
fn there_are_no_more_subscribers_than_allowed_and_none_where_nothing_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let wish = "GET /ws/telemetry HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let collector = with_web(dir.path(), WebOptions { max_subscribers: 1, ..web_options() });
    let _viewer = Viewer::join(&collector, "");
    let answer = Client::of(&collector).say(wish).answer();
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")));
    stop(collector);
    let collector = with_web(dir.path(), WebOptions { live_streams: 0, ..web_options() });
    assert_eq!(Client::of(&collector).say(wish).answer().status, 404);
    stop(collector);
}

/// What a browser does, byte by byte: it knows no header but those it sets itself.
#[test]
fn a_page_gets_the_states_with_a_token_in_the_query_and_only_from_its_own_origin() {
    let dir = tempfile::tempdir().unwrap();
    let token = BearerToken::new("hunter2-hunter2").unwrap();
    let collector = with_web(dir.path(), web_options().with_token(token));
    let mut town = Town::new(&collector, 1, "town");
    town.tick_taken(&collector);
    let wish = |query: &str, origin: &str| {
        format!(
            "GET /ws/telemetry{query} HTTP/1.1\r\nHost: ops.example:8443\r\nConnection: keep-alive, Upgrade\r\n\
             Pragma: no-cache\r\nUpgrade: WebSocket\r\nOrigin: {origin}\r\nSec-WebSocket-Version: 13\r\n\
             Accept-Encoding: gzip, deflate, br\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
        )
    };
    let own = "https://ops.example:8443";
    let status = |query: &str, origin: &str| Client::of(&collector).say(wish(query, origin)).answer().status;
    assert_eq!(status("", own), 401);
    assert_eq!(status("?token=wrong-wrong", own), 401);
    assert_eq!(status("?token=hunter2-hunter2", "https://evil.example"), 403);

    let mut page = Client::of(&collector);
    let answer = page.say(wish("?mode=spectator&token=hunter2-hunter2", own)).answer();
    assert_eq!(answer.status, 101);
    // The example of RFC 6455, section 1.3.
    assert_eq!(answer.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!((answer.header("sec-websocket-extensions"), answer.header("sec-websocket-protocol")), (None, None));
    let (opcode, body) = frame(&mut page.0);
    assert_eq!((opcode, kind_and_base(&body).0), (1, Kind::Snapshot));
    // A masked ping in two pieces of the network, and a masked text.
    page.say([0x89, 0x82, 1, 2, 3]).say([4, b'h' ^ 1, b'i' ^ 2]);
    assert_eq!(frame(&mut page.0), (10, b"hi".to_vec()));
    let request: Vec<u8> =
        br#"{"type":"keyframe"}"#.iter().zip([9, 8, 7, 6].iter().cycle()).map(|(b, m)| b ^ m).collect();
    page.say([&[0x81, 0x80 | 19, 9, 8, 7, 6][..], &request].concat());
    assert_eq!(kind_and_base(&frame(&mut page.0).1).0, Kind::Snapshot);
    // Unmasked is against the rules (section 5.1).
    page.say([0x81, 2, b'{', b'}']);
    let (opcode, body) = frame(&mut page.0);
    assert_eq!((opcode, u16::from_be_bytes([body[0], body[1]])), (8, 1002));

    let mut operator = Client::of(&collector);
    let answer = operator.say(wish("?mode=operator&token=hunter2-hunter2", own)).answer();
    assert_eq!(answer.status, 101);
    let (opcode, body) = frame(&mut operator.0);
    assert_eq!((opcode, u16::from_be_bytes([body[0], body[1]])), (8, 4403));
    drop((page, operator, town));
    stop(collector);
}

/// One frame of a server: unmasked, not in pieces.
fn frame(socket: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    socket.read_exact(&mut head).unwrap();
    assert_eq!(head[0] & 0xf0, 0x80, "whole, and no extension");
    let length = match head[1] {
        126 => {
            let mut more = [0; 2];
            socket.read_exact(&mut more).unwrap();
            usize::from(u16::from_be_bytes(more))
        }
        short @ 0..126 => usize::from(short),
        _ => panic!("longer than this test knows"),
    };
    let mut body = vec![0; length];
    socket.read_exact(&mut body).unwrap();
    (head[0] & 0x0f, body)
}
