//! What a stream holds, read with the client of NATS itself and none of our code.

use std::time::Duration;

use async_nats::jetstream::{self, consumer, stream};
use futures_util::StreamExt;
use tokio::runtime::Builder;

/// A message as it is stored.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) subject: String,
    pub(crate) id: String,
    pub(crate) content: Vec<u8>,
}

/// Does something with a context, as a program of its own would.
pub(crate) fn with<T>(url: &str, work: impl AsyncFnOnce(jetstream::Context) -> T) -> T {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let servers: Vec<async_nats::ServerAddr> = url.split(',').map(|one| one.parse().unwrap()).collect();
        let client = async_nats::connect(servers).await.unwrap();
        work(jetstream::new(client)).await
    })
}

pub(crate) fn make(url: &str, config: stream::Config) {
    with(url, async |context| drop(context.create_stream(config).await.unwrap()));
}

/// All that the stream holds, oldest first.
pub(crate) fn all(url: &str, name: &str) -> Vec<Stored> {
    read(url, name).expect("the stream is there")
}

/// The same; nothing where nobody has made it yet.
pub(crate) fn all_if_there(url: &str, name: &str) -> Vec<Stored> {
    read(url, name).unwrap_or_default()
}

fn read(url: &str, name: &str) -> Option<Vec<Stored>> {
    with(url, async |context| {
        let stream = context.get_stream(name).await.ok()?;
        let count = usize::try_from(stream.cached_info().state.messages).unwrap();
        if count == 0 {
            return Some(Vec::new());
        }
        let config = consumer::pull::Config { ack_policy: consumer::AckPolicy::None, ..Default::default() };
        let consumer = stream.create_consumer(config).await.unwrap();
        let messages = consumer.stream().expires(Duration::from_secs(10)).messages().await.unwrap();
        let messages = messages.take(count).map(|message| {
            let message = message.unwrap();
            let id = message.headers.as_ref().and_then(|headers| headers.get("Nats-Msg-Id"));
            Stored {
                subject: message.subject.to_string(),
                id: id.map(ToString::to_string).unwrap_or_default(),
                content: message.payload.to_vec(),
            }
        });
        Some(messages.collect().await)
    })
}
