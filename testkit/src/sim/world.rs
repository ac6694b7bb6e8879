//! Some pairs, the links between them, time, and what goes wrong.

use std::time::Duration;

use cndt_core::connection::{Connection, Format, Overflow, PhaseName, SharedMessage};
use cndt_core::limits::Limits;
use cndt_core::message::Raw;
use cndt_core::wire::Dialect;

use super::broken::{Broken, Invariant, broken, ensure};
use super::endpoint::Endpoint;
use super::hostile;
use super::pair::{CLIENT, Pair, SERVER};
use super::payload::{mix, payload};
use super::tape::Tape;

pub(super) const SECOND: u64 = 1_000_000;

/// How a twin gets what the other has whole: a frame without payload, then some that end inside of
/// frames.
const PIECES: [usize; 6] = [32, 5, 60, 70, 33, 1];

/// Which things may go wrong in one run. Each is switched for the whole run, so that runs differ in
/// kind and not only in detail.
#[derive(Debug, Clone, Copy)]
pub(super) struct Faults {
    damage: bool,
    resets: bool,
    vanishing: bool,
    injection: bool,
    pub(super) odd_clocks: bool,
    late_timers: bool,
    closing: bool,
    slow_readers: bool,
}

pub(super) struct World<'t> {
    pub(super) tape: Tape<'t>,
    pub(super) pairs: Vec<Pair>,
    /// Frames that clients sent to log in, for those who want to say them again.
    pub(super) recorded: Vec<Vec<u8>>,
    pub(super) faults: Faults,
    /// Pairs that log in at once.
    eager: Vec<usize>,
    /// Microseconds since the beginning.
    pub(super) time: u64,
    pub(super) steps: u64,
    pub(super) hash: u64,
    trace: Option<Vec<String>>,
}

impl<'t> World<'t> {
    pub(super) fn new(draws: &'t [u16], traced: bool) -> Self {
        let mut tape = Tape::new(draws);
        let faults = Faults {
            damage: tape.chance(15),
            resets: tape.chance(20),
            vanishing: tape.chance(15),
            injection: tape.chance(20),
            odd_clocks: tape.chance(30),
            late_timers: tape.chance(30),
            closing: tape.chance(50),
            slow_readers: tape.chance(50),
        };
        let mut world = Self {
            tape,
            pairs: Vec::new(),
            recorded: Vec::new(),
            faults,
            eager: Vec::new(),
            time: 0,
            steps: 0,
            hash: 0,
            trace: traced.then(Vec::new),
        };
        let count = if world.tape.chance(30) { 2 + world.tape.below(5) } else { 1 };
        for number in 0..count {
            let pair = world.pair(number);
            world.pairs.push(pair);
            if world.tape.chance(60) {
                world.eager.push(number);
            }
        }
        world
    }

    /// Plays the tape to its end, then lets everything come to rest.
    pub(super) fn play(&mut self) -> Result<(), Broken> {
        // Most of what is worth seeing comes after login.
        for number in std::mem::take(&mut self.eager) {
            self.pump(number)?;
        }
        while !self.tape.is_over() {
            self.step()?;
        }
        self.come_to_rest()
    }

