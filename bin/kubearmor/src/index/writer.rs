//! The one thread that changes the index, and the handle by which others ask it to.

use std::{io, thread};

use tokio::sync::{mpsc, oneshot};

use super::Index;

/// Changes that wait. A full queue makes those who ask wait, too.
const QUEUE: usize = 256;

type Change = Box<dyn FnOnce(&mut Index) + Send>;

/// Asks the writer. Cheap to clone; the writer ends with its last handle.
#[derive(Clone, Debug)]
pub(crate) struct IndexHandle(mpsc::Sender<Change>);

#[derive(Debug, thiserror::Error)]
#[error("the agent is going down")]
pub(crate) struct Gone;

/// Gives the index to a thread of its own: computing rules and walking links must not hold up anything else.
pub(crate) fn start(mut index: Index) -> io::Result<IndexHandle> {
    let (sender, mut changes) = mpsc::channel::<Change>(QUEUE);
    thread::Builder::new().name("index".to_owned()).spawn(move || {
        while let Some(change) = changes.blocking_recv() {
            change(&mut index);
        }
    })?;
    Ok(IndexHandle(sender))
}

impl IndexHandle {
    /// Runs `change` after all that was asked before, and returns its answer.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut Index) -> T + Send + 'static,
    ) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        let change = Box::new(move |index: &mut Index| {
            // Whoever asked may have gone away; the change holds all the same.
            let _ = reply.send(change(index));
        });
        self.0.send(change).await.map_err(|_closed| Gone)?;
        answer.await.map_err(|_closed| Gone)
    }
}
