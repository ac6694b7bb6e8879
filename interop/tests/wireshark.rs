//! The dissector for Wireshark, run by tshark on captures of real bytes.

#[path = "../../cli/tests/support/capture.rs"]
mod capture;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use capture::{Conversation, Link, Order, pcap, pcapng};
use cndt_interop::{PASSWORD, fixture, in_time};
use cndt_tokio::core::limits::FRAME_CEILING;
use cndt_tokio::core::wire::{Decoder, Dialect, Dialects, Flags, HEADER_LEN, Header, Kind};
use cndt_tokio::{CallError, Client, ClientDescriptor};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const CLIENT: &str = "10.0.0.1:50000";
const SERVER: &str = "10.0.0.2:4711";
/// Data of one packet, at most.
const SEGMENT: usize = 1400;

/// tshark, installed if it was not there.
fn tshark() -> &'static Path {
    static TSHARK: OnceLock<PathBuf> = OnceLock::new();
    TSHARK.get_or_init(|| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("setup-wireshark.sh");
        let ran = Command::new("bash").arg(script).output().expect("bash runs");
        let words = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.status.success(), "interop/setup-wireshark.sh failed: {words}");
        let said = String::from_utf8(ran.stdout).expect("text");
        PathBuf::from(said.lines().last().expect("its path"))
    })
}

/// What tshark says about a capture, in two passes as Wireshark reads one.
fn run(file: &[u8], arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("capture");
    std::fs::write(&path, file).expect("it is written");
    let dissector = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wireshark/cndt.lua");
    let ran = Command::new(tshark())
        // Neither the settings nor the plugins of whoever runs this.
        .env("HOME", folder.path())
        .env("XDG_CONFIG_HOME", folder.path())
        .arg("-X")
        .arg(format!("lua_script:{}", dissector.display()))
        .args(["-n", "-2", "-r"])
        .arg(&path)
        .args(arguments)
        .output()
        .expect("tshark runs");
    let words = String::from_utf8_lossy(&ran.stderr);
    // It goes on without a dissector that has an error, and says so.
    assert!(ran.status.success() && !words.contains("Lua"), "{words}");
    String::from_utf8(ran.stdout).expect("text")
}

