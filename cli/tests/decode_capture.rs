//! `cndt decode` on captures of packets.

#[path = "support/capture.rs"]
mod capture;
mod support;

use capture::{ACK, Conversation, FIN, Link, Order, RST, SYN, packet, pcap, pcapng};
use support::{Ran, run, run_with_input};

const CLIENT: &str = "10.0.0.1:50000";
const SERVER: &str = "10.0.0.2:4711";

/// A frame of dialect `cndt` with this payload.
fn frame(kind: u8, id: u64, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a length");
    let millis = 0x19B_18DA_A2B4_u64;
    [
        &b"CNDT\x01"[..],
        &[kind, 0, 0],
        &length.to_be_bytes(),
        &id.to_be_bytes(),
        &millis.to_be_bytes(),
        &[0; 4],
        payload,
    ]
    .concat()
}

fn request(id: u64) -> Vec<u8> {
    frame(2, id, b"\x82\xa6method\xa3add\xa6params\x82\xa1a\x0a\xa1b\x14")
}

fn answer(id: u64) -> Vec<u8> {
    frame(3, id, b"\x82\xa7success\xc3\xa6result\x1e")
}

fn decode(file: &[u8]) -> Ran {
    run_with_input(&["decode"], file)
}

fn decode_packets(packets: &[Vec<u8>]) -> Ran {
    decode(&pcap(Order::Little, Link::Raw, packets))
}

/// The lines of one direction without what only the capture knows.
fn lines_from<'a>(ran: &'a Ran, source: &str) -> Vec<&'a str> {
    let ours = |line: &&str| line.split(' ').nth(1) == Some(source);
    let stripped = |line: &'a str| line.splitn(6, ' ').nth(5).expect("six words and more");
    ran.stdout.lines().filter(ours).map(stripped).collect()
}

/// What the raw bytes of that direction are decoded to.
fn is_as_raw(ran: &Ran, source: &str, bytes: &[u8]) {
    let raw = run_with_input(&["decode"], bytes);
    assert_eq!(lines_from(ran, source), raw.stdout.lines().collect::<Vec<_>>(), "{ran:?}");
}

#[test]
fn a_line_tells_the_connection_and_the_time_in_front_of_what_the_bytes_say() {
    let talk = Conversation::new(CLIENT, SERVER).open().client(&request(1)).server(&answer(1));
    let ran = decode_packets(&talk.close().packets);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let expected = "2025-12-13T17:55:40.003000Z 10.0.0.1:50000 -> 10.0.0.2:4711 - \
         0 cndt RPC_REQUEST - 26 1 2025-12-13T17:55:40.340Z \
         {\"method\":\"add\",\"params\":{\"a\":10,\"b\":20}}\n\
         2025-12-13T17:55:40.004000Z 10.0.0.2:4711 -> 10.0.0.1:50000 0.001000s \
         0 cndt RPC_RESPONSE - 18 1 2025-12-13T17:55:40.340Z {\"success\":true,\"result\":30}\n";
    assert_eq!(ran.stdout, expected);
}

#[test]
fn every_link_order_format_and_family_reads_the_same() {
    for (client, server) in [(CLIENT, SERVER), ("[2001:db8::1]:50000", "[2001:db8::2]:4711")] {
        let talk = Conversation::new(client, server).open().client(&request(1)).server(&answer(1));
        let packets = talk.close().packets;
        let expected = decode_packets(&packets);
        assert_eq!((expected.status, expected.stdout.lines().count()), (0, 2), "{expected:?}");
        for link in Link::ALL {
            for order in [Order::Big, Order::Little] {
                for file in [pcap(order, link, &packets), pcapng(order, link, &packets)] {
                    let ran = decode(&file);
                    assert_eq!(ran.stdout, expected.stdout, "{link:?} {order:?}");
                    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{link:?} {order:?}");
                }
            }
        }
    }
}

