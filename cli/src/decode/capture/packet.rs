//! A captured packet down to its TCP segment.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::super::print::Route;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86DD;
/// 802.1Q, 802.1ad and what came before it: four bytes in front of the real type.
const ETHERTYPES_VLAN: [u16; 3] = [0x8100, 0x88A8, 0x9100];
/// Tags, or headers of extensions, that are followed.
const NESTING_MAX: usize = 8;

const TCP: u8 = 6;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// What stands in front of the IP header: the link types of pcap that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// Ethernet, with VLAN tags or without.
    Ethernet,
    /// Four bytes for the family of addresses, in whoever's order: loopback on BSD and macOS.
    Null,
    /// Nothing.
    Raw,
    /// Linux "any", the older form.
    Cooked,
    /// Linux "any", the newer form.
    Cooked2,
}

impl Link {
    /// By its number in captures.
    pub(super) fn from_number(number: u16) -> Option<Self> {
        match number {
            0 | 108 => Some(Self::Null),
            1 => Some(Self::Ethernet),
            // 12 and 14 are what systems call raw IP that wrote their own number into the file.
            12 | 14 | 101 | 228 | 229 => Some(Self::Raw),
            113 => Some(Self::Cooked),
            276 => Some(Self::Cooked2),
            _ => None,
        }
    }
}

/// What a packet was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    Segment(Segment<'a>),
    /// A part of an IP packet. Hardly any TCP is sent so.
    Fragment,
    /// Not TCP, or too short to tell.
    Other,
}

/// A TCP segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Segment<'a> {
    pub(super) route: Route,
    pub(super) sequence: u32,
    /// What its sender has received; `None` without the flag.
    pub(super) acknowledged: Option<u32>,
    flags: u8,
    /// What was captured of the data.
    pub(super) data: &'a [u8],
    /// Bytes of data that the capture left out, at the segment's end.
    pub(super) cut: usize,
}

impl Segment<'_> {
    pub(super) fn is_syn(&self) -> bool {
        self.flags & SYN != 0
    }

    pub(super) fn is_fin(&self) -> bool {
        self.flags & FIN != 0
    }

    pub(super) fn is_reset(&self) -> bool {
        self.flags & RST != 0
    }
}

/// Reads a packet of this kind of link.
pub(super) fn parse(link: Link, packet: &[u8]) -> Packet<'_> {
    let found = match link {
        Link::Ethernet => beyond_tags(packet, 12),
        Link::Cooked => beyond_tags(packet, 14),
        Link::Cooked2 => field(packet, 0).zip(packet.get(20..)),
        Link::Null => packet.get(4..).and_then(by_version),
        Link::Raw => by_version(packet),
    };
    let parsed = match found {
        Some((ETHERTYPE_IPV4, ip)) => ipv4(ip),
        Some((ETHERTYPE_IPV6, ip)) => ipv6(ip),
        Some(_) | None => None,
    };
    parsed.unwrap_or(Packet::Other)
}

fn field(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The type that stands at `at`, or behind the tags there, and what follows it.
fn beyond_tags(packet: &[u8], at: usize) -> Option<(u16, &[u8])> {
    (0..NESTING_MAX).map(|tags| at + 4 * tags).find_map(|at| {
        let ethertype = field(packet, at)?;
        let rest = packet.get(at + 2..)?;
        (!ETHERTYPES_VLAN.contains(&ethertype)).then_some((ethertype, rest))
    })
}

fn by_version(ip: &[u8]) -> Option<(u16, &[u8])> {
    match ip.first()? >> 4 {
        4 => Some((ETHERTYPE_IPV4, ip)),
        6 => Some((ETHERTYPE_IPV6, ip)),
        _ => None,
    }
}

fn ipv4(ip: &[u8]) -> Option<Packet<'_>> {
    let header = usize::from(ip.first()? & 0x0F) * 4;
    let addresses: &[u8; 8] = ip.get(12..)?.first_chunk()?;
    let [a, b, c, d, e, f, g, h] = *addresses;
    if *ip.get(9)? != TCP || header < 20 {
        return None;
    }
    // Anything but its first and only part.
    if field(ip, 6)? & 0x3FFF != 0 {
        return Some(Packet::Fragment);
    }
    // 0 where the network card cuts the packet later than it is captured.
    let total = match usize::from(field(ip, 2)?) {
        0 => ip.len(),
        total => total,
    };
    let source = IpAddr::V4(Ipv4Addr::new(a, b, c, d));
    let destination = IpAddr::V4(Ipv4Addr::new(e, f, g, h));
    tcp(source, destination, ip.get(header..)?, total.checked_sub(header)?)
}

fn ipv6(ip: &[u8]) -> Option<Packet<'_>> {
    let source = Ipv6Addr::from(*ip.get(8..)?.first_chunk::<16>()?);
    let destination = Ipv6Addr::from(*ip.get(24..)?.first_chunk::<16>()?);
    let mut next = *ip.get(6)?;
    let mut rest = ip.get(40..)?;
    let mut length = match usize::from(field(ip, 4)?) {
        0 => rest.len(),
        length => length,
    };
    for _ in 0..NESTING_MAX {
        let header = match next {
            TCP => return tcp(source.into(), destination.into(), rest, length),
            // Hop by hop, routing, options for the destination: in units of eight bytes.
            0 | 43 | 60 => (usize::from(*rest.get(1)?) + 1) * 8,
            // Authentication: in units of four.
            51 => (usize::from(*rest.get(1)?) + 2) * 4,
            // A fragment, which may be the whole packet.
            44 if field(rest, 2)? & 0xFFF9 != 0 => return Some(Packet::Fragment),
            44 => 8,
            _ => return None,
        };
        next = *rest.first()?;
        rest = rest.get(header..)?;
        length = length.checked_sub(header)?;
    }
    None
}

/// `length` is that of header and data together, as IP tells it: packets may be padded, or be cut
/// by the capture.
fn tcp(source: IpAddr, destination: IpAddr, tcp: &[u8], length: usize) -> Option<Packet<'_>> {
    let tcp = tcp.get(..length.min(tcp.len()))?;
    let header = usize::from(*tcp.get(12)? >> 4) * 4;
    let flags = *tcp.get(13)?;
    // What the capture has of the header may end within its options.
    let data = tcp.get(header..).unwrap_or_default();
    let route = Route {
        source: SocketAddr::new(source, field(tcp, 0)?),
        destination: SocketAddr::new(destination, field(tcp, 2)?),
    };
    let acknowledged = word(tcp, 8).filter(|_| flags & ACK != 0);
    if header < 20 {
        return None;
    }
    let cut = length.checked_sub(header)?.saturating_sub(data.len());
    Some(Packet::Segment(Segment {
        route,
        sequence: word(tcp, 4)?,
        acknowledged,
        flags,
        data,
        cut,
    }))
}
