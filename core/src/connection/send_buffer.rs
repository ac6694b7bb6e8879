//! What waits to be written: frames in order, as few contiguous pieces as possible, and for each
//! frame what it is, so that a pause can hold it back and an end can tell whether it left.

use alloc::collections::{VecDeque, vec_deque};

use bytes::{Buf, Bytes, BytesMut};

use super::event::SendId;
use crate::message::Splices;

/// A piece of own frames is closed beyond this size, so that memory comes back in steps.
const PIECE_MAX: usize = 64 * 1024;
/// A drained piece of at most this size is kept for the next frames.
const SPARE_MAX: usize = 16 * 1024;
/// Behind so many bytes smaller data than that is copied.
const SHARING_MAX: usize = 1024 * 1024;
/// A shared frame of at most this size is copied: cheaper than one more slice to write.
const SHARED_COPY_MAX: usize = 1024;

/// What a frame is to flow control.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Login, pause, resume, close: never held back.
    Control,
    /// A ping: makes the peer answer.
    Ping,
    /// A pong: at most one waits.
    Pong,
    /// The answer to one of the peer's requests.
    Response,
    /// What the peer's frames cause by themselves: acknowledgements and refusals.
    Reply,
    /// One of this side's calls, by its correlation id.
    Request(u64),
    /// A message, by its number.
    Message(u64),
    /// A message that may make way for a newer one, by its number.
    Droppable(u64),
}

impl Class {
    /// A call whose outcome nobody waits for. Correlation ids of calls begin at 1.
    pub(crate) const FORGOTTEN: Self = Self::Request(0);

    /// The call that it makes, if it makes one.
    pub(crate) fn request(self) -> Option<u64> {
        match self {
            Self::Request(id) => Some(id),
            Self::Message(_)
            | Self::Droppable(_)
            | Self::Reply
            | Self::Control
            | Self::Ping
            | Self::Pong
            | Self::Response => None,
        }
    }

    /// Whether the queue limits count it: what the application sends by itself.
    pub(crate) fn is_data(self) -> bool {
        matches!(self, Self::Request(_) | Self::Message(_) | Self::Droppable(_))
    }
}

#[derive(Debug)]
enum Piece {
    Own(BytesMut),
    Shared(Bytes),
}

impl Piece {
    fn as_slice(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }
}

/// The pieces in order.
#[derive(Debug, Clone)]
pub(crate) struct Pieces<'a>(vec_deque::Iter<'a, Piece>);

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.0.next().map(Piece::as_slice)
    }
}

#[derive(Debug, Clone, Copy)]
struct Mark {
    length: usize,
    class: Class,
}

/// A frame that was taken back before any byte of it was written.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) class: Class,
    pub(crate) bytes: Bytes,
}

#[derive(Debug, Default)]
pub(crate) struct SendBuffer {
    pieces: VecDeque<Piece>,
    marks: VecDeque<Mark>,
    /// How much of the first frame has been written.
    front_written: usize,
    bytes: usize,
    data_frames: usize,
    pongs: usize,
    answer_bytes: usize,
    reply_bytes: usize,
    sent_through: u64,
    spare: BytesMut,
}

impl SendBuffer {
    /// Appends a frame by writing it; `write` tells its length and leaves nothing in the buffer on error.
    pub(crate) fn write<E>(
        &mut self,
        class: Class,
        write: impl FnOnce(&mut BytesMut, &mut Splices) -> Result<usize, E>,
    ) -> Result<(), E> {
        let mut splices = self.splices();
        let Some(tail) = self.tail() else { return Ok(()) };
        let result = write(tail, &mut splices);
        if tail.is_empty() {
            self.pieces.pop_back();
        }
        let length = result?;
        if !splices.is_empty() {
            self.splice(splices);
        }
        self.mark(length, class);
        Ok(())
    }

