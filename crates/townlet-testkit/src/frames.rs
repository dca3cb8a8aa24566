//! Frames whose content a test can check.

use bytes::Bytes;
use townlet_transport::{Frame, Label};

/// The run id of frames made here.
const RUN: &str = "00000000-0000-7000-8000-000000000001";

/// Frame `seq` of the stream `town.events`: one small JSON line.
pub fn frame(seq: u64) -> Frame {
    event("town.events", seq)
}

/// Frame `seq` of `stream`, at tick `seq`.
pub fn event(stream: &str, seq: u64) -> Frame {
    let line = format!(
        "{{\"payload_type\":\"event\",\"run_id\":\"{RUN}\",\"stream\":\"{stream}\",\"seq\":{seq},\"tick\":{seq}}}\n"
    );
    Frame::new(Label::new(RUN, stream), "event", seq, seq, line)
}

/// One frame for each number.
pub fn frames(seqs: impl IntoIterator<Item = u64>) -> Vec<Frame> {
    seqs.into_iter().map(frame).collect()
}

/// A frame whose line has exactly `len` bytes, the final `\n` included.
///
/// The bytes differ with `seq` and position, so that a shift or a swap shows.
/// From 36 bytes on (whatever the `seq`) the line is a JSON object with its `seq`.
///
/// # Panics
/// Where `len` is 0: a line has at least its end.
pub fn frame_of_len(seq: u64, len: usize) -> Frame {
    assert!(len > 0, "a line has at least its newline");
    let mut line = Vec::with_capacity(len);
    let head = format!("{{\"seq\":{seq},\"x\":\"");
    let json = len >= head.len() + 3;
    if json {
        line.extend_from_slice(head.as_bytes());
    }
    let filler_end = if json { len - 3 } else { len - 1 };
    let letters = b"abcdefghijklmnopqrstuvwxyz0123456789";
    while line.len() < filler_end {
        let at = line.len().wrapping_add(seq as usize * 7);
        line.push(letters[at % letters.len()]);
    }
    if json {
        line.extend_from_slice(b"\"}");
    }
    line.push(b'\n');
    Frame::new(Label::new(RUN, "town.events"), "event", seq, seq, Bytes::from(line))
}

/// The `seq` of each line, in order. Lines that carry none are left out.
pub fn seqs_of<L: AsRef<[u8]>>(lines: impl IntoIterator<Item = L>) -> Vec<u64> {
    lines.into_iter().filter_map(|line| seq_of(line.as_ref())).collect()
}

fn seq_of(line: &[u8]) -> Option<u64> {
    let key = b"\"seq\":";
    let at = line.windows(key.len()).position(|w| w == key)? + key.len();
    let digits: Vec<u8> = line[at..].iter().copied().take_while(u8::is_ascii_digit).collect();
    std::str::from_utf8(&digits).ok()?.parse().ok()
}
