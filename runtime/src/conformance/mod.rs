//! What every adapter must pass: servers and clients on real sockets, through [`Runtime`](crate::Runtime) alone.
//!
//! An adapter runs all of it with one line in its tests; feature `conformance`:
//!
//! ```
//! fn run<F: Future>(case: F) -> F::Output {
//!     tokio::runtime::Runtime::new().unwrap().block_on(case)
//! }
//! cndt_runtime::conformance_tests!(cndt_tokio::Tokio, run);
//! # fn main() {}
//! ```
//!
//! The macro is a list of the cases in the modules below. While an adapter is being written, one alone
//! says more:
//!
//! ```
//! use cndt_runtime::conformance::{Tcp, calls, case};
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! type Net = Tcp<cndt_tokio::Tokio>;
//! case::<Net>(calls::answers::<Net>()).await;
//! # }
//! ```
//!
//! Cases use loopback and free ports, may run side by side, and judge no time more finely than
//! seconds.

pub mod batches;
pub mod calls;
pub mod examples;
pub mod failover;
pub mod handshake;
pub mod jsonrpc;
pub mod large;
pub mod life;
pub mod messages;
mod net;
pub mod paced;
pub mod pool;
pub mod pressure;
mod raw_http;
pub mod replies;
pub mod retries;
mod support;
pub mod transport;
pub mod webhooks;
pub mod webhooks_client;
pub mod webhooks_route;

#[cfg(unix)]
pub use net::Unix;
pub use net::{Net, Tcp, Tls};

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::race::{First, race};
use crate::rt::Runtime as _;

/// How a case ends.
pub type Outcome = Result<(), Box<dyn Error>>;

/// No case takes nearly as long, even on a busy machine.
const CASE_MAX: Duration = Duration::from_secs(60);

/// Runs one case, within a time limit. Panics when the case fails.
///
/// Boxed, because executors move a future about before they run it, and a test thread's stack is
/// small.
pub fn case<N: Net>(
    outcome: impl Future<Output = Outcome> + 'static,
) -> Pin<Box<dyn Future<Output = ()>>> {
    Box::pin(async move {
        let runtime = N::Runtime::default();
        let sleep = runtime.sleep_until(runtime.now() + CASE_MAX);
        match race(outcome, sleep).await {
            First::Left(Ok(())) => {}
            First::Left(Err(error)) => panic!("{error}"),
            First::Right(()) => panic!("not done within {CASE_MAX:?}"),
        }
    })
}

