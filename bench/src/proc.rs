//! Children, and what the system says of them: processor time, memory, threads, cores.

use nix::sched::{sched_getaffinity, sched_setaffinity, CpuSet};
use nix::sys::resource::{getrlimit, setrlimit, Resource};
use nix::unistd::{sysconf, Pid, SysconfVar};
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// A server that runs as a child. Dropping it ends it.
pub struct Process {
    child: Child,
    stdin: ChildStdin,
    stdout: Option<BufReader<ChildStdout>>,
    pub address: SocketAddr,
}

impl Process {
    /// Starts a server and waits until it has told its port, the first line of its stdout.
    pub fn start(mut command: Command) -> io::Result<Process> {
        // Servers log each connection; a pipe that nobody reads would stop them.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let piped = || io::Error::other("the child has no pipes");
        let mut process = Process {
            child,
            stdin: stdin.ok_or_else(piped)?,
            stdout: Some(BufReader::new(stdout.ok_or_else(piped)?)),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        };
        let line = read_line(process.stdout.as_mut().ok_or_else(piped)?)?;
        let port = line.trim().parse().map_err(|_| io::Error::other("the server did not start"))?;
        process.address.set_port(port);
        Ok(process)
    }

    /// Writes a line to the child.
    pub fn tell(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.stdin, "{line}")
    }

    /// Hands out the child's stdout, so that another thread can wait for a line.
    pub fn take_stdout(&mut self) -> io::Result<BufReader<ChildStdout>> {
        self.stdout.take().ok_or_else(|| io::Error::other("the child's stdout was taken"))
    }

    /// Returns the processor time of all its threads so far, those that have ended included.
    pub fn cpu(&self) -> io::Result<Duration> {
        cpu_of(&self.child.id().to_string())
    }

    pub fn memory_kib(&self) -> io::Result<f64> {
        self.status("VmRSS:")
    }

    /// Returns the most memory that it ever had.
    pub fn peak_memory_kib(&self) -> io::Result<f64> {
        self.status("VmHWM:")
    }

    pub fn threads(&self) -> io::Result<f64> {
        self.status("Threads:")
    }

    fn status(&self, field: &str) -> io::Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        status_field(&status, field).ok_or_else(|| io::Error::other(format!("no {field}")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    Ok(line)
}

fn status_field(status: &str, field: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Returns this process's own processor time so far.
pub fn own_cpu() -> io::Result<Duration> {
    cpu_of("self")
}

fn cpu_of(pid: &str) -> io::Result<Duration> {
    Ok(ticks(stat_fields(pid)?[..2].iter().sum()))
}

/// Returns utime, stime, cutime and cstime.
fn stat_fields(pid: &str) -> io::Result<[u64; 4]> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&stat).ok_or_else(|| io::Error::other("stat is not as expected"))
}

fn parse_stat(stat: &str) -> Option<[u64; 4]> {
    // The name may hold anything, also spaces and parentheses; the state follows the last one.
    let after_name = &stat[stat.rfind(')')? + 1..];
    let mut fields = after_name.split_whitespace().skip(11).map(|field| field.parse().ok());
    let mut next = || fields.next().flatten();
    Some([next()?, next()?, next()?, next()?])
}

fn ticks(count: u64) -> Duration {
    let per_second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100) as f64;
    Duration::from_secs_f64(count as f64 / per_second)
}

/// The time of all cores, and what this process and its ended children used of it.
#[derive(Clone, Copy)]
pub struct Machine {
    all: u64,
    busy: u64,
    own: u64,
}

impl Machine {
    pub fn now() -> io::Result<Machine> {
        let stat = fs::read_to_string("/proc/stat")?;
        // user nice system idle iowait irq softirq steal
        let fields: Vec<u64> = stat
            .lines()
            .next()
            .unwrap_or("")
            .split_whitespace()
            .skip(1)
            .take(8)
            .filter_map(|field| field.parse().ok())
            .collect();
        let all: u64 = fields.iter().sum();
        let idle: u64 = fields.iter().skip(3).take(2).sum();
        Ok(Machine { all, busy: all - idle, own: stat_fields("self")?.iter().sum() })
    }

    /// Returns the part of the machine, 0 to 1, that others have used since.
    pub fn used_by_others_since(self, before: Machine) -> f64 {
        let others = (self.busy - before.busy).saturating_sub(self.own - before.own);
        others as f64 / (self.all - before.all).max(1) as f64
    }
}

/// Allows as many open files as the system lets us, for this process and its children.
pub fn raise_file_limit() -> io::Result<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

/// Keeps this thread, and the children that it starts meanwhile, on one core until dropped.
pub struct OneCore(CpuSet);

impl OneCore {
    pub fn take() -> io::Result<OneCore> {
        let this = Pid::from_raw(0);
        let before = sched_getaffinity(this)?;
        // The last one: the first often has more of the system's own work.
        let core = (0..CpuSet::count()).rev().find(|core| before.is_set(*core) == Ok(true));
        let mut one = CpuSet::new();
        one.set(core.ok_or_else(|| io::Error::other("no core"))?)?;
        sched_setaffinity(this, &one)?;
        Ok(OneCore(before))
    }
}

impl Drop for OneCore {
    fn drop(&mut self) {
        let _ = sched_setaffinity(Pid::from_raw(0), &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_after_a_strange_name() {
        let stat = "12 (a) b c) S 1 2 3 4 5 6 7 8 9 10 110 22 3 4 20 0";
        assert_eq!(parse_stat(stat), Some([110, 22, 3, 4]));
        assert_eq!(parse_stat("12 (a) S 1"), None);
    }

    #[test]
    fn a_field_of_status() {
        let status = "Name:\tx\nVmRSS:\t  1234 kB\nThreads:\t5\n";
        assert_eq!(status_field(status, "VmRSS:"), Some(1234.0));
        assert_eq!(status_field(status, "Threads:"), Some(5.0));
        assert_eq!(status_field(status, "VmHWM:"), None);
    }
}
