//! The outbox as its users see it: what is sent, when, how often, and what becomes of it.
#![cfg(feature = "outbox")]

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cndt_runtime::Bytes;
use cndt_runtime::webhook::MessageId;
use cndt_runtime::webhook::outbox::{
    Attempt, EnqueueError, EntryState, Fullness, Outbox as AnyOutbox, OutboxConfig, OutboxError,
    OutboxLimits, Outcome, Schedule,
};
use cndt_tokio::Tokio;
use serde_json::json;

type Outbox = AnyOutbox<Tokio>;

const URL: &str = "http://localhost/hook";

struct Place {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    Place { path: folder.path().join("outbox"), _folder: folder }
}

impl Place {
    fn config(&self) -> OutboxConfig {
        let quick = [0, 10, 10].map(Duration::from_millis);
        OutboxConfig::new(&self.path).schedule(Schedule::listed(quick).unwrap())
    }

    async fn open(&self) -> Outbox {
        Outbox::open(self.config()).await.unwrap()
    }
}

fn answer(status: u16) -> Outcome {
    Outcome::Answered { status, retry_after: None }
}

fn id(text: &str) -> MessageId {
    text.parse().unwrap()
}

/// Within a time that only a hanging test exceeds.
async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), work).await.expect("it hangs")
}