    fn step(&mut self) -> Result<(), Broken> {
        self.steps += 1;
        let pair = self.tape.below(self.pairs.len());
        let side = self.tape.below(2);
        match self.tape.below(44) {
            0..=2 | 40..=43 => self.pump(pair)?,
            3..=8 => self.write(pair, side)?,
            9..=14 => self.deliver(pair, side)?,
            15..=18 => self.poll(pair, side)?,
            19..=21 => {
                let nth = self.tape.below(8);
                self.note(|| format!("{pair}.{side} answers request {nth} of those waiting"));
                self.pairs[pair].respond(self.time, side, nth)?;
            }
            22..=24 => {
                let (size, timeout) = (self.size(), self.timeout());
                self.note(|| format!("{pair}.{side} calls with {size} bytes, {timeout:?}"));
                self.pairs[pair].call(self.time, side, size, timeout)?;
            }
            25..=27 => {
                let size = self.size();
                self.note(|| format!("{pair}.{side} sends {size} bytes"));
                self.pairs[pair].send(self.time, side, size)?;
            }
            28 => {
                let (size, timeout) = (self.size(), self.timeout());
                if self.pairs[pair].speaks(Dialect::Cndt) {
                    self.note(|| format!("{pair}.{side} sends {size} bytes, wants to know"));
                    self.pairs[pair].send_acked(self.time, side, size, timeout)?;
                }
            }
            29 => {
                let nth = self.tape.below(64);
                self.note(|| format!("{pair}.{side} cancels call {nth}"));
                self.pairs[pair].cancel(self.time, side, nth)?;
            }
            30 => {
                self.note(|| format!("{pair}.{side} pings"));
                let end = &mut self.pairs[pair].sides[side].end;
                end.act(self.time, Connection::ping)?;
            }
            31 => self.broadcast()?,
            32 => self.derive(pair)?,
            33..=34 => {
                let span = self.tape.below(50_000) as u64;
                self.pass_time(self.time + span)?;
            }
            35 => self.pass_time(self.next_wake().unwrap_or(self.time))?,
            36 => {
                let span = self.tape.below(20) as u64 * SECOND;
                self.pass_time(self.time + span)?;
            }
            37 => self.close(pair, side)?,
            _ => self.fault(pair, side)?,
        }
        self.fold(pair);
        Ok(())
    }

    fn size(&mut self) -> usize {
        match self.tape.below(20) {
            0..=12 => self.tape.below(64),
            13..=17 => self.tape.below(3000),
            _ => self.tape.below(80_000),
        }
    }

    fn timeout(&mut self) -> Duration {
        let millis = self.tape.pick(&[30_000, 100, 1000, 5000, 120_000, 0]);
        Duration::from_millis(millis)
    }

    /// Some of what one side wants to write goes onto the link.
    fn write(&mut self, pair: usize, side: usize) -> Result<(), Broken> {
        let room = self.pairs[pair].pipes[side].room();
        let most = match self.tape.below(4) {
            0 => usize::MAX,
            1 => self.tape.below(64),
            _ => self.tape.below(4000),
        };
        self.note(|| format!("{pair}.{side} writes at most {}", most.min(room)));
        let time = self.time;
        self.pairs[pair].write(time, side, most.min(room), &mut self.recorded)
    }

    /// Some of what is on the link arrives.
    fn deliver(&mut self, pair: usize, side: usize) -> Result<(), Broken> {
        let most = match self.tape.below(4) {
            0 => usize::MAX,
            1 => 1 + self.tape.below(40),
            _ => self.tape.below(4000),
        };
        let pieces = [self.tape.below(40), self.tape.below(400), 1];
        self.note(|| format!("{pair}.{side} reads at most {most}"));
        self.pairs[pair].deliver(self.time, side, most, &pieces)
    }

    fn poll(&mut self, pair: usize, side: usize) -> Result<(), Broken> {
        let count = if self.faults.slow_readers { 1 + self.tape.below(4) } else { usize::MAX };
        let busy = self.faults.slow_readers && self.tape.chance(30);
        self.note(|| format!("{pair}.{side} takes {count} events, busy: {busy}"));
        for _ in 0..count {
            if !self.pairs[pair].poll(side, busy)? {
                break;
            }
        }
        Ok(())
    }

    fn derive(&mut self, pair: usize) -> Result<(), Broken> {
        self.note(|| format!("{pair}.0 has its keys"));
        self.pairs[pair].derive(self.time, CLIENT)
    }

