use std::future::Future;
use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt};

const FIRST: usize = 4 * 1024;
const LAST: usize = 512 * 1024;

/// What was read. Reads begin small and double while they are filled.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) buffer: BytesMut,
    room: usize,
}

impl Reader {
    pub(super) fn new() -> Self {
        Self { buffer: BytesMut::new(), room: FIRST }
    }

    /// Reads once; 0 at the end of the stream.
    pub(super) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.buffer.reserve(self.room);
        let room = self.buffer.capacity() - self.buffer.len();
        // The future has no state of its own: one that is dropped has read nothing.
        let polled = pin!(stream.read_buf(&mut self.buffer)).poll(cx);
        if let Poll::Ready(Ok(read)) = &polled
            && *read == room
        {
            self.room = (self.room * 2).min(LAST);
        }
        polled
    }
}
