//! Hostile peers, with every byte of memory counted: what they send is refused or waits with them.
//!
//! A binary of its own, because the allocator that counts is that of the whole process.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use cndt_core::auth::{Access, Credentials, Entropy};
use cndt_core::connection::{
    CloseReason, Closed, Config, Connection, Event, PhaseName, SendError, Strike, Timer, Violation,
};
use cndt_core::message::{Raw, rpc};
use cndt_core::time::Instant;
use cndt_core::wire::{
    Decoder, Dialect, Dialects, Flags, HEADER_LEN, Header, Kind, WireErrorKind, deflate,
    write_frame,
};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
const NOW: Instant = Instant::ZERO;
/// How much a driver reads at once.
const READ: usize = 64 * KIB;

/// Tests of this binary must not count each other's memory.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The most memory that `act` needed beyond what was there before, in bytes.
fn growth(act: impl FnOnce()) -> usize {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    act();
    MEMORY.peak_usage().saturating_sub(before)
}

fn at(millis: u64) -> Instant {
    Instant::from_micros(millis * 1000)
}

fn stranger() -> Connection {
    let access = Access::netconduit("secret");
    Connection::server(NOW, Config::default(), access, Entropy([7; 64])).unwrap()
}

/// A server whose peer has logged in.
fn server() -> Connection {
    let mut server = stranger();
    let mine = Credentials::netconduit("secret");
    let client = Connection::client(NOW, Config::default(), mine, Entropy([9; 64])).unwrap();
    client.transmit().for_each(|piece| server.receive(NOW, piece));
    server.receive(NOW, &frame(Kind::HeartbeatPong, Flags::empty(), &[]));
    assert!(matches!(server.poll_event(), Some(Event::Opened(_))));
    written(&mut server);
    server
}

fn frame(kind: Kind, flags: Flags, payload: &[u8]) -> Vec<u8> {
    let header = Header { flags, correlation: 1, timestamp: 5, ..Header::new(kind) };
    let mut out = BytesMut::new();
    write_frame(&mut out, Dialect::Netconduit, &header, usize::MAX, |out| {
        out.extend_from_slice(payload);
        Ok::<(), std::convert::Infallible>(())
    })
    .unwrap();
    out.to_vec()
}

fn message(data: &[u8]) -> Vec<u8> {
    let mut payload = BytesMut::new();
    rpc::write_message(&mut payload, "m", &Raw(data)).unwrap();
    frame(Kind::Message, Flags::empty(), &payload)
}

/// A header that announces more than follows.
fn announcing(kind: Kind, length: u32) -> Vec<u8> {
    let mut header = frame(kind, Flags::empty(), &[]);
    header[12..16].copy_from_slice(&length.to_be_bytes());
    header
}

/// Feeds one frame again and again, as a driver would: in large reads, and only while it may. Tells
/// how much memory that took.
fn flood(connection: &mut Connection, frame: &[u8], times: usize) -> usize {
    let batch = (READ / frame.len()).max(1);
    let bytes = frame.repeat(batch);
    growth(|| {
        let mut left = times;
        while left > 0 && connection.wants_read() {
            let now = left.min(batch);
            connection.receive(NOW, &bytes[..now * frame.len()]);
            left -= now;
        }
    })
}

/// Takes what is to be written, and tells the frames.
fn written(connection: &mut Connection) -> Vec<Kind> {
    let bytes: Vec<u8> = connection.transmit().flatten().copied().collect();
    connection.advance_transmit(NOW, bytes.len());
    let mut decoder = Decoder::new(Dialects::BOTH, usize::MAX);
    decoder.push(&bytes);
    std::iter::from_fn(|| decoder.next_frame().unwrap()).map(|frame| frame.header.kind).collect()
}

/// Ends the connection the way a driver would, and tells why.
fn reason(mut connection: Connection) -> CloseReason {
    written(&mut connection);
    connection.shutdown_done(NOW);
    let events = std::iter::from_fn(|| connection.poll_event());
    match events.last() {
        Some(Event::Closed(Closed { reason, .. })) => reason,
        other => panic!("no end, but {other:?}"),
    }
}

