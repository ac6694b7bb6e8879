//! Policies on a clock that stands still while anything is to be done: times are exact.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use cndt_tokio::core::resilience::{Outcome, RetryShare, Why};
use cndt_tokio::policy::{Classify, Fate, PolicyConfig, PolicyError, PolicyLayer, Verdict};
use cndt_tokio::webhook::{Proxy, WebhookClientDescriptor, Webhooks};
use cndt_tokio::{
    Backoff, BreakerConfig, BreakerState, BulkheadConfig, Client, ClientDescriptor, Policies,
    Policy, Rate, RetryPolicy, RpcError, Runtime as _, Server, ServerDescriptor, Tokio,
    WebhookClient,
};
use tower_layer::Layer;
use tower_service::Service;

type Tested = Result<(), Box<dyn std::error::Error>>;

/// Runs a test while the clock is paused.
fn paused(test: impl Future<Output = Tested>) {
    // The adapter counts from the first time that anyone asks. That must not be one which a paused
    // clock has made up, or it would lie in the future of the other tests.
    let _ = Tokio.now();
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(true).build().expect("a runtime");
    if let Err(error) = runtime.block_on(Box::pin(test)) {
        panic!("{error}");
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// An error that says of itself what it tells.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?}")]
struct Told(Verdict);

impl Classify for Told {
    fn verdict(&self) -> Verdict {
        self.0
    }
}

const UNSENT: Told = Told(Verdict::of(Fate::Unsent));
const UNKNOWN: Told = Told(Verdict::of(Fate::Unknown));
const ANSWERED: Told = Told(Verdict::of(Fate::Answered));

fn attempts(count: u32) -> Result<RetryPolicy, Box<dyn std::error::Error>> {
    Ok(RetryPolicy::new(count, Backoff::constant(SECOND))?)
}

fn breaker(failure_threshold: u32) -> BreakerConfig {
    BreakerConfig {
        failure_threshold,
        success_threshold: 1,
        open_timeout: 60 * SECOND,
        ..BreakerConfig::default()
    }
}

async fn seconds<F: Future>(work: F) -> (F::Output, u64) {
    let begun = Tokio.now();
    let done = work.await;
    (done, Tokio.now().since(begun).as_secs())
}

/// How often something ran.
#[derive(Clone, Default)]
struct Runs(Arc<AtomicU32>);

impl Runs {
    fn next(&self) -> u32 {
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }

    /// An operation that fails until this run, and with this.
    fn until(
        &self,
        good: u32,
        error: &Told,
    ) -> impl FnMut() -> std::future::Ready<Result<u32, Told>> {
        let (runs, error) = (self.clone(), error.clone());
        move || {
            let run = runs.next();
            std::future::ready(if run >= good { Ok(run) } else { Err(error.clone()) })
        }
    }
}

#[test]
fn nothing_at_all_changes_nothing() {
    paused(async {
        let policy = Policy::new("plain", PolicyConfig::new())?;
        let runs = Runs::default();
        let outcome = policy.execute(runs.until(2, &UNSENT)).await;
        assert_eq!(outcome, Err(PolicyError::Failed(UNSENT)));
        assert_eq!(policy.execute(runs.until(2, &UNSENT)).await, Ok(2));
        assert_eq!(policy.state(), BreakerState::Closed);
        Ok(())
    });
}

#[test]
fn what_may_be_repeated_is() {
    paused(async {
        // What failed, whether it may run twice, and how often it then runs.
        let refused = Told(Verdict::of(Fate::Refused).retry_after(5 * SECOND));
        for (error, is_idempotent, runs_expected, seconds_expected) in [
            (UNSENT, false, 3, 2),
            (UNKNOWN, false, 1, 0),
            (UNKNOWN, true, 3, 2),
            (ANSWERED, true, 1, 0),
            (refused, false, 3, 10),
        ] {
            let mut config = PolicyConfig::new().retry(attempts(3)?);
            if is_idempotent {
                config = config.idempotent();
            }
            let (policy, runs) = (Policy::new("retry", config)?, Runs::default());
            let (outcome, passed) = seconds(policy.execute(runs.until(9, &error))).await;
            assert_eq!(outcome, Err(PolicyError::Failed(error.clone())));
            assert_eq!((runs.count(), passed), (runs_expected, seconds_expected), "{error}");
            assert_eq!(policy.metrics().repetitions, u64::from(runs_expected) - 1);
        }
        Ok(())
    });
}

#[test]
fn repetitions_keep_to_their_share() {
    paused(async {
        let reserve = Some(Rate { per_second: 1, burst: 1 });
        let share = RetryShare { percent: 10, saved_max: 100, reserve };
        let config =
            PolicyConfig::new().retry(RetryPolicy::new(9, Backoff::constant(Duration::ZERO))?);
        let policy = Policy::new("share", config.idempotent().retry_share(share))?;
        let runs = Runs::default();
        for _ in 0..50 {
            let outcome = policy.execute(runs.until(u32::MAX, &UNKNOWN)).await;
            assert_eq!(outcome, Err(PolicyError::Failed(UNKNOWN)));
        }
        assert_eq!(runs.count(), 50 + 5 + 1, "a tenth, and one beside it");
        Ok(())
    });
}

#[test]
fn refused_connections_spend_the_budget() {
    paused(async {
        let share = RetryShare { percent: 10, saved_max: 1, reserve: None };
        let retry = RetryPolicy::new(9, Backoff::constant(Duration::ZERO))?;
        let config = PolicyConfig::new().retry(retry).retry_share(share);
        let policy = Policy::new("refused", config.breaker(breaker(100)))?;
        let refuse = || std::future::ready(Err::<(), _>(io::ErrorKind::ConnectionRefused.into()));
        for _ in 0..50 {
            let outcome = policy.execute::<_, io::Error, _, _>(refuse).await;
            assert!(matches!(outcome, Err(PolicyError::Failed(_))));
        }
        let metrics = policy.metrics();
        assert_eq!((metrics.repetitions, metrics.breaker.failure_count), (5, 55));
        Ok(())
    });
}

#[test]
fn the_whole_and_each_attempt_have_their_time() {
    paused(async {
        let config = PolicyConfig::new().timeout(10 * SECOND).breaker(breaker(2));
        let policy = Policy::new("timeout", config)?;
        for _ in 0..2 {
            let (outcome, passed) = seconds(policy.execute(pending::<Result<(), Told>>)).await;
            assert_eq!(outcome, Err(PolicyError::TimedOut { after: 10 * SECOND }));
            assert_eq!(passed, 10);
        }
        // It was dropped, but the breaker has learnt of it.
        assert_eq!(policy.state(), BreakerState::Open);
        assert_eq!(policy.metrics().timed_out, 2);

        let retry = attempts(3)?.attempt_timeout(2 * SECOND)?;
        let policy = Policy::new("attempts", PolicyConfig::new().retry(retry).idempotent())?;
        let (outcome, passed) = seconds(policy.execute(pending::<Result<(), Told>>)).await;
        assert_eq!(outcome, Err(PolicyError::TimedOut { after: 2 * SECOND }));
        assert_eq!(passed, 3 * 2 + 2);

        // A pause that leads beyond the end is not even begun.
        let retry = RetryPolicy::new(3, Backoff::constant(20 * SECOND))?;
        let policy = Policy::new("pause", PolicyConfig::new().timeout(10 * SECOND).retry(retry))?;
        let (outcome, passed) = seconds(policy.execute(Runs::default().until(9, &UNSENT))).await;
        assert_eq!((outcome, passed), (Err(PolicyError::Failed(UNSENT)), 0));
        Ok(())
    });
}

#[test]
fn a_breaker_leaves_alone_and_looks_again() {
    paused(async {
        let policy = Policy::new("breaker", PolicyConfig::new().breaker(breaker(3)))?;
        let runs = Runs::default();
        for _ in 0..3 {
            assert_eq!(policy.state(), BreakerState::Closed);
            let _ = policy.execute(runs.until(4, &UNKNOWN)).await;
        }
        let refused = policy.execute(runs.until(4, &UNKNOWN)).await;
        let Err(PolicyError::Open { state: BreakerState::Open, retry_after: Some(wait) }) = refused
        else {
            return Err(format!("{refused:?}").into());
        };
        assert!((30 * SECOND..=60 * SECOND).contains(&wait), "{wait:?}");
        assert_eq!(runs.count(), 3, "it was not asked");
        tokio::time::sleep(60 * SECOND).await;
        assert_eq!(policy.state(), BreakerState::HalfOpen);
        assert_eq!(policy.execute(runs.until(4, &UNKNOWN)).await, Ok(4));
        let metrics = policy.metrics();
        assert_eq!((metrics.state, metrics.operations), (BreakerState::Closed, 5));
        let counted = (metrics.breaker.failure_count, metrics.breaker.success_count);
        assert_eq!((counted, metrics.breaker.rejected), ((3, 1), 1));
        let told: Vec<_> =
            policy.transitions().iter().map(|change| (change.to, change.why)).collect();
        assert_eq!(
            told,
            [
                (BreakerState::Open, Why::Failures),
                (BreakerState::HalfOpen, Why::TimeIsOver),
                (BreakerState::Closed, Why::TrialsSucceeded),
            ]
        );
        Ok(())
    });
}

#[test]
fn answers_and_abandoned_attempts_open_no_breaker() {
    paused(async {
        let policy = Policy::new("healthy", PolicyConfig::new().breaker(breaker(1)))?;
        let ignored = Told(Verdict::of(Fate::Unknown).health(Outcome::Ignored));
        for error in [ANSWERED, ignored] {
            let _ = policy.execute(Runs::default().until(9, &error)).await;
        }
        {
            let mut given_up = pin!(policy.execute(pending::<Result<(), Told>>));
            poll_fn(|cx| {
                assert!(given_up.as_mut().poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
        }
        assert_eq!(policy.state(), BreakerState::Closed);
        assert_eq!(policy.metrics().breaker.under_way, 0, "what was given up is no more under way");
        Ok(())
    });
}

#[test]
fn a_breaker_obeys() {
    paused(async {
        let policy = Policy::new("forced", PolicyConfig::new().breaker(breaker(1)))?;
        let good = || std::future::ready(Ok::<_, Told>(1));
        policy.force_open();
        let refused = PolicyError::Open { state: BreakerState::ForcedOpen, retry_after: None };
        assert_eq!(policy.execute(good).await, Err(refused));
        policy.force_closed();
        let _ = policy.execute(Runs::default().until(9, &UNKNOWN)).await;
        assert_eq!(policy.execute(good).await, Ok(1));
        policy.reset();
        let _ = policy.execute(Runs::default().until(9, &UNKNOWN)).await;
        assert_eq!(policy.state(), BreakerState::Open);
        Ok(())
    });
}

#[test]
fn what_exceeds_the_rate_is_refused_or_waits() {
    paused(async {
        let rate = Rate { per_second: 1, burst: 2 };
        let good = || std::future::ready(Ok::<_, Told>(()));
        let hasty = Policy::new("hasty", PolicyConfig::new().rate(rate))?;
        assert_eq!(hasty.execute(good).await, Ok(()));
        assert_eq!(hasty.execute(good).await, Ok(()));
        let limited = PolicyError::Limited { retry_after: SECOND };
        assert_eq!(hasty.execute(good).await, Err(limited));
        assert_eq!(hasty.metrics().limited, 1);

        let patient = PolicyConfig::new().rate(rate).retry(attempts(9)?);
        let patient = Policy::new("patient", patient)?;
        let all = async {
            for _ in 0..5 {
                patient.execute(good).await?;
            }
            Ok::<_, PolicyError<Told>>(())
        };
        assert_eq!(seconds(all).await, (Ok(()), 3));
        Ok(())
    });
}

#[test]
fn a_bulkhead_lets_so_many_in_and_so_many_wait() {
    paused(async {
        let bulkhead = BulkheadConfig { calls_max: 2, waiting_max: 2, wait_max: 5 * SECOND };
        let policy = Policy::new("bulkhead", PolicyConfig::new().bulkhead(bulkhead))?;
        let slow = |span: Duration| {
            let policy = policy.clone();
            tokio::spawn(async move {
                let work = || async move {
                    tokio::time::sleep(span).await;
                    Ok::<_, Told>(())
                };
                seconds(policy.execute(work)).await
            })
        };
        let (one, other) = (slow(3 * SECOND), slow(20 * SECOND));
        tokio::task::yield_now().await;
        let (third, fourth) = (slow(20 * SECOND), slow(SECOND));
        tokio::task::yield_now().await;
        let refused = slow(SECOND).await?;
        assert_eq!(refused, (Err(PolicyError::Full { calls: 2, waiting: 2 }), 0));
        assert_eq!(one.await?, (Ok(()), 3));
        // Its turn has come; nobody leaves in time for the next.
        assert_eq!(fourth.await?, (Err(PolicyError::Full { calls: 2, waiting: 0 }), 5));
        assert_eq!(third.await?, (Ok(()), 23));
        assert_eq!(other.await?, (Ok(()), 20));
        assert_eq!(policy.metrics().waiting, 0);
        Ok(())
    });
}

#[test]
fn places_of_those_who_gave_up_go_to_the_next() {
    paused(async {
        let bulkhead = BulkheadConfig { calls_max: 1, waiting_max: 100, wait_max: 3600 * SECOND };
        let policy = Policy::new("given up", PolicyConfig::new().bulkhead(bulkhead))?;
        let mut tasks = Vec::new();
        for _ in 0..50 {
            let policy = policy.clone();
            tasks.push(tokio::spawn(async move {
                let work = || async {
                    tokio::time::sleep(SECOND).await;
                    Ok::<_, Told>(())
                };
                policy.execute(work).await
            }));
        }
        tokio::time::sleep(SECOND / 2).await;
        // The one that runs, one whose turn comes next, and many in between.
        for task in tasks.iter().step_by(2) {
            task.abort();
        }
        let mut done = 0;
        for task in tasks {
            match task.await {
                Ok(outcome) => {
                    outcome?;
                    done += 1;
                }
                Err(error) => assert!(error.is_cancelled()),
            }
        }
        assert_eq!(done, 25);
        assert_eq!(policy.metrics().waiting, 0);
        assert_eq!(policy.execute(|| std::future::ready(Ok::<_, Told>(7))).await, Ok(7));
        Ok(())
    });
}

#[test]
fn nonsense_is_refused_by_name() {
    paused(async {
        let field = |config: PolicyConfig| Policy::new("wrong", config).unwrap_err().field;
        let config = PolicyConfig::new;
        assert_eq!(field(config().timeout(Duration::ZERO)), "timeout");
        assert_eq!(field(config().breaker(breaker(0))), "breaker.failure_threshold");
        assert_eq!(field(config().rate(Rate::per_second(0))), "rate.per_second");
        let none = BulkheadConfig { calls_max: 0, ..BulkheadConfig::default() };
        assert_eq!(field(config().bulkhead(none)), "bulkhead.calls_max");
        let share = RetryShare { percent: 5000, ..RetryShare::default() };
        assert_eq!(field(config().retry_share(share)), "retry.percent");
        assert!(Policies::new(config().breaker(breaker(0))).is_err());
        Ok(())
    });
}

#[test]
fn each_name_has_a_policy_of_its_own() {
    paused(async {
        let policies = Policies::new(PolicyConfig::new().breaker(breaker(1)))?;
        policies.configure("robust", PolicyConfig::new().breaker(breaker(100)))?;
        let down = || std::future::ready(Err::<(), _>(UNKNOWN));
        for name in ["frail", "robust"] {
            let _ = policies.execute(name, down).await;
        }
        let states: Vec<_> = policies.states().into_iter().collect();
        let expected = [("frail", BreakerState::Open), ("robust", BreakerState::Closed)];
        assert_eq!(states, expected.map(|(name, state)| (name.to_owned(), state)));
        assert_eq!(policies.state("nobody"), None);
        assert_eq!(
            policies.metrics("robust").map(|metrics| metrics.breaker.failure_count),
            Some(1)
        );
        assert!(policies.reset("frail") && !policies.reset("nobody"));
        assert_eq!(policies.state("frail"), Some(BreakerState::Closed));
        // However many names there are, what is kept has a bound, and what was configured is kept.
        for number in 0..3000 {
            let _ = policies.execute(&number.to_string(), down).await;
        }
        assert_eq!(policies.states().len(), 1024 + 1);
        assert_eq!(policies.metrics("robust").map(|metrics| metrics.operations), Some(1));
        assert_eq!(policies.state("2999"), Some(BreakerState::Open));
        Ok(())
    });
}

#[tokio::test]
async fn calls_of_both_protocols_run_under_policies() -> Tested {
    let runs = Runs::default();
    let counter = runs.clone();
    let descriptor = ServerDescriptor::new("secret").host("127.0.0.1").port(0);
    let server = Server::new(descriptor.password_iterations(4096)).rpc("busy", move || {
        let run = counter.next();
        let wait = Duration::from_millis(1);
        async move { if run % 3 == 0 { Ok(run) } else { Err(RpcError::rate_limited(wait)) } }
    });
    let trusted = cndt_tokio::JsonRpc::new().trusted();
    let server = server.listen(cndt_tokio::Listener::tcp("127.0.0.1", 0).jsonrpc(trusted));
    let server = server.start().await?;
    let ports: Vec<_> =
        server.local_addresses().iter().filter_map(|address| address.socket_address()).collect();
    let cndt = ClientDescriptor::new("127.0.0.1", ports[0].port(), "secret");
    let json = ClientDescriptor::jsonrpc("127.0.0.1", ports[1].port()).retry_count(1);
    let retry = RetryPolicy::new(3, Backoff::constant(Duration::from_millis(1)))?;
    let policy = Policy::new("calls", PolicyConfig::new().retry(retry).breaker(breaker(1)))?;
    for (descriptor, expected) in [(cndt.password_iterations_min(4096), 3), (json, 6)] {
        let client = Client::new(descriptor).connect().await?;
        let answer = policy.execute(|| client.call::<_, u32>("busy", &())).await?;
        assert_eq!(answer, expected);
        let unknown = policy.execute(|| client.call::<_, u32>("no such", &())).await;
        assert!(matches!(unknown, Err(PolicyError::Failed(_))));
        client.disconnect().await;
        assert_eq!(policy.state(), BreakerState::Closed, "it answers");
        let lost = policy.execute(|| client.call::<_, u32>("busy", &())).await;
        assert!(matches!(lost, Err(PolicyError::Failed(_))), "{lost:?}");
        assert_eq!(policy.state(), BreakerState::Open);
        policy.reset();
    }
    server.stop().await;
    Ok(())
}

#[tokio::test]
async fn webhooks_run_under_policies() -> Tested {
    let runs = Runs::default();
    let counter = runs.clone();
    let place = cndt_tokio::Listener::tcp("127.0.0.1", 0).webhooks(Webhooks::unsigned());
    let server = Server::new(ServerDescriptor::new("")).listen_only(place);
    let server = server.webhook("/busy", move || {
        let run = counter.next();
        async move { if run == 3 { Ok(run) } else { Err(RpcError::rate_limited(None)) } }
    });
    let server = server.start().await?;
    let url = format!("{}/busy", server.local_addresses()[0]);
    // The policy repeats, not the client.
    let descriptor = WebhookClientDescriptor::new(url).retry_count(1).proxy(Proxy::Never);
    let client = WebhookClient::new(descriptor)?;
    let retry = RetryPolicy::new(3, Backoff::constant(Duration::from_millis(1)))?;
    let policy = Policy::new("webhooks", PolicyConfig::new().retry(retry).breaker(breaker(1)))?;
    let answer = policy.execute(|| client.send("payload")).await?;
    assert_eq!((answer.status().as_u16(), runs.count()), (200, 3));
    let refused = policy.execute(|| client.send("payload").header("a", "b")).await;
    assert!(matches!(refused, Err(PolicyError::Failed(_))), "{refused:?}");
    assert_eq!((runs.count(), policy.state()), (6, BreakerState::Closed), "it answers");
    server.stop().await;
    let lost = policy.execute(|| client.send("payload")).await;
    assert!(matches!(lost, Err(PolicyError::Failed(_))), "{lost:?}");
    assert_eq!(policy.state(), BreakerState::Open);
    Ok(())
}

/// Fails so often, then echoes.
#[derive(Clone)]
struct Frail(Runs);

impl Service<u32> for Frail {
    type Response = u32;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<u32>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        std::future::ready(if self.0.next() < 3 { Err(refused()) } else { Ok(request) })
    }
}

#[test]
fn services_of_tower_run_under_policies() {
    paused(async {
        let policy = Policy::new("tower", PolicyConfig::new().retry(attempts(3)?))?;
        let mut service = PolicyLayer::new(policy).layer(Frail(Runs::default()));
        poll_fn(|cx| service.poll_ready(cx)).await?;
        assert_eq!(service.call(42).await?, 42);
        // What never fails needs no verdict.
        let policy = Policy::new("infallible", PolicyConfig::new())?;
        let outcome: Result<u8, PolicyError<Infallible>> = policy
            .execute_with(|never: &Infallible| match *never {}, || std::future::ready(Ok(1)))
            .await;
        assert_eq!(outcome, Ok(1));
        Ok(())
    });
}
