//! What the kernel says about a proxy: CPU time, memory and descriptors of a process and all its descendants.
//!
//! CPU time of a process is the larger of two lower bounds. The sum over its threads' schedstat is exact to the nanosecond,
//! but forgets threads that ended; the times in stat count those, and descendants that ended, but in ticks.

use std::collections::HashMap;
use std::fs;
use std::process::{Child, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// Nanoseconds of a tick in /proc/PID/stat: USER_HZ is 100 on every Linux.
const TICK_NS: u64 = 10_000_000;
const STOP_WAIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(10);

/// A process that was started here. Killed when dropped before its end, and its descendants with it.
#[derive(Debug)]
pub(crate) struct Tree {
    child: Child,
    /// The last that was seen of it: when the first process ends by itself, its children have another parent.
    seen: Vec<Stat>,
}

/// Memory and descriptors of a tree at one moment.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Held {
    /// Proportional set size: pages shared by n processes count 1/n.
    pub(crate) pss_kib: u64,
    pub(crate) rss_kib: u64,
    pub(crate) descriptors: usize,
    pub(crate) processes: usize,
}

impl Tree {
    pub(crate) fn new(child: Child) -> Self {
        Self { child, seen: Vec::new() }
    }

    /// The end of the first process, if it has ended by itself.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let seen = descendants(self.child.id())?;
        if seen.len() >= self.seen.len() {
            self.seen = seen;
        }
        Ok(self.child.try_wait()?)
    }

    /// CPU time so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stats = descendants(self.child.id())?;
        ensure!(!stats.is_empty(), "the proxy is gone");
        Ok(Duration::from_nanos(stats.iter().map(cpu_ns).sum()))
    }

    pub(crate) fn held(&self) -> Result<Held> {
        let mut held = Held::default();
        for stat in descendants(self.child.id())? {
            let Ok(rollup) = fs::read_to_string(format!("/proc/{}/smaps_rollup", stat.pid)) else {
                continue;
            };
            held.pss_kib += kib(&rollup, "Pss:");
            held.rss_kib += kib(&rollup, "Rss:");
            held.descriptors += fs::read_dir(format!("/proc/{}/fd", stat.pid)).map_or(0, Iterator::count);
            held.processes += 1;
        }
        Ok(held)
    }

    /// SIGTERM, and waits for the end of the first process; the rest is killed.
    pub(crate) fn stop(mut self) -> Result<ExitStatus> {
        let rest = descendants(self.child.id())?;
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let deadline = Instant::now() + STOP_WAIT;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(Instant::now() < deadline, "the proxy did not stop within {STOP_WAIT:?}");
            thread::sleep(POLL);
        };
        kill_all(&rest);
        Ok(status)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let rest = descendants(self.child.id()).unwrap_or_default();
        let _ = self.child.kill();
        let _ = self.child.wait();
        kill_all(&rest);
        kill_all(&self.seen);
    }
}

/// Kills what is still the process it was: the start time tells it from a later one with its number.
fn kill_all(stats: &[Stat]) {
    for stat in stats {
        let pid = stat.pid.try_into().ok().and_then(Pid::from_raw);
        let still = Stat::read(stat.pid).is_some_and(|now| now.started == stat.started);
        if let Some(pid) = pid.filter(|_| still) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// From /proc/PID/stat (proc_pid_stat(5)).
#[derive(Debug)]
struct Stat {
    pid: u32,
    parent: u32,
    /// User and system time, its own and that of children it has waited for.
    ticks: u64,
    own_ticks: u64,
    started: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The command name is in parentheses and may hold anything; the state, field 3, comes next.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        let own_ticks = field(14)? + field(15)?;
        let ticks = own_ticks + field(16)? + field(17)?;
        Some(Self { pid, parent: u32::try_from(field(4)?).ok()?, ticks, own_ticks, started: field(22)? })
    }
}

/// The process and all below it.
fn descendants(root: u32) -> Result<Vec<Stat>> {
    let numbers = fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut by_parent: HashMap<u32, Vec<Stat>> = HashMap::new();
    for stat in numbers.filter_map(Stat::read) {
        by_parent.entry(stat.parent).or_default().push(stat);
    }
    let mut found: Vec<Stat> = Stat::read(root).into_iter().collect();
    let mut next = 0;
    while let Some(parent) = found.get(next).map(|stat| stat.pid) {
        found.extend(by_parent.remove(&parent).unwrap_or_default());
        next += 1;
    }
    Ok(found)
}

fn cpu_ns(stat: &Stat) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", stat.pid)).into_iter().flatten().flatten();
    let spent = tasks.filter_map(|task| {
        let schedstat = fs::read_to_string(task.path().join("schedstat")).ok()?;
        schedstat.split_whitespace().next()?.parse::<u64>().ok()
    });
    spent.sum::<u64>().max(stat.own_ticks * TICK_NS) + (stat.ticks - stat.own_ticks) * TICK_NS
}

fn kib(rollup: &str, name: &str) -> u64 {
    let line = rollup.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The first line that a program prints when asked for its version.
pub(crate) fn version(program: &std::path::Path, flag: &str) -> Result<String> {
    let output = std::process::Command::new(program).arg(flag).output();
    let output = output.with_context(|| format!("cannot run {}", program.display()))?;
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text)
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default()
        .trim()
        .to_owned())
}
