//! What the server does with one connection.

use std::io::{Read, Write};
use std::sync::{Condvar, Mutex};

use tungstenite::handshake::server::{Request, Response};
use tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
use tungstenite::{Error, Message, WebSocket};

use crate::peer::{Asked, Manner, Seen};

pub(crate) fn serve<S: Read + Write>(mut socket: S, shared: &(Mutex<Seen>, Condvar), manner: Manner) {
    match manner {
        Manner::Silent => return wait_for_the_end(socket),
        Manner::Answer(answer) => {
            read_head(&mut socket, shared);
            // A client that is gone already has its reasons.
            let _ = socket.write_all(answer.as_bytes()).and_then(|()| socket.flush());
            return wait_for_the_end(socket);
        }
        _ => {}
    }
    #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
    let choose = |request: &Request, mut response: Response| {
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let asked = Asked {
            resume: header("townlet-resume"),
            settle: header("townlet-settle"),
            authorization: header("authorization"),
        };
        let answer = response.headers_mut();
        if manner != Manner::Plain && header("sec-websocket-protocol").is_some() {
            answer.insert("sec-websocket-protocol", "townlet.v1".parse().unwrap());
        }
        if let (Manner::Durable, Some(level)) = (manner, &asked.settle) {
            answer.insert("townlet-settle", level.parse().unwrap());
        }
        if let (Manner::Forgetful { has, .. }, Some(resume)) = (manner, &asked.resume) {
            let (stream, _) = resume.split_once('=').unwrap();
            answer.insert("townlet-resume", format!("{stream}={has}").parse().unwrap());
        }
        shared.0.lock().unwrap().asked.push(asked);
        shared.1.notify_all();
        Ok(response)
    };
    let Ok(mut socket) = tungstenite::accept_hdr(socket, choose) else { return };
    match manner {
        Manner::Mute => {
            // Until the test is over; nothing else asks for this.
            let seen = shared.0.lock().unwrap();
            drop(shared.1.wait_while(seen, |_| true));
        }
        Manner::TurnsAway(code) => end(&mut socket, shared, code),
        Manner::Small(limit) => socket.set_config(|config| config.max_message_size = Some(limit)),
        _ => {}
    }
    read_messages(&mut socket, shared, manner);
}

fn read_messages<S: Read + Write>(socket: &mut WebSocket<S>, shared: &(Mutex<Seen>, Condvar), manner: Manner) {
    let mut count = 0;
    loop {
        let bytes = match socket.read() {
            Ok(Message::Text(text)) => text.as_bytes().to_vec(),
            Ok(Message::Binary(bytes)) => bytes.to_vec(),
            Ok(Message::Ping(_)) => {
                shared.0.lock().unwrap().pings += 1;
                continue;
            }
            Ok(_) => continue,
            Err(Error::Capacity(_)) => {
                let _ = socket.close(Some(CloseFrame { code: CloseCode::Size, reason: "".into() }));
                continue;
            }
            Err(_) => return,
        };
        let whole = bytes.strip_suffix(b"\n").expect("a message holds whole lines");
        let lines: Vec<Vec<u8>> = whole.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        count += lines.len();
        if let Manner::Refuses { code, seqs } = manner {
            let refuses = |line: &[u8]| seqs.iter().any(|seq| seq_of(line) == *seq);
            if lines.iter().any(|line| refuses(line)) {
                end(socket, shared, code);
                continue;
            }
        }
        let mut seen = shared.0.lock().unwrap();
        seen.messages += 1;
        seen.lines.extend(lines);
        let first = seen.openings == 1;
        drop(seen);
        shared.1.notify_all();
        let (ack, end) = match manner {
            Manner::Plain | Manner::NeverAck => continue,
            Manner::Forgetful { acks, .. } if first => (acks, true),
            _ => (count, false),
        };
        if socket.send(Message::text(format!("{{\"ack\":{ack}}}"))).is_err() || end {
            return;
        }
    }
}

/// Says goodbye with this code.
fn end<S: Read + Write>(socket: &mut WebSocket<S>, shared: &(Mutex<Seen>, Condvar), code: u16) {
    let _ = socket.close(Some(CloseFrame { code: code.into(), reason: "".into() }));
    let _ = socket.flush();
    shared.0.lock().unwrap().closes += 1;
    shared.1.notify_all();
}

/// The number in a line of the test kit.
fn seq_of(line: &[u8]) -> u64 {
    let text = String::from_utf8_lossy(line);
    let rest = text.split_once("\"seq\":").expect("a line has a number").1;
    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

/// Reads the head of a request.
fn read_head(socket: &mut impl Read, shared: &(Mutex<Seen>, Condvar)) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && socket.read(&mut byte).is_ok_and(|got| got == 1) {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let asked = Asked { authorization: header("authorization"), ..Asked::default() };
    shared.0.lock().unwrap().asked.push(asked);
    shared.1.notify_all();
}

/// Reads until the client is gone, so that no reset overtakes what was written.
pub(crate) fn wait_for_the_end(mut socket: impl Read) {
    let mut rest = [0; 1024];
    while socket.read(&mut rest).is_ok_and(|got| got > 0) {}
}
