//! TCP and TLS peers on 127.0.0.1 that behave well or badly, and remember what
//! they got.

mod accept;
mod behaviour;
mod conversation;
mod secure;
mod serve;

pub use accept::Peer;
pub use behaviour::Behaviour;
pub use conversation::Conversation;
pub use secure::PeerTls;
