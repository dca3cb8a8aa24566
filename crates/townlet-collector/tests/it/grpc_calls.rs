//! What a call is answered.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;
use townlet_collector::grpc::GrpcOptions;
use townlet_collector::otlp::Signal;
use townlet_collector::web::BearerToken;
use townlet_collector::{Collector, CollectorError, Security};
use townlet_testkit::certs::Pki;
use townlet_tls::{ClientOptions, ClientTls, ServerOptions, ServerTls};

use crate::grpc_support::*;
use crate::otlp::field;
use crate::support::*;
use crate::web_support::metrics;

const OK: Option<u32> = Some(0);
const INVALID_ARGUMENT: Option<u32> = Some(3);
const RESOURCE_EXHAUSTED: Option<u32> = Some(8);
const UNIMPLEMENTED: Option<u32> = Some(12);
const INTERNAL: Option<u32> = Some(13);
const UNAVAILABLE: Option<u32> = Some(14);
const UNAUTHENTICATED: Option<u32> = Some(16);

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_call_is_stored_before_it_is_answered_plain_and_compressed() {
    let dir = tempfile::tempdir().unwrap();
    let collector = with_grpc(dir.path(), grpc_options());
    let ended = Caller::of(&collector).call(&framed(false, &one_log()));
    assert_eq!((ended.http, ended.code, &ended.body[..]), (200, OK, &b"\0\0\0\0\0"[..]), "{ended:?}");
    assert_eq!(collector.report().totals.stored, 1, "before the answer, not after it");
    let ended = Caller::of(&collector).with("grpc-encoding", "gzip").call(&framed(true, &gzip(&one_log())));
    assert_eq!(ended.code, OK, "{ended:?}");
    let plainly = Caller::of(&collector).with("grpc-encoding", "gzip").call(&framed(false, &one_log()));
    assert_eq!(plainly.code, OK, "each message says for itself whether it is compressed");
    assert_eq!(Caller::of(&collector).call(&framed(false, b"")).code, OK, "an empty request is a success");
    let lines = stored_of(dir.path(), "@no-run-id", "otlp.logs");
    assert_eq!(lines.split_inclusive(|byte| *byte == b'\n').count(), 3);
    let of = |code: &str| format!("townlet_grpc_calls_total{{method=\"{}\",code=\"{code}\"}}", Signal::Logs.method());
    let metrics = metrics(&collector);
    assert_eq!((metrics[&of("OK")], metrics["townlet_grpc_message_bytes"]), (4.0, 0.0), "{metrics:?}");
    assert_eq!(stop(collector).totals.stored, 3);
}

#[test]
fn what_no_line_can_hold_is_a_partial_success_with_its_reason() {
    use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
    let dir = tempfile::tempdir().unwrap();
    let collector = with_grpc(dir.path(), grpc_options());
    let mut request: ExportLogsServiceRequest = serde_json::from_str(LOGS).unwrap();
    let records = &mut request.resource_logs[0].scope_logs[0].log_records;
    let mut long = records[0].clone();
    long.severity_text = "x".repeat(2 << 20);
    records.push(long);
    let ended = Caller::of(&collector).call(&framed(false, &request.encode_to_vec()));
    let partial = ExportLogsServiceResponse::decode(&ended.body[5..]).unwrap().partial_success.unwrap();
    assert_eq!((ended.code, partial.rejected_log_records), (OK, 1));
    assert!(partial.error_message.contains("above the limit"), "{}", partial.error_message);
    assert_eq!(stop(collector).totals.stored, 1);
}

