//! Repeated measurements, summed up. Everything that measures uses these.

use std::process::ExitCode;

use serde::Serialize;

/// What one thing gave in several repetitions.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Sample {
    values: Vec<f64>,
}

impl Sample {
    /// Adds a repetition. What is no number is left out.
    pub fn add(&mut self, value: f64) {
        if value.is_finite() {
            self.values.push(value);
        }
    }

    /// Repetitions.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether nothing was measured yet.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The smallest value: of a time, what it takes when nothing else disturbs. NaN when empty.
    pub fn minimum(&self) -> f64 {
        self.values.iter().copied().fold(f64::NAN, f64::min)
    }

    /// The largest value. NaN when empty.
    pub fn maximum(&self) -> f64 {
        self.values.iter().copied().fold(f64::NAN, f64::max)
    }

    /// The value in the middle, or the mean of the two there. NaN when empty.
    pub fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.get(middle) {
            None => f64::NAN,
            Some(upper) if sorted.len() % 2 == 1 => *upper,
            Some(upper) => sorted.get(middle.wrapping_sub(1)).map_or(*upper, |lower| (lower + upper) / 2.0),
        }
    }
}

impl FromIterator<f64> for Sample {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut sample = Self::default();
        values.into_iter().for_each(|value| sample.add(value));
        sample
    }
}

/// How a goal is said to be met or not.
pub const fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "MISSED" }
}

/// How a program that measures ends: 0, or 1 when a goal is missed and `check` was asked for; 2 when there are no
/// figures, which is told on standard error.
pub fn ended(met: Result<bool, Box<dyn std::error::Error>>, check: bool) -> ExitCode {
    match met {
        Ok(met) => ExitCode::from(u8::from(!met && check)),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_odd_even_and_none() {
        let of = |values: &[f64]| values.iter().copied().collect::<Sample>();
        assert_eq!(of(&[3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(of(&[4.0, 1.0, 2.0, 3.0]).median(), 2.5);
        assert_eq!((of(&[4.0, 1.0]).minimum(), of(&[4.0, 1.0]).maximum()), (1.0, 4.0));
        assert!(of(&[]).median().is_nan() && of(&[]).minimum().is_nan());
        assert_eq!(of(&[f64::NAN, 1.0]).len(), 1);
    }
}