#[tokio::test]
async fn a_webhook_is_sent_as_it_was_given() {
    let place = place();
    let outbox = place.open().await;
    let payload = json!({"order": 7});
    let enqueued = outbox.enqueue(URL, &payload).id(id("order-7")).header("X-Shop", "a").await;
    assert!(enqueued.unwrap().is_new);
    let seen = Arc::new(Mutex::new(Vec::<Attempt>::new()));
    let sink = Arc::clone(&seen);
    let sender = move |attempt: Attempt| {
        sink.lock().unwrap().push(attempt);
        async { answer(204) }
    };
    outbox.start(sender).unwrap();
    soon(outbox.drained()).await.unwrap();
    let attempts = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(attempts.len(), 1);
    let Attempt { id, url, headers, content_type, payload, number, .. } = &attempts[0];
    assert_eq!((id.as_str(), url.as_str(), *number), ("order-7", URL, 1));
    assert_eq!(headers[..], [("x-shop".to_owned(), "a".to_owned())]);
    assert_eq!((content_type.as_str(), &payload[..]), ("application/json", &br#"{"order":7}"#[..]));
    let again = outbox.enqueue(URL, &json!({"order": 8})).id(id.clone()).await.unwrap();
    assert!(!again.is_new, "it was delivered");
    assert_eq!(outbox.stats().delivered, 1);
}

#[tokio::test]
async fn attempts_end_in_dead_letters_that_can_be_retried() {
    let place = place();
    let outbox = place.open().await;
    for (name, url) in [("busy", "busy"), ("gone", "gone"), ("refused", "refused"), ("bad", "bad")]
    {
        outbox.enqueue(format!("http://localhost/{url}"), &name).id(id(name)).await.unwrap();
    }
    let counts = Arc::new(Mutex::new(HashMap::<String, u32>::new()));
    let counted = Arc::clone(&counts);
    let is_up = Arc::new(AtomicUsize::new(0));
    let up = Arc::clone(&is_up);
    outbox
        .start(move |attempt: Attempt| {
            *counted.lock().unwrap().entry(attempt.id.to_string()).or_default() += 1;
            let outcome = match attempt.url.rsplit('/').next() {
                _ if up.load(Ordering::SeqCst) == 1 => answer(200),
                Some("busy") => answer(503),
                Some("gone") => answer(410),
                Some("refused") => Outcome::Unanswered { reason: "connection refused".into() },
                _ => Outcome::Impossible { reason: "no such scheme".into() },
            };
            async { outcome }
        })
        .unwrap();
    soon(outbox.drained()).await.unwrap();
    let expected = [("busy", 3), ("gone", 1), ("refused", 3), ("bad", 1)];
    for (name, count) in expected {
        assert_eq!(counts.lock().unwrap()[name], count, "{name}");
    }
    let dead = outbox.dead(None, 100).await.unwrap();
    assert_eq!(dead.len(), 4);
    let gone = dead.iter().find(|entry| entry.id == id("gone")).unwrap();
    assert_eq!(gone.last.as_ref().unwrap().status, Some(410));
    assert!(matches!(gone.state, EntryState::Dead { .. }));
    let first = outbox.dead(None, 1).await.unwrap();
    let rest = outbox.dead(Some(first[0].place), 100).await.unwrap();
    assert_eq!([&first[..], &rest[..]].concat(), dead, "pages join");

    is_up.store(1, Ordering::SeqCst);
    assert!(outbox.remove(&id("bad")).await.unwrap());
    assert!(!outbox.remove(&id("bad")).await.unwrap());
    assert!(outbox.retry(&id("gone")).await.unwrap());
    assert!(!outbox.retry(&id("nobody")).await.unwrap());
    assert_eq!(outbox.retry_all().await.unwrap(), 2);
    soon(outbox.drained()).await.unwrap();
    let stats = outbox.stats();
    assert_eq!((stats.delivered, stats.dead, stats.pending), (3, 0, 0));
}

#[tokio::test]
async fn a_retry_begins_the_schedule_anew() {
    let place = place();
    let outbox = place.open().await;
    outbox.enqueue(URL, &1).id(id("a")).await.unwrap();
    outbox.start(|_: Attempt| async { answer(500) }).unwrap();
    soon(outbox.drained()).await.unwrap();
    assert_eq!(outbox.dead(None, 1).await.unwrap()[0].attempts, 3);
    outbox.retry(&id("a")).await.unwrap();
    soon(outbox.drained()).await.unwrap();
    assert_eq!(outbox.dead(None, 1).await.unwrap()[0].attempts, 6);
}

#[tokio::test]
async fn the_schedule_goes_on_after_a_restart() {
    let place = place();
    let hour = Duration::from_secs(3600);
    let config = place.config().schedule(Schedule::listed([Duration::ZERO, hour]).unwrap());
    let outbox = Outbox::open(config.clone()).await.unwrap();
    outbox.enqueue(URL, &1).id(id("a")).await.unwrap();
    outbox.start(|_: Attempt| async { answer(503) }).unwrap();
    let pending = loop {
        let pending = outbox.pending(None, 9).await.unwrap();
        if pending[0].attempts == 1 {
            break pending;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    soon(outbox.close()).await;
    assert!(matches!(outbox.pending(None, 9).await, Err(OutboxError::Closed)));
    let error = outbox.enqueue(URL, &1).await.unwrap_err();
    assert!(matches!(error, EnqueueError::Outbox(OutboxError::Closed)));

    let outbox = Outbox::open(config).await.unwrap();
    assert_eq!(outbox.pending(None, 9).await.unwrap(), pending);
    let EntryState::Pending { next_at } = pending[0].state else { panic!("{pending:?}") };
    assert!(next_at >= pending[0].created_at + 3_600_000);
    let sent = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    outbox
        .start(move |attempt: Attempt| {
            counter.fetch_add(attempt.number as usize, Ordering::SeqCst);
            async { answer(200) }
        })
        .unwrap();
    outbox.enqueue(URL, &2).id(id("b")).await.unwrap();
    while outbox.stats().delivered == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(sent.load(Ordering::SeqCst), 1, "only the new one is due");
    outbox.retry(&id("a")).await.unwrap();
    soon(outbox.drained()).await.unwrap();
    assert_eq!(sent.load(Ordering::SeqCst), 3, "the attempt before the restart counts");
}

#[tokio::test]
async fn the_receiver_says_when_to_come_back() {
    let place = place();
    let outbox = place.open().await;
    let enqueued = outbox.enqueue(URL, &1).await.unwrap();
    let retry_after = Some(Duration::from_secs(600));
    outbox
        .start(move |_: Attempt| async move { Outcome::Answered { status: 429, retry_after } })
        .unwrap();
    while outbox.stats().failed == 0 || outbox.stats().in_flight > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (entry, payload) = outbox.find(&enqueued.id).await.unwrap().unwrap();
    assert_eq!(payload, Bytes::from_static(b"1"));
    let EntryState::Pending { next_at } = entry.state else { panic!("{entry:?}") };
    assert!(next_at >= entry.created_at + 600_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_are_sent_at_once_than_allowed_and_none_twice() {
    let place = place();
    let outbox = Outbox::open(place.config().parallel_max(3)).await.unwrap();
    let mut waiting = Vec::new();
    for n in 0..100 {
        let outbox = outbox.clone();
        waiting.push(tokio::spawn(async move { outbox.enqueue(URL, &n).await.unwrap() }));
    }
    for task in waiting {
        task.await.unwrap();
    }
    let (now, most, all) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicUsize>)>::default();
    let (n, m, a) = (Arc::clone(&now), Arc::clone(&most), Arc::clone(&all));
    outbox
        .start(move |_: Attempt| {
            let (n, m, a) = (Arc::clone(&n), Arc::clone(&m), Arc::clone(&a));
            async move {
                m.fetch_max(n.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(2)).await;
                n.fetch_sub(1, Ordering::SeqCst);
                a.fetch_add(1, Ordering::SeqCst);
                answer(200)
            }
        })
        .unwrap();
    soon(outbox.drained()).await.unwrap();
    assert_eq!(all.load(Ordering::SeqCst), 100);
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn panics_and_hanging_senders_cost_one_attempt_each() {
    let place = place();
    let config = place.config().attempt_timeout(Duration::from_millis(50));
    let outbox = Outbox::open(config).await.unwrap();
    outbox.enqueue(URL, &1).await.unwrap();
    outbox
        .start(|attempt: Attempt| async move {
            match attempt.number {
                1 => panic!("a bug in the sender"),
                2 => std::future::pending().await,
                _ => answer(200),
            }
        })
        .unwrap();
    soon(outbox.drained()).await.unwrap();
    let stats = outbox.stats();
    assert_eq!((stats.attempts, stats.failed, stats.delivered), (3, 2, 1));
}

#[tokio::test]
async fn limits_are_told_by_name() {
    let place = place();
    let limits = OutboxLimits { pending_max: 2, payload_max: 10, ..OutboxLimits::default() };
    let outbox = Outbox::open(place.config().limits(limits)).await.unwrap();
    let large = outbox.enqueue_bytes(URL, "text/plain", "12345678901").await.unwrap_err();
    assert!(matches!(large, EnqueueError::TooLarge { size: 11, max: 10 }));
    outbox.enqueue_bytes(URL, "text/plain", "1234567890").await.unwrap();
    outbox.enqueue(URL, &2).await.unwrap();
    let full = outbox.enqueue(URL, &3).await.unwrap_err();
    assert!(matches!(full, EnqueueError::Full(Fullness::Count(2))), "{full}");
    let odd = outbox.enqueue_bytes(URL, "a\r\nb: c", "1").await;
    assert!(matches!(odd, Err(EnqueueError::Header { .. })));
    assert!(matches!(outbox.enqueue("nowhere", &1).await, Err(EnqueueError::Url { .. })));
    let again = Outbox::open(place.config()).await.unwrap_err();
    assert!(again.to_string().ends_with("is in use by another process; stop that one first"));
    for config in [place.config().parallel_max(0), place.config().attempt_timeout(Duration::ZERO)] {
        assert!(matches!(Outbox::open(config).await, Err(OutboxError::Config(_))));
    }
    let nobody = OutboxConfig::existing(place.path.with_extension("other"));
    assert!(matches!(Outbox::open(nobody).await, Err(OutboxError::Missing { .. })));
    outbox.start(|_: Attempt| async { answer(200) }).unwrap();
    let twice = outbox.start(|_: Attempt| async { answer(200) });
    assert!(matches!(twice, Err(OutboxError::Started)));
}

#[tokio::test]
async fn a_dropped_outbox_gives_its_file_back() {
    let place = place();
    let outbox = place.open().await;
    outbox.start(|_: Attempt| async { answer(200) }).unwrap();
    outbox.enqueue(URL, &1).await.unwrap();
    soon(outbox.drained()).await.unwrap();
    drop(outbox);
    soon(async {
        while let Err(error) = Outbox::open(place.config()).await {
            assert!(matches!(error, OutboxError::InUse { .. }), "{error}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}
