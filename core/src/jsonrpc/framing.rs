use core::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::scanner::{Scan, Scanner};

/// Bytes that the headers before one text may have. They are two short lines.
const HEADERS_MAX: usize = 4 * 1024;
/// Some programs begin every file and stream with it (RFC 8259 allows to ignore it).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const CONTENT_LENGTH: &str = "content-length";

/// How JSON texts follow each other on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// One text on each line.
    Newline,
    /// One text right behind the other, with nothing or white space between.
    Bare,
    /// Headers before each text, as in the Language Server Protocol.
    ContentLength,
}

impl Framing {
    /// Appends a whole text with what surrounds it. On lines, the text's own become spaces.
    pub fn write(self, out: &mut BytesMut, text: &[u8]) {
        match self {
            Self::Newline => {
                let at = out.len();
                out.put_slice(text);
                // In JSON it can only be white space, but here it would end the text.
                for byte in out.iter_mut().skip(at).filter(|byte| **byte == b'\n') {
                    *byte = b' ';
                }
                out.put_u8(b'\n');
            }
            Self::Bare => out.put_slice(text),
            Self::ContentLength => {
                out.put_slice(b"Content-Length: ");
                put_decimal(out, text.len());
                out.put_slice(b"\r\n\r\n");
                out.put_slice(text);
            }
        }
    }
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Newline => "newline",
            Self::Bare => "bare",
            Self::ContentLength => "content-length",
        })
    }
}

fn put_decimal(out: &mut BytesMut, number: usize) {
    if let Some(tens) = number.checked_div(10).filter(|tens| *tens > 0) {
        put_decimal(out, tens);
    }
    out.put_u8(b'0'.saturating_add((number % 10) as u8));
}

/// Why some bytes are no text. `offset` counts from the first byte of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset} of the stream")]
pub struct TextError {
    /// Where.
    pub offset: u64,
    /// What.
    pub kind: TextErrorKind,
    /// Whether the next text can be found. If not, nothing more is read.
    pub is_fatal: bool,
}

/// See [`TextError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextErrorKind {
    /// A byte that no JSON text has there, or a top level that is neither an object nor a list.
    #[error("this is not JSON")]
    Malformed,
    /// Nesting beyond the limit.
    #[error("JSON nested deeper than {max}")]
    TooDeep {
        /// The limit.
        max: usize,
    },
    /// Bytes that are not UTF-8.
    #[error("this is not UTF-8")]
    NotUtf8,
    /// A text beyond the limit.
    #[error("a JSON text of more than {max} bytes")]
    TooLarge {
        /// The limit.
        max: usize,
    },
    /// The line ends before its text does.
    #[error("the line ends within a JSON text")]
    Truncated,
    /// Headers without a usable Content-Length.
    #[error("headers without a usable Content-Length")]
    Headers,
}

/// Takes texts out of a stream of bytes, in any framing. Each byte is looked at once.
///
/// Unless it is told the framing, it goes by the first byte that is no white space: a letter begins
/// headers, everything else texts, which may stand on lines or not.
///
/// ```
/// use cndt_core::jsonrpc::{Framing, TextDecoder};
///
/// let mut decoder = TextDecoder::new(None, 1024, 64);
/// decoder.push(b"{\"a\":1}{\"b\"");
/// assert_eq!(decoder.next_text()?.as_deref(), Some(&b"{\"a\":1}"[..]));
/// assert_eq!(decoder.next_text()?, None);
/// decoder.push(b":2}\n");
/// assert_eq!(decoder.next_text()?.as_deref(), Some(&b"{\"b\":2}"[..]));
/// assert_eq!(decoder.framing(), Some(Framing::Newline));
/// # Ok::<(), cndt_core::jsonrpc::TextError>(())
/// ```
#[derive(Debug)]
pub struct TextDecoder {
    buffer: BytesMut,
    scanner: Scanner,
    /// How much of the buffer the scanner has seen.
    scanned: usize,
    /// Bytes that were taken out of the buffer.
    taken: u64,
    chosen: Option<Framing>,
    seen: Option<Framing>,
    stage: Stage,
    text_max: usize,
    depth_max: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// A text or headers must begin.
    Between,
    /// Within a text that ends where its brackets do.
    Text,
    /// Within the headers.
    Headers,
    /// A text of this length must come.
    Body(usize),
    /// The rest of a line is of no use.
    SkipLine,
    /// Nothing more can be found.
    Lost,
}