#[test]
fn a_capture_on_loopback_is_read_from_a_file() {
    for name in ["loopback.pcap", "any.pcap"] {
        let path = format!("{}/tests/captures/{name}", env!("CARGO_MANIFEST_DIR"));
        let ran = run(&["decode", "--json", &path]);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
        let frames: Vec<serde_json::Value> =
            ran.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        for dialect in ["cndt", "netconduit"] {
            let of = |kind: &str| {
                let is_it = |frame: &&serde_json::Value| {
                    frame["dialect"] == dialect && frame["type"] == kind
                };
                frames.iter().find(is_it).unwrap_or_else(|| panic!("{kind} in {ran:?}")).clone()
            };
            let (call, back) = (of("RPC_REQUEST"), of("RPC_RESPONSE"));
            assert_eq!(call["payload"]["method"], "add");
            assert_eq!(call["response_time"], serde_json::Value::Null);
            assert_eq!(back["correlation_id"], 1);
            assert_eq!(
                (&back["source"], &call["source"]),
                (&call["destination"], &back["destination"])
            );
            assert!(back["response_time"].as_f64().is_some_and(|time| time > 0.0), "{back}");
        }
    }
}

#[test]
fn segments_in_any_order_twice_and_overlapping_are_put_together() {
    let stream: Vec<u8> = (1..=40).flat_map(request).collect();
    let mut talk = Conversation::new(CLIENT, SERVER).open();
    let base = talk.client_next;
    let at = |from: usize, to: usize| {
        let sequence = base.wrapping_add(u32::try_from(from).expect("small"));
        packet(talk.client, talk.server, (sequence, talk.server_next), ACK, &stream[from..to])
    };
    let mut segments: Vec<_> =
        (0..stream.len()).step_by(90).map(|from| at(from, stream.len().min(from + 137))).collect();
    // A fixed shuffle, and everything twice.
    segments = (0..segments.len()).map(|n| segments[n * 7 % segments.len()].clone()).collect();
    assert_ne!(segments.len() % 7, 0, "or the shuffle loses some");
    talk.packets.extend(segments.iter().cloned());
    talk.packets.extend(segments);
    talk.client_next = base.wrapping_add(u32::try_from(stream.len()).expect("small"));
    let ran = decode_packets(&talk.close().packets);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert_eq!(lines_from(&ran, CLIENT).len(), 40);
    is_as_raw(&ran, CLIENT, &stream);
}

#[test]
fn what_is_missing_is_told_and_the_next_frame_is_found() {
    // In front of the second frame's end; the whole second; and across two frames.
    for (cut, expected) in
        [(80..100, vec![1, 3, 4]), (58..116, vec![1, 3, 4]), (70..130, vec![1, 4])]
    {
        let stream: Vec<u8> = (1..=4).flat_map(request).collect();
        let talk = Conversation::new(CLIENT, SERVER)
            .open()
            .client(&stream[..cut.start])
            .client_unseen(&stream[cut.clone()])
            .client(&stream[cut.end..])
            .close();
        let ran = decode_packets(&talk.packets);
        assert_eq!(ran.status, 1, "{ran:?}");
        let words = format!("{} bytes are missing at byte {}", cut.len(), cut.start);
        assert!(ran.stderr.contains(&words), "{words}: {ran:?}");
        let ids: Vec<u64> = lines_from(&ran, CLIENT)
            .iter()
            .map(|line| line.split(' ').nth(5).expect("an id").parse().expect("a number"))
            .collect();
        assert_eq!(ids, expected, "{ran:?}");
        let last = lines_from(&ran, CLIENT).pop().expect("a line");
        assert!(last.starts_with("174 "), "offsets count what is missing: {ran:?}");
    }
}

#[test]
fn what_looks_like_a_frame_within_a_damaged_one_is_none() {
    let mut payload = vec![0xC4, 120];
    payload.extend([request(9), vec![0; 62]].concat());
    let outer = frame(1, 0, &payload);
    let talk = Conversation::new(CLIENT, SERVER)
        .open()
        .client(&outer[..33])
        .client_unseen(&outer[33..34])
        .client(&outer[34..])
        .client(&request(2))
        .close();
    let ran = decode_packets(&talk.packets);
    assert!(
        ran.stderr.contains("1 bytes are missing at byte 33; the next frame found is at byte 154")
    );
    assert_eq!(lines_from(&ran, CLIENT).len(), 1, "{ran:?}");
    assert!(lines_from(&ran, CLIENT)[0].starts_with("154 cndt RPC_REQUEST - 26 2 "), "{ran:?}");
}

