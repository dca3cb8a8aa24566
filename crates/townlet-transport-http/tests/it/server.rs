//! A small HTTP server that answers as it is told, and remembers what it got.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};

use socket2::SockRef;

/// What is done with one request.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A status and further header lines, each with its `\r\n`.
    Status(u16, String),
    /// 200 where all of this holds of the lines, else the status.
    Check(u16, fn(&[u8]) -> bool),
    /// Reads the request and says nothing.
    Stall,
    /// Reads the request and resets the connection.
    Reset,
    /// Reads the request, and ends the sending half without an answer.
    HalfClose,
    /// Says these bytes and closes.
    Raw(Vec<u8>),
}

pub(crate) fn status(code: u16) -> Reply {
    Reply::Status(code, String::new())
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn lines(&self) -> Vec<Vec<u8>> {
        let mut body = self.body.clone();
        if self.headers.get("content-encoding").is_some_and(|how| how == "gzip") {
            body.clear();
            flate2::read::GzDecoder::new(&self.body[..]).read_to_end(&mut body).unwrap();
        }
        let body = body.strip_suffix(b"\n").unwrap_or(&body);
        body.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    }
}

#[derive(Default)]
struct State {
    replies: VecDeque<Reply>,
    usual: Option<Reply>,
    requests: Vec<Request>,
    open: Vec<TcpStream>,
    connections: usize,
    stop: bool,
}

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Arc<Mutex<State>>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) fn start(usual: Reply) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), usual)
    }

    fn at(address: SocketAddr, usual: Reply) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(State { usual: Some(usual), ..State::default() }));
        let acceptor = spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Self { address, shared, acceptor: Some(acceptor) }
    }

    pub(crate) fn then(self, reply: Reply) -> Self {
        self.shared.lock().unwrap().replies.push_back(reply);
        self
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/ingest", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.lock().unwrap().requests.clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.lock().unwrap().connections
    }

    pub(crate) fn lines(&self) -> Vec<Vec<u8>> {
        self.requests().iter().flat_map(Request::lines).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let open = {
            let mut state = self.shared.lock().unwrap();
            state.stop = true;
            std::mem::take(&mut state.open)
        };
        open.iter().for_each(|socket| drop(socket.shutdown(Shutdown::Both)));
        let _ = TcpStream::connect(self.address);
        self.acceptor.take().map(JoinHandle::join);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Mutex<State>>) {
    for socket in listener.incoming().flatten() {
        {
            let mut state = shared.lock().unwrap();
            if state.stop {
                return;
            }
            state.open.push(socket.try_clone().unwrap());
            state.connections += 1;
        }
        let shared = Arc::clone(shared);
        spawn(move || serve(&socket, &shared));
    }
}

fn serve(socket: &TcpStream, shared: &Mutex<State>) -> Option<()> {
    let mut input = BufReader::new(socket);
    loop {
        let request = read(&mut input)?;
        let reply = {
            let mut state = shared.lock().unwrap();
            state.requests.push(request.clone());
            state.replies.pop_front().or_else(|| state.usual.clone())?
        };
        let mut out = socket;
        match reply {
            Reply::Status(code, headers) => answer(out, code, &headers)?,
            Reply::Check(code, good) => answer(out, if good(&request.body) { 200 } else { code }, "")?,
            // Ends when the other side gives up.
            Reply::Stall => return input.read(&mut [0]).ok().map(drop),
            Reply::Reset => {
                SockRef::from(socket).set_linger(Some(std::time::Duration::ZERO)).ok()?;
                // The second handle must not keep it open.
                let mine = socket.peer_addr().ok()?;
                shared.lock().unwrap().open.retain(|open| open.peer_addr().ok() != Some(mine));
                return None;
            }
            Reply::HalfClose => {
                socket.shutdown(Shutdown::Write).ok()?;
                return input.read(&mut [0]).ok().map(drop);
            }
            Reply::Raw(bytes) => {
                out.write_all(&bytes).ok()?;
                return socket.shutdown(Shutdown::Both).ok();
            }
        }
    }
}

fn answer(mut out: &TcpStream, code: u16, headers: &str) -> Option<()> {
    out.write_all(format!("HTTP/1.1 {code} Said\r\n{headers}Content-Length: 2\r\n\r\nok").as_bytes()).ok()
}

fn read(input: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    let mut next = |input: &mut dyn BufRead| {
        line.clear();
        (input.read_line(&mut line).ok()? > 0).then(|| line.trim_end().to_owned())
    };
    let first = next(input)?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let header = next(input)?;
        let Some((name, value)) = header.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
    input.read_exact(&mut body).ok()?;
    Some(Request { method, path, headers, body })
}
