use std::fmt;
use std::str::FromStr;

/// What a client does to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Closed loops: so many connections, on each so many calls outstanding; `add` of two numbers,
    /// or `echo` of so many bytes if `payload` is not 0.
    Calls {
        /// TCP connections.
        connections: usize,
        /// Calls outstanding on each.
        outstanding: usize,
        /// Bytes of each echo; 0 for `add`.
        payload: usize,
    },
    /// Connections that have made one call and then do nothing.
    Idle {
        /// TCP connections.
        connections: usize,
    },
    /// Messages of 64 bytes from the server to every receiver.
    Push {
        /// TCP connections that get every message.
        receivers: usize,
    },
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Calls { connections, outstanding, payload } => {
                write!(f, "calls:{connections}x{outstanding}x{payload}")
            }
            Self::Idle { connections } => write!(f, "idle:{connections}"),
            Self::Push { receivers } => write!(f, "push:{receivers}"),
        }
    }
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("no shape `{text}`: write calls:1x64x0, idle:2000 or push:100");
        let (name, numbers) = text.split_once(':').ok_or_else(wrong)?;
        let numbers: Result<Vec<usize>, _> = numbers.split('x').map(str::parse).collect();
        match (name, numbers.map_err(|_| wrong())?.as_slice()) {
            ("calls", &[connections, outstanding, payload]) => {
                Ok(Self::Calls { connections, outstanding, payload })
            }
            ("idle", &[connections]) => Ok(Self::Idle { connections }),
            ("push", &[receivers]) => Ok(Self::Push { receivers }),
            _ => Err(wrong()),
        }
    }
}

/// A number that a run gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name in results.
    pub metric: &'static str,
    /// Its name in tables.
    pub heading: &'static str,
    /// Digits after the point.
    pub digits: usize,
}

/// A shape with a name that tables and plots know.
#[derive(Debug, Clone, Copy)]
pub struct Workload {
    /// `w1` to `w7`.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// What is done.
    pub shape: Shape,
    /// What is told of it. The first is compared with the floor.
    pub columns: &'static [Column],
}

const fn column(metric: &'static str, heading: &'static str, digits: usize) -> Column {
    Column { metric, heading, digits }
}

const CALLS: Column = column("calls_per_s", "calls/s", 0);
const MEGABYTES: Column = column("mb_per_s", "MB/s", 1);
const SERVER: Column = column("server_cpu_us", "server CPU µs", 2);
const CLIENT: Column = column("client_cpu_us", "client CPU µs", 2);

const fn calls(connections: usize, outstanding: usize, payload: usize) -> Shape {
    Shape::Calls { connections, outstanding, payload }
}

/// The seven.
pub const WORKLOADS: [Workload; 7] = [
    Workload {
        name: "w1",
        title: "W1: add, 1 connection, 1 outstanding",
        shape: calls(1, 1, 0),
        columns: &[
            column("p50_us", "p50 µs", 1),
            column("p99_us", "p99 µs", 1),
            CALLS,
            SERVER,
            CLIENT,
        ],
    },
    Workload {
        name: "w2",
        title: "W2: add, 1 connection, 64 outstanding",
        shape: calls(1, 64, 0),
        columns: &[CALLS, SERVER, CLIENT],
    },
    Workload {
        name: "w3",
        title: "W3: add, 16 connections, 16 outstanding on each",
        shape: calls(16, 16, 0),
        columns: &[CALLS, SERVER, CLIENT],
    },
    Workload {
        name: "w4",
        title: "W4: echo of 1 KiB, 1 connection, 64 outstanding",
        shape: calls(1, 64, 1024),
        columns: &[CALLS, MEGABYTES, SERVER, CLIENT],
    },
    Workload {
        name: "w5",
        title: "W5: echo of 64 KiB, 1 connection, 16 outstanding",
        shape: calls(1, 16, 64 * 1024),
        columns: &[MEGABYTES, CALLS, SERVER, CLIENT],
    },
    Workload {
        name: "w6",
        title: "W6: memory of the server for an idle connection, 2,000 of them",
        shape: Shape::Idle { connections: 2000 },
        columns: &[
            column("rss_per_connection", "bytes a connection", 0),
            column("connects_per_s", "connects/s", 0),
        ],
    },
    Workload {
        name: "w7",
        title: "W7: messages of 64 bytes pushed to 100 receivers",
        shape: Shape::Push { receivers: 100 },
        columns: &[column("delivered_per_s", "delivered/s", 0), SERVER, CLIENT],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_survive_their_text() {
        for workload in WORKLOADS {
            assert_eq!(workload.shape.to_string().parse(), Ok(workload.shape));
        }
        for wrong in ["", "calls", "calls:1x2", "idle:x", "idle:1x2", "pull:1"] {
            assert!(wrong.parse::<Shape>().is_err(), "{wrong}");
        }
    }
}