impl TextDecoder {
    /// Before the first byte. `framing` is `None` to go by what comes; a text may have `text_max`
    /// bytes and `depth_max` levels (at most 512).
    pub fn new(framing: Option<Framing>, text_max: usize, depth_max: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            scanner: Scanner::new(depth_max),
            scanned: 0,
            taken: 0,
            chosen: framing,
            seen: None,
            stage: Stage::Between,
            text_max,
            depth_max,
        }
    }

    /// Bytes of the stream, cut anywhere.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.stage != Stage::Lost {
            self.buffer.put_slice(bytes);
        }
    }

    /// Where received bytes may be appended directly.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Gives memory back if no byte is held. The next bytes cost an allocation.
    pub fn rest(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }

    /// Bytes that wait to be looked at or completed.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// The framing of the stream: chosen, or found out. `None` until the first text has come, and
    /// [`Framing::Bare`] until a line has ended.
    pub fn framing(&self) -> Option<Framing> {
        self.chosen.or(self.seen)
    }

    /// The next whole text. `None` until more has come.
    ///
    /// # Errors
    /// Bytes that are no text. Unless the error is fatal, the next call goes on behind them.
    pub fn next_text(&mut self) -> Result<Option<Bytes>, TextError> {
        loop {
            match self.stage {
                Stage::Lost => {
                    self.buffer.clear();
                    return Ok(None);
                }
                Stage::Between => {
                    if !self.begin()? {
                        return Ok(None);
                    }
                }
                Stage::SkipLine => match self.line_end() {
                    Some(length) => {
                        self.take(length);
                        self.stage = Stage::Between;
                    }
                    None => {
                        self.take(self.buffer.len());
                        return Ok(None);
                    }
                },
                Stage::Headers => match self.headers()? {
                    Some(length) => self.stage = Stage::Body(length),
                    None => return Ok(None),
                },
                Stage::Body(length) => return self.body(length),
                Stage::Text => return self.text(),
            }
        }
    }

    /// Finds the first byte of what comes next. False when it is not there yet.
    fn begin(&mut self) -> Result<bool, TextError> {
        self.skip_space();
        let Some(&first) = self.buffer.first() else { return Ok(false) };
        if self.taken == 0 && first == BYTE_ORDER_MARK.first().copied().unwrap_or_default() {
            if self.buffer.starts_with(BYTE_ORDER_MARK) {
                self.take(BYTE_ORDER_MARK.len());
                return self.begin();
            }
            if BYTE_ORDER_MARK.starts_with(&self.buffer) {
                return Ok(false);
            }
        }
        let framing = self.framing().unwrap_or(match first {
            b'A'..=b'Z' | b'a'..=b'z' => Framing::ContentLength,
            _ => Framing::Bare,
        });
        if framing == Framing::ContentLength {
            self.seen.get_or_insert(framing);
            self.stage = Stage::Headers;
        } else {
            self.stage = Stage::Text;
        }
        Ok(true)
    }

    /// White space between texts; a line that ends tells the framing.
    fn skip_space(&mut self) {
        let length = self.buffer.iter().take_while(|byte| is_space(byte)).count();
        let ends_line = self.buffer.iter().take(length).any(|byte| *byte == b'\n');
        if ends_line && self.seen == Some(Framing::Bare) {
            self.seen = Some(Framing::Newline);
        }
        self.take(length);
    }

    fn text(&mut self) -> Result<Option<Bytes>, TextError> {
        let fresh = self.buffer.get(self.scanned..).unwrap_or_default();
        // A line that ends ends its text, whole or not, where lines are what counts.
        let line = if self.chosen == Some(Framing::Newline) {
            fresh.iter().position(|byte| *byte == b'\n')
        } else {
            None
        };
        let looked_at = fresh.get(..line.unwrap_or(fresh.len())).unwrap_or_default();
        match self.scanner.scan(looked_at) {
            Scan::Complete { length } => {
                let length = self.scanned.saturating_add(length);
                self.finish(length)
            }
            Scan::Incomplete if line.is_some() => {
                self.scanner = Scanner::new(self.depth_max);
                Err(self
                    .broken(self.scanned.saturating_add(looked_at.len()), TextErrorKind::Truncated))
            }
            Scan::Incomplete => {
                self.scanned = self.buffer.len();
                if self.scanned > self.text_max {
                    return Err(
                        self.lost(self.text_max, TextErrorKind::TooLarge { max: self.text_max })
                    );
                }
                Ok(None)
            }
            Scan::Invalid { at } => {
                Err(self.broken(self.scanned.saturating_add(at), TextErrorKind::Malformed))
            }
            Scan::TooDeep { at } => {
                let kind = TextErrorKind::TooDeep { max: self.depth_max };
                Err(self.broken(self.scanned.saturating_add(at), kind))
            }
        }
    }

    /// A text that ends after `length` bytes of the buffer.
    fn finish(&mut self, length: usize) -> Result<Option<Bytes>, TextError> {
        if length > self.text_max {
            return Err(self.lost(self.text_max, TextErrorKind::TooLarge { max: self.text_max }));
        }
        let offset = self.taken;
        let text = self.split(length);
        self.stage = Stage::Between;
        self.seen.get_or_insert(Framing::Bare);
        // Whether the line ends here is known at once if it came along.
        self.skip_space();
        valid(text, offset).map(Some)
    }

    fn headers(&mut self) -> Result<Option<usize>, TextError> {
        let end = self.headers_end();
        let Some((length, end)) = end else {
            if self.buffer.len() > HEADERS_MAX {
                return Err(self.lost(0, TextErrorKind::Headers));
            }
            // What was seen cannot begin the end any more, but for its last three bytes.
            self.scanned = self.buffer.len().saturating_sub(3);
            return Ok(None);
        };
        let found = content_length(self.buffer.get(..length).unwrap_or_default());
        match found.filter(|_| end <= HEADERS_MAX) {
            None => Err(self.lost(0, TextErrorKind::Headers)),
            Some(length) if length > self.text_max => {
                Err(self.lost(0, TextErrorKind::TooLarge { max: self.text_max }))
            }
            Some(length) => {
                self.take(end);
                Ok(Some(length))
            }
        }
    }

    /// Where the headers end, without and with the empty line.
    fn headers_end(&self) -> Option<(usize, usize)> {
        let fresh = self.buffer.get(self.scanned..)?;
        let ends: [&[u8]; 2] = [b"\r\n\r\n", b"\n\n"];
        let find = |end: &[u8]| {
            let at = fresh.windows(end.len()).position(|window| window == end)?;
            let at = self.scanned.saturating_add(at);
            Some((at, at.saturating_add(end.len())))
        };
        ends.into_iter().filter_map(find).min()
    }

    fn body(&mut self, length: usize) -> Result<Option<Bytes>, TextError> {
        if self.buffer.len() < length {
            return Ok(None);
        }
        let offset = self.taken;
        let text = self.split(length);
        self.stage = Stage::Between;
        let error = |at: usize, kind| TextError {
            offset: offset.saturating_add(at as u64),
            kind,
            is_fatal: false,
        };
        let mut scanner = Scanner::new(self.depth_max);
        match scanner.scan(&text) {
            Scan::Complete { length: end } => {
                let rest = text.get(end..).unwrap_or_default();
                match rest.iter().position(|byte| !is_space(byte)) {
                    Some(at) => Err(error(end.saturating_add(at), TextErrorKind::Malformed)),
                    None => valid(text, offset).map(Some),
                }
            }
            Scan::Incomplete => Err(error(length, TextErrorKind::Malformed)),
            Scan::Invalid { at } => Err(error(at, TextErrorKind::Malformed)),
            Scan::TooDeep { at } => Err(error(at, TextErrorKind::TooDeep { max: self.depth_max })),
        }
    }

    /// A text that cannot be read. What follows is found by its line, if lines there are.
    fn broken(&mut self, at: usize, kind: TextErrorKind) -> TextError {
        if at > self.text_max {
            // It was too large before, which shows when it comes in pieces.
            return self.lost(self.text_max, TextErrorKind::TooLarge { max: self.text_max });
        }
        if self.framing() == Some(Framing::Bare) && self.chosen.is_some() {
            return self.lost(at, kind);
        }
        let offset = self.taken.saturating_add(at as u64);
        self.take(at);
        self.stage = Stage::SkipLine;
        TextError { offset, kind, is_fatal: false }
    }

    fn lost(&mut self, at: usize, kind: TextErrorKind) -> TextError {
        let offset = self.taken.saturating_add(at as u64);
        self.stage = Stage::Lost;
        self.buffer = BytesMut::new();
        TextError { offset, kind, is_fatal: true }
    }

    fn line_end(&self) -> Option<usize> {
        let at = self.buffer.iter().position(|byte| *byte == b'\n')?;
        Some(at.saturating_add(1))
    }

    fn take(&mut self, length: usize) {
        let length = length.min(self.buffer.len());
        self.buffer.advance(length);
        self.taken = self.taken.saturating_add(length as u64);
        self.scanned = 0;
    }

    fn split(&mut self, length: usize) -> Bytes {
        let text = self.buffer.split_to(length.min(self.buffer.len())).freeze();
        self.taken = self.taken.saturating_add(text.len() as u64);
        self.scanned = 0;
        text
    }
}

/// What JSON calls white space: a form feed is none.
fn is_space(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn valid(text: Bytes, offset: u64) -> Result<Bytes, TextError> {
    match core::str::from_utf8(&text) {
        Ok(_) => Ok(text),
        Err(error) => Err(TextError {
            offset: offset.saturating_add(error.valid_up_to() as u64),
            kind: TextErrorKind::NotUtf8,
            is_fatal: false,
        }),
    }
}

/// Reads the one header that counts. Two that differ count as none.
fn content_length(headers: &[u8]) -> Option<usize> {
    let headers = core::str::from_utf8(headers).ok()?;
    let mut found = None;
    for line in headers.lines() {
        let (name, value) = line.split_once(':')?;
        if !name.trim().eq_ignore_ascii_case(CONTENT_LENGTH) {
            continue;
        }
        let value = value.trim();
        let is_plain = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        let length = is_plain.then(|| value.parse::<usize>().ok()).flatten()?;
        if found.is_some_and(|before| before != length) {
            return None;
        }
        found = Some(length);
    }
    found
}
