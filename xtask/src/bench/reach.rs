//! Sets the medians of the codec's benchmarks in relation: one figure alone says more of the machine than of the code.

use std::path::Path;

use serde_json::Value;

use crate::run::{Doing, Failure, Result};

/// One benchmark: its group and its name, as criterion has them.
struct Bench(&'static str, &'static str);

/// A relation that the codec should reach.
struct Reach {
    what: &'static str,
    of: Bench,
    to: Bench,
    at_most: f64,
}

const REACHES: &[Reach] = &[
    Reach {
        what: "encode, one event in its frame, to bincode derive",
        of: Bench("encode", "frame of 1"),
        to: Bench("encode", "bincode derive"),
        at_most: 1.4,
    },
    Reach {
        what: "encode, 64 to a frame, to bincode derive",
        of: Bench("encode", "frame of 64"),
        to: Bench("encode", "64 x bincode derive"),
        at_most: 1.15,
    },
    Reach {
        what: "decode of an event that is there, to bincode derive",
        of: Bench("decode", "owned"),
        to: Bench("decode", "bincode derive"),
        at_most: 1.25,
    },
    Reach {
        what: "routing of a frame of 1, to its full decode",
        of: Bench("route", "frame of 1"),
        to: Bench("decode", "frame of 1, parsed and owned"),
        at_most: 0.2,
    },
    Reach {
        what: "routing of a frame of 64, to its full decode",
        of: Bench("route", "frame of 64"),
        to: Bench("decode", "frame of 64, parsed and owned"),
        at_most: 0.2,
    },
];

/// Prints the relations, from what criterion left in the build directory.
pub(super) fn print(target: &Path) -> Result {
    println!("\n{:<54} {:>10} {:>10} {:>7} {:>8}", "", "ns", "ns", "ratio", "reach");
    for Reach { what, of, to, at_most } in REACHES {
        let (of, to) = (median(target, of)?, median(target, to)?);
        let ratio = of / to;
        let verdict = if ratio <= *at_most { "" } else { "  not reached" };
        println!("{what:<54} {of:>10.1} {to:>10.1} {ratio:>6.2}x {at_most:>7.2}x{verdict}");
    }
    Ok(())
}

fn median(target: &Path, Bench(group, name): &Bench) -> Result<f64> {
    let file = target.join("criterion").join(group).join(name).join("new/estimates.json");
    let doing = format!("read {}", file.display());
    let text = std::fs::read_to_string(&file).doing(&doing)?;
    let estimates: Value = serde_json::from_str(&text).map_err(std::io::Error::from).doing(&doing)?;
    estimates["median"]["point_estimate"]
        .as_f64()
        .ok_or_else(|| Failure::new(format!("{} holds no median", file.display())))
}