/// These fields of every packet with a frame, or with bytes that are none; several values of a
/// packet stand between `|`.
fn fields(file: &[u8], names: &[&str]) -> Vec<Vec<String>> {
    let mut arguments =
        vec!["-Y", "cndt", "-T", "fields", "-E", "separator=/t", "-E", "aggregator=|"];
    arguments.extend(names.iter().flat_map(|name| ["-e", *name]));
    // tshark shows an error of the dissector as a part of the packet, and goes on.
    assert_eq!(run(file, &["-Y", "_ws.lua"]), "", "errors of the dissector");
    let said = run(file, &arguments);
    said.lines().map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

fn raw_capture(packets: &[Vec<u8>]) -> Vec<u8> {
    pcap(Order::Little, Link::Raw, packets)
}

fn frame(dialect: Dialect, header: Header, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a length");
    let header = Header { length, ..header }.encode(dialect).expect("the dialect has it");
    [&header[..], payload].concat()
}

fn request(dialect: Dialect, id: u64) -> Vec<u8> {
    let header = Header { correlation: id, ..Header::new(Kind::RpcRequest) };
    frame(dialect, header, b"\x82\xa6method\xa3add\xa6params\x82\xa1a\x0a\xa1b\x14")
}

const DIALECTS: [Dialect; 2] = [Dialect::Cndt, Dialect::Netconduit];

/// The dissector's name and number of every code, which are those of the core and no others.
#[test]
fn types_are_those_of_the_core() {
    for dialect in DIALECTS {
        let codes = match dialect {
            Dialect::Cndt => 1..=0xFF_u16,
            Dialect::Netconduit => 0..=0x1FF,
        };
        let kinds: Vec<Kind> = codes.map(|code| Kind::from_code(dialect, code)).collect();
        let talk = Conversation::new(CLIENT, SERVER).open();
        let talk = kinds
            .iter()
            .fold(talk, |talk, kind| talk.client(&frame(dialect, Header::new(*kind), b"")));
        let said = fields(
            &raw_capture(&talk.packets),
            &["cndt.dialect", "cndt.type", "cndt.type_code", "_ws.expert.message"],
        );
        assert_eq!(said.len(), kinds.len());
        for (line, kind) in said.iter().zip(kinds) {
            let code = kind.code(dialect).expect("it was made from one");
            let (name, expert) = match kind {
                Kind::Unknown(code) => (format!("UNKNOWN_0x{code:02x}"), "Unknown type"),
                known => (known.name().to_owned(), ""),
            };
            assert_eq!(line[..], [dialect.name(), &name, &format!("0x{code:04x}"), expert]);
        }
    }
}

#[test]
fn flags_are_those_of_the_core() {
    let names = Flags::from_bits(Dialect::Netconduit, u16::MAX).0.with(Flags::PRIORITY_LOW);
    let names: Vec<&str> = names.names().collect();
    for dialect in DIALECTS {
        let all: Vec<(Flags, u16)> =
            (0..16).map(|bit| Flags::from_bits(dialect, 1 << bit)).collect();
        let talk = all.iter().fold(Conversation::new(CLIENT, SERVER).open(), |talk, bit| {
            let (flags, unknown_flags) = *bit;
            talk.client(&frame(
                dialect,
                Header { flags, unknown_flags, ..Header::new(Kind::Message) },
                b"",
            ))
        });
        let flag_fields: Vec<String> =
            names.iter().map(|name| format!("cndt.flags.{}", name.to_lowercase())).collect();
        let mut wanted = vec!["cndt.flags.unknown"];
        wanted.extend(flag_fields.iter().map(String::as_str));
        let said = fields(&raw_capture(&talk.packets), &wanted);
        assert_eq!(said.len(), 16);
        for (line, (flags, unknown)) in said.iter().zip(all) {
            let unknown = if unknown == 0 { String::new() } else { format!("0x{unknown:04x}") };
            assert_eq!(line[0], unknown);
            let set: Vec<&str> = names
                .iter()
                .zip(&line[1..])
                .filter(|(_, value)| matches!(value.as_str(), "1" | "True"))
                .map(|(name, _)| *name)
                .collect();
            assert_eq!(set, flags.names().collect::<Vec<_>>(), "{line:?}");
        }
    }
}

#[test]
fn the_fields_of_a_header_are_where_the_core_writes_them() {
    for dialect in DIALECTS {
        let header = Header {
            correlation: 0x8000_0000_0000_0001,
            timestamp: 1_765_648_540_340,
            reserved: 0x0102,
            ..Header::new(Kind::Message)
        };
        let talk =
            Conversation::new(CLIENT, SERVER).open().client(&frame(dialect, header, b"\xc0"));
        let said = fields(
            &raw_capture(&talk.packets),
            &[
                "cndt.magic",
                "cndt.length",
                "cndt.correlation_id",
                "cndt.timestamp",
                "cndt.reserved",
                "_ws.expert.message",
            ],
        );
        let [line] = &said[..] else { panic!("{said:?}") };
        assert_eq!(line[..3], ["CNDT", "1", "9223372036854775809"], "{line:?}");
        assert!(line[3].contains("17:55:40.340"), "{line:?}");
        assert!(line[4].ends_with("0102") && line[5].contains("Reserved bytes"), "{line:?}");
    }
}

/// What went through the proxy, in order: `true` from the client.
type Pieces = Vec<(bool, Vec<u8>)>;

/// Passes bytes on, and tells each piece first.
async fn pass(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    is_client: bool,
    log: mpsc::UnboundedSender<(bool, Vec<u8>)>,
) {
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let piece = buffer[..length].to_vec();
        // Told before it is passed on, so that no answer stands in front of its request.
        let _ = log.send((is_client, piece.clone()));
        if to.write_all(&piece).await.is_err() {
            break;
        }
    }
}

