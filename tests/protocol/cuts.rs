//! The ways in which a network may cut the bytes of a row.

/// Rows up to this length are cut in two at every offset, longer ones only near their ends.
const SHORT: usize = 600;

/// The bytes at either end of a long row with a cut at every offset; a frame header has at most 14.
const END: usize = 20;

/// Returns the bytes whole, one by one, in threes, and cut in two at every offset, the first and
/// the last included.
pub fn cuts(bytes: &[u8]) -> Vec<Vec<&[u8]>> {
    let mut ways = vec![vec![bytes], bytes.chunks(1).collect(), bytes.chunks(3).collect()];
    for place in 0..=bytes.len() {
        if bytes.len() <= SHORT || place <= END || place + END >= bytes.len() {
            let (one, other) = bytes.split_at(place);
            ways.push(vec![one, other]);
        }
    }
    ways
}

/// Returns the bytes as text for the message of a failure.
pub fn show(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(200)];
    format!("b\"{}\" ({} bytes)", shown.escape_ascii(), bytes.len())
}
