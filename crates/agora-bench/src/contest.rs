//! Entrants that run by turns, and what their figures say of each other.

use std::future::Future;
use std::pin::Pin;

use crate::enters;
use crate::sample::Sample;

/// One way to do the work: its name, and what does it once.
pub(crate) struct Entrant<'a> {
    name: &'static str,
    run: Box<dyn Fn() -> Pin<Box<dyn Future<Output = Sample> + 'a>> + 'a>,
}

impl<'a> Entrant<'a> {
    /// An entrant.
    pub(crate) fn new<F, R>(name: &'static str, run: F) -> Self
    where
        F: Fn() -> R + 'a,
        R: Future<Output = Sample> + 'a,
    {
        Self { name, run: Box::new(move || Box::pin(run())) }
    }
}

/// What an entrant is compared with, and which ratio is to be reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aim {
    /// The one.
    pub(crate) of: &'static str,
    /// The other.
    pub(crate) to: &'static str,
    /// The least ratio of their medians.
    pub(crate) least: f64,
}

/// The figures of one entrant.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    name: &'static str,
    rates: Vec<f64>,
    cpu_us: Vec<f64>,
}

impl Figures {
    /// The least, the median and the greatest.
    fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
        values.sort_by(f64::total_cmp);
        (values[0], values[values.len() / 2], values[values.len() - 1])
    }
}

/// Lets the entrants run by turns, so often, and prints a table and what became of the aims.
pub(crate) async fn contest(title: &str, rounds: usize, entrants: &[Entrant<'_>], aims: &[Aim]) {
    let figures =
        |entrant: &Entrant<'_>| Figures { name: entrant.name, rates: Vec::new(), cpu_us: Vec::new() };
    let mut all: Vec<Figures> = entrants.iter().map(figures).collect();
    for _ in 0..rounds {
        for (entrant, figures) in entrants.iter().zip(&mut all).filter(|(entrant, _)| enters(entrant.name)) {
            let sample = (entrant.run)().await;
            figures.rates.push(sample.rate());
            figures.cpu_us.push(sample.cpu_us());
        }
    }
    println!("\n### {title}\n\n| | thousand events a second | µs of processor an event |\n|---|---|---|");
    all.retain(|figures| !figures.rates.is_empty());
    for figures in &all {
        let (least, median, most) = Figures::spread(figures.rates.clone());
        let (_, cpu, _) = Figures::spread(figures.cpu_us.clone());
        let name = figures.name;
        println!("| {name} | {:.0} ({:.0} to {:.0}) | {cpu:.2} |", median / 1e3, least / 1e3, most / 1e3);
    }
    println!();
    for aim in aims {
        println!("{}", verdict(&all, *aim));
    }
}

/// One line about an aim.
fn verdict(all: &[Figures], aim: Aim) -> String {
    let rates = |name: &str| all.iter().find(|f| f.name == name).map(|f| Figures::spread(f.rates.clone()));
    let (Some(of), Some(to)) = (rates(aim.of), rates(aim.to)) else {
        return format!("{aim:?}: not measured");
    };
    let (ratio, least) = (of.1 / to.1, aim.least);
    let reached = if ratio >= least { "reached" } else { "not reached" };
    // Two ranges that overlap say nothing of which is faster.
    let apart = if of.0 > to.2 || to.0 > of.2 { "" } else { "; indistinguishable: below the spread" };
    format!("- {} to {}: {ratio:.2}x (aim {least}x, {reached}{apart})", aim.of, aim.to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_below_the_spread_is_called_so() {
        let figures = |name, rates: [f64; 3]| Figures { name, rates: rates.to_vec(), cpu_us: vec![1.0] };
        let all = [figures("raw", [10.0, 12.0, 11.0]), figures("agora", [11.5, 30.0, 31.0])];
        let aim = |least| Aim { of: "agora", to: "raw", least };
        let line = verdict(&all, aim(2.0));
        assert_eq!(line, "- agora to raw: 2.73x (aim 2x, reached; indistinguishable: below the spread)");
        let all = [figures("raw", [10.0, 12.0, 11.0]), figures("agora", [20.0, 20.0, 20.0])];
        assert_eq!(verdict(&all, aim(2.0)), "- agora to raw: 1.82x (aim 2x, not reached)");
    }
}
