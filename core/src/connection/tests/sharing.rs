//! Large data goes out from where it lies, and comes in where it was received.

use super::*;
use crate::message::{Blob, Body, from_bytes};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Album {
    title: alloc::string::String,
    pictures: Vec<Blob>,
    last: u8,
}

fn blob(seed: u8, size: usize) -> Blob {
    (0..size).map(|at| (at % 251) as u8 ^ seed).collect::<Vec<u8>>().into()
}

/// Large ones beside each other, at the end and between small ones.
fn album() -> Album {
    let sizes = [40_000, 16 * 1024, 100, 90_000, 0, 16 * 1024 - 1, 50_000];
    let pictures = (0..).zip(sizes).map(|(seed, size)| blob(seed, size)).collect();
    Album { title: "holidays".into(), pictures, last: 7 }
}

fn cndt_pair() -> (Connection, Connection) {
    let (mut a, mut b) = (cndt_client(Config::default()), both_server(Config::default()));
    pump(Instant::ZERO, &mut a, &mut b);
    assert!(matches!(events(&mut a).first(), Some(Event::Opened(_))));
    assert!(matches!(events(&mut b).first(), Some(Event::Opened(_))));
    (a, b)
}

/// Whether what `of` is about to write lies in `data`'s memory.
fn is_shared(of: &Connection, data: &[u8]) -> bool {
    of.transmit().any(|piece| piece.as_ptr_range() == data.as_ptr_range())
}

fn request_in(events: &[Event]) -> &Request {
    match events {
        [Event::Request(request)] => request,
        other => panic!("no request, but {other:?}"),
    }
}

#[test]
fn large_data_is_not_copied_into_frames_nor_out_of_them() {
    let (mut a, mut b) = cndt_pair();
    let sent = album();
    let call = a.call(at(1), "keep", &Typed(&sent), TIMEOUT).unwrap();
    for picture in &sent.pictures {
        assert_eq!(is_shared(&a, picture), picture.len() >= 16 * 1024, "{}", picture.len());
    }
    b.receive(at(1), &take_output(at(1), &mut a));
    let asked = events(&mut b);
    let request = request_in(&asked);
    let got: Album = from_bytes(&request.params).unwrap();
    assert_eq!(got, sent);
    for picture in &got.pictures {
        let is_inside = request.params.as_ptr_range().contains(&picture.as_ptr());
        assert_eq!(is_inside, picture.len() >= 16 * 1024, "{}", picture.len());
    }
    b.respond(at(2), request.id, &Typed(&got.pictures[3])).unwrap();
    assert!(is_shared(&b, &got.pictures[3]));
    a.receive(at(2), &take_output(at(2), &mut b));
    let [Event::Finished { call: finished, outcome: Ok(reply) }] = &events(&mut a)[..] else {
        panic!("no answer")
    };
    assert_eq!(*finished, call);
    assert_eq!(from_bytes::<Blob>(&reply.data).unwrap(), sent.pictures[3]);
}

#[test]
fn frames_with_shared_data_are_the_same_bytes() {
    let sent = album();
    let write = |blobs: bool| {
        let (mut a, _) = cndt_pair();
        a.send(at(1), "small", &Raw(&[1])).unwrap();
        let mut value = BytesMut::new();
        Typed(&sent).write(&mut value).unwrap();
        for _ in 0..2 {
            if blobs {
                a.send(at(1), "album", &Typed(&sent)).unwrap();
            } else {
                a.send(at(1), "album", &Raw(&value)).unwrap();
            }
            a.send(at(1), "small", &Raw(&[2])).unwrap();
        }
        take_output(at(1), &mut a)
    };
    let shared = write(true);
    assert!(shared == write(false));
    assert_eq!(frames(&shared).len(), 5);
}

