//! Deliveries that are taken together.

use super::*;

/// A server with a queue of four, and so many messages for it.
fn fed(messages: u8) -> Connection {
    let mut config = Config::default();
    config.limits.receive_queue_frames = 4;
    config.limits.queue_high_percent = 100;
    config.limits.queue_low_percent = 25;
    let mut b = server_with_peer(config);
    let all: Vec<u8> = (0..messages).flat_map(message).collect();
    b.receive(at(1), &all);
    b
}

fn message(number: u8) -> Vec<u8> {
    let mut payload = BytesMut::new();
    rpc::write_message(&mut payload, "tick", &Raw(&[number])).unwrap();
    frame(Kind::Message, Flags::empty(), 0, &payload)
}

fn numbers(inbox: &mut Deliveries) -> Vec<u8> {
    let popped = core::iter::from_fn(|| inbox.pop());
    popped.map(|delivery| number(&delivery.into())).collect()
}

fn number(event: &Event) -> u8 {
    let Event::Message(message) = event else { panic!("{event:?}") };
    message.data[0]
}

#[test]
fn they_are_those_that_come_one_by_one() {
    let one_by_one: Vec<u8> = events(&mut fed(11)).iter().map(number).collect();
    for room in 1..13 {
        let (mut b, mut inbox, mut together) = (fed(11), Deliveries::default(), Vec::new());
        while b.take_deliveries(room, &mut inbox) {
            together.append(&mut numbers(&mut inbox));
            b.note_deliveries(room, &inbox);
        }
        assert_eq!(together, one_by_one, "{room}");
        assert_eq!(b.poll_event(), None);
    }
}

#[test]
fn what_the_application_has_no_room_for_still_waits() {
    let (mut b, mut inbox) = (fed(6), Deliveries::default());
    assert_eq!(kinds(&take_output(at(1), &mut b)), [Kind::Pause]);
    // All four are taken, for one of which there is room: the fifth takes its place.
    assert!(b.take_deliveries(1, &mut inbox));
    assert_eq!((inbox.len(), b.wants_read()), (4, false));
    assert!(!b.take_deliveries(1, &mut inbox), "there is room for no more");
    assert!(take_output(at(1), &mut b).is_empty(), "nor may the peer go on");

    // One is under way and fills the room.
    inbox.pop_with(|delivery| assert!(matches!(delivery, Delivery::Message(_))));
    b.note_deliveries(0, &inbox);
    assert!(!b.wants_read());
    assert!(!b.take_deliveries(0, &mut inbox));

    assert!(b.take_deliveries(9, &mut inbox));
    assert_eq!(kinds(&take_output(at(1), &mut b)), [Kind::Resume]);
    assert!(b.take_deliveries(9, &mut inbox));
    assert_eq!(numbers(&mut inbox), [1, 2, 3, 4, 5]);
    b.note_deliveries(9, &inbox);
    assert!(b.wants_read());
    assert_eq!(b.held_bytes(), 0);
}

#[test]
fn none_are_taken_without_room() {
    let (mut b, mut inbox) = (fed(3), Deliveries::default());
    assert!(!b.take_deliveries(0, &mut inbox) && inbox.is_empty());
    assert!(b.take_deliveries(1, &mut inbox));
    b.receive(at(2), &message(3));
    assert!(!b.take_deliveries(3, &mut inbox));
    assert!(b.take_deliveries(4, &mut inbox));
    assert_eq!(numbers(&mut inbox), [0, 1, 2, 3]);
}

#[test]
fn a_request_that_was_cancelled_is_gone() {
    let (mut b, mut inbox) = (fed(1), Deliveries::default());
    b.receive(at(2), &[request(7, "m"), request(8, "n")].concat());
    assert!(b.take_deliveries(1, &mut inbox));
    b.note_deliveries(0, &inbox);
    let held = b.held_bytes();
    assert!(inbox.cancel(RequestId(7)) && !inbox.cancel(RequestId(7)));
    b.note_deliveries(0, &inbox);
    assert!(b.held_bytes() < held && inbox.len() == 2);
    inbox.drop_requests();
    b.note_deliveries(0, &inbox);
    assert!(b.held_bytes() > 0);
    assert_eq!(numbers(&mut inbox), [0]);
    b.note_deliveries(0, &inbox);
    assert_eq!(b.held_bytes(), 0);
}