/// Makes one `#[test]` of each case: `conformance_tests!(Runtime, block_on)`. Most cases run over
/// TCP, Unix sockets and TLS alike.
#[macro_export]
macro_rules! conformance_tests {
    ($runtime:ty, $block_on:path) => {
        $crate::conformance_tests! { @over tcp, $crate::conformance::Tcp<$runtime>, $block_on }
        #[cfg(unix)]
        $crate::conformance_tests! { @over unix, $crate::conformance::Unix<$runtime>, $block_on }
        $crate::conformance_tests! { @over tls, $crate::conformance::Tls<$runtime>, $block_on }
        $crate::conformance_tests! { @cases $crate::conformance::Tcp<$runtime>, $runtime, $block_on,
            handshake: tells_of_a_refused_port gives_up_on_a_silent_peer
                notices_a_peer_of_another_protocol serves_while_many_are_logging_in
                serves_any_stream;
            life: fails_calls_at_once_when_the_connection_is_lost;
            jsonrpc: serves_the_same_handlers serves_peers_of_every_habit
                gives_strangers_what_is_public is_spoken_by_clients
                calls_servers_that_answer_once;
            batches: carry_calls_and_messages_as_json wait_in_line_for_room
                are_answered_in_one_text are_not_held_up_by_their_own_answers
                hold_little_more_than_may_wait begin_nothing_after_the_end;
            messages: tells_what_is_not_acknowledged;
            failover: repeats_only_what_has_not_left;
            retries: repeats_json_rpc;
            webhooks: receives_what_is_signed takes_several_secrets finds_who_takes_a_path
                tells_how_handlers_failed bounds_what_senders_send handles_each_delivery_once
                finishes_what_was_begun has_so_many_places cuts_off_who_takes_nothing
                comes_over_tls refuses_nonsense;
            pressure: tells_of_unsent_messages is_not_held_up_by_a_client_that_does_not_read
                drops_what_a_slow_client_is_told_to waits_for_room_to_broadcast
                answers_no_one_who_does_not_read;
            paced: makes_way_when_it_fails makes_way_when_it_panics;
            transport: reads_certificates_from_files binds_the_login_to_the_session
                tells_when_only_one_side_speaks_tls listens_in_many_places
                replaces_a_stale_unix_socket serves_both_families ends_its_write_half_alone;
            webhooks_client: signs_in_every_scheme repeats_until_it_is_delivered
                waits_as_long_as_it_is_asked_to takes_no_for_an_answer gives_up
                tells_what_cannot_be_sent delivers_detached sends_batches tests_the_connection;
            webhooks_route: keeps_connections survives_stale_connections
                reads_no_more_than_it_wants speaks_tls goes_through_proxies
                keeps_off_private_addresses connects_to_what_was_judged keeps_to_a_schedule;
        }
    };
    (@over $over:ident, $net:ty, $block_on:path) => {
        mod $over {
            #[allow(unused_imports, reason = "the function that blocks may be a path of its own")]
            use super::*;
            $crate::conformance_tests! { @cases $net, $net, $block_on,
                handshake: connects refuses_a_wrong_password
                    refuses_the_dialect_that_is_not_named serves_both_dialects_on_one_port
                    lets_each_user_in_by_its_own_password refuses_one_client_too_many;
                calls: answers reports_errors_of_handlers refuses_unknown_methods
                    names_the_field_that_does_not_fit times_out is_cancelled_by_dropping
                    serves_many_at_once contains_panics discovers_methods
                    calls_the_client_too starts_handlers_in_order drops_what_a_handler_held
                    forgets_answers
                    forgets_in_spite_of_a_pause;
                large: comes_back_whole goes_both_ways calls_back_behind_requests;
                batches: carry_calls_and_messages leave_as_there_is_room;
                replies: answers_with_more_than_a_result stops_handlers_whose_callers_gave_up;
                messages: answers_messages hands_out_what_no_handler_takes broadcasts
                    runs_handlers_by_priority tells_error_hooks keeps_values_with_connections
                    carries_large_payloads misses_nothing_at_login is_acknowledged;
                life: reconnects gives_up_reconnecting finishes_calls_when_it_stops
                    closes_when_the_last_handle_is_gone runs_hooks_despite_failures
                    may_be_closed_from_within starts_before_the_server
                    tells_why_it_never_connected;
                pool: takes_turns draws_lots prefers_who_answers_soonest avoids_who_is_paused
                    closes_when_the_last_handle_is_gone tells_every_server;
                failover: comes_back_to_who_comes_back leaves_out_who_does_not_answer
                    begins_with_one_server_down tells_why_no_member_connects;
                retries: asks_again_when_refused_for_now repeats_what_may_be_repeated
                    gives_each_attempt_its_time waits_for_the_server repeats_a_share_of_the_calls
                    repeats_in_a_pool;
                pressure: pings_past_slow_handlers limits_the_rate_of_calls
                    hears_answers_while_many_send;
            }
        }
    };
    (@cases $net:ty, $over:ty, $block_on:path, $($module:ident: $($name:ident)*;)*) => {
        $(mod $module {
            #[allow(unused_imports, reason = "the function that blocks may be a path of its own")]
            use super::*;
            $(#[test]
            fn $name() {
                use $crate::conformance::{case, $module};
                $block_on(case::<$net>($module::$name::<$over>()));
            })*
        })*
    };
}
