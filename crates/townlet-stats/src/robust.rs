//! Medians and what goes with them: numbers that a few wild samples do not move.

/// What makes the median absolute deviation an estimate of a normal's standard deviation.
const MAD_TO_SD: f64 = 1.482_602_218_505_602;

/// The median; `None` of nothing. Sorts `values`.
pub(crate) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    median_of_sorted(values)
}

pub(crate) fn median_of_sorted(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    match (sorted.len(), sorted.get(middle)) {
        (_, None) => None,
        (n, Some(&upper)) if n % 2 == 1 => Some(upper),
        (_, Some(&upper)) => Some(sorted[middle - 1] + (upper - sorted[middle - 1]) / 2.0),
    }
}

/// The standard deviation as the median distance from the median tells it; 0 of nothing.
pub(crate) fn spread(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    let Some(centre) = median(&mut values) else { return 0.0 };
    values.iter_mut().for_each(|value| *value = (*value - centre).abs());
    median(&mut values).unwrap_or(0.0) * MAD_TO_SD
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// The mean squared distance from the mean, with n - 1; 0 of fewer than two.
pub(crate) fn variance(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let centre = mean(values);
    values.iter().map(|value| (value - centre) * (value - centre)).sum::<f64>() / (values.len() - 1) as f64
}
