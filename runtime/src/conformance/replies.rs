//! What answers carry beside results, and answers that nobody wants any more.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cndt_core::connection::CallFailure;
use cndt_core::rpc::{Page, RpcError};
use cndt_core::wire::Dialect;
use serde_json::{Value, json};

use super::support::{check, client_descriptor, connect, eventually, server};
use super::{Net, Outcome};
use crate::error::CallError;
use crate::race::{First, race};
use crate::router::extract::{Meta, Params};
use crate::router::{Method, Response};

/// What stands beside a result arrives beside it, in both dialects.
pub async fn answers_with_more_than_a_result<N: Net>() -> Outcome {
    let server = server::<N>()
        .rpc(Method::new("users.list").describe("A page of users."), |Params((page,))| async move {
            let page = Page { total: 5, page, page_size: 2 };
            Ok::<_, RpcError>(
                Response::paged(vec!["ann", "bob"], page).metadata(&json!({"took": 3})),
            )
        })
        .rpc("users.delete", || async { Response::ok("User deleted") })
        .rpc_default(
            |meta: Meta| async move { Err::<(), _>(RpcError::not_found("Method", meta.name)) },
        )
        .start()
        .await?;
    for dialect in [Dialect::Cndt, Dialect::Netconduit] {
        let client = N::client(client_descriptor::<N>(&server).dialect(dialect)).connect().await?;
        let reply = client.call::<_, ()>("users.list", &(3_u64,)).raw().await?;
        let users: Vec<String> = crate::from_slice(&reply.data)?;
        check(users == ["ann", "bob"], &users)?;
        let page = reply.page().ok_or("no page")?;
        check(page.total_pages() == 3 && page.has_prev() && !page.has_next(), page)?;
        let metadata: Value = crate::from_slice(&reply.metadata().ok_or("no metadata")?)?;
        check(metadata == json!({"took": 3}), metadata)?;
        let reply = client.call::<_, ()>("users.delete", &()).raw().await?;
        check(reply.message() == Some("User deleted") && reply.page().is_none(), &reply)?;
        let Err(CallError::Failed(CallFailure::Remote(error))) =
            client.call::<_, ()>("no.such", &()).await
        else {
            return Err("there is no such method".into());
        };
        let details: Option<Value> = error.details_as()?;
        let expected = json!({"resource": "Method", "identifier": "no.such"});
        check(details == Some(expected), &error)?;
        let told = client.discover().await?;
        check(told.iter().any(|method| method.name == "users.list"), &told)?;
    }
    server.stop().await;
    Ok(())
}

/// A handler whose caller gave up goes no further, and what it waits for is given up as well.
pub async fn stops_handlers_whose_callers_gave_up<N: Net>() -> Outcome {
    struct Ended(Arc<AtomicUsize>);
    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (count, end) = (Arc::clone(&begun), Arc::clone(&ended));
    let behind = server::<N>()
        .rpc("forever", move || {
            count.fetch_add(1, Ordering::Relaxed);
            let ended = Ended(Arc::clone(&end));
            async move {
                std::future::pending::<()>().await;
                drop(ended);
            }
        })
        .start()
        .await?;
    // In between, so that cancelling must go on: a handler that makes a call of its own.
    let inner = connect::<N>(&behind).await?;
    let front = server::<N>()
        .rpc("relay", move || {
            let inner = inner.clone();
            async move {
                let _ = inner.call::<_, ()>("forever", &()).await;
            }
        })
        .start()
        .await?;
    let client = connect::<N>(&front).await?;
    // Dropped once, timed out once.
    {
        let mut call = client.call::<_, ()>("relay", &());
        let waits = eventually::<N>("it has begun", || begun.load(Ordering::Relaxed) == 1);
        match race(&mut call, waits).await {
            First::Left(outcome) => return Err(format!("{outcome:?}").into()),
            First::Right(outcome) => outcome?,
        }
    }
    eventually::<N>("the dropped one ends", || ended.load(Ordering::Relaxed) == 1).await?;
    let outcome = client.call::<_, ()>("relay", &()).timeout(Duration::from_millis(200)).await;
    check(outcome.is_err(), outcome)?;
    eventually::<N>("the other ends too", || ended.load(Ordering::Relaxed) == 2).await?;
    let late = || client.health().traffic.late_answers == 2;
    eventually::<N>("both were answered", late).await?;
    front.stop().await;
    behind.stop().await;
    Ok(())
}