    /// Everything that can move in a pair moves.
    fn pump(&mut self, pair: usize) -> Result<(), Broken> {
        self.note(|| format!("{pair} moves all it has"));
        for _ in 0..200 {
            if !self.pump_once(pair)? {
                return self.pairs[pair].check_not_stuck();
            }
        }
        Ok(())
    }

    fn pump_once(&mut self, pair: usize) -> Result<bool, Broken> {
        let time = self.time;
        let pair = &mut self.pairs[pair];
        let before = pair.progress();
        for side in [CLIENT, SERVER] {
            let room = pair.pipes[side].room();
            pair.write(time, side, room, &mut self.recorded)?;
            pair.deliver(time, 1 - side, usize::MAX, &PIECES)?;
            while pair.poll(1 - side, false)? {}
            pair.derive(time, CLIENT)?;
        }
        while pair.poll(SERVER, false)? {}
        Ok(pair.progress() != before)
    }

    /// A message from every server to its client, encoded once for each format.
    fn broadcast(&mut self) -> Result<(), Broken> {
        let size = self.size();
        let data = payload(self.steps as usize, size);
        let overflow = if self.tape.chance(50) { Overflow::DropOldest } else { Overflow::Refuse };
        self.note(|| format!("all servers send {size} bytes, {overflow:?}"));
        let mut encoded: Vec<(Format, SharedMessage)> = Vec::new();
        for pair in &mut self.pairs {
            let Some(format) = pair.sides[SERVER].end.connection.format() else { continue };
            let known = encoded.iter().find(|(known, _)| *known == format);
            let message = match known {
                Some((_, message)) => message.clone(),
                None => {
                    let limits = Limits::default();
                    let made = SharedMessage::encode(format, 1, "message", &Raw(&data), &limits);
                    let Ok(message) = made else { continue };
                    encoded.push((format, message.clone()));
                    message
                }
            };
            pair.send_shared(self.time, SERVER, &message, &data, overflow)?;
        }
        Ok(())
    }

    fn close(&mut self, pair: usize, side: usize) -> Result<(), Broken> {
        if !self.faults.closing || !self.tape.chance(40) {
            return Ok(());
        }
        let abruptly = self.tape.chance(30);
        self.note(|| format!("{pair}.{side} closes, abruptly: {abruptly}"));
        let pair = &mut self.pairs[pair];
        pair.lost_bytes = true;
        let end = &mut pair.sides[side].end;
        end.act(self.time, if abruptly { Connection::abort } else { Connection::close })
    }

    fn fault(&mut self, pair: usize, side: usize) -> Result<(), Broken> {
        let time = self.time;
        let choice = self.tape.below(6);
        let rare = self.tape.chance(20);
        if self.pairs[pair].is_hostile && side == CLIENT {
            return hostile::act(&mut self.tape, &mut self.pairs[pair], &self.recorded);
        }
        match choice {
            1 if self.faults.damage && rare => {
                self.note(|| format!("bytes of {pair}.{side} are damaged"));
                let pair = &mut self.pairs[pair];
                if pair.pipes[side].damage(&mut self.tape) {
                    pair.feed_junk();
                }
            }
            2 if self.faults.resets && rare => {
                self.note(|| format!("the link of {pair} is reset"));
                self.pairs[pair].reset(time)?;
            }
            3 if self.faults.vanishing && rare => {
                self.note(|| format!("what {pair}.{side} sends vanishes from now on"));
                let pair = &mut self.pairs[pair];
                pair.lost_bytes = true;
                pair.pipes[side].vanished = true;
            }
            4 if self.faults.injection => {
                self.note(|| format!("something is put among the bytes of {pair}.{side}"));
                hostile::inject(&mut self.tape, &mut self.pairs[pair], side);
            }
            5 if self.faults.odd_clocks => {
                let back = self.tape.below(60_000) as u64 * 1000;
                self.note(|| format!("the clock of {pair}.{side} is read {back} µs too early"));
                self.pairs[pair].sides[side].end.clock().back = back;
            }
            _ => {}
        }
        Ok(())
    }

