use alloc::string::{String, ToString};
use alloc::vec;

use bytes::BytesMut;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::message::{Body, Typed, from_bytes, from_slice};

fn encode<T: Serialize>(value: &T) -> Bytes {
    let mut out = BytesMut::new();
    Typed(value).write(&mut out).unwrap();
    out.freeze()
}

fn large() -> Blob {
    vec![5; SHARED_MIN].into()
}

fn shares(payload: &Bytes, data: &[u8]) -> bool {
    payload.as_ptr_range().contains(&data.as_ptr())
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Flat {
    name: String,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Rest {
    data: Option<Blob>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
enum Tagged {
    File { data: Blob },
    Nothing,
}

#[test]
fn large_blobs_share_the_payload_however_they_are_nested() {
    let payload = encode(&Flat { name: "a".into(), rest: Rest { data: Some(large()) } });
    let flat: Flat = from_bytes(&payload).unwrap();
    assert!(shares(&payload, &flat.rest.data.unwrap()));

    let payload = encode(&Tagged::File { data: large() });
    let Tagged::File { data } = from_bytes(&payload).unwrap() else { panic!() };
    assert!(shares(&payload, &data));

    let payload = encode(&(large(), vec![Some(large())]));
    let (first, rest): (Blob, Vec<Option<Blob>>) = from_bytes(&payload).unwrap();
    assert!(shares(&payload, &first) && shares(&payload, rest[0].as_ref().unwrap()));
}

#[test]
fn small_ones_and_those_of_slices_are_copies() {
    let small = Blob::from(vec![5; SHARED_MIN - 1]);
    let payload = encode(&(small.clone(), large()));
    let (copied, shared): (Blob, Blob) = from_bytes(&payload).unwrap();
    assert!(!shares(&payload, &copied) && shares(&payload, &shared));
    let (_, copied): (Blob, Blob) = from_slice(&payload).unwrap();
    assert!(!shares(&payload, &copied));
    assert_eq!((copied, small.len()), (large(), SHARED_MIN - 1));
}

/// Reads another payload while it is being read.
struct Nested(Blob, Blob);

impl<'de> Deserialize<'de> for Nested {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (before, inner, after) = <(Blob, Blob, Blob)>::deserialize(deserializer)?;
        assert!(!shares(&inner, &before));
        let of_inner: Blob = from_bytes(&inner).map_err(D::Error::custom)?;
        assert!(shares(&inner, &of_inner));
        Ok(Self(of_inner, after))
    }
}

#[test]
fn a_payload_inside_of_another_is_shared_as_well() {
    let inner = Blob(encode(&large()));
    let payload = encode(&((large(), inner, large()), large()));
    let (Nested(inner, after), last): (Nested, Blob) = from_bytes(&payload).unwrap();
    assert!([inner, after, last].iter().all(|blob| shares(&payload, blob)));
}

/// A serializer between the blob and the payload may write other bytes than the blob's.
#[test]
fn other_bytes_are_never_taken_for_the_blob_that_is_written() {
    let (blob, other) = (large(), large());
    for slice in [&other[..], &blob[1..], &blob[..SHARED_MIN - 1]] {
        let _noted = Noted::new(&WRITTEN, &blob);
        assert_eq!(owner_of(slice), None);
    }
    let _noted = Noted::new(&WRITTEN, &blob);
    assert_eq!(owner_of(&blob), Some(blob.0));
}

/// A deserializer in between may give other bytes than the payload's.
#[test]
fn other_bytes_are_never_taken_for_a_part_of_the_payload() {
    let (payload, other) = (large(), large());
    let _noted = Noted::reading(&payload.slice(1..));
    assert_eq!(part(&other), None);
    assert_eq!(part(&payload), None);
    let longer = Blob::from(vec![0; 2 * SHARED_MIN]);
    let _noted = Noted::reading(&longer.slice(..SHARED_MIN + 1));
    assert_eq!(part(&longer[2..SHARED_MIN + 2]), None);
    assert_eq!(part(&longer[1..SHARED_MIN + 1]), Some(longer.slice(1..SHARED_MIN + 1)));
}

#[test]
fn nothing_stays_noted() {
    let payload = encode(&large());
    drop(from_bytes::<Blob>(&payload).unwrap());
    drop(from_bytes::<u8>(&payload).unwrap_err());
    let mut splices = crate::message::Splices::default();
    Typed(&(large(), large())).write_sharing(&mut BytesMut::new(), &mut splices).unwrap();
    assert!(READ.take().is_none() && WRITTEN.take().is_none());
    assert!(payload.is_unique());
}

#[test]
fn other_forms_are_read_too() {
    let json = serde_json::to_string(&Blob::from(vec![1, 2, 255])).unwrap();
    assert_eq!(json, "[1,2,255]");
    assert_eq!(*serde_json::from_str::<Blob>(&json).unwrap(), vec![1, 2, 255]);
    assert_eq!(*serde_json::from_str::<Blob>(r#""abc""#).unwrap(), "abc");
    assert_eq!(*from_bytes::<Blob>(&encode(&"abc")).unwrap(), "abc");
    assert_eq!(*from_bytes::<Blob>(&encode(&[1, 2, 3])).unwrap(), vec![1, 2, 3]);
}

#[test]
fn what_is_no_binary_data_is_refused() {
    fn refusal<T: DeserializeOwned + fmt::Debug + 'static>(payload: &Bytes) -> String {
        from_bytes::<T>(payload).unwrap_err().to_string()
    }
    assert!(refusal::<Blob>(&encode(&5)).contains("expected binary data"));
    assert!(refusal::<Blob>(&encode(&[1, 256])).contains("256"));
    assert!(serde_json::from_str::<Blob>("[1,-1]").is_err());
}
