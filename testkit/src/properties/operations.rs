//! A connection in the hands of an application that makes every mistake there is.

use core::time::Duration;

use cndt_core::connection::{CallId, Connection, Event, RequestId, Vacancy};
use cndt_core::message::Raw;
use cndt_core::rpc::{ErrorCode, RpcError};
use cndt_core::time::Instant;

use super::login;

/// Anything may be done to a connection at any time: it answers by values, never by a panic; after
/// `handle_timeout` the next deadline lies later, and the end comes once.
///
/// The first byte chooses the connection; then each byte is something to do, with the bytes behind it
/// as its arguments.
///
/// # Panics
/// When the law is broken.
pub fn operations(data: &[u8]) {
    let Some((start, mut rest)) = data.split_first() else { return };
    let mut hands = Hands::new(match start % 4 {
        0 => login::client(),
        1 => login::server(),
        2 => login::pair().0,
        _ => login::pair().1,
    });
    while let Some((operation, arguments)) = rest.split_first() {
        rest = hands.act(*operation, arguments);
    }
    hands.connection.abort(hands.now);
    while hands.poll(true) {}
    assert_eq!(hands.ends, 1, "there is one end");
}

struct Hands {
    connection: Connection,
    now: Instant,
    calls: Vec<CallId>,
    requests: Vec<RequestId>,
    ends: usize,
}

impl Hands {
    fn new(connection: Connection) -> Self {
        Self { connection, now: Instant::ZERO, calls: Vec::new(), requests: Vec::new(), ends: 0 }
    }

    /// Does one thing and gives the bytes that it did not need.
    fn act<'a>(&mut self, operation: u8, arguments: &'a [u8]) -> &'a [u8] {
        let (argument, rest) = arguments.split_first().map_or((0, arguments), |(a, r)| (*a, r));
        let now = self.now;
        let span = Duration::from_millis(u64::from(argument) * 40);
        match operation % 20 {
            0..=3 => {
                let (bytes, rest) = rest.split_at(usize::from(argument).min(rest.len()));
                self.connection.receive(now, bytes);
                return rest;
            }
            4 => {
                self.now = now + span;
                self.connection.handle_timeout(self.now);
                if let Some(next) = self.connection.next_deadline() {
                    assert!(next.at > self.now, "{next:?} is still due at {:?}", self.now);
                }
            }
            5 => {
                let (name, value) = (["m", ""][usize::from(argument & 1)], [argument]);
                let call = self.connection.call(now, name, &Raw(&value), span);
                self.calls.extend(call);
            }
            6 => {
                let _ = self.connection.send(now, "message", &Raw(&[argument]));
            }
            7 => self.calls.extend(self.connection.send_acked(now, "m", &Raw(&[1]), span)),
            8 => {
                if let Some(call) = self.calls.get(usize::from(argument)) {
                    self.connection.cancel(now, *call);
                }
            }
            9 => {
                if let Some(id) = self.requests.get(usize::from(argument)) {
                    let _ = self.connection.respond(now, *id, &Raw(&[0xc3]));
                }
            }
            10 => {
                if let Some(id) = self.requests.get(usize::from(argument)) {
                    let error = RpcError::new(ErrorCode::Internal, "no");
                    let _ = self.connection.respond_error(now, *id, &error);
                }
            }
            11 => self.connection.ping(now),
            12 => {
                self.poll(argument & 1 == 0);
            }
            13 | 14 => {
                let pending = self.connection.pending_bytes();
                // More than there is does no harm.
                let n = if argument > 250 {
                    usize::MAX
                } else {
                    pending * 4 / 250 * usize::from(argument) / 4
                };
                self.connection.advance_transmit(now, n);
            }
            15 if argument > 250 => self.connection.receive_eof(now),
            16 if argument > 250 => self.connection.close(now),
            17 if argument > 250 => self.connection.transport_lost(now),
            18 => {
                self.connection.derived(now, login::keys());
                let vacancy = if argument > 128 { Vacancy::Full } else { Vacancy::Room };
                self.connection.set_vacancy(vacancy);
            }
            19 => self.connection.shutdown_done(now),
            _ => {}
        }
        rest
    }

    fn poll(&mut self, all: bool) -> bool {
        let event = if all { self.connection.poll_event() } else { self.connection.poll_outcome() };
        match event {
            None => return false,
            Some(Event::Request(request)) => self.requests.push(request.id),
            Some(Event::Closed(_)) => self.ends += 1,
            Some(_) => {}
        }
        true
    }
}