    fn next_wake(&self) -> Option<u64> {
        let ends = self.pairs.iter().flat_map(|pair| &pair.sides).map(|side| &side.end);
        ends.filter_map(Endpoint::next_wake).min()
    }

    /// Time goes on to this; timers that are due go off, most of them at once.
    fn pass_time(&mut self, to: u64) -> Result<(), Broken> {
        self.time = self.time.max(to);
        let time = self.time;
        self.note(|| format!("it is {}.{:06} s", time / SECOND, time % SECOND));
        for pair in &mut self.pairs {
            for side in [CLIENT, SERVER] {
                let late = self.faults.late_timers && self.tape.chance(20);
                if !late {
                    pair.handle_timeout(time, side)?;
                }
            }
        }
        Ok(())
    }

    /// No more faults: every call gets its outcome, every connection goes on or ends.
    fn come_to_rest(&mut self) -> Result<(), Broken> {
        self.note(|| "from now on nothing goes wrong".to_string());
        // The longest that any timer of these settings takes: twice the heartbeat's patience and
        // drain, or the longest call, or a pause.
        let bound = self.time + 400 * SECOND;
        for _ in 0..3000 {
            let mut moved = false;
            for index in 0..self.pairs.len() {
                let time = self.time;
                while !self.pairs[index].sides.iter().all(|side| side.todo.is_empty()) {
                    self.pairs[index].respond(time, CLIENT, 0)?;
                    self.pairs[index].respond(time, SERVER, 0)?;
                }
                moved |= self.pump_once(index)?;
            }
            if moved {
                continue;
            }
            if self.pairs.iter().all(Pair::is_at_rest) {
                return self.check_rest();
            }
            // All that could move has: whoever is stalled from here on waits for the other.
            self.pairs.iter_mut().for_each(|pair| pair.resting = true);
            let Some(next) = self.next_wake() else {
                let words = format!("nothing moves, no timer is set: {:?}", self.restless());
                return broken(Invariant::ComesToRest, words);
            };
            self.time = self.time.max(next);
            ensure(self.time <= bound, Invariant::ComesToRest, || {
                format!("after 400 s not at rest: {:?}", self.restless())
            })?;
            for index in 0..self.pairs.len() {
                self.pairs[index].handle_timeout(self.time, CLIENT)?;
                self.pairs[index].handle_timeout(self.time, SERVER)?;
            }
        }
        broken(Invariant::ComesToRest, "it never ends")
    }

    fn restless(&self) -> Vec<String> {
        self.pairs.iter().filter(|pair| !pair.is_at_rest()).map(Pair::describe).collect()
    }

    fn check_rest(&self) -> Result<(), Broken> {
        for pair in &self.pairs {
            let junk = pair.sides.iter().any(|side| side.end.was_fed_junk);
            let open = pair.sides.iter().all(|side| side.end.phase() == PhaseName::Open);
            if open && !junk && !pair.lost_bytes && !pair.may_drop {
                pair.check_all_came(CLIENT)?;
                pair.check_all_came(SERVER)?;
            }
        }
        Ok(())
    }

    fn note(&mut self, words: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(words());
        }
    }

    /// Folds what can be seen of a pair into the hash of the run.
    fn fold(&mut self, pair: usize) {
        for side in &self.pairs[pair].sides {
            let stats = side.end.connection.stats();
            let seen = [
                stats.bytes_sent,
                stats.bytes_received,
                stats.frames_received,
                side.end.connection.pending_bytes() as u64,
                side.end.next_wake().unwrap_or(0),
            ];
            for number in seen {
                self.hash = mix(self.hash, &number.to_be_bytes());
            }
        }
    }

    pub(super) fn into_trace(self) -> Vec<String> {
        self.trace.unwrap_or_default()
    }

    pub(super) fn events(&self) -> u64 {
        self.pairs.iter().map(|pair| pair.events).sum()
    }
}