    /// For the next frame. What waits counts by its own size, and not by what it keeps of the memory that
    /// it was received in; so behind much that waits less is shared.
    fn splices(&self) -> Splices {
        if self.bytes < SHARING_MAX {
            Splices::default()
        } else {
            Splices::of_at_least(SHARING_MAX)
        }
    }

    /// Puts what is shared where it belongs in the newest piece.
    #[cold]
    fn splice(&mut self, splices: Splices) {
        let Some(Piece::Own(mut tail)) = self.pieces.pop_back() else { return };
        for (before, data) in splices.cut(&mut tail) {
            if !before.is_empty() {
                self.pieces.push_back(Piece::Own(before));
            }
            self.pieces.push_back(Piece::Shared(data));
        }
        if tail.is_empty() {
            self.keep(tail);
        } else {
            self.pieces.push_back(Piece::Own(tail));
        }
    }

    /// Appends a whole frame that others may hold as well.
    pub(crate) fn push(&mut self, class: Class, frame: &Bytes) {
        let length = frame.len();
        if length > SHARED_COPY_MAX {
            self.pieces.push_back(Piece::Shared(frame.clone()));
        } else if let Some(tail) = self.tail() {
            tail.extend_from_slice(frame);
        }
        self.mark(length, class);
    }

    /// Where the next own bytes go; there always is such a place.
    fn tail(&mut self) -> Option<&mut BytesMut> {
        let needs_piece = match self.pieces.back() {
            Some(Piece::Own(last)) => last.len() >= PIECE_MAX,
            Some(Piece::Shared(_)) | None => true,
        };
        if needs_piece {
            self.pieces.push_back(Piece::Own(core::mem::take(&mut self.spare)));
        }
        match self.pieces.back_mut() {
            Some(Piece::Own(tail)) => Some(tail),
            Some(Piece::Shared(_)) | None => None,
        }
    }

    fn mark(&mut self, length: usize, class: Class) {
        self.bytes = self.bytes.saturating_add(length);
        self.data_frames = self.data_frames.saturating_add(usize::from(class.is_data()));
        self.pongs = self.pongs.saturating_add(usize::from(class == Class::Pong));
        match class {
            Class::Response => self.answer_bytes = self.answer_bytes.saturating_add(length),
            Class::Reply => self.reply_bytes = self.reply_bytes.saturating_add(length),
            Class::Control
            | Class::Ping
            | Class::Pong
            | Class::Request(_)
            | Class::Message(_)
            | Class::Droppable(_) => {}
        }
        self.marks.push_back(Mark { length, class });
    }

    /// Takes the newest frame of one class for one of another, which must be counted alike.
    pub(crate) fn reclass(&mut self, from: Class, to: Class) {
        if let Some(mark) = self.marks.iter_mut().rev().find(|mark| mark.class == from) {
            mark.class = to;
        }
    }