fn last_strike(connection: Connection) -> Strike {
    match reason(connection) {
        CloseReason::Violation(Violation::TooManyStrikes { last, .. }) => last,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_million_pings_are_worth_one_pong() {
    let _alone = alone();
    let ping = frame(Kind::HeartbeatPing, Flags::empty(), &[]);
    let mut b = server();
    let grown = flood(&mut b, &ping, 1_000_000);
    assert!(grown <= 256 * KIB, "{grown} bytes");
    assert_eq!(written(&mut b), [Kind::HeartbeatPong, Kind::Close]);
    assert_eq!(last_strike(b), Strike::PingFlood);

    // Slow enough to be no flood, and never read.
    let mut b = server();
    let grown = growth(|| {
        for index in 0..1_000_000 {
            b.receive(at(50 * index), &ping);
        }
    });
    assert!(grown <= 64 * KIB, "{grown} bytes");
    assert_eq!(written(&mut b), [Kind::HeartbeatPong]);

    let mut b = stranger();
    let grown = flood(&mut b, &ping, 1_000_000);
    assert!(grown <= 128 * KIB, "{grown} bytes");
    assert!(b.is_closed() && written(&mut b).is_empty());
}

#[test]
fn a_million_tiny_frames_change_nothing() {
    let _alone = alone();
    for kind in [Kind::HeartbeatPong, Kind::Resume, Kind::Pause, Kind::CloseAck, Kind::RpcList] {
        let tiny = frame(kind, Flags::empty(), &[]);
        let mut b = server();
        let grown = flood(&mut b, &tiny, 1_000_000);
        assert!(grown <= 256 * KIB, "{kind:?}: {grown} bytes");
        assert_eq!(b.stats().frames_received, 1_000_002, "{kind:?}");
        assert_eq!((b.phase(), b.pending_bytes()), (PhaseName::Open, 0), "{kind:?}");
    }
    for (kind, strike) in [
        (Kind::Message, Strike::Unreadable),
        (Kind::RpcRequest, Strike::Unreadable),
        (Kind::Unknown(0x77), Strike::UnknownKind(0x77)),
    ] {
        let tiny = frame(kind, Flags::REQUIRES_ACK, &[]);
        let mut b = server();
        let grown = flood(&mut b, &tiny, 1_000_000);
        assert!(grown <= 256 * KIB, "{kind:?}: {grown} bytes");
        assert_eq!(last_strike(b), strike);
    }
    for kind in Kind::ALL.into_iter().filter(|kind| kind.code(Dialect::Netconduit).is_some()) {
        let mut b = stranger();
        let grown = flood(&mut b, &frame(kind, Flags::empty(), &[]), 1_000_000);
        assert!(grown <= 128 * KIB, "{kind:?}: {grown} bytes");
        assert!(b.is_closed(), "{kind:?}");
    }
}

#[test]
fn acknowledgements_that_nobody_reads_stop_the_reading() {
    let _alone = alone();
    let tiny = frame(Kind::HeartbeatPong, Flags::REQUIRES_ACK, &[]);
    let mut b = server();
    let grown = flood(&mut b, &tiny, 1_000_000);
    assert!(!b.wants_read());
    assert!(grown <= MIB, "{grown} bytes");
    assert_eq!(b.pending_bytes(), 256 * KIB);
}

#[test]
fn messages_wait_with_their_sender_when_nobody_takes_them() {
    let _alone = alone();
    let mut b = server();
    let grown = flood(&mut b, &message(&[1]), 1_000_000);
    assert!(!b.wants_read());
    assert!(grown <= MIB, "{grown} bytes");

    let mut b = server();
    let large = message(&[&[0xc6, 0, 1, 0, 0][..], &[0; 64 * KIB]].concat());
    let grown = flood(&mut b, &large, 100_000);
    assert!(!b.wants_read());
    assert!(grown <= 10 * MIB, "{grown} bytes");
}

#[test]
fn a_pause_for_ever_holds_no_more_than_the_queue_and_ends() {
    let _alone = alone();
    let mut b = server();
    b.receive(at(1000), &frame(Kind::Pause, Flags::empty(), &[]));
    let data = [&[0xc5, 0x10, 0x00][..], &[0; 4096]].concat();
    let grown = growth(|| {
        for _ in 0..100_000 {
            match b.send(NOW, "m", &Raw(&data)) {
                Ok(_) | Err(SendError::Blocked) => {}
                Err(other) => panic!("{other}"),
            }
        }
    });
    assert!(grown <= 9 * MIB, "{grown} bytes");
    assert_eq!(b.pending_bytes(), 0);
    for second in (0..=60).step_by(15) {
        b.receive(at(second * 1000), &frame(Kind::HeartbeatPong, Flags::empty(), &[]));
        b.handle_timeout(at(second * 1000));
        written(&mut b);
    }
    let due = b.next_deadline().unwrap();
    assert_eq!((due.at, due.why), (at(61_000), Timer::Pause));
    b.handle_timeout(due.at);
    assert!(matches!(reason(b), CloseReason::PausedTooLong { .. }));
}

#[test]
fn a_length_that_is_only_announced_costs_nothing() {
    let _alone = alone();
    for mut b in [stranger(), server()] {
        let header = announcing(Kind::Message, u32::MAX);
        let grown = growth(|| b.receive(NOW, &header));
        assert!(grown <= 4 * KIB, "{grown} bytes");
        assert_ne!(b.phase(), PhaseName::Open);
        match reason(b) {
            CloseReason::Wire(error) => {
                let max = if error.offset < 32 { 8 * KIB } else { 10 * MIB };
                let expected = WireErrorKind::FrameTooLarge { length: u32::MAX, max };
                assert_eq!(error.kind, expected);
            }
            other => panic!("{other:?}"),
        }
    }
    // As large as may be: memory comes with the bytes, not before.
    let mut b = server();
    let header = announcing(Kind::Message, 10 << 20);
    let grown = growth(|| {
        b.receive(NOW, &header);
        b.read_buffer();
    });
    assert!(grown <= 16 * KIB, "{grown} bytes");
    assert_eq!(b.phase(), PhaseName::Open);
}

/// Receives a frame but for its last byte, then measures what that one makes the connection do.
fn growth_of_reading(connection: &mut Connection, frame: &[u8]) -> usize {
    let (last, rest) = frame.split_last().unwrap();
    rest.chunks(READ).for_each(|piece| connection.receive(NOW, piece));
    // Room for the last byte is made before.
    connection.read_buffer();
    growth(|| connection.receive(NOW, &[*last]))
}

#[test]
fn a_million_levels_and_a_million_values_are_counted_without_being_built() {
    let _alone = alone();
    let deep = message(&[&[0x91; 1_000_000][..], &[0xc0]].concat());
    let wide = message(&[&[0xdd, 0x00, 0x0f, 0x42, 0x41][..], &[0; 1_000_001]].concat());
    for payload in [deep, wide] {
        let mut b = server();
        let grown = growth_of_reading(&mut b, &payload);
        assert!(grown <= 64 * KIB, "{grown} bytes");
        assert_eq!((b.phase(), b.stats().strikes), (PhaseName::Open, 1));
        assert_eq!(b.poll_event(), None);
    }
}

#[test]
fn a_zlib_bomb_is_put_out_early() {
    let _alone = alone();
    let bomb = deflate(&vec![0; 16 * MIB]).unwrap();
    assert!(16 * MIB / bomb.len() > 1000, "{} bytes are no bomb", bomb.len());
    let mut b = server();
    let grown = growth_of_reading(&mut b, &frame(Kind::Message, Flags::COMPRESSED, &bomb));
    assert!(grown <= 4 * MIB, "{grown} bytes");
    assert_eq!((b.phase(), b.stats().strikes), (PhaseName::Open, 1));

    let mut b = stranger();
    let small = &bomb[..8 * KIB];
    let grown = growth(|| b.receive(NOW, &frame(Kind::AuthRequest, Flags::COMPRESSED, small)));
    assert!(grown <= 32 * KIB, "{grown} bytes");
    assert!(b.is_closed());
}

#[test]
fn a_drip_of_bytes_is_cut_off_in_time() {
    let _alone = alone();
    // A login that never comes to its end, however slowly it comes.
    for gap in [2, 100, 1000, 9900] {
        let mut b = stranger();
        let login = announcing(Kind::AuthRequest, 8 << 10);
        let mut drip = login.iter().copied().chain(std::iter::repeat(0x80));
        let grown = growth(|| {
            for time in (0..).step_by(gap) {
                b.handle_timeout(at(time));
                if b.is_closed() {
                    assert!((10_000..20_000).contains(&time), "{time} ms");
                    return;
                }
                b.receive(at(time), &[drip.next().unwrap()]);
            }
        });
        assert!(grown <= 32 * KIB, "{grown} bytes");
        let after = Duration::from_secs(10);
        assert_eq!(reason(b), CloseReason::AuthTimeout { after });
    }
    // A frame of 1 MiB has 10 s and 64 more.
    let mut b = server();
    let header = announcing(Kind::Message, 1 << 20);
    b.receive(at(0), &header);
    for second in 1..=73 {
        b.receive(at(second * 1000), &[0]);
        b.handle_timeout(at(second * 1000));
        written(&mut b);
        assert_eq!(b.phase(), PhaseName::Open, "{second} s");
    }
    b.handle_timeout(at(74_000));
    assert!(matches!(reason(b), CloseReason::FrameTimeout { .. }));
}

#[test]
fn what_waits_is_counted_as_large_as_it_is_in_memory() {
    let _alone = alone();
    // Each becomes 1 MiB, from about 1 KiB.
    let text = message(&[&[0xc6, 0, 0x0f, 0xff, 0][..], &[0; MIB - 256]].concat());
    let small = frame(Kind::Message, Flags::COMPRESSED, &deflate(&text[HEADER_LEN..]).unwrap());
    let mut b = server();
    let grown = flood(&mut b, &small, 1000);
    assert!(!b.wants_read());
    assert!(grown <= 12 * MIB, "{grown} bytes");
}

#[test]
fn small_messages_do_not_hold_on_to_what_came_around_them() {
    let _alone = alone();
    let small = message(&[1]);
    for length in [60 * KIB, 5 * MIB] {
        let chaff = frame(Kind::HeartbeatPong, Flags::empty(), &vec![0; length]);
        let mut b = server();
        let grown = growth(|| {
            for _ in 0..500 {
                for piece in [&chaff[..], &small, &small].map(|frame| frame.chunks(READ)) {
                    for piece in piece {
                        if b.wants_read() {
                            b.receive(NOW, piece);
                        }
                    }
                }
            }
        });
        assert!(grown <= 16 * MIB, "{length}: {grown} bytes");
    }
}

/// A frame of 64 KiB and what makes the read around it a large one.
fn amid_chaff(frame: &[u8], kind: Kind) -> Vec<u8> {
    let chaff = self::frame(kind, Flags::empty(), &vec![0; 60 * KIB]);
    [frame, &chaff.repeat(12)].concat()
}

/// Feeds bytes as a driver does: in as large reads as their payloads may share.
fn read_large(connection: &mut Connection, mut bytes: &[u8]) {
    while !bytes.is_empty() && connection.wants_read() {
        let size = connection.reserve_large(MIB).max(READ).min(bytes.len());
        connection.read_buffer().extend_from_slice(&bytes[..size]);
        connection.received(NOW, size);
        bytes = &bytes[size..];
    }
}

#[test]
fn small_messages_do_not_hold_on_to_large_reads() {
    let _alone = alone();
    let small = message(&[1]);
    let chaff = frame(Kind::HeartbeatPong, Flags::empty(), &vec![0; 60 * KIB]).repeat(10);
    let mut b = server();
    let grown = growth(|| {
        let mut left = 200;
        while b.wants_read() && left > 0 {
            left -= 1;
            read_large(&mut b, &chaff);
            // Up to its end, so that the next read begins the same buffer anew.
            let free = b.read_buffer().capacity() - b.read_buffer().len();
            let rest = vec![0; free.saturating_sub(HEADER_LEN + 10)];
            for piece in [&frame(Kind::HeartbeatPong, Flags::empty(), &rest), &small] {
                b.read_buffer().extend_from_slice(piece);
                b.received(NOW, piece.len());
            }
        }
    });
    assert!(grown <= 16 * MIB, "{grown} bytes");
}

#[test]
fn large_messages_count_as_much_as_they_hold_on_to() {
    let _alone = alone();
    let data = [&[0xc6, 0, 1, 0, 0][..], &[0; 64 * KIB]].concat();
    let bytes = amid_chaff(&message(&data), Kind::HeartbeatPong);
    let mut b = server();
    let grown = growth(|| (0..200).for_each(|_| read_large(&mut b, &bytes)));
    assert!(!b.wants_read());
    assert!(grown <= 16 * MIB, "{grown} bytes");
}

#[test]
#[cfg(feature = "std")]
fn answers_that_nobody_reads_hold_on_to_little() {
    use cndt_core::auth::{UserName, scram::Derivation};
    use cndt_core::message::{Blob, Typed, from_bytes};

    let _alone = alone();
    let keys = Derivation::new("secret", &[3; 16], 4096).unwrap().run();
    let config = || {
        let mut config = Config::default();
        config.limits.iterations_min = 4096;
        config
    };
    let access = Access::netconduit("secret").with_user(UserName::default(), keys.verifier());
    let mut b = Connection::server(NOW, config(), access, Entropy([7; 64])).unwrap();
    let mine = Credentials::new(UserName::default(), "secret").unwrap().with_keys(keys);
    let mut a = Connection::client(NOW, config(), mine, Entropy([9; 64])).unwrap();
    let pass = |from: &mut Connection, to: &mut Connection| {
        let bytes: Vec<u8> = from.transmit().flatten().copied().collect();
        from.advance_transmit(NOW, bytes.len());
        bytes.chunks(READ).for_each(|piece| to.receive(NOW, piece));
        bytes.len()
    };
    while pass(&mut a, &mut b) + pass(&mut b, &mut a) > 0 {}
    assert!(matches!(b.poll_event(), Some(Event::Opened(_))));

    let mut bytes = BytesMut::new();
    let blob = Typed(&Blob::from(vec![0; 64 * KIB]));
    let mut answered = 0;
    let grown = growth(|| {
        for id in 1..500 {
            bytes.clear();
            let mut put = |kind, correlation| {
                let header = Header { correlation, ..Header::new(kind) };
                let frame = |out: &mut BytesMut| match kind {
                    Kind::RpcRequest => rpc::write_request(out, "echo", &blob),
                    _ => rpc::write_message(out, "chaff", &blob),
                };
                write_frame(&mut bytes, Dialect::Cndt, &header, usize::MAX, frame).unwrap();
            };
            put(Kind::RpcRequest, id);
            (0..12).for_each(|_| put(Kind::Message, 0));
            read_large(&mut b, &bytes);
            while let Some(event) = b.poll_event() {
                if let Event::Request(request) = event {
                    let blob: Blob = from_bytes(&request.params).unwrap();
                    b.respond(NOW, request.id, &Typed(&blob)).unwrap();
                    answered += 1;
                }
            }
        }
    });
    assert!(answered > 100, "{answered}");
    // What waits to be taken, its reserve included, holds up to twice as much as it counts for.
    assert!(grown <= 80 * MIB, "{grown} bytes for {answered} answers");
}

#[test]
fn connections_that_do_nothing_cost_little() {
    let _alone = alone();
    let mut kept = Vec::with_capacity(1);
    let silent = growth(|| kept.push(stranger()));
    assert!(silent <= 2 * KIB, "a silent stranger holds {silent} bytes");

    let mut half = None;
    let worst = growth(|| {
        let mut b = stranger();
        b.receive(NOW, &announcing(Kind::AuthRequest, 8 << 10));
        b.receive(NOW, &[0xc0; 8 * KIB - 1]);
        half = Some(b);
    });
    assert!(worst <= 32 * KIB, "half a login holds {worst} bytes");

    let mut open = None;
    let before = MEMORY.current_usage();
    let mut b = server();
    b.receive(NOW, &message(&[1]));
    while b.poll_event().is_some() {}
    b.send(NOW, "m", &Raw(&[1])).unwrap();
    written(&mut b);
    // The next heartbeat gives back what nobody needs.
    b.handle_timeout(at(30_000));
    written(&mut b);
    b.receive(at(30_000), &frame(Kind::HeartbeatPong, Flags::empty(), &[]));
    while b.poll_event().is_some() {}
    b.handle_timeout(at(60_000));
    written(&mut b);
    open.replace(b);
    let idle = MEMORY.current_usage().saturating_sub(before);
    assert!(idle <= 16 * KIB, "an idle connection holds {idle} bytes");
}

#[test]
#[cfg(feature = "webhook")]
fn a_full_memory_of_deliveries_takes_what_was_promised() {
    use cndt_core::webhook::{ReplayError, ReplayGuard, ReplayLimits, Tolerance};

    let _alone = alone();
    let limits = ReplayLimits::default();
    let mut guard = ReplayGuard::new(limits, Tolerance::default()).unwrap();
    let mut id = "x".repeat(256);
    let grown = growth(|| {
        for n in 0..2 * limits.ids_max {
            id.replace_range(..8, &format!("{n:08}"));
            let full = ReplayError::Full { max: limits.ids_max };
            let expected = if n < limits.ids_max { Ok(()) } else { Err(full) };
            assert_eq!(guard.check(1_700_000_000, &id), expected);
        }
    });
    assert!(grown < 150 * limits.ids_max, "{} bytes for each id", grown / limits.ids_max);
}
