//! How bytes and time get from one side of a pair to the other.

use cndt_core::connection::{Connection, PhaseName};
use cndt_core::wire::Dialect;

use super::broken::Broken;
use super::pair::{CLIENT, Pair, SERVER};
use super::pipe::Pipe;

/// Login frames that are kept to be said again.
const RECORDED_MAX: usize = 32;

impl Pair {
    /// What one side wants to write goes onto the link.
    pub(super) fn write(
        &mut self,
        world: u64,
        side: usize,
        most: usize,
        recorded: &mut Vec<Vec<u8>>,
    ) -> Result<(), Broken> {
        if self.is_hostile && side == CLIENT {
            // Somebody else is at the wire.
            return Ok(());
        }
        let end = &mut self.sides[side].end;
        let bytes = end.take_output(world, most)?;
        let logs_in = side == CLIENT && !end.opened && !bytes.is_empty();
        if logs_in && recorded.len() < RECORDED_MAX && self.speaks(Dialect::Cndt) {
            recorded.push(bytes.clone());
        }
        self.pipes[side].put(&bytes);
        let end = &mut self.sides[side].end;
        if end.connection.wants_shutdown() {
            self.pipes[side].ended = true;
            end.act(world, Connection::shutdown_done)?;
        }
        self.notice_end(side);
        Ok(())
    }

    /// What is on the link arrives at one side, which the twin gets in these pieces.
    pub(super) fn deliver(
        &mut self,
        world: u64,
        side: usize,
        most: usize,
        pieces: &[usize],
    ) -> Result<(), Broken> {
        let end = &mut self.sides[side].end;
        let pipe = &mut self.pipes[1 - side];
        if self.is_hostile && side == CLIENT {
            pipe.take(usize::MAX);
            return Ok(());
        }
        if end.connection.wants_read() {
            let bytes = pipe.take(most);
            if !bytes.is_empty() {
                end.receive(world, &bytes, pieces)?;
            }
            let is_over = pipe.ended && pipe.len() == 0;
            if is_over && !std::mem::replace(&mut pipe.end_told, is_over) {
                end.act(world, Connection::receive_eof)?;
            }
        }
        self.notice_end(side);
        Ok(())
    }

    /// A side that is over writes and reads nothing any more.
    fn notice_end(&mut self, side: usize) {
        if self.sides[side].end.connection.is_closed() {
            self.pipes[side].ended = true;
            let into = &mut self.pipes[1 - side];
            into.vanished = true;
            into.take(usize::MAX);
        }
    }

    /// Timers of one side go off if they are due; its outcomes are read.
    pub(super) fn handle_timeout(&mut self, world: u64, side: usize) -> Result<(), Broken> {
        self.sides[side].end.handle_timeout(world)?;
        while self.poll(side, true)? {}
        self.check_overdue(side)?;
        self.notice_end(side);
        Ok(())
    }

    /// The link breaks for both.
    pub(super) fn reset(&mut self, world: u64) -> Result<(), Broken> {
        self.lost_bytes = true;
        for side in [CLIENT, SERVER] {
            self.pipes[side].take(usize::MAX);
            self.pipes[side].ended = true;
            self.sides[side].end.act(world, Connection::transport_lost)?;
            self.notice_end(side);
        }
        Ok(())
    }

    /// From now on nobody's words can be taken at face value.
    pub(super) fn feed_junk(&mut self) {
        self.lost_bytes = true;
        for side in &mut self.sides {
            side.end.was_fed_junk = true;
        }
    }

    pub(super) fn speaks(&self, dialect: Dialect) -> bool {
        self.sides.iter().any(|side| side.end.connection.dialect() == Some(dialect))
    }

    /// Grows whenever anything moves.
    pub(super) fn progress(&self) -> [u64; 3] {
        let stats = self.sides.each_ref().map(|side| side.end.connection.stats());
        let bytes = stats.map(|stats| stats.bytes_sent + stats.bytes_received);
        let ends = self.pipes.iter().filter(|pipe| pipe.end_told).count() as u64;
        [bytes.iter().sum(), self.events, ends]
    }

    /// Nothing is under way, and nothing will be.
    pub(super) fn is_at_rest(&self) -> bool {
        let phases = self.sides.each_ref().map(|side| side.end.phase());
        if self.is_hostile {
            return phases == [PhaseName::Closed; 2];
        }
        if phases == [PhaseName::Closed; 2] {
            return self.sides.iter().all(|side| side.end.closed);
        }
        let silent = self.sides.iter().all(|side| side.end.connection.pending_bytes() == 0)
            && self.pipes.iter().all(|pipe| pipe.len() == 0);
        let content = self.sides.iter().all(super::pair::Side::is_content);
        let all_came = self.lost_bytes
            || self.may_drop
            || (self.check_all_came(CLIENT).is_ok() && self.check_all_came(SERVER).is_ok());
        phases == [PhaseName::Open; 2] && silent && content && all_came
    }

    pub(super) fn describe(&self) -> String {
        let sides = self.sides.each_ref().map(|side| {
            let end = &side.end;
            let (of, name, phase) = (&end.connection, &end.name, end.phase());
            let (out, calls, inbox) =
                (of.pending_bytes(), of.calls_open(), of.deliveries_waiting());
            let (reads, congested) = (of.wants_read(), of.is_congested());
            format!(
                "{name}: {phase:?}, {out} bytes to write, {calls} calls open, {inbox} to be taken, \
                 reads: {reads}, congested: {congested}, told the end: {}",
                end.closed
            )
        });
        let under_way = self.pipes.each_ref().map(Pipe::len);
        format!("{}; under way: {under_way:?}", sides.join("; "))
    }
}
