//! A WebSocket server that keeps what it gets, and acknowledges where asked.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tungstenite::handshake::server::{Request, Response};
use tungstenite::{Message, WebSocket};

#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) lines: Vec<Vec<u8>>,
    pub(crate) openings: usize,
    pub(crate) resumes: Vec<Option<String>>,
    up: bool,
    listening: bool,
    open: Vec<TcpStream>,
}

pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    shared: Arc<(Mutex<Seen>, Condvar)>,
}

/// How the peer behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Picks the subprotocol and acknowledges every line.
    Acknowledge,
    /// Knows no subprotocol.
    Plain,
    /// As `Acknowledge`, but takes messages of at most so many bytes (code 1009).
    Small(usize),
}

impl Peer {
    pub(crate) fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Seen { up: true, listening: true, ..Seen::default() };
        let shared = Arc::new((Mutex::new(seen), Condvar::new()));
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || accept_all(listener, address, &accepting, manner));
        Self { address, shared }
    }

    pub(crate) fn look<R>(&self, look: impl FnOnce(&Seen) -> R) -> R {
        look(&self.shared.0.lock().unwrap())
    }

    pub(crate) fn wait_for(&self, ready: impl Fn(&Seen) -> bool) {
        let seen = self.shared.0.lock().unwrap();
        let (_seen, late) =
            self.shared.1.wait_timeout_while(seen, Duration::from_secs(10), |seen| !ready(seen)).unwrap();
        assert!(!late.timed_out(), "the peer waited in vain");
    }

    pub(crate) fn hang_up(&self) {
        for socket in self.shared.0.lock().unwrap().open.drain(..) {
            // An error means that it is gone already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn go_down(&self) {
        self.shared.0.lock().unwrap().up = false;
        let _ = TcpStream::connect(self.address);
        self.wait_for(|seen| !seen.listening);
        self.hang_up();
    }

    pub(crate) fn come_back(&self) {
        self.shared.0.lock().unwrap().up = true;
        self.shared.1.notify_all();
        self.wait_for(|seen| seen.listening);
    }
}

fn accept_all(listener: TcpListener, address: SocketAddr, shared: &Arc<(Mutex<Seen>, Condvar)>, manner: Manner) {
    let mut listener = Some(listener);
    loop {
        let Some(open) = &listener else {
            let seen = shared.0.lock().unwrap();
            drop(shared.1.wait_while(seen, |seen| !seen.up).unwrap());
            listener = Some(TcpListener::bind(address).unwrap());
            shared.0.lock().unwrap().listening = true;
            shared.1.notify_all();
            continue;
        };
        let (socket, _) = open.accept().unwrap();
        if !shared.0.lock().unwrap().up {
            listener = None;
            shared.0.lock().unwrap().listening = false;
            shared.1.notify_all();
            continue;
        }
        let mut seen = shared.0.lock().unwrap();
        seen.openings += 1;
        seen.open.push(socket.try_clone().unwrap());
        drop(seen);
        let shared = Arc::clone(shared);
        std::thread::spawn(move || serve(socket, &shared, manner));
    }
}

fn serve(socket: TcpStream, shared: &(Mutex<Seen>, Condvar), manner: Manner) {
    #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
    let choose = |request: &Request, mut response: Response| {
        let resume = request.headers().get("townlet-resume").map(|value| value.to_str().unwrap().to_owned());
        shared.0.lock().unwrap().resumes.push(resume.clone());
        if manner != Manner::Plain {
            response.headers_mut().insert("sec-websocket-protocol", "townlet.v1".parse().unwrap());
        }
        Ok(response)
    };
    let Ok(mut socket): Result<WebSocket<TcpStream>, _> = tungstenite::accept_hdr(socket, choose) else { return };
    if let Manner::Small(limit) = manner {
        socket.set_config(|config| config.max_message_size = Some(limit));
    }
    let mut count = 0;
    loop {
        let bytes = match socket.read() {
            Ok(Message::Text(text)) => text.as_bytes().to_vec(),
            Ok(Message::Binary(bytes)) => bytes.to_vec(),
            Ok(_) => continue,
            Err(tungstenite::Error::Capacity(_)) => {
                let code = tungstenite::protocol::frame::coding::CloseCode::Size;
                let _ = socket.close(Some(tungstenite::protocol::CloseFrame { code, reason: "".into() }));
                continue;
            }
            Err(_) => return,
        };
        let whole = bytes.strip_suffix(b"\n").expect("a message holds whole lines");
        let lines: Vec<Vec<u8>> = whole.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        count += lines.len();
        shared.0.lock().unwrap().lines.extend(lines);
        shared.1.notify_all();
        if manner != Manner::Plain && socket.send(Message::text(format!("{{\"ack\":{count}}}"))).is_err() {
            return;
        }
    }
}
