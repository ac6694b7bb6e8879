use alloc::string::String;

use bytes::{Bytes, BytesMut};

use crate::message::msgpack::{self, Bounds, Reader};

/// Which part of a longer list a result is. Pages count from 1.
///
/// ```
/// use cndt_core::rpc::Page;
///
/// let page = Page { total: 95, page: 2, page_size: 10 };
/// assert_eq!(page.total_pages(), 10);
/// assert!(page.has_prev() && page.has_next());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Page {
    /// Items in the whole list.
    pub total: u64,
    /// Which page this is, from 1.
    pub page: u64,
    /// Items on a full page.
    pub page_size: u64,
}

impl Page {
    /// How many pages the whole list has. None if pages hold nothing.
    pub fn total_pages(self) -> u64 {
        if self.page_size == 0 { 0 } else { self.total.div_ceil(self.page_size) }
    }

    /// Whether a page follows.
    pub fn has_next(self) -> bool {
        self.page < self.total_pages()
    }

    /// Whether a page comes before.
    pub fn has_prev(self) -> bool {
        self.page > 1
    }

    /// Writes the map that peers expect under `pagination` (wire fact 3).
    pub(crate) fn write(self, out: &mut BytesMut) {
        msgpack::put_map(out, 6);
        let mut number = |key, value: u64| {
            msgpack::put_str(out, key);
            msgpack::put_int(out, i64::try_from(value).unwrap_or(i64::MAX));
        };
        number("total", self.total);
        number("page", self.page);
        number("page_size", self.page_size);
        number("total_pages", self.total_pages());
        msgpack::put_str(out, "has_next");
        msgpack::put_bool(out, self.has_next());
        msgpack::put_str(out, "has_prev");
        msgpack::put_bool(out, self.has_prev());
    }

    /// Reads that map. What can be counted from the rest is not looked at.
    pub(crate) fn read(map: &[u8], bounds: Bounds) -> Option<Self> {
        let [total, page, page_size] =
            crate::message::rpc::read_map(map, bounds, ["total", "page", "page_size"]).ok()?;
        let number = |range: Option<core::ops::Range<usize>>| {
            let number = Reader::new(map.get(range?)?, 1).int().ok()?;
            u64::try_from(number).ok()
        };
        Some(Self { total: number(total)?, page: number(page)?, page_size: number(page_size)? })
    }
}

/// What stands beside the result of a call. Empty by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Beside {
    /// About the result, for people; empty for none.
    pub message: String,
    /// About the result, for programs: one MessagePack value, trusted to be exactly one.
    pub metadata: Option<Bytes>,
    /// Which part of a longer list the result is.
    pub page: Option<Page>,
}

impl Beside {
    /// How many keys it adds to the answer.
    pub(crate) fn count(&self) -> u8 {
        u8::from(!self.message.is_empty())
            + u8::from(self.metadata.is_some())
            + u8::from(self.page.is_some())
    }
}
