//! WebSockets (RFC 6455) on the web listener.

mod encoders;
mod frames;
mod lines;
mod resume;
mod subscriber;
mod timed;

use std::sync::Arc;

use tungstenite::handshake::derive_accept_key;

use super::super::intake::Session;
use super::super::wire::Wire;
use super::super::{Shared, Slot};
use super::Web;
use super::head::Head;
use super::response::Response;
use crate::report::Ending;
use crate::store::{Settle, Store};
use subscriber::Viewer;
use timed::Timed;

/// The subprotocol under which lines are acknowledged.
const SUBPROTOCOL: &str = "townlet.v1";

/// What a WebSocket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A producer brings lines.
    Lines,
    /// Somebody watches the states.
    Watch,
}

impl Kind {
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Lines => "/v1/telemetry/ws",
            Self::Watch => "/ws/telemetry",
        }
    }
}

/// A handshake that may be answered with 101.
pub(super) struct Accepted {
    answer: Vec<u8>,
    role: Role,
}

enum Role {
    Lines { session: Session, acks: bool },
    Watch(Viewer),
}

/// Reads the wish for a WebSocket; an error is the answer to give.
pub(super) fn accept(head: &Head, kind: Kind, shared: &Shared, web: &Web, slot: &Slot) -> Result<Accepted, Response> {
    if !head.lists("upgrade", "websocket") || !head.lists("connection", "upgrade") {
        return Err(Response::error(426, "a WebSocket is served here").with_header("Upgrade", "websocket"));
    }
    if head.header("sec-websocket-version") != Some("13") {
        let answer = Response::error(426, "only version 13 of WebSocket is spoken here");
        return Err(answer.with_header("Sec-WebSocket-Version", "13"));
    }
    // 16 bytes in base64 (RFC 6455, section 4.2.1).
    let key = head.header("sec-websocket-key").filter(|key| key.len() == 24 && key.ends_with("=="));
    let Some(key) = key else { return Err(Response::error(400, "Sec-WebSocket-Key is missing or no key")) };
    let mut answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n",
        derive_accept_key(key.as_bytes())
    );
    let role = match kind {
        Kind::Lines => lines(head, shared, slot, &mut answer),
        Kind::Watch => Role::Watch(Viewer::join(head, shared, web)?),
    };
    answer.push_str("\r\n");
    Ok(Accepted { answer: answer.into_bytes(), role })
}

fn lines(head: &Head, shared: &Shared, slot: &Slot, answer: &mut String) -> Role {
    let mut session = Session::new(Arc::clone(&shared.intake), slot.id, slot.peer);
    let acks = head.lists("sec-websocket-protocol", SUBPROTOCOL);
    if acks {
        answer.push_str("Sec-WebSocket-Protocol: townlet.v1\r\n");
        let synced = shared.intake.store.as_ref().map(Store::settle) == Some(Settle::Synced);
        if synced && head.header("townlet-settle") == Some("durable") {
            answer.push_str("Townlet-Settle: durable\r\n");
        }
        if let Some(have) = head.header("townlet-resume").and_then(|asked| resume::answer(asked, &mut session)) {
            answer.push_str(&format!("Townlet-Resume: {have}\r\n"));
        }
    }
    Role::Lines { session, acks }
}

impl Accepted {
    pub(super) fn answer(&self) -> &[u8] {
        &self.answer
    }

    /// Serves the connection until it ends. `ahead`: what came behind the handshake.
    pub(super) fn serve(self, shared: &Shared, web: &Web, slot: &Slot, wire: Wire, ahead: Vec<u8>) -> Ending {
        match self.role {
            Role::Lines { session, acks } => {
                let timed = Timed::new(wire, shared.options.line_timeout, web.budget.share(), &ahead);
                lines::serve(shared, slot, timed, ahead, session, acks)
            }
            Role::Watch(viewer) => viewer.serve(shared, slot, wire, ahead),
        }
    }
}
