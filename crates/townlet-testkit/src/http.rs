//! A small HTTP/1.1 server on a free port of this machine, which answers as it is
//! told and remembers what it got.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, spawn};

use socket2::SockRef;

/// What is done with one request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reply {
    /// A status and further header lines, each with its `\r\n`.
    Status(u16, String),
    /// A status, further header lines as above, and a body.
    Body(u16, String, Vec<u8>),
    /// Whatever this says of the request.
    Decide(fn(&Request) -> Reply),
    /// 200 where this holds of the body as it came, else the status.
    Check(u16, fn(&[u8]) -> bool),
    /// Reads the request and says nothing.
    Stall,
    /// Reads the request and resets the connection.
    Reset,
    /// Reads the request, and ends the sending half without an answer.
    HalfClose,
    /// Says these bytes and closes.
    Raw(Vec<u8>),
    /// Says these bytes, and no more.
    Hang(Vec<u8>),
}

/// This status and nothing else.
pub fn status(code: u16) -> Reply {
    Reply::Status(code, String::new())
}

/// What a client asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// `POST`.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// By name in lower case.
    pub headers: BTreeMap<String, String>,
    /// As it came.
    pub body: Vec<u8>,
}

impl Request {
    /// The body, uncompressed where it came as gzip.
    pub fn content(&self) -> Vec<u8> {
        let mut body = self.body.clone();
        if self.headers.get("content-encoding").is_some_and(|how| how == "gzip") {
            body.clear();
            flate2::read::GzDecoder::new(&self.body[..])
                .read_to_end(&mut body)
                .expect("a body that is called gzip is gzip");
        }
        body
    }

    /// The lines of the body, without their ends.
    pub fn lines(&self) -> Vec<Vec<u8>> {
        let body = self.content();
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

/// The server. It ends, and its connections with it, when this is dropped.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Mutex<State>>,
    acceptor: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts it on a free port; this is its answer to everything.
    pub fn start(usual: Reply) -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)), usual)
    }

    /// The same at this address, as a server that comes back does.
    pub fn at(address: SocketAddr, usual: Reply) -> Self {
        let listener = TcpListener::bind(address).expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Mutex::new(State { usual: Some(usual), ..State::default() }));
        let acceptor = spawn({
            let shared = Arc::clone(&shared);
            move || accept(&listener, &shared)
        });
        Self { address, shared, acceptor: Some(acceptor) }
    }

    /// The next request that is not yet provided for is answered so.
    #[must_use]
    pub fn then(self, reply: Reply) -> Self {
        self.shared.lock().expect("no thread of the server panicked").replies.push_back(reply);
        self
    }

    /// `http://127.0.0.1:PORT/ingest`.
    pub fn url(&self) -> String {
        format!("http://{}/ingest", self.address)
    }

    /// What it was asked so far, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().expect("no thread of the server panicked").requests.clone()
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        self.shared.lock().expect("no thread of the server panicked").connections
    }

    /// The lines of all requests.
    pub fn lines(&self) -> Vec<Vec<u8>> {
        self.requests().iter().flat_map(Request::lines).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let open = {
            let mut state = self.shared.lock().expect("no thread of the server panicked");
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
            let mut state = shared.lock().expect("no thread of the server panicked");
            if state.stop {
                return;
            }
            state.open.push(socket.try_clone().expect("a socket can be cloned"));
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
            let mut state = shared.lock().expect("no thread of the server panicked");
            state.requests.push(request.clone());
            state.replies.pop_front().or_else(|| state.usual.clone())?
        };
        let mut out = socket;
        let reply = match reply {
            Reply::Decide(decide) => decide(&request),
            reply => reply,
        };
        match reply {
            Reply::Status(code, headers) => answer(out, code, &headers, b"ok")?,
            Reply::Body(code, headers, body) => answer(out, code, &headers, &body)?,
            Reply::Check(code, good) => answer(out, if good(&request.body) { 200 } else { code }, "", b"ok")?,
            // One level is enough for every test.
            Reply::Decide(_) => return None,
            // Ends when the other side gives up.
            Reply::Stall => return input.read(&mut [0]).ok().map(drop),
            Reply::Reset => {
                SockRef::from(socket).set_linger(Some(std::time::Duration::ZERO)).ok()?;
                // The second handle must not keep it open.
                let mine = socket.peer_addr().ok()?;
                shared
                    .lock()
                    .expect("no thread of the server panicked")
                    .open
                    .retain(|open| open.peer_addr().ok() != Some(mine));
                return None;
            }
            Reply::HalfClose => {
                socket.shutdown(Shutdown::Write).ok()?;
                return input.read(&mut [0]).ok().map(drop);
            }
            Reply::Hang(bytes) => {
                out.write_all(&bytes).ok()?;
                return input.read(&mut [0]).ok().map(drop);
            }
            Reply::Raw(bytes) => {
                out.write_all(&bytes).ok()?;
                return socket.shutdown(Shutdown::Both).ok();
            }
        }
    }
}

fn answer(mut out: &TcpStream, code: u16, headers: &str, body: &[u8]) -> Option<()> {
    let head = format!("HTTP/1.1 {code} Said\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    out.write_all(&[head.as_bytes(), body].concat()).ok()
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
    let mut body =
        vec![0; headers.get("content-length").map_or(0, |length| length.parse().expect("a length is a number"))];
    input.read_exact(&mut body).ok()?;
    Some(Request { method, path, headers, body })
}
