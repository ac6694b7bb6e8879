//! Captures of TCP connections, written byte by byte.
#![allow(dead_code, reason = "each test file uses what it needs")]

use std::net::{IpAddr, SocketAddr};

pub(crate) const FIN: u8 = 0x01;
pub(crate) const SYN: u8 = 0x02;
pub(crate) const RST: u8 = 0x04;
pub(crate) const ACK: u8 = 0x10;

/// The first packet of every capture: 2025-12-13T17:55:40Z. Each packet comes a millisecond later.
pub(crate) const BEGINS_AT: u64 = 1_765_648_540;

/// A connection whose packets are written down one by one.
#[derive(Debug, Clone)]
pub(crate) struct Conversation {
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
    /// The next sequence number of each.
    pub(crate) client_next: u32,
    pub(crate) server_next: u32,
    /// From the IP header on.
    pub(crate) packets: Vec<Vec<u8>>,
}

impl Conversation {
    /// Between these two; nothing was said yet.
    pub(crate) fn new(client: &str, server: &str) -> Self {
        Self {
            client: client.parse().expect("an address"),
            server: server.parse().expect("an address"),
            // They wrap soon.
            client_next: u32::MAX - 40,
            server_next: 1000,
            packets: Vec::new(),
        }
    }

    /// The three packets in front of everything.
    pub(crate) fn open(mut self) -> Self {
        self.client_sends(SYN, b"");
        self.client_next = self.client_next.wrapping_add(1);
        self.server_sends(SYN | ACK, b"");
        self.server_next = self.server_next.wrapping_add(1);
        self.client_sends(ACK, b"");
        self
    }

    pub(crate) fn client(mut self, data: &[u8]) -> Self {
        self.client_sends(ACK, data);
        self
    }

    pub(crate) fn server(mut self, data: &[u8]) -> Self {
        self.server_sends(ACK, data);
        self
    }

    /// Sent, but not captured.
    pub(crate) fn client_unseen(mut self, data: &[u8]) -> Self {
        self.client_next = self.client_next.wrapping_add(length(data));
        self
    }

    pub(crate) fn close(mut self) -> Self {
        self.client_sends(FIN | ACK, b"");
        self.client_next = self.client_next.wrapping_add(1);
        self.server_sends(FIN | ACK, b"");
        self.server_next = self.server_next.wrapping_add(1);
        self.client_sends(ACK, b"");
        self
    }

    pub(crate) fn client_sends(&mut self, flags: u8, data: &[u8]) {
        let (next, has) = (self.client_next, self.server_next);
        self.packets.push(packet(self.client, self.server, (next, has), flags, data));
        self.client_next = next.wrapping_add(length(data));
    }

    pub(crate) fn server_sends(&mut self, flags: u8, data: &[u8]) {
        let (next, has) = (self.server_next, self.client_next);
        self.packets.push(packet(self.server, self.client, (next, has), flags, data));
        self.server_next = next.wrapping_add(length(data));
    }
}

fn length(data: &[u8]) -> u32 {
    u32::try_from(data.len()).expect("a segment")
}

/// An IP packet with a TCP segment; `numbers` are sequence and acknowledgement.
pub(crate) fn packet(
    source: SocketAddr,
    destination: SocketAddr,
    numbers: (u32, u32),
    flags: u8,
    data: &[u8],
) -> Vec<u8> {
    let tcp = [
        &source.port().to_be_bytes()[..],
        &destination.port().to_be_bytes(),
        &numbers.0.to_be_bytes(),
        &numbers.1.to_be_bytes(),
        &[0x50, flags, 0xFF, 0xFF, 0, 0, 0, 0],
        data,
    ]
    .concat();
    match (source.ip(), destination.ip()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let total = u16::try_from(20 + tcp.len()).expect("a packet").to_be_bytes();
            [
                &[0x45, 0, total[0], total[1], 0, 0, 0x40, 0, 64, 6, 0, 0][..],
                &source.octets(),
                &destination.octets(),
                &tcp,
            ]
            .concat()
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let length = u16::try_from(tcp.len()).expect("a packet").to_be_bytes();
            [
                &[0x60, 0, 0, 0, length[0], length[1], 6, 64][..],
                &source.octets(),
                &destination.octets(),
                &tcp,
            ]
            .concat()
        }
        _ => panic!("{source} and {destination} are of two families"),
    }
}

/// What stands in front of the IP packet, and its number.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Link {
    Ethernet,
    Vlan,
    Null,
    Loop,
    Raw,
    Cooked,
    Cooked2,
}

