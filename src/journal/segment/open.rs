//! Intents of a segment whose outcome has not come yet.
//!
//! It keeps no more than those, so that reading a segment takes memory for the exchanges that overlapped, not for all.

use std::collections::HashMap;

use uuid::Uuid;

/// Unsettled intents, as whole intents or as places of such.
#[derive(Debug)]
pub(super) struct Open<I> {
    /// With how many intents came before.
    intents: HashMap<Uuid, (u64, I)>,
    begun: u64,
}

impl<I> Default for Open<I> {
    fn default() -> Self {
        Self { intents: HashMap::new(), begun: 0 }
    }
}

impl<I> Open<I> {
    /// An intent; it takes the place of one with the same id.
    pub(super) fn begin(&mut self, event_id: Uuid, intent: I) {
        self.intents.insert(event_id, (self.begun, intent));
        self.begun += 1;
    }

    /// The intent an outcome settles; `None` if there is none.
    pub(super) fn take(&mut self, event_id: Uuid) -> Option<I> {
        self.intents.remove(&event_id).map(|(_, intent)| intent)
    }

    /// What was not settled, in journal order.
    pub(super) fn left(self) -> Vec<I> {
        let mut left: Vec<_> = self.intents.into_values().collect();
        left.sort_unstable_by_key(|(begun, _)| *begun);
        left.into_iter().map(|(_, intent)| intent).collect()
    }
}
