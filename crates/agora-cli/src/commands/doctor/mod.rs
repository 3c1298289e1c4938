//! `agora doctor`: does the communication of the cluster work, and what is to be done where it does not?

mod check;
mod cluster;
mod replicas;
mod round_trip;
mod topics;

use std::ffi::OsString;

use agora::{Bus, Link};
use tokio::time::Instant;

use self::check::{Check, Report, Status};
use self::cluster::Heard;
use crate::args::{Doctor, Global};
use crate::configured;
use crate::failure::{DONE, Failure, NEGATIVE};
use crate::io::Interrupt;
use crate::output::Output;
use crate::session::{joined, with_bus};

const CONFIGURATION: &str = "configuration";
const CONNECTION: &str = "connection";

pub(crate) async fn run(
    mut global: Global,
    args: Doctor,
    environment: &[(OsString, OsString)],
    color: bool,
    output: &mut Output,
    interrupt: &mut Interrupt,
) -> Result<u8, Failure> {
    let mut report = Report::new(output, color);
    match configured::load(&global, environment, false) {
        Ok(config) => global.config = config,
        Err(error) => {
            report.add(Check::error(CONFIGURATION, &error)).await?;
            return Ok(NEGATIVE);
        }
    }
    global.connect_timeout = global.config.model().connect_timeout;
    report.add(configuration(&global)).await?;
    let gone = report.output().reader_gone();
    let (begin, global) = (Instant::now(), &global);
    let looked = with_bus(global, round_trip::part(), interrupt, gone, async |bus: &Bus| {
        look(global, &args, bus, begin, &mut report).await
    });
    match looked.await {
        Ok(()) => {}
        // The connection was not made.
        Err(Failure::Error(error)) => report.add(Check::error(CONNECTION, &error)).await?,
        Err(other) => return Err(other),
    }
    Ok(if report.worst() == Status::Red { NEGATIVE } else { DONE })
}

fn configuration(global: &Global) -> Check {
    let config = &global.config;
    let backend = config.model().backend.map_or("none", |backend| backend.as_str());
    let from = config.origin("url").map(|origin| format!(" ({origin})")).unwrap_or_default();
    let cluster = config.model().cluster.as_ref().map_or(agora::DEFAULT_CLUSTER, |cluster| cluster.as_str());
    let found = format!("backend {backend}{from}, cluster {cluster}");
    match config.warnings() {
        [] => Check::green(CONFIGURATION, found),
        warnings => Check::yellow(
            CONFIGURATION,
            format!("{found}; {}", warnings.join("; ")),
            "change what is named, or leave it where it is meant; `agora config` shows where each value comes from",
        ),
    }
}

async fn look(
    global: &Global,
    args: &Doctor,
    bus: &Bus,
    begin: Instant,
    report: &mut Report<'_>,
) -> Result<(), Failure> {
    let mut members = bus.members();
    let deadline = begin + args.wait;
    let connection = connection(global, bus, begin).await;
    let red = connection.status == Status::Red;
    report.add(connection).await?;
    if red {
        return Ok(());
    }
    // Both take their time, and neither disturbs the other.
    let (round_trip, heard) =
        tokio::join!(round_trip::check(global, bus), Heard::listen(&mut members, args.count, deadline));
    report.add(round_trip).await?;
    report.add(cluster::members(bus, &heard, args.count, args.wait)).await?;
    report.add(cluster::clocks(bus)).await?;
    report.add(topics::check(global, bus)).await?;
    match replicas::check(bus).await {
        Some(check) => report.add(check).await,
        None => Ok(()),
    }
}

async fn connection(global: &Global, bus: &Bus, begin: Instant) -> Check {
    let backend = bus.capabilities().backend;
    let joined = joined(bus, global.connect_timeout).await;
    let link = bus.link().borrow().clone();
    match (joined, link) {
        (Ok(()), Link::Up) => {
            let took = round_trip::text_of(begin.elapsed());
            Check::green(CONNECTION, format!("{backend} is up, after {took}"))
        }
        (_, Link::Degraded { why, .. }) => Check::yellow(
            CONNECTION,
            format!("{backend}: {why}"),
            "look at the addresses that are named, and whether somebody listens there",
        ),
        (_, Link::Down { why, .. }) => Check::red(
            CONNECTION,
            format!("{backend}: {why}"),
            "check `url`, and that this host may reach the addresses and ports in it",
        ),
        (Err(Failure::Error(error)), Link::Up) => Check::error(CONNECTION, &error),
        (Err(_), Link::Up) => Check::red(CONNECTION, "not made", "look at the log with -v"),
    }
}