#[test]
fn each_mistake_has_its_code_and_none_stores_a_line_or_asks_to_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let options = GrpcOptions { max_message_bytes: 100_000, ..grpc_options() };
    let collector = with_grpc(dir.path(), options);
    let caller = || Caller::of(&collector);
    let gzipped = || caller().with("grpc-encoding", "gzip");
    let log = one_log();
    let whole = framed(false, &log);
    let bomb = gzip(&vec![0; 50 << 20]);
    assert!(bomb.len() < 60_000);
    let zipped = gzip(&log);
    let many = field(1, &field(2, &[0x12, 0].repeat(20_001)));
    for (what, ended, code) in [
        ("another service", caller().to("/grpc.health.v1.Health/Check").call(&whole), UNIMPLEMENTED),
        (
            "another method",
            caller().to("/opentelemetry.proto.collector.logs.v1.LogsService/List").call(&whole),
            UNIMPLEMENTED,
        ),
        ("another compression", caller().with("grpc-encoding", "deflate").call(&whole), UNIMPLEMENTED),
        ("no protobuf", caller().call(&framed(false, b"hunter2")), INVALID_ARGUMENT),
        ("a length beyond the limit", caller().call(b"\0\xff\xff\xff\xff"), RESOURCE_EXHAUSTED),
        ("a message beyond the limit", caller().call(&framed(false, &vec![0; 100_001])), RESOURCE_EXHAUSTED),
        ("a bomb", gzipped().call(&framed(true, &bomb)), RESOURCE_EXHAUSTED),
        ("too many records", caller().call(&framed(false, &many)), RESOURCE_EXHAUSTED),
        ("torn gzip", gzipped().call(&framed(true, &zipped[..zipped.len() - 1])), INTERNAL),
        ("no gzip", gzipped().call(&framed(true, &log)), INTERNAL),
        ("compressed, and nobody knows how", caller().call(&framed(true, &zipped)), INTERNAL),
        ("no message", caller().call(b""), INTERNAL),
        ("a torn head", caller().call(b"\0\0\0"), INTERNAL),
        ("a torn message", caller().call(&whole[..whole.len() - 1]), INTERNAL),
        ("two messages", caller().call(&[&whole[..], &whole].concat()), INTERNAL),
        ("a page", caller().with("origin", "http://localhost").call(&whole), Some(7)),
    ] {
        assert_eq!((ended.http, ended.code, ended.retry_after), (200, code, None), "{what}: {ended:?}");
        assert!(
            !ended.said.is_empty() && !ended.said.contains("hunter2") && ended.body.is_empty(),
            "{what}: {ended:?}"
        );
    }
    assert_eq!(caller().with("content-type", "application/json").call(&whole).http, 415);
    assert_eq!(Caller { method: "PUT", ..caller() }.call(&whole).http, 405);
    assert_eq!(caller().call(&whole).code, OK, "and after all that the next one is taken");
    assert_eq!(metrics(&collector)["townlet_grpc_message_bytes"], 0.0, "all room is free again");
    let report = stop(collector);
    assert_eq!((report.totals.stored, report.totals.invalid), (1, 0));
}

#[test]
fn where_others_have_the_room_or_the_store_fails_a_sender_is_told_when_to_come_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = one_log();
    let options = GrpcOptions { max_bytes_in_flight: 0x8000, ..grpc_options() };
    let collector = with_grpc(dir.path(), options);
    // A message of which nearly all has come holds nearly all room.
    let mut holder = Raw::calling(&collector);
    holder.frame(0, 0, 1, b"\0\0\0\x80\0").frame(0, 0, 1, &[0x12; 0x4000]).frame(0, 0, 1, &[0x12; 0x3fff]);
    wait_for_metric(&collector, "townlet_grpc_message_bytes", 32_767.0);
    let ended = Caller::of(&collector).call(&framed(false, &log));
    assert_eq!((ended.code, ended.retry_after), (UNAVAILABLE, Some(1)), "{ended:?}");
    drop(holder);
    wait_for_metric(&collector, "townlet_grpc_message_bytes", 0.0);
    assert_eq!(Caller::of(&collector).call(&framed(false, &log)).code, OK);

    let path = dir.path().join("@no-run-id").join("otlp.metrics.jsonl");
    std::fs::create_dir_all(&path).unwrap();
    let metric = {
        use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
        let text = include_str!("../../../townlet-transport-otlp/tests/data/metrics.json");
        serde_json::from_str::<ExportMetricsServiceRequest>(text).unwrap().encode_to_vec()
    };
    let send = || Caller::of(&collector).to(Signal::Metrics.method()).call(&framed(false, &metric[..]));
    let ended = send();
    assert_eq!((ended.code, ended.retry_after), (UNAVAILABLE, Some(10)), "{ended:?}");
    assert!(!ended.said.contains("jsonl"), "{}", ended.said);
    std::fs::remove_dir(&path).unwrap();
    assert_eq!(send().code, OK);
    stop(collector);
}