#[test]
fn missing_bytes_at_the_end_are_told_too() {
    let whole = request(1);
    let talk = Conversation::new(CLIENT, SERVER)
        .open()
        .client(&whole[..50])
        .client_unseen(&whole[50..])
        .close();
    let ran = decode_packets(&talk.packets);
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.contains("8 bytes are missing at byte 50"), "{ran:?}");

    let talk = Conversation::new(CLIENT, SERVER).open().client(&whole[..50]);
    let ran = decode_packets(&talk.packets);
    assert!(ran.status == 1 && ran.stderr.contains("8 bytes of its payload"), "{ran:?}");
}

#[test]
fn a_connection_that_was_open_is_read_from_its_next_frame() {
    let talk = Conversation::new(CLIENT, SERVER)
        .client(&request(1)[30..])
        .client(&request(2))
        .server(&answer(2));
    let ran = decode_packets(&talk.packets);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.contains("28 bytes passed over"), "{ran:?}");
    assert_eq!(ran.stdout.lines().count(), 2);
    assert!(ran.stdout.contains(" 0.001000s 0 cndt RPC_RESPONSE"), "{ran:?}");
}

#[test]
fn what_is_not_cndt_is_skipped_and_counted() {
    let http = b"GET / HTTP/1.1\r\nHost: example\r\n\r\n";
    let web = Conversation::new("10.0.0.3:1", "10.0.0.2:80").open().client(http).server(http);
    let late = Conversation::new("10.0.0.4:1", "10.0.0.2:22").client(&[0x43; 5000]);
    let talk = Conversation::new(CLIENT, SERVER).open().client(&request(1));
    let silent = Conversation::new("10.0.0.5:1", "10.0.0.2:81").open().close();
    let packets = [web.close().packets, late.packets, talk.packets, silent.packets].concat();
    let ran = decode_packets(&packets);
    assert_eq!((ran.status, ran.stdout.lines().count()), (0, 1), "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    assert!(ran.stderr.contains("2 TCP connections"), "{ran:?}");

    // But not where the other side speaks CNDT.
    let talk = Conversation::new(CLIENT, SERVER).open().client(&request(1)).server(http).close();
    let ran = decode_packets(&talk.packets);
    assert_eq!((ran.status, ran.stdout.lines().count()), (1, 1), "{ran:?}");
    assert!(ran.stderr.contains("10.0.0.2:4711 -> 10.0.0.1:50000: not a CNDT stream"), "{ran:?}");
}

#[test]
fn a_new_connection_between_the_same_ports_is_another() {
    let one = Conversation::new(CLIENT, SERVER).open().client(&request(1)).close();
    let mut two = Conversation::new(CLIENT, SERVER);
    (two.client_next, two.server_next) = (7, 8);
    let two = two.open().client(&request(1));
    let mut reset = Conversation::new(CLIENT, SERVER).open().client(&request(1)[..40]);
    reset.client_sends(RST, b"");
    for first in [one, reset] {
        let ran = decode_packets(&[first.packets, two.packets.clone()].concat());
        let last = lines_from(&ran, CLIENT).pop().expect("a line").to_owned();
        assert!(last.starts_with("0 cndt RPC_REQUEST"), "{ran:?}");
    }
    assert_eq!(SYN | ACK | FIN | RST, 0x17);
}

#[test]
fn no_number_of_connections_is_too_many() {
    let mut packets = Vec::new();
    let first = Conversation::new(CLIENT, SERVER).open().client(&request(1));
    packets.extend(first.packets.clone());
    for number in 0..4200 {
        let client = format!("10.1.{}.{}:9", number / 250, number % 250 + 1);
        packets.extend(Conversation::new(&client, SERVER).open().client(&request(2)).packets);
    }
    let mut again = first;
    again.packets.clear();
    packets.extend(again.client(&request(3)).packets);
    // A pipe would fill up while the command waits for its own to be read.
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), pcap(Order::Little, Link::Raw, &packets)).expect("it is written");
    let ran = run(&["decode", file.path().to_str().expect("text")]);
    assert_eq!((ran.status, ran.stdout.lines().count()), (0, 4202), "{}", ran.stderr);
    let words = "10.0.0.1:50000 -> 10.0.0.2:4711: followed no further";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1024, "a quarter of those that are followed");
}