/// What a client and a server said to each other, over a proxy that writes it down.
async fn record(dialect: Dialect) -> Pieces {
    let server = fixture::server(fixture::descriptor().enable_compression(true));
    let server = server.start().await.expect("a free port");
    let proxy = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let descriptor =
        ClientDescriptor::new("127.0.0.1", proxy.local_addr().expect("bound").port(), PASSWORD);
    let client = Client::new(descriptor.dialect(dialect).enable_compression(true));
    let (log, mut pieces) = mpsc::unbounded_channel();
    let target = server.address();
    let passing = tokio::spawn(async move {
        let (near, _) = proxy.accept().await.expect("the client comes");
        let far = TcpStream::connect(target).await.expect("the server listens");
        let ((near_read, near_write), (far_read, far_write)) =
            (near.into_split(), far.into_split());
        tokio::join!(
            pass(near_read, far_write, true, log.clone()),
            pass(far_read, near_write, false, log)
        );
    });
    let client = in_time(client.connect()).await.expect("it connects");
    let sum: i64 = client.call("add", &json!({"a": 10, "b": 20})).await.expect("an answer");
    assert_eq!(sum, 30);
    let refused: Result<Value, CallError> = client.call("nope", &json!({})).await;
    assert!(refused.is_err());
    // Random enough that it takes several packets even when it is compressed.
    let long: Vec<u32> = (0..4000_u32).map(|n| n.wrapping_mul(2_654_435_761) >> 8).collect();
    let back: Value = client.call("echo", &json!({"numbers": long})).await.expect("an answer");
    assert_eq!(back["numbers"][3999], long[3999]);
    client.ping().await.expect("a pong");
    client.disconnect().await;
    in_time(passing).await.expect("both ends close");
    server.stop().await;
    let mut all = Vec::new();
    while let Some(piece) = pieces.recv().await {
        all.push(piece);
    }
    all
}

