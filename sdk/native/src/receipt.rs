//! How far a change has come.

use tokio::sync::watch;

/// How far a room's edits have come, for everybody who waits.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    pub(crate) saved: u64,
    pub(crate) acked: u64,
    pub(crate) refused: Option<Refused>,
    pub(crate) is_closed: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct Refused {
    pub(crate) from: u64,
    pub(crate) to: u64,
    pub(crate) code: u16,
    pub(crate) message: String,
}

/// What a change returns: two promises. Both may be asked more than once; dropping it takes nothing back.
#[derive(Clone, Debug)]
pub struct Receipt {
    edit: u64,
    progress: watch::Receiver<Progress>,
}

/// Why a promise will not come true by waiting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// The relay refuses what this client writes. The change stays on this device.
    #[error("the relay refuses the change ({code}): {message}")]
    Refused {
        /// The relay's code.
        code: u16,
        /// The relay's reason.
        message: String,
    },
    /// The room was closed before. What is on disk is sent when the room is opened again.
    #[error("the room was closed before the change got there")]
    Closed,
}

impl Receipt {
    pub(crate) fn new(edit: u64, progress: watch::Receiver<Progress>) -> Self {
        Self { edit, progress }
    }

    /// The edit's number within the open room, 0 if the change changed nothing.
    pub fn edit(&self) -> u64 {
        self.edit
    }

    /// Resolves when the change is on this device's disk.
    pub async fn local(&self) -> Result<(), ReceiptError> {
        self.reached(|progress| progress.saved, |_| None).await
    }

    /// Resolves when the change is durable on the relay.
    pub async fn server(&self) -> Result<(), ReceiptError> {
        self.reached(
            |progress| progress.acked,
            |progress| {
                let refused = progress.refused.as_ref()?;
                (refused.from <= self.edit && self.edit <= refused.to)
                    .then(|| ReceiptError::Refused { code: refused.code, message: refused.message.clone() })
            },
        )
        .await
    }

    async fn reached(
        &self,
        mark: impl Fn(&Progress) -> u64,
        refusal: impl Fn(&Progress) -> Option<ReceiptError>,
    ) -> Result<(), ReceiptError> {
        let mut progress = self.progress.clone();
        let edit = self.edit;
        let end = progress
            .wait_for(|now| mark(now) >= edit || now.is_closed || refusal(now).is_some())
            .await
            .map_err(|_| ReceiptError::Closed)?;
        match refusal(&end) {
            _ if mark(&end) >= edit => Ok(()),
            Some(refused) => Err(refused),
            None => Err(ReceiptError::Closed),
        }
    }
}