    pub(crate) fn pieces(&self) -> Pieces<'_> {
        Pieces(self.pieces.iter())
    }

    /// Forgets `n` bytes that were written; more than there are is all of them.
    pub(crate) fn advance(&mut self, n: usize) {
        let mut left = n.min(self.bytes);
        self.bytes = self.bytes.saturating_sub(left);
        self.advance_marks(left);
        while left > 0 {
            let Some(front) = self.pieces.front_mut() else { return };
            let here = front.as_slice().len().min(left);
            left = left.saturating_sub(here);
            match front {
                Piece::Own(bytes) => bytes.advance(here),
                Piece::Shared(bytes) => bytes.advance(here),
            }
            if front.as_slice().is_empty()
                && let Some(Piece::Own(drained)) = self.pieces.pop_front()
            {
                self.keep(drained);
            }
        }
    }

    fn advance_marks(&mut self, written: usize) {
        self.front_written = self.front_written.saturating_add(written);
        while let Some(front) = self.marks.front().copied() {
            if self.front_written < front.length {
                return;
            }
            self.front_written = self.front_written.saturating_sub(front.length);
            self.marks.pop_front();
            self.forget(front);
            if let Class::Message(number) | Class::Droppable(number) = front.class {
                self.sent_through = number;
            }
        }
    }

    fn forget(&mut self, Mark { length, class }: Mark) {
        match class {
            Class::Response => self.answer_bytes = self.answer_bytes.saturating_sub(length),
            Class::Reply => self.reply_bytes = self.reply_bytes.saturating_sub(length),
            Class::Control
            | Class::Ping
            | Class::Pong
            | Class::Request(_)
            | Class::Message(_)
            | Class::Droppable(_) => {}
        }
        self.data_frames = self.data_frames.saturating_sub(usize::from(class.is_data()));
        self.pongs = self.pongs.saturating_sub(usize::from(class == Class::Pong));
    }

    /// `reserve` wins the front of a drained buffer back, so keeping it saves an allocation.
    fn keep(&mut self, drained: BytesMut) {
        if self.spare.capacity() == 0 {
            self.spare = drained;
        }
    }

    /// Gives memory back that an idle connection does not need.
    pub(crate) fn shrink(&mut self) {
        if self.spare.capacity() > SPARE_MAX || self.pieces.is_empty() {
            self.spare = BytesMut::new();
        }
        if self.marks.is_empty() {
            self.marks = VecDeque::new();
        }
    }

    /// Forgets everything but which messages were handed over.
    pub(crate) fn clear(&mut self) {
        *self = Self { sent_through: self.sent_through, ..Self::default() };
    }

    /// Takes back every frame of a class that `wanted` names and of which no byte has been written.
    /// The order of both parts stays.
    pub(crate) fn take_back(&mut self, wanted: impl Fn(Class) -> bool) -> VecDeque<Held> {
        let mut taken = VecDeque::new();
        if !self.marks.iter().any(|mark| wanted(mark.class)) {
            return taken;
        }
        let mut all = BytesMut::with_capacity(self.bytes);
        for piece in &self.pieces {
            all.extend_from_slice(piece.as_slice());
        }
        let marks = core::mem::take(&mut self.marks);
        let written = core::mem::take(&mut self.front_written);
        let sent_through = self.sent_through;
        *self = Self { sent_through, ..Self::default() };
        let mut all = all.freeze();
        for (index, mark) in marks.into_iter().enumerate() {
            let begun = index == 0 && written > 0;
            let here = if begun { mark.length.saturating_sub(written) } else { mark.length };
            let frame = all.split_to(here.min(all.len()));
            if wanted(mark.class) && !begun {
                taken.push_back(Held { class: mark.class, bytes: frame });
            } else {
                self.pieces.push_back(Piece::Shared(frame));
                self.mark(mark.length, mark.class);
                if begun {
                    self.front_written = written;
                    self.bytes = self.bytes.saturating_sub(written);
                }
            }
        }
        taken
    }

    /// The classes of the frames of which no byte has been written.
    pub(crate) fn unwritten(&self) -> impl Iterator<Item = Class> {
        let begun = usize::from(self.front_written > 0);
        self.marks.iter().skip(begun).map(|mark| mark.class)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of answers that have not left as a whole.
    pub(crate) fn answer_bytes(&self) -> usize {
        self.answer_bytes
    }

    /// Bytes of acknowledgements and refusals that have not left as a whole.
    pub(crate) fn reply_bytes(&self) -> usize {
        self.reply_bytes
    }

    /// Nothing waits but heartbeats and the like.
    pub(crate) fn is_quiet(&self) -> bool {
        self.data_frames == 0 && self.answer_bytes == 0 && self.reply_bytes == 0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    pub(crate) fn data_frames(&self) -> usize {
        self.data_frames
    }

    pub(crate) fn has_pong(&self) -> bool {
        self.pongs > 0
    }

    pub(crate) fn sent_through(&self) -> SendId {
        SendId(self.sent_through)
    }
}
