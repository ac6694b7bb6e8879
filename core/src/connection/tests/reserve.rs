//! What is read although the receive queue is full, because this side waits for what comes behind it.

use super::*;

/// A queue of four frames, and four more in reserve.
fn config() -> Config {
    let mut config = Config::default();
    config.limits.receive_queue_frames = 4;
    config.limits.receive_reserve_bytes = 4096;
    config.limits.send_queue_bytes = 1000;
    config
}

fn ticks(count: usize) -> Vec<u8> {
    message("tick", &[1]).repeat(count)
}

fn answer(id: u64) -> Vec<u8> {
    let mut payload = BytesMut::new();
    let result = Raw(&[0xc0]);
    rpc::write_result(&mut payload, Dialect::Netconduit, &result, &Beside::default()).unwrap();
    frame(Kind::RpcResponse, Flags::empty(), id, &payload)
}

#[test]
fn an_answer_is_read_behind_what_nobody_takes() {
    let mut b = server_with_peer(config());
    let call = b.call(at(1), "m", &Raw(&[0x80]), TIMEOUT).unwrap();
    b.receive(at(1), &[ticks(6), answer(1)].concat());
    let Some(Event::Finished { call: ended, outcome: Ok(_) }) = b.poll_outcome() else { panic!() };
    assert_eq!((ended, b.deliveries_waiting()), (call, 6));

    assert!(!b.wants_read(), "nothing is awaited any more");
    assert_eq!(events(&mut b).len(), 6);
    assert!(b.wants_read());
}

#[test]
fn the_reserve_has_an_end() {
    let mut b = server_with_peer(config());
    b.call(at(1), "m", &Raw(&[0x80]), TIMEOUT).unwrap();
    b.receive(at(1), &ticks(7));
    assert!(b.wants_read());
    b.receive(at(1), &ticks(7));
    assert_eq!((b.deliveries_waiting(), b.wants_read()), (8, false));

    let mut config = config();
    config.limits.receive_queue_bytes = 1000;
    let mut b = server_with_peer(config);
    b.call(at(1), "m", &Raw(&[0x80]), TIMEOUT).unwrap();
    b.receive(at(1), &message("tick", &[&[0xda, 19, 136][..], &[b'x'; 5000]].concat()));
    assert_eq!((b.deliveries_waiting(), b.wants_read()), (1, true));
    b.receive(at(1), &ticks(1));
    assert_eq!((b.deliveries_waiting(), b.wants_read()), (2, false));
}

#[test]
fn whoever_begins_to_wait_reads_on() {
    let begin: [fn(&mut Connection); 3] = [
        |b| assert!(b.call(at(2), "m", &Raw(&[0x80]), TIMEOUT).is_ok()),
        |b| assert!(b.send_acked(at(2), "m", &Raw(&[0xc0]), TIMEOUT).is_ok()),
        |b| assert!(b.respond(at(2), RequestId(1), &Typed(&"x".repeat(1000))).is_ok()),
    ];
    for begin in begin {
        let mut b = server_with_peer(config());
        b.receive(at(1), &request(1, "m"));
        assert_eq!(events(&mut b).len(), 1);
        // All of it has been received, so nobody would look at the rest but this side by itself.
        b.receive(at(1), &ticks(6));
        assert_eq!((b.deliveries_waiting(), b.wants_read()), (4, false));
        begin(&mut b);
        assert_eq!((b.deliveries_waiting(), b.wants_read()), (6, true));
    }
}
