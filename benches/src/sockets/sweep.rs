//! How cost grows: one dimension at a time.

use super::Shape;
use super::plan::Point;

const CONNECTIONS: [usize; 9] = [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000];
const OUTSTANDING: [usize; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
const PAYLOAD: [usize; 10] =
    [16, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20];
const RECEIVERS: [usize; 7] = [1, 3, 10, 30, 100, 300, 1000];

/// Sockets of a process that are not connections of the sweep.
const SPARE: u64 = 100;

/// Groups `connections`, `outstanding`, `payload` and `receivers`. Connections that the process has no
/// descriptors for are left out.
pub(super) fn points(descriptors: u64) -> Vec<Point> {
    let mut points = Vec::new();
    let mut put = |group: &str, shape| points.push(Point { group: group.to_owned(), shape });
    for connections in CONNECTIONS {
        if connections as u64 + SPARE <= descriptors {
            put("connections", Shape::Calls { connections, outstanding: 1, payload: 0 });
        }
    }
    for outstanding in OUTSTANDING {
        put("outstanding", Shape::Calls { connections: 1, outstanding, payload: 0 });
    }
    for payload in PAYLOAD {
        put("payload", Shape::Calls { connections: 1, outstanding: 16, payload });
    }
    for receivers in RECEIVERS {
        put("receivers", Shape::Push { receivers });
    }
    points
}
