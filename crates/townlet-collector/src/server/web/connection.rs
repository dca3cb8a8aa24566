//! The life of one connection of the web listener, on its own thread.

use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::super::coding::Coding;
use super::super::connection::open;
use super::super::{Shared, Slot};
use super::Web;
use super::encoding::{coding, undo};
use super::head::{Framing, Head};
use super::inbound::{Bounds, Fault, Inbound};
use super::ingest::Inbox;
use super::response::Response;
use super::route::Request;
use super::router::{self, Endpoint};
use super::ws;
use crate::report::{EndKind, Ending};

/// Serves `socket` until it ends.
pub(in crate::server) fn serve(shared: &Arc<Shared>, web: &Web, slot: &Slot, socket: TcpStream) -> Ending {
    match open(shared, slot, socket, web.certificates.as_deref()) {
        Ok(wire) => Talk { shared, web, slot, inbound: Inbound::new(wire, &shared.stop) }.run(),
        Err(ending) => ending,
    }
}

struct Talk<'a> {
    shared: &'a Arc<Shared>,
    web: &'a Web,
    slot: &'a Slot,
    inbound: Inbound<'a>,
}

impl Talk<'_> {
    fn run(mut self) -> Ending {
        loop {
            match self.exchange() {
                Ok(None) => {}
                Ok(Some((head, socket))) => return self.upgrade(&head, socket),
                Err(ending) => return ending,
            }
        }
    }

    fn upgrade(mut self, head: &Head, socket: ws::Kind) -> Ending {
        match ws::accept(head, socket, self.shared, self.web, self.slot) {
            Ok(accepted) => {
                self.web.count(socket.path(), 101);
                if let Err(ending) =
                    self.inbound.send(accepted.answer(), Instant::now() + self.web.options.body_timeout)
                {
                    return ending;
                }
                let (wire, ahead) = self.inbound.into_parts();
                accepted.serve(self.shared, self.web, self.slot, wire, ahead)
            }
            Err(answer) => self.refuse(head, &answer, socket.path()),
        }
    }

    /// One request and its answer, or where it is one, the wish for a WebSocket.
    /// An error is the end, an ordinary one too.
    fn exchange(&mut self) -> Result<Option<(Head, ws::Kind)>, Ending> {
        let options = &self.web.options;
        let head = match self.inbound.head(options.max_head_bytes, options.head_timeout, options.keep_alive) {
            Ok(head) => head,
            Err(fault) => return Err(self.fault(fault, "none")),
        };
        let endpoint = match router::choose(&head, options) {
            Ok(endpoint) => endpoint,
            Err(answer) => return Err(self.refuse(&head, &answer, "none")),
        };
        let compressed = match admit(&head) {
            Ok(compressed) => compressed,
            Err(answer) => return Err(self.refuse(&head, &answer, endpoint.name())),
        };
        if let Endpoint::Socket(kind) = endpoint {
            return Ok(Some((head, kind)));
        }
        // Read before the answer is sought, since what is left unread ends the connection.
        let mut share = self.web.budget.share();
        let bounds = Bounds { bytes: options.max_body_bytes, time: options.body_timeout };
        let body = match self.inbound.body(&head, &mut share, &bounds) {
            Ok(body) => body,
            Err(fault) => {
                // What is not answered as it would be holds no room while it says goodbye.
                drop(share);
                return Err(self.fault(fault, endpoint.name()));
            }
        };
        let answer = match compressed {
            None => self.answer(endpoint, &head, &body, share.held()),
            Some(coding) => match undo(coding, &body, options.max_body_bytes, &mut share) {
                Ok(inflated) => self.answer(endpoint, &head, &inflated, share.held()),
                Err(answer) => answer,
            },
        };
        drop(share);
        let keep = head.keeps_alive() && !self.shared.stop.is_asked();
        self.send(&head, &answer, endpoint.name(), keep)?;
        if keep {
            return Ok(None);
        }
        self.inbound.farewell(false);
        Err(Ending { kind: EndKind::Finished, detail: "the last answer was given".to_owned() })
    }

    fn answer(&self, endpoint: Endpoint<'_>, head: &Head, body: &[u8], held: usize) -> Response {
        let request = Request { head, body, held, inbox: Inbox::new(self.shared, self.slot) };
        let answered = catch_unwind(AssertUnwindSafe(|| router::answer(self.shared, self.web, endpoint, &request)));
        answered.unwrap_or_else(|_| {
            tracing::error!(peer = %self.slot.peer, path = endpoint.name(), "collector_route_panicked");
            Response::error(500, "the handler of this path failed")
        })
    }

    fn send(&mut self, head: &Head, answer: &Response, name: &'static str, keep: bool) -> Result<(), Ending> {
        self.web.count(name, answer.status);
        let mut bytes = answer.head(keep, SystemTime::now());
        if head.method != "HEAD" {
            bytes.extend_from_slice(&answer.body);
        }
        self.inbound.send(&bytes, Instant::now() + self.web.options.body_timeout)
    }

    /// Answers a request that was not read to its end.
    fn refuse(&mut self, head: &Head, answer: &Response, name: &'static str) -> Ending {
        if let Err(ending) = self.send(head, answer, name, false) {
            return ending;
        }
        self.inbound.farewell(true);
        over(answer)
    }

    fn fault(&mut self, fault: Fault, name: &'static str) -> Ending {
        match fault {
            Fault::End(ending) => ending,
            Fault::Answer(answer) => {
                self.web.count(name, answer.status);
                let mut bytes = answer.head(false, SystemTime::now());
                bytes.extend_from_slice(&answer.body);
                if let Err(ending) = self.inbound.send(&bytes, Instant::now() + self.web.options.body_timeout) {
                    return ending;
                }
                self.inbound.farewell(true);
                over(&answer)
            }
        }
    }
}

/// What the head says of the body, before a byte of it is read: how it is compressed.
/// Who may ask without a token asks by GET, and brings nothing.
fn admit(head: &Head) -> Result<Option<Coding>, Response> {
    if matches!(head.method.as_str(), "GET" | "HEAD") && head.framing()? != Framing::Length(0) {
        return Err(Response::error(400, "a request with GET or HEAD brings no body"));
    }
    coding(head)
}

/// How a connection ends after this answer to what was not read to its end.
fn over(answer: &Response) -> Ending {
    let kind = match answer.status {
        408 => EndKind::RequestTimeout,
        // Understood, and not wanted or not possible now.
        401..=405 | 413 | 426 | 429 | 503 => EndKind::Finished,
        _ => EndKind::BadRequest,
    };
    Ending { kind, detail: format!("answered {}", answer.status) }
}
