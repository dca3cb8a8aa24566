//! The thread that hides the runtime: it accepts, and does the network of all its
//! connections.

use std::io;
use std::net::{SocketAddr, TcpListener as Bound};
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use super::Grpc;
use super::connection::{self, watched};
use super::place::Place;
use crate::server::slots::Door;
use crate::server::{Accepting, CollectorError, LOOK_AROUND, STACK, Shared, tune};

/// Messages that are read and stored at a time. Whoever syncs a disk for one of them
/// holds up no other, and all of them are few enough for a small machine.
const TAKERS: usize = 8;

/// A listener that has its address, and a runtime that does nothing yet.
pub(in crate::server) struct Listening {
    runtime: Runtime,
    listener: TcpListener,
}

impl Listening {
    pub(in crate::server) fn new(bound: Bound) -> Result<Self, CollectorError> {
        let runtime = Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(TAKERS)
            .thread_name("townlet-grpc-take")
            .thread_stack_size(STACK)
            .build()
            .map_err(CollectorError::Thread)?;
        let inside = runtime.enter();
        let listener = bound.set_nonblocking(true).and_then(|()| TcpListener::from_std(bound));
        drop(inside);
        Ok(Self { listener: listener.map_err(CollectorError::Thread)?, runtime })
    }
}

/// Starts to accept, on a thread of its own.
pub(in crate::server) fn start(
    shared: &Arc<Shared>,
    grpc: &Arc<Grpc>,
    listening: Listening,
) -> Result<(), CollectorError> {
    let (accepting, grpc) = (Accepting::begin(shared), Arc::clone(grpc));
    let thread = thread::Builder::new().name("townlet-grpc".to_owned());
    let spawned = thread.spawn(move || {
        let Listening { runtime, listener } = listening;
        runtime.block_on(accept(accepting, &grpc, listener));
        // What is still being stored holds its place until it is.
        runtime.shutdown_background();
    });
    spawned.map(drop).map_err(CollectorError::Thread)
}

async fn accept(accepting: Accepting, grpc: &Arc<Grpc>, listener: TcpListener) {
    let shared = &Arc::clone(&accepting.0);
    let stopping = || if shared.stop.is_asked() { Err(()) } else { Ok(()) };
    while let Ok(accepted) = watched(pin!(listener.accept()), stopping).await {
        match accepted {
            Ok(_) if shared.stop.is_asked() => break,
            Ok((socket, peer)) => welcome(shared, grpc, socket, peer),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                tracing::warn!(%error, "collector_accept_failed");
                shared.slots.accept_failed();
                // Too many open files, mostly: trying again at once would spin.
                tokio::time::sleep(LOOK_AROUND).await;
            }
        }
    }
    drop(listener);
    drop(accepting);
    // The connections see the stop for themselves; the runtime is theirs until they have.
    while !shared.stop.is_overdue(Instant::now()) && shared.slots.are_open(Door::Grpc) {
        tokio::time::sleep(LOOK_AROUND / 8).await;
    }
}

fn welcome(shared: &Arc<Shared>, grpc: &Arc<Grpc>, socket: TcpStream, peer: SocketAddr) {
    let limit = grpc.options.max_connections;
    let Some(slot) = shared.slots.enter(peer, Door::Grpc, limit) else {
        tracing::warn!(%peer, limit, "collector_connection_refused");
        return;
    };
    tune(&socket);
    let place = Place::new(Arc::clone(shared), Arc::clone(grpc), slot);
    drop(tokio::spawn(connection::serve(Arc::new(place), socket)));
}
