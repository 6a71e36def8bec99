//! The churn again and again, with a look at the server's memory after each round.

use crate::args::Plan;
use crate::child::Child;
use crate::churn;
use crate::report::{grouped, Report};
use std::time::{Duration, Instant};

/// Growth from which it is a leak, in KiB a minute, if it is as many KiB in all: in a few seconds a
/// few pages look like much.
const LEAK: f64 = 1024.0;
/// At the beginning, the buffers and lists of the process and of its allocator find their size.
/// What is seen in a quarter of the time, or in this, is not judged.
const SETTLING: Duration = Duration::from_secs(60);

/// Looks when nobody is connected: what a leak leaves is there, and what live connections take,
/// which is different each time, is not.
pub fn run(child: &mut Child, plan: &Plan, report: &mut Report) {
    let (begun, mut samples, mut number) = (Instant::now(), Vec::new(), 0);
    let settled = (plan.minutes / 4).min(SETTLING);
    while begun.elapsed() < plan.minutes {
        let [now, end] = [begun.elapsed(), plan.minutes].map(|time| time.as_secs_f64() / 60.0);
        let part = format!("memory, {:.1} of {:.1} minutes", now, end);
        churn::connect(child, &part, number, number + plan.round);
        number += plan.round;
        child.wait_for_rest(true);
        if begun.elapsed() >= settled {
            samples.push((begun.elapsed().as_secs_f64() / 60.0, child.memory_kib()));
        }
    }
    assert!(samples.len() >= 3, "{} looks at the memory are too few", samples.len());
    let slope = slope(&samples);
    let growth = slope * (samples[samples.len() - 1].0 - samples[0].0);
    let memory = |kib: f64| grouped(kib as u64);
    let least = samples.iter().map(|sample| sample.1).fold(f64::MAX, f64::min);
    let most = samples.iter().map(|sample| sample.1).fold(0.0, f64::max);
    let minutes = format!("{:.1} minutes", begun.elapsed().as_secs_f64() / 60.0);
    report.row("connections", &format!("{} in {}", grouped(number as u64), minutes), "all so");
    let range = format!("{} to {} KiB, {} looks", memory(least), memory(most), samples.len());
    report.row("VmRSS at rest", &range, "");
    let result = format!("{:.0} KiB a minute, {:.0} KiB in all", slope, growth);
    report.row("its slope (least squares)", &result, "one of them below 1,024");
    let leaks = slope >= LEAK && growth >= LEAK;
    assert!(!leaks, "the memory grows by {:.0} KiB a minute: {:?}", slope, samples);
}

/// Returns the slope of the line that is nearest to the points, by least squares.
fn slope(points: &[(f64, f64)]) -> f64 {
    let mean =
        |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let covariance: f64 = points.iter().map(|point| (point.0 - x) * (point.1 - y)).sum();
    let variance: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    covariance / variance
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_slope_of_a_line_and_of_a_line_with_noise() {
        assert_eq!(super::slope(&[(1.0, 10.0), (2.0, 13.0), (3.0, 16.0)]), 3.0);
        assert_eq!(super::slope(&[(0.0, 1.0), (1.0, 0.0), (2.0, 3.0), (3.0, 2.0)]), 0.6);
    }
}
