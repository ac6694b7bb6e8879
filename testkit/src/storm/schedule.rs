/// How the server is for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It serves at its full capacity.
    Up,
    /// It serves at so many percent of it.
    Slow(u64),
    /// Its machine is there and turns connections away at once.
    Refusing,
    /// It is gone: whoever asks hears nothing.
    Silent,
}

impl Health {
    /// How much of the capacity is there, in percent.
    pub const fn percent(self) -> u64 {
        match self {
            Self::Up => 100,
            Self::Slow(percent) => percent,
            Self::Refusing | Self::Silent => 0,
        }
    }
}

/// A part of the server's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phase {
    /// How the server is.
    pub health: Health,
    /// For how many seconds.
    pub seconds: u64,
}

/// Five minutes of a server that flaps: 30 s of silence, three short outages of 5 s with 5 s between
/// them, and 30 s in which it is half as fast as it must be.
pub const FLAPPING: &[Phase] = &[
    up(60),
    Phase { health: Health::Silent, seconds: 30 },
    up(60),
    Phase { health: Health::Refusing, seconds: 5 },
    up(5),
    Phase { health: Health::Silent, seconds: 5 },
    up(5),
    Phase { health: Health::Refusing, seconds: 5 },
    up(45),
    // A third of the capacity is half of what is normally asked.
    Phase { health: Health::Slow(33), seconds: 30 },
    up(50),
];

const fn up(seconds: u64) -> Phase {
    Phase { health: Health::Up, seconds }
}

/// A time in which the server was not well, and when it was again. In seconds of simulated time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outage {
    /// How it was.
    pub health: Health,
    /// When it began.
    pub began: u64,
    /// When it was over.
    pub ended: u64,
    /// When the next one begins, or time ends.
    pub next: u64,
}

/// The outages of a schedule that are over before it is.
pub fn outages(schedule: &[Phase]) -> Vec<Outage> {
    let mut outages: Vec<Outage> = Vec::new();
    let mut at = 0;
    for Phase { health, seconds } in schedule {
        let (began, ended) = (at, at + seconds);
        at = ended;
        if *health == Health::Up {
            if let Some(last) = outages.last_mut() {
                last.next = ended;
            }
        } else {
            outages.push(Outage { health: *health, began, ended, next: ended });
        }
    }
    outages.retain(|outage| outage.ended < at);
    outages
}