impl Link {
    pub(crate) const ALL: [Self; 7] = [
        Self::Ethernet,
        Self::Vlan,
        Self::Null,
        Self::Loop,
        Self::Raw,
        Self::Cooked,
        Self::Cooked2,
    ];

    fn number(self) -> u16 {
        match self {
            Self::Ethernet | Self::Vlan => 1,
            Self::Null => 0,
            Self::Loop => 108,
            Self::Raw => 101,
            Self::Cooked => 113,
            Self::Cooked2 => 276,
        }
    }

    fn frame(self, ip: &[u8]) -> Vec<u8> {
        let is_v4 = ip[0] >> 4 == 4;
        let ethertype: [u8; 2] = if is_v4 { [0x08, 0x00] } else { [0x86, 0xDD] };
        let family = if is_v4 { 2_u32 } else { 30 };
        let front = match self {
            Self::Ethernet => [&[2; 12][..], &ethertype].concat(),
            Self::Vlan => [&[2; 12][..], &[0x81, 0x00, 0x00, 0x05], &ethertype].concat(),
            Self::Null => family.to_le_bytes().to_vec(),
            Self::Loop => family.to_be_bytes().to_vec(),
            Self::Raw => Vec::new(),
            Self::Cooked => [&[0, 0, 3, 4, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0][..], &ethertype].concat(),
            Self::Cooked2 => [&ethertype[..], &[0; 18]].concat(),
        };
        let mut frame = [&front, ip].concat();
        if matches!(self, Self::Ethernet | Self::Vlan) {
            // Short frames are padded.
            frame.resize(frame.len().max(60), 0xEE);
        }
        frame
    }
}

/// The order of bytes in a file.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    Big,
    Little,
}

impl Order {
    fn u16(self, number: u16) -> [u8; 2] {
        match self {
            Self::Big => number.to_be_bytes(),
            Self::Little => number.to_le_bytes(),
        }
    }

    fn u32(self, number: u32) -> [u8; 4] {
        match self {
            Self::Big => number.to_be_bytes(),
            Self::Little => number.to_le_bytes(),
        }
    }

    fn length(self, bytes: &[u8]) -> [u8; 4] {
        self.u32(length(bytes))
    }
}

/// The packets as a pcap file.
pub(crate) fn pcap(order: Order, link: Link, packets: &[Vec<u8>]) -> Vec<u8> {
    let mut file = [
        &order.u32(0xA1B2_C3D4)[..],
        &order.u16(2),
        &order.u16(4),
        &[0; 8],
        &order.u32(262_144),
        &order.u32(link.number().into()),
    ]
    .concat();
    for (number, packet) in (0..).zip(packets) {
        let frame = link.frame(packet);
        let millis = BEGINS_AT * 1000 + number;
        file.extend(order.u32(u32::try_from(millis / 1000).expect("seconds")));
        file.extend(order.u32(u32::try_from(millis % 1000 * 1000).expect("microseconds")));
        file.extend(order.length(&frame));
        file.extend(order.length(&frame));
        file.extend(frame);
    }
    file
}

/// The packets as a pcapng file, whose time stamps are nanoseconds.
pub(crate) fn pcapng(order: Order, link: Link, packets: &[Vec<u8>]) -> Vec<u8> {
    let section = [&order.u32(0x1A2B_3C4D)[..], &order.u16(1), &order.u16(0), &[0xFF; 8]].concat();
    // The option if_tsresol, and the end of options.
    let options = [&order.u16(9)[..], &order.u16(1), &[9, 0, 0, 0], &[0; 4]].concat();
    let interface = [&order.u16(link.number())[..], &[0; 2], &order.u32(0), &options].concat();
    let mut file = block(order, 0x0A0D_0D0A, &section);
    file.extend(block(order, 1, &interface));
    for (number, packet) in (0..).zip(packets) {
        let mut frame = link.frame(packet);
        let nanos = (BEGINS_AT * 1000 + number) * 1_000_000;
        let high = u32::try_from(nanos >> 32).expect("its upper half");
        let low = u32::try_from(nanos & 0xFFFF_FFFF).expect("its lower half");
        let size = order.length(&frame);
        frame.resize(frame.len().next_multiple_of(4), 0);
        let content =
            [&order.u32(0)[..], &order.u32(high), &order.u32(low), &size, &size, &frame].concat();
        file.extend(block(order, 6, &content));
    }
    file
}

fn block(order: Order, kind: u32, content: &[u8]) -> Vec<u8> {
    let length = order.u32(u32::try_from(content.len() + 12).expect("a block"));
    [&order.u32(kind)[..], &length, content, &length].concat()
}
