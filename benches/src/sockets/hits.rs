use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use cndt_runtime::Runtime;
use smol::channel::{Receiver, Sender, bounded};
use smol::future::or;

use super::Result;

/// Bytes of every message that is pushed.
pub const PUSH_LEN: usize = 64;

/// What stands behind the number in every message.
const REST: [u8; PUSH_LEN - 8] = {
    let mut rest = [0; PUSH_LEN - 8];
    let mut at = 0;
    while at < rest.len() {
        rest[at] = 0x5a ^ at as u8;
        at += 1;
    }
    rest
};

/// The message with this number: no two are alike.
pub fn push_payload(number: u64) -> [u8; PUSH_LEN] {
    let mut payload = [0; PUSH_LEN];
    let (head, rest) = payload.split_at_mut(8);
    head.copy_from_slice(&number.to_be_bytes());
    rest.copy_from_slice(&REST);
    payload
}

/// The number of a message, if these are the bytes that were sent.
pub fn is_push(message: &[u8]) -> Option<u64> {
    let (number, rest) = message.split_first_chunk()?;
    (rest == REST).then(|| u64::from_be_bytes(*number))
}

/// Judges and counts the messages that arrive, over all receivers. A clone counts into the same.
#[derive(Debug, Clone)]
pub struct Hits {
    shared: Arc<Shared>,
    done: Receiver<()>,
}

#[derive(Debug)]
struct Shared {
    count: AtomicU64,
    target: AtomicU64,
    /// Of the numbers of all messages: one that is lost or comes twice shows in it.
    sum: AtomicU64,
    sum_expected: AtomicU64,
    /// A message was not what was sent.
    is_damaged: AtomicBool,
    done: Sender<()>,
}

impl Default for Hits {
    fn default() -> Self {
        let (sender, done) = bounded(1);
        let shared = Shared {
            count: AtomicU64::new(0),
            target: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            sum_expected: AtomicU64::new(0),
            is_damaged: AtomicBool::new(false),
            done: sender,
        };
        Self { shared: Arc::new(shared), done }
    }
}

impl Hits {
    /// One message, compared with what was sent.
    #[inline]
    pub fn hit(&self, message: &[u8]) {
        match is_push(message) {
            Some(number) => drop(self.shared.sum.fetch_add(number, Relaxed)),
            None => self.shared.is_damaged.store(true, Relaxed),
        }
        self.count(1);
    }

    /// Messages that nobody looks at: the bare floor counts bytes.
    pub(super) fn unseen(&self, messages: u64) {
        self.count(messages);
    }

    #[inline]
    fn count(&self, messages: u64) {
        let before = self.shared.count.fetch_add(messages, Relaxed);
        let target = self.shared.target.load(Relaxed);
        if before < target && before + messages >= target {
            // Full: it says so already.
            let _ = self.shared.done.try_send(());
        }
    }

    /// `messages` more, numbered from 0, are about to go to each of `receivers`.
    pub(super) fn expect(&self, messages: u64, receivers: u64) {
        let sum = messages * messages.saturating_sub(1) / 2;
        self.shared.sum_expected.fetch_add(sum * receivers, Relaxed);
        self.shared.target.fetch_add(messages * receivers, Relaxed);
    }

    /// Waits until everything that is expected has come.
    pub(super) async fn wait<R: Runtime>(&self, patience: Duration) -> Result<()> {
        let runtime = R::default();
        let arrived = async { self.done.recv().await.is_ok() };
        let until = runtime.now() + patience;
        let late = async move {
            runtime.sleep_until(until).await;
            false
        };
        let (count, target) = (&self.shared.count, &self.shared.target);
        if !or(arrived, late).await {
            let (count, target) = (count.load(Relaxed), target.load(Relaxed));
            return Err(format!("{count} of {target} messages came within {patience:?}").into());
        }
        if self.shared.is_damaged.load(Relaxed) {
            return Err("a message that came is not one that was sent".into());
        }
        Ok(())
    }

    /// Whether each message came once, for receivers that look at them.
    pub(super) fn check(&self) -> Result<()> {
        let (sum, expected) = (&self.shared.sum, &self.shared.sum_expected);
        let (sum, expected) = (sum.load(Relaxed), expected.load(Relaxed));
        if sum != 0 && sum != expected {
            return Err(format!("numbers of messages add up to {sum}, not {expected}").into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    #[test]
    fn every_message_is_compared_and_counted() {
        smol::block_on(async {
            let hits = Hits::default();
            hits.expect(3, 1);
            (0..3).for_each(|number| hits.hit(&push_payload(number)));
            hits.wait::<cndt_smol::Smol>(PATIENCE).await.expect("all are here");
            hits.check().expect("each came once");

            hits.expect(2, 1);
            (0..2).for_each(|_| hits.hit(&push_payload(1)));
            hits.wait::<cndt_smol::Smol>(PATIENCE).await.expect("two are here");
            assert!(hits.check().is_err(), "one came twice, one never");

            hits.expect(1, 1);
            hits.hit(&[0; PUSH_LEN]);
            let damaged = hits.wait::<cndt_smol::Smol>(PATIENCE).await;
            assert!(damaged.is_err_and(|error| error.to_string().contains("not one that was")));
        });
    }

    #[test]
    fn what_does_not_come_is_told() {
        let hits = Hits::default();
        hits.expect(1, 1);
        let waited = smol::block_on(hits.wait::<cndt_smol::Smol>(Duration::from_millis(10)));
        assert!(waited.is_err_and(|error| error.to_string().starts_with("0 of 1")));
    }
}
