//! Three servers, a stream on all of them, and its leader killed.

use std::time::{Duration, Instant};

use townlet_testkit::frames;
use townlet_testkit::nats::NatsCluster;
use townlet_transport::{Frame, Transport};
use townlet_transport_nats::NatsTransport;

use crate::{STREAM, insist, options, stored, there, transport};

/// As a worker does it: what is not settled is sent again, in order. `under_way` is called
/// when the batch is sent and nothing of it is settled.
fn push(sink: &mut NatsTransport, queue: &mut Vec<Frame>, under_way: impl FnOnce()) {
    let batch = queue.len().min(500);
    let sent = sink.connect().map_err(Into::into).and_then(|_| sink.send(&queue[..batch]));
    if let Err(failed) = sent {
        assert!(failed.error.kind().is_retryable(), "{failed}");
        std::thread::park_timeout(Duration::from_millis(20));
        return;
    }
    under_way();
    let mut settled = 0;
    while settled < batch {
        match sink.receipts(Duration::from_millis(500)) {
            Ok(more) => settled += more,
            Err(error) => {
                assert!(error.kind().is_retryable(), "{error}");
                break;
            }
        }
    }
    queue.drain(..settled);
}

#[test]
fn every_settled_frame_is_in_the_stream_once_when_its_leader_is_killed() {
    if !there() {
        return;
    }
    let mut cluster = NatsCluster::start("");
    let url = cluster.urls();
    let mut settings = options(&url);
    settings.create.as_mut().unwrap().replicas = 3;
    settings.nats.request_timeout = Duration::from_secs(2);
    let mut sink = transport(settings);
    insist(&mut sink, &frames(1..=1));
    let mut queue = frames(2..=6000);
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut killed = None;
    while !queue.is_empty() {
        assert!(Instant::now() < deadline, "{} frames are left", queue.len());
        let leader = (killed.is_none() && queue.len() < 4000).then(|| cluster.leader_of(STREAM));
        killed = killed.or(leader);
        push(&mut sink, &mut queue, || {
            if let Some(leader) = leader {
                cluster.servers()[leader].kill();
            }
        });
    }
    cluster.servers()[killed.unwrap()].start_again();
    let all = stored::all(&url, STREAM);
    let mut seqs = townlet_testkit::seqs_of(all.iter().map(|one| &one.content));
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=6000).collect::<Vec<u64>>(), "each once, by the server's own knowledge of ids");
}
