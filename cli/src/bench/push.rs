//! Messages of one connection that the server passes on to all others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use cndt_tokio::{ClientHandle, Messages, NotConnected};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::{Miss, Tally};
use crate::args::BenchArgs;
use crate::exit::Failure;

/// Digits of the number that a message begins with: any of 64 bits.
const DIGITS: usize = 20;

/// The message that `cndt serve` passes on.
const KIND: &str = "chat";

pub(super) fn check(arguments: &BenchArgs) -> Result<(), Failure> {
    if arguments.body.data.is_some() || !arguments.body.fields.is_empty() {
        let words = "parameters want a --method; the workloads have their own";
        return Err(Failure::Usage(words.into()));
    }
    if arguments.size < DIGITS {
        let words = format!("--size {}: a message of push has at least {DIGITS}", arguments.size);
        return Err(Failure::Usage(words));
    }
    Ok(())
}

/// A message, or what one connection gets of it.
#[derive(Serialize, Deserialize)]
struct Chat {
    message: String,
}

/// Messages that have not reached everybody.
#[derive(Default)]
struct UnderWay(Mutex<BTreeMap<u64, Sent>>);

struct Sent {
    at: Instant,
    missing: usize,
    _place: OwnedSemaphorePermit,
}

impl UnderWay {
    fn sent(&self, number: u64, sent: Sent) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(number, sent);
    }

    /// Somebody got it; gives when it was sent.
    fn delivered(&self, number: u64) -> Option<Instant> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = all.get_mut(&number)?;
        let at = sent.at;
        sent.missing = sent.missing.saturating_sub(1);
        if sent.missing == 0 {
            all.remove(&number);
        }
        Some(at)
    }

    /// Those that nobody waits for any more; how many they are.
    fn give_up(&self) -> usize {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *all).len()
    }
}

/// The last of the clients speaks, the others listen.
pub(super) fn start(
    size: usize,
    clients: &[ClientHandle],
    tally: &Arc<Tally>,
    in_flight: usize,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let Some((speaker, listeners)) = clients.split_last() else { return tasks };
    let under_way = Arc::new(UnderWay::default());
    for (connection, listener) in listeners.iter().enumerate() {
        let (messages, tally) = (listener.messages(), Arc::clone(tally));
        tasks.spawn(hear(connection, messages, Arc::clone(&under_way), tally));
    }
    let speaking = Speaking {
        client: speaker.clone(),
        listeners: listeners.len(),
        padding: "x".repeat(size - DIGITS),
        places: Arc::new(Semaphore::new(in_flight)),
        under_way,
        tally: Arc::clone(tally),
    };
    tasks.spawn(speaking.run());
    tasks
}

async fn hear(
    connection: usize,
    mut messages: Messages,
    under_way: Arc<UnderWay>,
    tally: Arc<Tally>,
) {
    while let Some(message) = messages.next().await {
        if message.name.as_str() != KIND {
            continue;
        }
        // JSON-RPC peers get it as JSON, which as MessagePack is no map.
        let chat = cndt_tokio::from_slice::<Chat>(&message.data)
            .ok()
            .or_else(|| serde_json::from_slice(&message.data).ok());
        let number = chat.and_then(|chat| chat.message.get(..DIGITS)?.parse().ok());
        // What others say meanwhile does not count.
        if let Some(at) = number.and_then(|number| under_way.delivered(number)) {
            tally.hit(connection, at.elapsed());
        }
    }
}

struct Speaking {
    client: ClientHandle,
    listeners: usize,
    padding: String,
    places: Arc<Semaphore>,
    under_way: Arc<UnderWay>,
    tally: Arc<Tally>,
}

impl Speaking {
    async fn run(self) {
        let patience = self.client.descriptor().rpc_timeout;
        for number in 0.. {
            let place = timeout(patience, Arc::clone(&self.places).acquire_owned());
            let place = tokio::select! {
                place = place => place,
                _ = self.client.closed() => {
                    self.tally.miss(Miss::Delivery(NotConnected.into()));
                    return;
                }
            };
            let place = match place {
                Ok(Ok(place)) => place,
                Ok(Err(_)) => return,
                Err(_) => {
                    for _ in 0..self.under_way.give_up() {
                        self.tally.miss(Miss::Undelivered(patience));
                    }
                    continue;
                }
            };
            let message = format!("{number:0DIGITS$}{}", self.padding);
            let sent = Sent { at: Instant::now(), missing: self.listeners, _place: place };
            self.under_way.sent(number, sent);
            if let Err(error) = self.client.send(KIND, &Chat { message }).await {
                self.tally.miss(Miss::Delivery(error));
                return;
            }
        }
    }
}
