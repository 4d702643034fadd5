//! The machine: which CPU runs what, the limit on descriptors, and what a report says about the hardware.

use std::fs;
use std::thread;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};

/// CPUs for the load and the origin, and others for the proxy.
#[derive(Clone, Debug)]
pub(crate) struct Cpus {
    pub(crate) load: Vec<usize>,
    pub(crate) proxy: Vec<usize>,
}

impl Cpus {
    /// The first CPU for the load and the last for the proxy, but where others are asked for.
    pub(crate) fn choose(load: Option<Vec<usize>>, proxy: Option<Vec<usize>>) -> Result<Self> {
        let all = available()?;
        let (first, last) = (all.first().copied().context("no CPU")?, all.last().copied().context("no CPU")?);
        let cpus = Self { load: load.unwrap_or_else(|| vec![first]), proxy: proxy.unwrap_or_else(|| vec![last]) };
        ensure!(
            !cpus.load.is_empty() && cpus.load.iter().all(|cpu| !cpus.proxy.contains(cpu)),
            "the load and the proxy need CPUs of their own; there are {all:?}"
        );
        Ok(cpus)
    }
}

pub(crate) fn available() -> Result<Vec<usize>> {
    let set = sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect())
}

/// Keeps the calling thread, and what it starts from now on, on these CPUs.
pub(crate) fn pin(cpus: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus {
        set.set(*cpu);
    }
    sched_setaffinity(None, &set).with_context(|| format!("cannot use CPUs {cpus:?}"))
}

/// Runs `start` on a thread of its own on these CPUs, which the process it starts inherits.
pub(crate) fn pinned<T: Send>(cpus: &[usize], start: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let thread = scope.spawn(|| pin(cpus).and_then(|()| start()));
        thread.join().map_err(|_| anyhow::anyhow!("a starting thread panicked"))?
    })
}

/// Descriptors that the largest run needs, on either side.
const DESCRIPTORS: u64 = 65_536;

/// Raises the limit on descriptors, as far as it may; processes started later inherit it. The limit.
pub(crate) fn raise_descriptor_limit() -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(u64::MAX);
    let wanted = Rlimit { current: Some(hard.max(DESCRIPTORS)), maximum: Some(hard.max(DESCRIPTORS)) };
    // Only root can go beyond the hard limit.
    if setrlimit(Resource::Nofile, wanted).is_err() {
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    }
    Ok(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX))
}

/// What a reader needs to know about where figures come from.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cpus: usize,
    pub(crate) memory_mib: u64,
    pub(crate) kernel: String,
    /// RFC 3339, to the second.
    pub(crate) date: String,
    /// Of the machine when the run began; well above zero, figures are not to be trusted.
    pub(crate) load_average: f64,
}

impl Machine {
    pub(crate) fn describe() -> Result<Self> {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
        let name = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let meminfo = fs::read_to_string("/proc/meminfo")?;
        let total_kib = meminfo.split_whitespace().nth(1).context("/proc/meminfo has no total")?.parse::<u64>()?;
        let loadavg = fs::read_to_string("/proc/loadavg")?;
        Ok(Self {
            cpu: name.map_or("unknown", |(_, name)| name).to_owned(),
            cpus: available()?.len(),
            memory_mib: total_kib / 1024,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            date: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            load_average: loadavg.split_whitespace().next().unwrap_or("0").parse()?,
        })
    }
}