#[test]
fn damage_in_a_stream_ends_that_stream_alone() {
    let mut broken = request(1);
    broken.extend(b"CNXT and more");
    let damaged = Conversation::new(CLIENT, SERVER).open().client(&broken).client(&request(3));
    let sound = Conversation::new("10.0.0.3:1", SERVER).open().client(&request(2));
    let ran = decode_packets(&[damaged.packets, sound.packets].concat());
    assert_eq!((ran.status, ran.stdout.lines().count()), (1, 2), "{ran:?}");
    assert!(
        ran.stderr.contains("10.0.0.1:50000 -> ") && ran.stderr.contains("byte 60 "),
        "{ran:?}"
    );
}

#[test]
fn a_damaged_capture_tells_its_byte_after_what_came_before() {
    let packets = Conversation::new(CLIENT, SERVER).open().client(&request(1)).close().packets;
    for order in [Order::Big, Order::Little] {
        for sound in [pcap(order, Link::Raw, &packets), pcapng(order, Link::Raw, &packets)] {
            let length = sound.len();
            let cut = decode(&sound[..length - 7]);
            assert_eq!((cut.status, cut.stdout.lines().count()), (1, 1), "{cut:?}");
            assert!(cut.stderr.contains("the capture ends inside this record"), "{cut:?}");

            let wild = [&sound[..], &[0xFF; 32]].concat();
            let wild = decode(&wild);
            assert_eq!((wild.status, wild.stdout.lines().count()), (1, 1), "{wild:?}");
            assert!(wild.stderr.contains(&format!("damaged at byte {length}: ")), "{wild:?}");
        }
    }
    let header = decode(&pcap(Order::Big, Link::Raw, &[])[..20]);
    assert!(header.status == 1 && header.stderr.contains("ends inside its header"), "{header:?}");
}

#[test]
fn packets_cut_by_the_capture_are_told() {
    let talk = Conversation::new(CLIENT, SERVER).open().client(&request(1)).client(&request(2));
    let mut packets = talk.close().packets;
    packets[3].truncate(20 + 20 + 40);
    let ran = decode_packets(&packets);
    assert_eq!((ran.status, ran.stdout.lines().count()), (1, 1), "{ran:?}");
    assert!(ran.stderr.contains("18 bytes are missing at byte 40"), "{ran:?}");
    assert!(ran.stderr.contains("1 packets were cut"), "{ran:?}");
}

#[test]
fn no_byte_of_a_capture_makes_it_fail_otherwise_than_by_words() {
    let packets = Conversation::new(CLIENT, SERVER).open().client(&request(1)).close().packets;
    let mut state = 0x9E37_79B9_u32;
    let mut random = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for round in 0..150 {
        let order = if round % 2 == 0 { Order::Big } else { Order::Little };
        let mut file = match round % 4 {
            0 | 1 => pcap(order, Link::Ethernet, &packets),
            _ => pcapng(order, Link::Cooked2, &packets),
        };
        for _ in 0..=random(4) {
            // Not the magic, which makes it a capture.
            let at = 4 + random(file.len() - 4);
            file[at] = u8::try_from(random(256)).expect("a byte");
        }
        let ran = decode(&file);
        assert!(ran.status <= 1 && !ran.stderr.contains("panicked"), "{round}: {ran:?}");
    }
}
