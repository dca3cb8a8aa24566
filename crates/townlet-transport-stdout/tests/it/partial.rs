use std::io::{self, Write};

use townlet_testkit::{frame_of_len, frames};
use townlet_transport::{ErrorKind, Frame, Transport};
use townlet_transport_stdout::StdoutTransport;

/// Fails once after `room` bytes, then takes everything; at most `step` at a time.
struct Hiccup {
    content: Vec<u8>,
    room: Option<usize>,
    step: usize,
    kind: io::ErrorKind,
}

impl Hiccup {
    fn after(room: usize, step: usize) -> Self {
        Self { content: Vec::new(), room: Some(room), step, kind: io::ErrorKind::WouldBlock }
    }
}

impl Write for Hiccup {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let some = bytes.len().min(self.step).min(self.room.unwrap_or(usize::MAX));
        if some == 0 {
            self.room = None;
            return Err(self.kind.into());
        }
        self.room = self.room.map(|room| room - some);
        self.content.extend_from_slice(&bytes[..some]);
        Ok(some)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn bytes(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(|frame| frame.line().to_vec()).collect()
}

#[test]
fn wherever_a_write_stops_it_goes_on_there_and_no_line_is_cut_or_doubled() {
    let all: Vec<Frame> = [1, 40, 50, 1, 45].into_iter().zip(1..).map(|(len, seq)| frame_of_len(seq, len)).collect();
    let expected = bytes(&all);
    for room in 0..expected.len() {
        for step in [1, 7, 1000] {
            let mut sink = StdoutTransport::to_writer(Hiccup::after(room, step));
            sink.connect().unwrap();
            let error = sink.send(&all).unwrap_err();
            assert_eq!(error.error.kind(), ErrorKind::Timeout);
            let whole = bytes(&all[..error.settled]).len();
            assert!(whole <= room && bytes(&all[..=error.settled]).len() > room, "settled {}", error.settled);
            sink.connect().unwrap();
            sink.send(&all[error.settled..]).unwrap();
            assert_eq!(sink.output().content, expected, "stopped at {room}");
        }
    }
}

#[test]
fn a_torn_line_is_completed_where_its_frame_was_given_up_meanwhile() {
    let all = frames(1..=3);
    let half = all[0].len() + 10;
    let mut sink = StdoutTransport::to_writer(Hiccup::after(half, 1000));
    sink.connect().unwrap();
    assert_eq!(sink.send(&all[..2]).unwrap_err().settled, 1);
    sink.send(&all[2..]).unwrap();
    assert_eq!(sink.output().content, bytes(&all));
}

#[test]
fn a_reader_that_is_gone_is_a_clean_end_and_stays_one() {
    let all = frames(1..=3);
    let out = Hiccup { kind: io::ErrorKind::BrokenPipe, ..Hiccup::after(all[0].len() + 3, 1000) };
    let mut sink = StdoutTransport::to_writer(out);
    sink.connect().unwrap();
    let error = sink.send(&all).unwrap_err();
    assert_eq!((error.settled, error.error.kind()), (1, ErrorKind::Closed));
    assert!(!error.error.kind().is_retryable());
    assert_eq!(sink.send(&all[1..]).unwrap_err().error.kind(), ErrorKind::Closed);
    assert_eq!(sink.connect().unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(sink.flush().unwrap_err().kind(), ErrorKind::Closed);
}
