//! A dead letter: a refused line within a line that says why.

use std::io;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use townlet_transport::Frame;
use townlet_worker::Refusal;

/// How a line of such a file begins; nothing else that is sent does.
const BEGINS: &[u8] = b"{\"dead_letter\":";

#[derive(Serialize)]
struct About<'a> {
    /// Milliseconds since 1970.
    at: u64,
    sink: &'a str,
    reason: &'static str,
    error: &'a str,
    run_id: &'a str,
    stream: &'a str,
    seq: u64,
    tick: u64,
}

#[derive(Serialize)]
struct Letter<'a> {
    dead_letter: About<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<&'a RawValue>,
    /// What is no JSON, with what is no UTF-8 replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

#[derive(Deserialize)]
struct Kept<'a> {
    #[serde(borrow)]
    line: &'a RawValue,
}

/// The line within a line of a file of dead letters; none where `line` is no such one.
pub(crate) fn within(line: &Bytes) -> Option<Bytes> {
    if !line.starts_with(BEGINS) {
        return None;
    }
    let kept: Kept<'_> = serde_json::from_slice(line).ok()?;
    Some(line.slice_ref(kept.line.get().as_bytes()))
}

/// Appends the letter of `frame`, its end included, to `out`. `error` is what the
/// refusal says, in words.
pub(super) fn write(at: u64, refusal: &Refusal<'_>, error: &str, frame: &Frame, out: &mut Vec<u8>) -> io::Result<()> {
    let bytes = frame.line().trim_ascii();
    let line: Option<&RawValue> = serde_json::from_slice(bytes).ok().filter(|_| !bytes.contains(&b'\n'));
    let text = line.is_none().then(|| String::from_utf8_lossy(bytes));
    let letter = Letter {
        dead_letter: About {
            at,
            sink: refusal.sink,
            reason: refusal.reason.as_str(),
            error,
            run_id: frame.label().run_id(),
            stream: frame.label().stream(),
            seq: frame.seq(),
            tick: frame.tick(),
        },
        line,
        text: text.as_deref(),
    };
    serde_json::to_writer(&mut *out, &letter)?;
    out.push(b'\n');
    Ok(())
}
