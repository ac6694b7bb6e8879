//! Answers with the right bytes and computes nothing.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;

use super::frames::{self, Content, Peeked, peek};
use super::reader::Reader;
use crate::sockets::hits::push_payload;
use crate::sockets::{PUSH_LEN, Result};

/// Bytes that may wait to be written before nothing more is read.
const WAITING_MAX: usize = 1 << 20;
/// Bytes of a broadcast that are written at once.
const WRITE: usize = 16 * 1024;

type Subscribers = Arc<Mutex<Vec<(OwnedWriteHalf, BytesMut)>>>;

#[derive(Debug, Clone)]
struct Answers {
    add: Bytes,
    done: Bytes,
}

pub(super) async fn serve(listener: std::net::TcpListener) -> Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let subscribers = Subscribers::default();
    let answers = Answers { add: frames::add_answer()?, done: frames::done()? };
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A connection ends when its client does.
        tokio::spawn(connection(stream, answers.clone(), subscribers.clone()));
    }
}

async fn connection(
    mut stream: TcpStream,
    answers: Answers,
    subscribers: Subscribers,
) -> io::Result<()> {
    let (mut reader, mut out) = (Reader::new(), BytesMut::new());
    while write_and_read(&mut stream, &mut out, &mut reader).await? > 0 {
        if out.is_empty() && echo_in_place(&mut reader.buffer, &mut out) {
            continue;
        }
        while let Some(Peeked { content, id, length }) = peek(&reader.buffer) {
            let start = out.len();
            match content {
                Content::Add => out.extend_from_slice(&answers.add),
                Content::Echo => {
                    out.extend_from_slice(&reader.buffer[..length]);
                    frames::make_answer(&mut out[start..]);
                }
                Content::Publish => {
                    let messages = frames::published(&reader.buffer[..length]);
                    tokio::spawn(publish(subscribers.clone(), messages));
                    out.extend_from_slice(&answers.done);
                }
                Content::Subscribe => return subscribe(stream, subscribers).await,
                Content::Answer | Content::Pushed => return Ok(()),
            }
            frames::set_id(&mut out[start..], id);
            reader.buffer.advance(length);
        }
    }
    Ok(())
}

/// Writes what waits as far as the socket takes it, and waits for something to read.
async fn write_and_read(
    stream: &mut TcpStream,
    out: &mut BytesMut,
    reader: &mut Reader,
) -> io::Result<usize> {
    poll_fn(|cx| {
        while !out.is_empty() {
            match Pin::new(&mut *stream).poll_write(cx, out) {
                Poll::Ready(Ok(written)) => out.advance(written),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => break,
            }
        }
        if out.len() > WAITING_MAX {
            return Poll::Pending;
        }
        reader.poll_fill(stream, cx)
    })
    .await
}

/// When nothing but echoes has come, the bytes go back as they are, without a copy. The envelope of a
/// request is eleven bytes longer than that of its answer; they go along.
fn echo_in_place(read: &mut BytesMut, out: &mut BytesMut) -> bool {
    let mut end = 0;
    while let Some(Peeked { content, length, .. }) = peek(&read[end..]) {
        if content != Content::Echo {
            return false;
        }
        end += length;
    }
    if end == 0 {
        return false;
    }
    *out = read.split_to(end);
    let mut at = 0;
    while let Some(Peeked { length, .. }) = peek(&out[at..]) {
        frames::make_answer(&mut out[at..]);
        at += length;
    }
    true
}

async fn subscribe(stream: TcpStream, subscribers: Subscribers) -> io::Result<()> {
    let (mut reading, writing) = stream.into_split();
    subscribers.lock().await.push((writing, BytesMut::with_capacity(WRITE * 5 / 4)));
    let mut ignored = [0; 64];
    while reading.read(&mut ignored).await? > 0 {}
    Ok(())
}

async fn publish(subscribers: Subscribers, messages: u64) -> Result<()> {
    let mut subscribers = subscribers.lock().await;
    let mut frame = BytesMut::from(&frames::push(0)?[..]);
    let data = frame.len() - PUSH_LEN;
    for number in 0..messages {
        frame[data..].copy_from_slice(&push_payload(number));
        for (writing, out) in subscribers.iter_mut() {
            out.extend_from_slice(&frame);
            if out.len() >= WRITE {
                writing.write_all(out).await?;
                out.clear();
            }
        }
    }
    for (writing, out) in subscribers.iter_mut() {
        writing.write_all(out).await?;
        out.clear();
    }
    Ok(())
}
