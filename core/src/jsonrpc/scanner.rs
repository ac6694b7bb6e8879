use super::JSONRPC_DEPTH_CEILING;

/// Finds the end of a JSON text in a stream of bytes, and the first byte that cannot belong to one.
///
/// It looks at each byte once, however the stream is cut, and keeps no more than where it is. The
/// text must be an object or a list: of a bare number nobody could tell where it ends. What it calls
/// complete is well-formed (RFC 8259), but for UTF-8 within strings.
///
/// ```
/// use cndt_core::jsonrpc::{Scan, Scanner};
///
/// let mut scanner = Scanner::new(64);
/// assert_eq!(scanner.scan(br#" {"a": [1, "#), Scan::Incomplete);
/// assert_eq!(scanner.scan(br#"2.5e3]}{"#), Scan::Complete { length: 7 });
/// assert_eq!(Scanner::new(64).scan(b"[1,]"), Scan::Invalid { at: 3 });
/// ```
#[derive(Debug, Clone)]
pub struct Scanner {
    state: State,
    open: Nesting,
}

/// What a look at some bytes has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scan {
    /// All of them belong to the text, and it goes on.
    Incomplete,
    /// The text ends with the first `length` of them.
    Complete {
        /// Bytes of this look.
        length: usize,
    },
    /// No text goes on like this.
    Invalid {
        /// Which of these bytes is wrong.
        at: usize,
    },
    /// This byte opens one level more than is allowed.
    TooDeep {
        /// Which of these bytes it is.
        at: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing but white space so far.
    Start,
    /// A value must come.
    Value,
    /// A value, or the end of the list.
    ValueOrEnd,
    /// A key, or the end of the object.
    KeyOrEnd,
    /// A key must come.
    Key,
    Colon,
    /// A comma, or an end.
    AfterValue,
    Text(Role),
    Escape(Role),
    /// So many hexadecimal digits must come.
    Hex(Role, u8),
    /// The rest of `true`, `false` or `null`.
    Word(&'static [u8]),
    Number(Digits),
    Done,
}

/// What a string stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Key,
    Value,
}

/// Where in a number it is; after those of the second half it may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Digits {
    Minus,
    Point,
    Exponent,
    ExponentSign,
    Zero,
    Whole,
    Fraction,
    Power,
}

impl Digits {
    /// Where `byte` leads, if it goes on with the number.
    fn next(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Minus, b'0') => Some(Self::Zero),
            (Self::Minus, b'1'..=b'9') | (Self::Whole, b'0'..=b'9') => Some(Self::Whole),
            (Self::Zero | Self::Whole, b'.') => Some(Self::Point),
            (Self::Point | Self::Fraction, b'0'..=b'9') => Some(Self::Fraction),
            (Self::Zero | Self::Whole | Self::Fraction, b'e' | b'E') => Some(Self::Exponent),
            (Self::Exponent, b'+' | b'-') => Some(Self::ExponentSign),
            (Self::Exponent | Self::ExponentSign | Self::Power, b'0'..=b'9') => Some(Self::Power),
            _ => None,
        }
    }

    fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Whole | Self::Fraction | Self::Power)
    }
}

/// What makes a byte unfit.
enum Wrong {
    Here,
    TooDeep,
}

impl Scanner {
    /// Before the first byte. `depth_max` levels of nesting are allowed, at most 512.
    pub fn new(depth_max: usize) -> Self {
        Self { state: State::Start, open: Nesting::new(depth_max) }
    }

    /// Whether a text has begun.
    pub fn has_begun(&self) -> bool {
        self.state != State::Start
    }

