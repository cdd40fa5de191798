//! How typed state becomes bytes: postcard by default, JSON or plain bytes by choice; sub-keys in an encoding whose byte
//! order is the order of the values. `state` uses both.

use crate::column::append;
use serde::{Serialize, de::DeserializeOwned};

/// Bytes of a `T` and back.
pub trait Codec<T>: 'static {
    /// Appends the bytes of `value`.
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), String>;
    /// Reads them back.
    fn decode(bytes: &[u8]) -> Result<T, String>;
}

/// Small and fast: postcard. Fields may not be added or reordered once state exists.
#[derive(Clone, Copy, Debug)]
pub struct Postcard;

/// Readable and forgiving of new fields (with `#[serde(default)]`): JSON.
#[derive(Clone, Copy, Debug)]
pub struct Json;

/// The bytes as they are.
#[derive(Clone, Copy, Debug)]
pub struct Raw;

/// Lets postcard append to a buffer, whole slices at a time.
struct Tail<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Tail<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        append(self.0, bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

impl<T: Serialize + DeserializeOwned> Codec<T> for Postcard {
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), String> {
        postcard::serialize_with_flavor(value, Tail(out)).map_err(|e| e.to_string())
    }

    fn decode(bytes: &[u8]) -> Result<T, String> {
        match postcard::take_from_bytes(bytes) {
            Ok((value, [])) => Ok(value),
            Ok((_, rest)) => Err(format!("{} bytes left over", rest.len())),
            Err(e) => Err(e.to_string()),
        }
    }
}

impl<T: Serialize + DeserializeOwned> Codec<T> for Json {
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), String> {
        serde_json::to_writer(out, value).map_err(|e| e.to_string())
    }

    fn decode(bytes: &[u8]) -> Result<T, String> {
        serde_json::from_slice(bytes).map_err(|e| e.to_string())
    }
}

impl Codec<Vec<u8>> for Raw {
    fn encode(value: &Vec<u8>, out: &mut Vec<u8>) -> Result<(), String> {
        append(out, value);
        Ok(())
    }

    fn decode(bytes: &[u8]) -> Result<Vec<u8>, String> {
        Ok(bytes.to_vec())
    }
}

impl Codec<String> for Raw {
    fn encode(value: &String, out: &mut Vec<u8>) -> Result<(), String> {
        append(out, value.as_bytes());
        Ok(())
    }

    fn decode(bytes: &[u8]) -> Result<String, String> {
        String::from_utf8(bytes.to_vec()).map_err(|e| e.to_string())
    }
}

/// A map state's sub-key: its bytes sort as its values do, so that ranges mean what they say.
pub trait SubKey: Sized {
    /// Appends its bytes.
    fn encode(&self, out: &mut Vec<u8>);
    /// Reads them back; `None` if they are no such key.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

macro_rules! unsigned_sub_key {
    ($($t:ty),*) => { $(
        impl SubKey for $t {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
            fn decode(bytes: &[u8]) -> Option<Self> {
                Some(<$t>::from_be_bytes(bytes.try_into().ok()?))
            }
        }
    )* };
}

macro_rules! signed_sub_key {
    ($($t:ty as $u:ty),*) => { $(
        impl SubKey for $t {
            fn encode(&self, out: &mut Vec<u8>) {
                // Flipping the sign bit puts negative numbers before the others.
                out.extend_from_slice(&((*self as $u) ^ (1 << (<$u>::BITS - 1))).to_be_bytes());
            }
            fn decode(bytes: &[u8]) -> Option<Self> {
                Some((<$u>::from_be_bytes(bytes.try_into().ok()?) ^ (1 << (<$u>::BITS - 1))) as $t)
            }
        }
    )* };
}

unsigned_sub_key!(u8, u16, u32, u64);
signed_sub_key!(i32 as u32, i64 as u64);

impl SubKey for String {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        String::from_utf8(bytes.to_vec()).ok()
    }
}

impl SubKey for Vec<u8> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Some(bytes.to_vec())
    }
}

/// Ordered by the number first, then by the rest.
impl<B: SubKey> SubKey for (i64, B) {
    fn encode(&self, out: &mut Vec<u8>) {
        self.0.encode(out);
        self.1.encode(out);
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(8)?;
        Some((i64::decode(head)?, B::decode(rest)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes<K: SubKey>(key: K) -> Vec<u8> {
        let mut out = Vec::new();
        key.encode(&mut out);
        out
    }

    #[test]
    fn sub_keys_sort_as_their_values_and_come_back() {
        let numbers = [i64::MIN, -300, -1, 0, 1, 255, 256, i64::MAX];
        let encoded: Vec<_> = numbers.iter().map(|n| bytes(*n)).collect();
        assert!(encoded.is_sorted());
        for (number, encoded) in numbers.iter().zip(&encoded) {
            assert_eq!(i64::decode(encoded), Some(*number));
        }
        assert!(bytes((-1i64, "z".to_string())) < bytes((0i64, "a".to_string())));
        assert_eq!(<(i64, String)>::decode(&bytes((7i64, "a".to_string()))), Some((7, "a".to_string())));
        assert_eq!(u32::decode(b"abc"), None);
    }

    #[test]
    fn codecs_refuse_bytes_of_another_shape() {
        let mut out = Vec::new();
        <Postcard as Codec<(u8, String)>>::encode(&(1, "x".into()), &mut out).unwrap();
        assert_eq!(<Postcard as Codec<(u8, String)>>::decode(&out), Ok((1, "x".to_string())));
        assert!(<Postcard as Codec<u8>>::decode(&out).unwrap_err().contains("left over"));
        assert!(<Json as Codec<u8>>::decode(b"[]").is_err());
        assert!(<Raw as Codec<String>>::decode(&[255]).is_err());
    }
}