/// As packets of an ordinary size, none of which has parts of two frames: fields of a packet do not
/// tell which frame they belong to.
fn as_packets(pieces: &Pieces) -> Vec<Vec<u8>> {
    let mut talk = Conversation::new(CLIENT, SERVER).open();
    let mut decoders = [(); 2].map(|()| Decoder::new(Dialects::BOTH, FRAME_CEILING));
    for (is_client, bytes) in pieces {
        let decoder = &mut decoders[usize::from(*is_client)];
        decoder.push(bytes);
        while let Some(found) = decoder.next_frame().expect("frames") {
            let bytes = frame(found.dialect, found.header, &found.payload);
            for segment in bytes.chunks(SEGMENT) {
                talk = if *is_client { talk.client(segment) } else { talk.server(segment) };
            }
        }
    }
    assert!(decoders.iter().all(|decoder| decoder.buffered() == 0));
    talk.close().packets
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_conversation_is_read_and_linked() {
    for dialect in DIALECTS {
        let packets = as_packets(&record(dialect).await);
        for file in [raw_capture(&packets), pcapng(Order::Big, Link::Ethernet, &packets)] {
            is_read_and_linked(dialect, &file);
        }
    }
}

fn is_read_and_linked(dialect: Dialect, file: &[u8]) {
    let said = fields(
        file,
        &[
            "frame.number",
            "cndt.dialect",
            "cndt.type",
            "cndt.correlation_id",
            "cndt.method",
            "cndt.response_in",
            "cndt.request_in",
            "cndt.response_time",
            "cndt.error_code",
            "cndt.flags.compressed",
            "_ws.malformed",
        ],
    );
    let find = |kind: &str, nth: usize| {
        let of_kind = |line: &&Vec<String>| line[2] == kind;
        let found = said.iter().filter(of_kind).nth(nth);
        found.unwrap_or_else(|| panic!("{kind} {nth} in {said:#?}"))
    };
    assert!(said.iter().all(|line| line[10].is_empty()), "{said:#?}");
    assert!(said.iter().all(|line| line[1].split('|').all(|it| it == dialect.name())), "{said:#?}");

    let (add, sum) = (find("RPC_REQUEST", 0), find("RPC_RESPONSE", 0));
    assert_eq!((add[4].as_str(), &add[3]), ("add", &sum[3]));
    assert_eq!((&add[5], &sum[6]), (&sum[0], &add[0]), "{said:#?}");
    // Packets come a millisecond after another.
    let between = sum[0].parse::<i32>().expect("n") - add[0].parse::<i32>().expect("n");
    let seconds: f64 = sum[7].parse().expect("seconds");
    assert!((seconds - f64::from(between) / 1000.0).abs() < 1e-6, "{said:#?}");

    let refusal = match dialect {
        Dialect::Cndt => find("RPC_ERROR", 0),
        Dialect::Netconduit => find("RPC_RESPONSE", 1),
    };
    assert_eq!((refusal[8].as_str(), refusal[7].is_empty()), ("4000", false), "{said:#?}");

    let last = said.iter().rfind(|line| line[2] == "RPC_RESPONSE").expect("the echo");
    assert!(matches!(last[9].as_str(), "1" | "True"), "it is compressed: {said:#?}");
    let values =
        run(file, &["-Y", "cndt.flags.compressed == 1", "-T", "fields", "-e", "cndt.value.int"]);
    let wanted = 3999_u32.wrapping_mul(2_654_435_761) >> 8;
    assert_eq!(values.lines().count(), 2, "request and answer");
    assert!(values.lines().all(|line| line.ends_with(&format!("{wanted}"))), "{values}");

    let (ping, pong) = (find("HEARTBEAT_PING", 0), find("HEARTBEAT_PONG", 0));
    assert_eq!((&ping[5], &pong[6]), (&pong[0], &ping[0]));
    let success = find("AUTH_SUCCESS", 0);
    assert!(!success[6].is_empty() && !success[7].is_empty(), "{said:#?}");
}

/// Each form of a value, and how it is shown: its field and that field's value.
const VALUES: [(&[u8], &str, &str); 24] = [
    (b"\x7f", "int", "127"),
    (b"\xe0", "int", "-32"),
    (b"\xcc\xff", "int", "255"),
    (b"\xcd\xff\xff", "int", "65535"),
    (b"\xce\xff\xff\xff\xff", "int", "4294967295"),
    (b"\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", "int", "9223372036854775807"),
    (b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "uint", "18446744073709551615"),
    (b"\xd0\x80", "int", "-128"),
    (b"\xd1\x80\x00", "int", "-32768"),
    (b"\xd2\x80\x00\x00\x00", "int", "-2147483648"),
    (b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", "int", "-9223372036854775808"),
    (b"\xca\x3f\xc0\x00\x00", "float", "1.5"),
    (b"\xcb\xbf\xf8\x00\x00\x00\x00\x00\x00", "float", "-1.5"),
    (b"\xa2hi", "text", "hi"),
    (b"\xd9\x02hi", "text", "hi"),
    (b"\xda\x00\x02hi", "text", "hi"),
    (b"\xdb\x00\x00\x00\x02hi", "text", "hi"),
    (b"\xc4\x01x", "binary", "c40178"),
    (b"\xc6\x00\x00\x00\x01x", "binary", "c60000000178"),
    (b"\xd4\x05x", "binary", "d40578"),
    (b"\xc8\x00\x01\x05x", "binary", "c800010578"),
    (b"\xdc\x00\x01\x07", "int", "7"),
    (b"\xdf\x00\x00\x00\x01\xc0\x07", "int", "7"),
    (b"\x82\x01\xa1k\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\x90", "text", "k"),
];

#[test]
fn every_form_of_a_value_is_read() {
    let all = VALUES.iter().fold(Conversation::new(CLIENT, SERVER).open(), |talk, (bytes, ..)| {
        talk.client(&frame(Dialect::Cndt, Header::new(Kind::Message), bytes))
    });
    let names = ["int", "uint", "float", "text", "binary"].map(|it| format!("cndt.value.{it}"));
    let mut wanted = vec!["_ws.expert.message"];
    wanted.extend(names.iter().map(String::as_str));
    let said = fields(&raw_capture(&all.packets), &wanted);
    assert_eq!(said.len(), VALUES.len());
    for (line, (bytes, field, value)) in said.iter().zip(VALUES) {
        let place = wanted.iter().position(|name| name.ends_with(&format!(".{field}")));
        for (at, found) in line.iter().enumerate() {
            let expected = if Some(at) == place { value } else { "" };
            assert_eq!(found, expected, "{bytes:02x?}: {line:?}");
        }
    }
}

/// Bytes that are damaged, and what the dissector calls it.
fn damaged(dialect: Dialect) -> Vec<(Vec<u8>, &'static str)> {
    let sound = request(dialect, 1);
    let mut version = sound.clone();
    version[4] = 9;
    let mut long = sound;
    let at = if dialect == Dialect::Cndt { 8 } else { 12 };
    long[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
    let payload = |bytes: &[u8]| frame(dialect, Header::new(Kind::Message), bytes);
    let deep = [&[0x91; 200][..], &[0xC0]].concat();
    let flags = Flags::COMPRESSED;
    let no_zlib = frame(dialect, Header { flags, ..Header::new(Kind::Message) }, b"no zlib");
    vec![
        (b"oops".to_vec(), "These bytes are no CNDT frame"),
        (version, "Unknown version"),
        (long, "longer than any may be"),
        (payload(b"\xc1"), "0xc1 at byte 0 begins no value"),
        (payload(b"\x92\x01"), "ends inside a value, at byte 2"),
        (payload(b"\xdf\xff\xff\xff\xff"), "ends inside a value, at byte 5"),
        (payload(b"\x01\x02"), "1 bytes follow"),
        (no_zlib, "no zlib stream"),
        (payload(&deep), "not shown"),
    ]
}

#[test]
fn damage_is_told_and_the_next_frame_is_found() {
    for dialect in DIALECTS {
        let (mut packets, mut expected) = (Vec::new(), Vec::new());
        for (number, (bytes, words)) in damaged(dialect).into_iter().enumerate() {
            let client = format!("10.0.0.1:{}", 50_000 + number);
            let talk = Conversation::new(&client, SERVER).open().client(&request(dialect, 1));
            let next = request(dialect, 7);
            // Both in one packet, and in packets of their own.
            let one = talk.client(&[&bytes[..], &next].concat()).close();
            packets.extend(one.packets);
            expected.push(words);
            let client = format!("10.0.0.3:{}", 50_000 + number);
            let talk = Conversation::new(&client, SERVER).open().client(&request(dialect, 1));
            packets.extend(talk.client(&bytes).client(&next).close().packets);
            expected.push(words);
        }
        let said = fields(
            &raw_capture(&packets),
            &["tcp.stream", "cndt.correlation_id", "_ws.expert.message"],
        );
        for (stream, words) in expected.into_iter().enumerate() {
            let of_stream = |line: &&Vec<String>| line[0] == stream.to_string();
            let lines: Vec<_> = said.iter().filter(of_stream).collect();
            let told = lines.iter().filter(|line| line[2].contains(words)).count();
            assert_eq!(told, 1, "{dialect} {words}: {lines:?}");
            let last = lines.last().expect("a line")[1].split('|').next_back();
            assert_eq!(last, Some("7"), "{dialect} {words}: {lines:?}");
        }
    }
}

/// The ids of the frames in a capture, in order.
fn ids(file: &[u8], options: &[&str]) -> Vec<u64> {
    let wanted = ["-T", "fields", "-E", "aggregator=|", "-e", "cndt.correlation_id"];
    let said = run(file, &[&["-Y", "cndt"], options, &wanted].concat());
    let all = said.lines().flat_map(|line| line.split('|'));
    all.map(|id| id.parse().expect("a number")).collect()
}

#[test]
fn frames_are_found_however_packets_cut_them() {
    let frames: Vec<u8> = (1..=30).flat_map(|id| request(Dialect::Cndt, id)).collect();
    for size in [1, 7, 31, 33, 57, 59, 500, 1400] {
        // The first six bytes tell the protocol.
        let (first, rest) = frames.split_at(size.max(6));
        let talk = Conversation::new(CLIENT, SERVER).open().client(first);
        let talk = rest.chunks(size).fold(talk, Conversation::client).close();
        let expected: Vec<u64> = (1..=30).collect();
        assert_eq!(ids(&raw_capture(&talk.packets), &[]), expected, "in pieces of {size}");
    }
    assert_eq!(HEADER_LEN, 32);
}

#[test]
fn ports_of_other_protocols_are_cndt_where_it_is_asked_for() {
    let talk = Conversation::new("10.0.0.1:80", "10.0.0.2:443").open();
    let file = raw_capture(&talk.client(&request(Dialect::Cndt, 5)).close().packets);
    assert_eq!(ids(&file, &["-o", "tcp.try_heuristic_first:TRUE"]), [5]);
    assert_eq!(ids(&file, &["-d", "tcp.port==80,cndt"]), [5]);
}

/// The first column of the document's table of filters.
#[test]
fn the_documented_filters_are_filters_that_find_something() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/wireshark.md");
    let document = std::fs::read_to_string(path).expect("the document");
    let filters: Vec<String> = document
        .lines()
        .skip_while(|line| !line.starts_with("| filter |"))
        .skip(2)
        .map_while(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(filter, _)| filter.replace("\\|", "|"))
        .collect();
    assert!(filters.len() > 10, "{filters:?}");
    let file = raw_capture(&everything());
    for filter in filters {
        let found = run(&file, &["-Y", &filter]);
        assert!(!found.is_empty(), "`{filter}` finds nothing");
    }
}

/// Something for every filter.
fn everything() -> Vec<Vec<u8>> {
    let sends = |dialect, kind, id, payload: &[u8]| {
        frame(dialect, Header { correlation: id, ..Header::new(kind) }, payload)
    };
    let here = Dialect::Cndt;
    let failure = b"\x83\xa7success\xc2\xa5error\xa4nope\xa4code\xcd\x0f\xa0";
    let flags = Flags::COMPRESSED;
    let idle = Conversation::new("10.0.0.9:1", SERVER).open().client(&request(here, 1)).close();
    let unknown = Header { unknown_flags: 0x8000, ..Header::new(Kind::Unknown(0x77)) };
    let away = Conversation::new("10.0.0.9:3", SERVER)
        .open()
        .client(&request(Dialect::Netconduit, 1))
        .client(&sends(Dialect::Netconduit, Kind::AuthFailure, 0, b"\x81\xa6reason\xa2no"));
    let mut talk = Conversation::new(CLIENT, SERVER).open().client(&request(here, 7));
    // Each packet comes a millisecond after the one before it.
    for _ in 0..150 {
        talk = talk.client(&sends(here, Kind::HeartbeatPing, 0, b""));
    }
    let talk = talk
        .server(&sends(here, Kind::RpcError, 7, failure))
        .client(&sends(here, Kind::Message, 0, b"\x82\xa4type\xa4chat\xa4data\xa3ada"))
        .client(&sends(here, Kind::Message, 0, b"\xc1"))
        .client(&frame(here, unknown, b""))
        .client(&frame(here, Header { flags, ..Header::new(Kind::Message) }, b"no zlib"));
    let other = Conversation::new("10.0.0.9:2", SERVER).open().close();
    // The connection that the document's example names is the fourth.
    [idle.packets, away.packets, other.packets, talk.packets].concat()
}