    /// Looks at the bytes that follow. After anything but [`Scan::Incomplete`] it starts anew.
    pub fn scan(&mut self, bytes: &[u8]) -> Scan {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if let State::Text(_) = self.state {
                // Most bytes of most texts stand within strings.
                at = at.saturating_add(plain_prefix(rest));
            }
            let Some(&byte) = bytes.get(at) else { break };
            match self.step(byte) {
                Ok(State::Done) => {
                    self.reset();
                    return Scan::Complete { length: at.saturating_add(1) };
                }
                Ok(state) => self.state = state,
                Err(wrong) => {
                    self.reset();
                    return match wrong {
                        Wrong::Here => Scan::Invalid { at },
                        Wrong::TooDeep => Scan::TooDeep { at },
                    };
                }
            }
            at = at.saturating_add(1);
        }
        Scan::Incomplete
    }

    fn reset(&mut self) {
        self.state = State::Start;
        self.open.clear();
    }

    fn step(&mut self, byte: u8) -> Result<State, Wrong> {
        let is_space = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match self.state {
            State::Number(digits) => match digits.next(byte) {
                Some(next) => Ok(State::Number(next)),
                // Its end is seen by what follows.
                None if digits.may_end() => self.after_value(byte, is_space),
                None => Err(Wrong::Here),
            },
            State::Text(role) => match byte {
                b'"' => Ok(role.end()),
                b'\\' => Ok(State::Escape(role)),
                0..=0x1f => Err(Wrong::Here),
                _ => Ok(State::Text(role)),
            },
            State::Escape(role) => match byte {
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(State::Text(role)),
                b'u' => Ok(State::Hex(role, 4)),
                _ => Err(Wrong::Here),
            },
            State::Hex(role, left) if byte.is_ascii_hexdigit() => Ok(match left {
                0 | 1 => State::Text(role),
                more => State::Hex(role, more.saturating_sub(1)),
            }),
            State::Hex(..) => Err(Wrong::Here),
            State::Word([next, rest @ ..]) if *next == byte => {
                Ok(if rest.is_empty() { State::AfterValue } else { State::Word(rest) })
            }
            State::Word(_) => Err(Wrong::Here),
            State::AfterValue => self.after_value(byte, is_space),
            state if is_space => Ok(state),
            State::Start => match byte {
                b'{' | b'[' => self.open(byte),
                _ => Err(Wrong::Here),
            },
            State::ValueOrEnd if byte == b']' => Ok(self.close()),
            State::Value | State::ValueOrEnd => self.value(byte),
            State::KeyOrEnd if byte == b'}' => Ok(self.close()),
            State::Key | State::KeyOrEnd if byte == b'"' => Ok(State::Text(Role::Key)),
            State::Colon if byte == b':' => Ok(State::Value),
            State::Key | State::KeyOrEnd | State::Colon | State::Done => Err(Wrong::Here),
        }
    }

    fn value(&mut self, byte: u8) -> Result<State, Wrong> {
        match byte {
            b'{' | b'[' => self.open(byte),
            b'"' => Ok(State::Text(Role::Value)),
            b'-' => Ok(State::Number(Digits::Minus)),
            b'0' => Ok(State::Number(Digits::Zero)),
            b'1'..=b'9' => Ok(State::Number(Digits::Whole)),
            b't' => Ok(State::Word(b"rue")),
            b'f' => Ok(State::Word(b"alse")),
            b'n' => Ok(State::Word(b"ull")),
            _ => Err(Wrong::Here),
        }
    }

    fn after_value(&mut self, byte: u8, is_space: bool) -> Result<State, Wrong> {
        match (byte, self.open.innermost()) {
            _ if is_space => Ok(State::AfterValue),
            (b',', Some(Bracket::Object)) => Ok(State::Key),
            (b',', Some(Bracket::List)) => Ok(State::Value),
            (b'}', Some(Bracket::Object)) | (b']', Some(Bracket::List)) => Ok(self.close()),
            _ => Err(Wrong::Here),
        }
    }

    fn open(&mut self, byte: u8) -> Result<State, Wrong> {
        let (bracket, state) = match byte {
            b'{' => (Bracket::Object, State::KeyOrEnd),
            _ => (Bracket::List, State::ValueOrEnd),
        };
        if self.open.push(bracket) { Ok(state) } else { Err(Wrong::TooDeep) }
    }

    fn close(&mut self) -> State {
        self.open.pop();
        if self.open.innermost().is_none() { State::Done } else { State::AfterValue }
    }
}

impl Role {
    fn end(self) -> State {
        match self {
            Self::Key => State::Colon,
            Self::Value => State::AfterValue,
        }
    }
}

/// How many bytes at the start mean nothing within a string.
fn plain_prefix(bytes: &[u8]) -> usize {
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..=0x1f);
    bytes.iter().position(is_special).unwrap_or(bytes.len())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bracket {
    Object,
    List,
}

/// The brackets that are open: a bit for each, so that depth costs no memory.
#[derive(Debug, Clone)]
struct Nesting {
    bits: [u64; JSONRPC_DEPTH_CEILING / 64],
    depth: usize,
    depth_max: usize,
}

impl Nesting {
    fn new(depth_max: usize) -> Self {
        let depth_max = depth_max.min(JSONRPC_DEPTH_CEILING);
        Self { bits: [0; JSONRPC_DEPTH_CEILING / 64], depth: 0, depth_max }
    }

    fn clear(&mut self) {
        self.depth = 0;
    }

    /// False when it is one too many.
    fn push(&mut self, bracket: Bracket) -> bool {
        if self.depth >= self.depth_max {
            return false;
        }
        let (word, bit) = (self.depth / 64, 1_u64 << (self.depth % 64));
        if let Some(word) = self.bits.get_mut(word) {
            match bracket {
                Bracket::Object => *word |= bit,
                Bracket::List => *word &= !bit,
            }
        }
        self.depth = self.depth.saturating_add(1);
        true
    }

    fn pop(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    fn innermost(&self) -> Option<Bracket> {
        let last = self.depth.checked_sub(1)?;
        let word = self.bits.get(last / 64)?;
        let is_object = word >> (last % 64) & 1 == 1;
        Some(if is_object { Bracket::Object } else { Bracket::List })
    }
}
