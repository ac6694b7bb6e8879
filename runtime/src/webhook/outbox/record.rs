//! What is stored of a webhook beside its payload: a byte for the version, a checksum, then a
//! MessagePack map.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The newest version of records, and the one that is written.
pub(super) const VERSION: u8 = 1;

/// Bytes of the words about a failure that are kept.
const REASON_MAX: usize = 512;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: String,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) content_type: String,
    pub(super) payload_size: u64,
    /// See [`sum`].
    pub(super) payload_sum: u64,
    /// In unix milliseconds, like all times.
    pub(super) created_at: u64,
    /// Attempts in all.
    pub(super) attempts: u32,
    /// Those since it was accepted, or retried by hand: where it stands in its schedule.
    pub(super) round: u32,
    pub(super) last: Option<Last>,
    pub(super) state: State,
}

/// How the last attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Last {
    pub(super) at: u64,
    pub(super) status: Option<u16>,
    pub(super) reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    Pending { next_at: u64 },
    Dead { at: u64 },
}

/// Bytes that are no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RecordError {
    Newer(u8),
    Unreadable(String),
}

impl Record {
    /// What it takes of the limits. It does not change as long as the webhook is there.
    pub(super) fn cost(&self) -> u64 {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        let texts = self.id.len() + self.url.len() + self.content_type.len();
        self.payload_size.saturating_add((texts + headers.sum::<usize>()) as u64)
    }

    /// Whether this is the payload that was accepted with it.
    pub(super) fn fits(&self, payload: &[u8]) -> bool {
        payload.len() as u64 == self.payload_size && sum(payload) == self.payload_sum
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, RecordError> {
        let map = rmp_serde::to_vec_named(self)
            .map_err(|error| RecordError::Unreadable(error.to_string()))?;
        Ok([&[VERSION][..], &sum(&map).to_be_bytes(), &map].concat())
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let unreadable = |what: &str| Err(RecordError::Unreadable(what.into()));
        let rest = match bytes.split_first() {
            Some((&VERSION, rest)) => rest,
            Some((&version, _)) if version > VERSION => return Err(RecordError::Newer(version)),
            Some(_) => return unreadable("its version does not exist"),
            None => return unreadable("it is empty"),
        };
        match rest.split_first_chunk() {
            Some((expected, map)) if u64::from_be_bytes(*expected) == sum(map) => {
                rmp_serde::from_slice(map)
                    .map_err(|error| RecordError::Unreadable(error.to_string()))
            }
            Some(_) => unreadable("its checksum is wrong"),
            None => unreadable("it is too short"),
        }
    }
}

/// The first eight bytes of SHA-256: what a disk has changed is not sent, even where the store's own
/// checksums no longer tell.
pub(super) fn sum(bytes: &[u8]) -> u64 {
    let digest = Sha256::digest(bytes);
    digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

impl Last {
    pub(super) fn new(at: u64, status: Option<u16>, reason: &str) -> Self {
        let mut ends = (0..=REASON_MAX.min(reason.len())).rev();
        let end = ends.find(|end| reason.is_char_boundary(*end)).unwrap_or(0);
        Self { at, status, reason: reason[..end].to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record() -> Record {
        Record {
            id: "msg_1".into(),
            url: "https://example.com/hook".into(),
            headers: vec![("x-shop".into(), "7".into())],
            content_type: "application/json".into(),
            payload_size: 2,
            payload_sum: sum(b"{}"),
            created_at: 1_700_000_000_000,
            attempts: 3,
            round: 2,
            last: Some(Last::new(1_700_000_000_500, Some(503), "busy")),
            state: State::Pending { next_at: 1_700_000_005_500 },
        }
    }

    #[test]
    fn a_record_comes_back() {
        let dead = Record { last: None, state: State::Dead { at: u64::MAX }, ..record() };
        for record in [record(), dead] {
            assert_eq!(Record::decode(&record.encode().unwrap()), Ok(record));
        }
    }

    #[test]
    fn a_newer_record_is_told_from_a_damaged_one() {
        let mut bytes = record().encode().unwrap();
        bytes[0] = 2;
        assert_eq!(Record::decode(&bytes), Err(RecordError::Newer(2)));
        bytes[0] = 0;
        assert!(matches!(Record::decode(&bytes), Err(RecordError::Unreadable(_))));
        assert!(matches!(Record::decode(&[]), Err(RecordError::Unreadable(_))));
    }

    #[test]
    fn words_about_a_failure_are_cut_between_characters() {
        let last = Last::new(0, None, &"ä".repeat(400));
        assert_eq!(last.reason.chars().count(), 256);
        assert_eq!(Last::new(0, None, &format!("a{}", "ä".repeat(400))).reason.len(), 511);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Record::decode(&bytes);
        }

        #[test]
        fn a_changed_record_is_an_error(at in 0_usize..200, bits in 1_u8..) {
            let mut bytes = record().encode().unwrap();
            let at = at % bytes.len();
            bytes[at] ^= bits;
            prop_assert!(Record::decode(&bytes).is_err());
        }
    }

    #[test]
    fn a_payload_fits_its_record_alone() {
        assert!(record().fits(b"{}"));
        assert!(!record().fits(b"[]") && !record().fits(b"{} ") && !record().fits(b""));
    }
}
