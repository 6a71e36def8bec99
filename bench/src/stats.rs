//! Medians and percentiles, and how numbers are written.

/// The middle, the lowest and the highest of a few rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

/// Returns the spread, or `None` of nothing.
pub fn spread(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (*values.first()?, *values.last()?);
    let half = values.len() / 2;
    let median =
        if values.len() % 2 == 1 { values[half] } else { (values[half - 1] + values[half]) / 2.0 };
    Some(Spread { median, low, high })
}

/// Returns the smallest value that `percent` of all are not above (nearest rank). Sorts them.
pub fn percentile(values: &mut [u32], percent: f64) -> Option<u32> {
    values.sort_unstable();
    let rank = (percent / 100.0 * values.len() as f64).ceil() as usize;
    values.get(rank.max(1) - 1).copied()
}

/// Groups thousands: 1,234,567.
pub fn number(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let whole = text.find('.').unwrap_or(text.len());
    let mut grouped = String::new();
    for (index, letter) in text.char_indices() {
        let left = whole.saturating_sub(index);
        if index > 0 && left > 0 && left % 3 == 0 && !grouped.ends_with('-') {
            grouped.push(',');
        }
        grouped.push(letter);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_odd_even_and_none() {
        let of = |values: &[f64]| spread(values.iter().copied());
        assert_eq!(of(&[3.0, 1.0, 2.0]), Some(Spread { median: 2.0, low: 1.0, high: 3.0 }));
        assert_eq!(of(&[4.0, 1.0, 2.0, 3.0]).map(|spread| spread.median), Some(2.5));
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn percentiles_by_nearest_rank() {
        let mut hundred: Vec<u32> = (1..=100).rev().collect();
        assert_eq!(percentile(&mut hundred, 99.0), Some(99));
        assert_eq!(percentile(&mut hundred, 100.0), Some(100));
        assert_eq!(percentile(&mut hundred, 0.0), Some(1));
        assert_eq!(percentile(&mut [7], 99.0), Some(7));
        assert_eq!(percentile(&mut [], 99.0), None);
    }

    #[test]
    fn thousands_are_grouped() {
        assert_eq!(number(1234567.4, 0), "1,234,567");
        assert_eq!(number(123.456, 2), "123.46");
        assert_eq!(number(-123456.0, 1), "-123,456.0");
        assert_eq!(number(0.0, 0), "0");
    }
}
