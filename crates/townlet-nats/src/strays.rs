//! Messages that nobody of a group reads, because producers have more partitions than it has.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_nats::jetstream::Context;
use futures_util::TryStreamExt;

use crate::{Link, Subject};

/// Between two questions.
const ASK: Duration = Duration::from_secs(60);
/// Subjects that are looked at, each time.
const SUBJECTS: usize = 100_000;

/// Looks, at once and every minute, for messages of partitions that a group does not have.
pub struct Strays(Arc<Mutex<Option<Stray>>>);

/// One subject that holds such messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stray {
    /// The subject.
    pub subject: String,
    /// Its partition.
    pub partition: u32,
}

impl Link {
    /// Looks into `stream` for as long as what this returns is kept. A partition beyond those of
    /// `subject` that the group had once, and has read to its end, is none.
    pub fn strays(&self, stream: &str, subject: &Subject, group: &str) -> Strays {
        let found = Arc::new(Mutex::new(None));
        let asked = (stream.to_owned(), subject.clone(), group.to_owned());
        self.0.engine.spawn(ask(self.0.context.clone(), asked, Arc::downgrade(&found)));
        Strays(found)
    }
}

impl Strays {
    /// What the last look found; once for each look.
    pub fn take(&self) -> Option<Stray> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

async fn ask(context: Context, (stream, subject, group): (String, Subject, String), to: Weak<Mutex<Option<Stray>>>) {
    while to.strong_count() > 0 {
        // A question that is not answered is asked again.
        let found = look(&context, &stream, &subject, &group).await.unwrap_or_default();
        let Some(to) = to.upgrade() else { return };
        *to.lock().unwrap_or_else(PoisonError::into_inner) = found;
        drop(to);
        tokio::time::sleep(ASK).await;
    }
}

async fn look(
    context: &Context,
    stream: &str,
    subject: &Subject,
    group: &str,
) -> Result<Option<Stray>, async_nats::Error> {
    let stream = context.get_stream_no_info(stream).await?;
    let mut subjects = stream.info_with_subjects(subject.filter(None)).await?;
    let mut read = HashSet::new();
    for _ in 0..SUBJECTS {
        let Some((name, _)) = subjects.try_next().await? else { break };
        let Some(partition) = subject.partition_in(&name).filter(|one| *one >= subject.partitions()) else { continue };
        if read.contains(&partition) {
            continue;
        }
        let consumer = stream.consumer_info(format!("{group}-p{partition}")).await;
        if !consumer.is_ok_and(|consumer| consumer.num_pending == 0) {
            return Ok(Some(Stray { subject: name, partition }));
        }
        read.insert(partition);
    }
    Ok(None)
}
