//! Who takes part in a world: settings, clocks, passwords.

use std::sync::LazyLock;
use std::time::Duration;

use cndt_core::auth::scram::{Derivation, Keys};
use cndt_core::auth::{Access, Credentials, Entropy, UserName};
use cndt_core::connection::{Config, Connection};
use cndt_core::limits::Limits;
use cndt_core::resilience::Rate;
use cndt_core::time::{Instant, WallAnchor};

use super::endpoint::{Clock, Endpoint};
use super::pair::{CLIENT, Pair, SERVER};
use super::payload::{ITERATIONS, PASSWORD, SALT, derive};
use super::world::{SECOND, World};

/// The keys that this work gives. Password, salt and iterations never vary, so neither do they.
pub(super) fn keys_for(work: &Derivation) -> Keys {
    static RIGHT: LazyLock<Option<Keys>> = LazyLock::new(|| derive(PASSWORD));
    static WRONG: LazyLock<Option<Keys>> = LazyLock::new(|| derive("a guess"));
    let right = Derivation::new(PASSWORD, &SALT, ITERATIONS).is_ok_and(|right| right == *work);
    let known = if right { &RIGHT } else { &WRONG };
    match &**known {
        Some(keys) => keys.clone(),
        None => work.clone().run(),
    }
}

fn right_keys() -> Keys {
    let work = Derivation::new(PASSWORD, &SALT, ITERATIONS).expect("the parts are in range");
    keys_for(&work)
}

impl World<'_> {
    fn config(&mut self) -> Config {
        let tape = &mut self.tape;
        let mut limits =
            Limits { iterations_min: ITERATIONS, frame_max: 64 * 1024, ..Limits::default() };
        if tape.chance(30) {
            limits.send_queue_frames = 1 + tape.below(20);
        }
        if tape.chance(50) {
            limits.send_queue_bytes = 200 + 40 * tape.below(200);
        }
        if tape.chance(50) {
            limits.receive_queue_frames = 1 + tape.below(20);
            limits.receive_queue_bytes = 200 + 40 * tape.below(200);
        }
        if tape.chance(20) {
            limits.calls_max = 1 + tape.below(8);
        }
        if tape.chance(10) {
            limits.serves_max = 1 + tape.below(4);
        }
        if tape.chance(10) {
            limits.rate_messages = Some(Rate { per_second: 5, burst: 10 });
        }
        if tape.chance(10) {
            limits.idle_timeout = Some(Duration::from_secs(45));
        }
        let heartbeat = 1 + tape.below(30) as u64;
        Config {
            heartbeat_interval: Duration::from_secs(heartbeat),
            heartbeat_timeout: Duration::from_secs(heartbeat * 3),
            compression: tape.chance(30),
            backpressure: !tape.chance(20),
            wall: WallAnchor { at: Instant::ZERO, unix_millis: 1_700_000_000_000 },
            limits,
            ..Config::default()
        }
    }

    pub(super) fn pair(&mut self, number: usize) -> Pair {
        let netconduit = self.tape.chance(40);
        let wrong = self.tape.chance(8);
        let is_hostile = !netconduit && self.tape.chance(8);
        let knows_keys = self.tape.chance(50);
        let twin = self.tape.chance(50);
        let mut clock = || {
            if self.faults.odd_clocks {
                let offset = self.tape.below(60_000) as u64 * 3_600 * SECOND;
                Clock::new(offset, self.tape.below(1000) as i64 - 500)
            } else {
                Clock::new(0, 0)
            }
        };
        let clocks = [clock(), clock()];
        let mut configs = [self.config(), self.config()];
        if self.tape.chance(50) {
            // Two sides that are small in the same way meet troubles that others never see.
            configs[SERVER] = configs[CLIENT].clone();
        }
        let capacity = if self.tape.chance(30) { 64 + self.tape.below(2000) } else { 256 * 1024 };
        let random = |side: u8| Entropy([(number as u8).wrapping_mul(2).wrapping_add(side); 64]);
        let password = if wrong { "a guess" } else { PASSWORD };
        let [client_config, server_config] = configs;
        let may_drop = [&client_config, &server_config]
            .iter()
            .any(|config| config.limits.rate_messages.is_some() || config.limits.serves_max < 100);
        let client = Endpoint::new(
            format!("client {number}"),
            client_config,
            clocks[CLIENT],
            twin && !is_hostile,
            |now, config| {
                let credentials = if netconduit {
                    Credentials::netconduit(password)
                } else {
                    let mine = Credentials::new(UserName::default(), password)
                        .expect("the password is neither empty nor long");
                    let keys = knows_keys && !wrong;
                    if keys { mine.with_keys(right_keys()) } else { mine }
                };
                Connection::client(now, config, credentials, random(0)).expect("valid settings")
            },
        );
        let server = Endpoint::new(
            format!("server {number}"),
            server_config,
            clocks[SERVER],
            twin,
            |now, config| {
                let access = Access::new().with_user(UserName::default(), right_keys().verifier());
                let access = if netconduit { access.with_netconduit(PASSWORD) } else { access };
                Connection::server(now, config, access, random(1)).expect("valid settings")
            },
        );
        let mut pair = Pair::new(client, server, capacity);
        pair.must_not_open = wrong || is_hostile;
        pair.is_hostile = is_hostile;
        pair.may_drop = may_drop;
        pair
    }
}