/// Waits until a figure has this value.
fn wait_for_metric(collector: &Collector, name: &str, value: f64) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while metrics(collector)[name].to_bits() != value.to_bits() {
        assert!(std::time::Instant::now() < deadline, "{name} is {}", metrics(collector)[name]);
    }
}

fn secure(pki: &Pki) -> Security {
    let issued = pki.localhost();
    let mut options = ServerOptions::new(&issued.cert_file, &issued.key_file);
    options.alpn = vec![b"h2".to_vec()];
    Security::Tls(ServerTls::load(&options).unwrap())
}

fn trusting(pki: &Pki, alpn: &[&[u8]]) -> Option<ClientTls> {
    let alpn = alpn.iter().map(|one| one.to_vec()).collect();
    let options = ClientOptions { ca_file: Some(pki.ca_file().to_owned()), alpn, ..ClientOptions::default() };
    Some(ClientTls::load(&options).unwrap())
}

#[test]
fn under_tls_a_token_opens_and_whoever_trusts_others_or_speaks_otherwise_stays_out() {
    let dir = tempfile::tempdir().unwrap();
    let (pki, other) = (Pki::new(), Pki::new());
    let options = GrpcOptions::new(anywhere(), secure(&pki)).with_token(BearerToken::new("hunter2-hunter2").unwrap());
    let collector = with_grpc(dir.path(), options);
    let body = framed(false, &one_log());
    let caller = |tls| Caller { tls, ..Caller::of(&collector) };
    let with = |token: &str| caller(trusting(&pki, &[b"h2"])).with("authorization", token).call(&body);
    assert_eq!(with("Bearer hunter2-hunter2").code, OK);
    for wrong in ["Bearer hunter2", "Basic aHVudGVyMg==", ""] {
        let ended = with(wrong);
        assert_eq!((ended.code, ended.retry_after), (UNAUTHENTICATED, None), "{ended:?}");
    }
    let stranger = caller(trusting(&other, &[b"h2"])).try_call(&body).unwrap_err().to_string();
    assert!(stranger.contains("certificate"), "{stranger}");
    let old = caller(trusting(&pki, &[b"http/1.1"])).try_call(&body).unwrap_err().to_string();
    assert!(old.contains("NoApplicationProtocol"), "{old}");
    caller(None).try_call(&body).unwrap_err();
    let report =
        wait_for(&collector, "the failed ones to end", |report| report.endings.get("handshake_failed") == Some(&3));
    assert_eq!(report.totals.stored, 1);
    assert!(metrics(&collector).contains_key("townlet_collector_certificate_remaining_seconds{listener=\"grpc\"}"));
    stop(collector);
}

#[test]
fn beyond_loopback_there_is_tls_and_a_token_or_no_listener() {
    let dir = tempfile::tempdir().unwrap();
    let bind = |grpc: GrpcOptions| Collector::bind(plain(dir.path()).with_grpc(grpc)).unwrap_err();
    let everywhere = "0.0.0.0:0".parse().unwrap();
    let error = bind(GrpcOptions { listen: everywhere, ..grpc_options() });
    assert!(matches!(error, CollectorError::PlaintextExposed(_)), "{error}");
    let error = bind(GrpcOptions::new(everywhere, secure(&Pki::new())));
    assert!(matches!(error, CollectorError::TokenMissing(_)) && error.to_string().contains("token"), "{error}");
}
