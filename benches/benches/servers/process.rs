//! A server in a process of its own.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::load::{Case, Protocol};

/// A server that runs. It ends with this value.
pub(crate) struct Process {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    child: Child,
}

impl Process {
    /// One of this program's servers.
    pub(crate) fn spawn(name: &'static str) -> Self {
        let this = std::env::current_exe().expect("a path of this program");
        Process::start(name, pinned(0, this).args(["serve", name]))
    }

    /// One of another program's servers.
    pub(crate) fn spawn_other(program: &OsStr, name: &'static str) -> Self {
        Process::start(name, pinned(0, program).arg(name))
    }

    fn start(name: &'static str, command: &mut Command) -> Self {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a server");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        Process { name, port: line.trim().parse().expect("a port"), child }
    }

    /// What it is spoken to by.
    pub(crate) fn protocol(&self) -> Protocol {
        if self.name == "tonic" { Protocol::Grpc } else { Protocol::Connect }
    }

    /// Whether it can be put under this load.
    pub(crate) fn has(&self, case: &Case) -> bool {
        self.protocol() == Protocol::Connect || !case.is_http1()
    }

    /// What its threads have used so far.
    pub(crate) fn cpu(&self) -> Duration {
        let threads = fs::read_dir(self.proc("task")).expect("its threads");
        let ran = threads.map(|thread| {
            let stat = fs::read_to_string(thread.expect("a thread").path().join("schedstat"));
            let stat = stat.expect("what the scheduler counts");
            stat.split(' ').next().and_then(|ran| ran.parse::<u64>().ok()).expect("nanoseconds")
        });
        Duration::from_nanos(ran.sum())
    }

    /// Bytes of its memory that are resident.
    pub(crate) fn resident(&self) -> u64 {
        let status = fs::read_to_string(self.proc("status")).expect("its status");
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.strip_suffix("kB"));
        kilobytes.and_then(|kilobytes| kilobytes.trim().parse::<u64>().ok()).expect("a size") << 10
    }

    fn proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.child.id()))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that stays on a core. `taskset` becomes the program: the process is the same.
pub(crate) fn pinned(core: usize, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &core.to_string()]).arg(program);
    command
}
