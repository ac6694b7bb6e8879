//! Messages that are encoded once for many, and peers that read too slowly for them.

use super::*;

fn news(length: usize) -> SharedMessage {
    let format = Format { dialect: Dialect::Netconduit, compression: false };
    let data = Bytes::from(vec![7; length]);
    SharedMessage::encode(format, 9, "news", &Typed(&data), &Limits::default()).unwrap()
}

fn numbered(number: u8) -> SharedMessage {
    let format = Format { dialect: Dialect::Netconduit, compression: false };
    SharedMessage::encode(format, 9, "news", &Raw(&[number]), &Limits::default()).unwrap()
}

/// A side with room for ten messages, and enough in its send buffer that nothing more goes there.
fn backed_up() -> Connection {
    let limits = Limits { send_queue_frames: 10, ..Limits::default() };
    let mut a = server_with_peer(Config { limits, ..Config::default() });
    a.send_shared(at(1), &news(100_000), Overflow::DropOldest).unwrap();
    a
}

fn delivered(from: &mut Connection) -> Vec<u8> {
    let mut all = Vec::new();
    while from.pending_bytes() > 0 {
        let bytes: Vec<u8> = from.transmit().flatten().copied().collect();
        from.advance_transmit(at(2), bytes.len());
        all.extend(bytes);
    }
    let messages = frames(&all).into_iter().filter(|frame| frame.header.kind == Kind::Message);
    messages.filter_map(|frame| frame.payload.last().copied()).collect()
}

#[test]
fn the_oldest_make_room_and_the_rest_stays_in_order() {
    let mut a = backed_up();
    for number in 0..20 {
        a.send_shared(at(1), &numbered(number), Overflow::DropOldest).unwrap();
        assert!(a.held_bytes() < 110_000, "it does not grow");
    }
    assert_eq!(a.stats().messages_dropped, 11);
    assert_eq!(a.sent_through().number(), 0);
    assert_eq!(delivered(&mut a), [7, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
    assert_eq!(a.sent_through().number(), 21);
}

#[test]
fn what_must_not_be_lost_is_not() {
    let mut a = backed_up();
    a.send(at(1), "own", &Raw(&[100])).unwrap();
    a.send_shared(at(1), &numbered(1), Overflow::Refuse).unwrap();
    for number in 2..12 {
        a.send_shared(at(1), &numbered(number), Overflow::DropOldest).unwrap();
    }
    assert_eq!(delivered(&mut a), [7, 100, 1, 5, 6, 7, 8, 9, 10, 11]);
    // With nothing to drop, the newest is refused after all.
    let mut a = backed_up();
    for number in 0..9 {
        a.send(at(1), "own", &Raw(&[number])).unwrap();
    }
    let refused = a.send_shared(at(1), &numbered(9), Overflow::DropOldest);
    assert_eq!(refused, Err(SendError::Blocked));
    assert_eq!(a.stats().messages_dropped, 1);
}

#[test]
fn the_newest_is_refused_by_default() {
    let mut a = backed_up();
    for number in 0..9 {
        a.send_shared(at(1), &numbered(number), Overflow::Refuse).unwrap();
    }
    assert_eq!(a.send_shared(at(1), &numbered(9), Overflow::Refuse), Err(SendError::Blocked));
    assert_eq!(delivered(&mut a), [7, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(events(&mut a), [Event::Writable]);
}

#[test]
fn a_peer_that_is_too_slow_may_have_to_go() {
    let mut a = backed_up();
    let call = a.call(at(1), "m", &Raw(&[0x80]), TIMEOUT).unwrap();
    for number in 0..8 {
        a.send_shared(at(1), &numbered(number), Overflow::Disconnect).unwrap();
    }
    let refused = a.send_shared(at(1), &numbered(9), Overflow::Disconnect);
    assert_eq!(refused, Err(SendError::Blocked));
    let all = events(&mut a);
    assert!(matches!(&all[0], Event::Finished { call: ended, .. } if *ended == call));
    assert_eq!(closed(&all).reason, CloseReason::TooSlow);
    assert_eq!(closed(&all).unsent, 9);
    let late = a.send_shared(at(1), &numbered(9), Overflow::Disconnect);
    assert_eq!(late, Err(SendError::NotOpen(PhaseName::Closed)));
}

#[test]
fn dropping_goes_on_while_the_peer_pauses() {
    let mut a = backed_up();
    a.receive(at(1), &frame(Kind::Pause, Flags::empty(), 0, &[]));
    for number in 0..20 {
        a.send_shared(at(1), &numbered(number), Overflow::DropOldest).unwrap();
    }
    // The first was taken back as well, since none of it had left.
    assert_eq!(a.stats().messages_dropped, 11);
    a.receive(at(1), &frame(Kind::Resume, Flags::empty(), 0, &[]));
    assert_eq!(delivered(&mut a), [10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
}

#[test]
fn small_messages_make_room_as_well() {
    let mut a = server_with_peer(Config::default());
    for number in 0..3000_u16 {
        let small = numbered((number % 100) as u8);
        a.send_shared(at(1), &small, Overflow::DropOldest).unwrap();
    }
    assert_eq!(a.stats().messages_dropped, 2000);
    let left = delivered(&mut a);
    assert_eq!(left.len(), 1000);
    // Those that were in the send buffer already, and then the newest.
    assert_eq!((left[0], left[499], left[500], left[999]), (0, 99, 0, 99));
}