#[test]
fn they_leave_in_any_steps_and_a_pause_takes_back_the_rest() {
    let sent = album();
    for step in [1, 31, 4096, 40_100, 200_000] {
        let (mut a, mut b) = cndt_pair();
        a.send(at(1), "first", &Typed(&sent)).unwrap();
        a.send(at(1), "second", &Typed(&sent)).unwrap();
        let whole: Vec<u8> = a.transmit().flatten().copied().collect();
        let mut written = whole[..step].to_vec();
        a.advance_transmit(at(1), step);
        a.receive(at(1), &frame_of(Dialect::Cndt, Kind::Pause, Flags::empty(), 0, &[]));
        while a.pending_bytes() > 0 {
            let next: Vec<u8> = a.transmit().flatten().copied().take(step.max(1000)).collect();
            a.advance_transmit(at(1), next.len());
            written.extend(next);
        }
        assert_eq!(frames(&written).len(), 1, "what has begun is finished");
        a.receive(at(1), &frame_of(Dialect::Cndt, Kind::Resume, Flags::empty(), 0, &[]));
        written.extend(take_output(at(1), &mut a));
        assert!(written == whole, "in steps of {step}");
        b.receive(at(1), &written);
        assert_eq!(events(&mut b).len(), 2);
    }
}

#[test]
fn what_is_refused_leaves_nothing_behind() {
    let mut config = Config::default();
    config.limits.frame_max = 300_000;
    let (mut a, mut b) = (cndt_client(config), both_server(Config::default()));
    pump(Instant::ZERO, &mut a, &mut b);
    drop((events(&mut a), events(&mut b)));
    a.send(at(1), "before", &Raw(&[1])).unwrap();
    let many = [blob(1, 100_000), blob(2, 100_000), blob(3, 100_000)];
    let refused = a.send(at(1), "m", &Typed(&many)).unwrap_err();
    assert!(matches!(refused, SendError::TooLarge { length, max: 300_000 } if length > 300_000));
    let broken = (blob(4, 100_000), Unwritable);
    let refused = a.send(at(1), "m", &Typed(&broken)).unwrap_err();
    assert!(matches!(refused, SendError::Body(_)));
    a.send(at(1), "after", &Typed(&blob(5, 100_000))).unwrap();
    b.receive(at(1), &take_output(at(1), &mut a));
    let [Event::Message(before), Event::Message(after)] = &events(&mut b)[..] else {
        panic!("two messages")
    };
    assert_eq!(before.name.as_str(), "before");
    assert_eq!(from_bytes::<Blob>(&after.data).unwrap(), blob(5, 100_000));
}

#[test]
fn behind_much_that_waits_only_the_largest_is_shared() {
    let (mut a, _) = cndt_pair();
    let blobs = [blob(0, 900_000), blob(1, 900_000), blob(2, 900_000), blob(3, 1024 * 1024)];
    for blob in &blobs {
        a.send(at(1), "large", &Typed(blob)).unwrap();
    }
    assert_eq!(blobs.map(|blob| is_shared(&a, &blob)), [true, true, false, true]);
}

struct Unwritable;

impl Serialize for Unwritable {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("no"))
    }
}

#[test]
fn what_must_be_looked_at_as_a_whole_is_copied() {
    let large = blob(1, 100_000);
    let (mut a, mut b) = pair();
    a.send(at(1), "python", &Typed(&large)).unwrap();
    assert!(!is_shared(&a, &large));
    b.receive(at(1), &take_output(at(1), &mut a));
    let [Event::Message(message)] = &events(&mut b)[..] else { panic!("one message") };
    assert_eq!(from_bytes::<Blob>(&message.data).unwrap(), large);

    let config = || Config { compression: true, ..Config::default() };
    let (mut a, mut b) = (cndt_client(config()), both_server(config()));
    pump(Instant::ZERO, &mut a, &mut b);
    drop((events(&mut a), events(&mut b)));
    a.send(at(1), "smaller", &Typed(&large)).unwrap();
    assert!(a.pending_bytes() < 10_000);
    b.receive(at(1), &take_output(at(1), &mut a));
    let [Event::Message(message)] = &events(&mut b)[..] else { panic!("one message") };
    assert_eq!(from_bytes::<Blob>(&message.data).unwrap(), large);
}
