//! What must hold for any bytes. The fuzz targets call these functions, and so do the tests of
//! `replay`, with the corpus and with variants of it.

pub mod chunked;
pub mod connection;
pub mod conversation;
pub mod cookie;
pub mod envelope;
pub mod frame;
pub mod head;
#[cfg(feature = "deflate")]
pub mod inflate;

#[cfg(test)]
mod replay;

/// Returns the bytes whole, one by one, and cut in two somewhere.
fn ways(bytes: &[u8]) -> [Vec<&[u8]>; 3] {
    let sum = bytes.iter().fold(0usize, |sum, byte| sum * 31 % 65_521 + usize::from(*byte));
    let (one, other) = bytes.split_at(sum % (bytes.len() + 1));
    [vec![bytes], bytes.chunks(1).collect(), vec![one, other]]
}
