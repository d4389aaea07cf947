//! A proxy, run from its configuration as whoever is nobody.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use connect_proto_tokio::Protocol;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::sleep;

/// Who a proxy runs as when this program runs as root.
const NOBODY: u32 = 65534;

/// A proxy that is tested.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// nginx.
    Nginx,
    /// HAProxy.
    HaProxy,
}

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Nginx => "nginx",
            Kind::HaProxy => "HAProxy",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Kind::Nginx => "nginx.conf",
            Kind::HaProxy => "haproxy.cfg",
        }
    }

    fn command(self, directory: &Path, configuration: &Path) -> Command {
        match self {
            Kind::Nginx => {
                let mut command = Command::new("nginx");
                let foreground = "daemon off; master_process off; pid nginx.pid; error_log stderr warn;";
                command.arg("-p").arg(directory).arg("-c").arg(configuration).args(["-g", foreground]);
                command
            }
            Kind::HaProxy => {
                let mut command = Command::new("haproxy");
                command.arg("-db").arg("-f").arg(configuration);
                command
            }
        }
    }
}

/// A way through a proxy: what is spoken before it and what behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Route {
    /// Before the proxy.
    pub front: Front,
    /// Behind it.
    pub upstream: Version,
}

/// What is spoken before a proxy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Front {
    /// In the clear.
    Plain(Version),
    /// TLS, and what was agreed on in it.
    Tls(Version),
}

/// A version of HTTP.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, by prior knowledge where it is in the clear.
    Http2,
}

impl Version {
    /// As a channel calls it.
    pub fn protocol(self) -> Protocol {
        match self {
            Version::Http1 => Protocol::Http1,
            Version::Http2 => Protocol::Http2,
        }
    }

    /// As TLS calls it.
    pub fn alpn(self) -> &'static [u8] {
        match self {
            Version::Http1 => b"http/1.1",
            Version::Http2 => b"h2",
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Version::Http1 => "HTTP/1.1",
            Version::Http2 => "HTTP/2",
        })
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Front::Plain(front) | Front::Tls(front)) = self.front;
        write!(f, "{front} → {}", self.upstream)
    }
}

impl Route {
    fn port_name(self) -> &'static str {
        match (self.front, self.upstream) {
            (Front::Plain(Version::Http1), Version::Http1) => "HTTP1_TO_HTTP1",
            (Front::Plain(Version::Http2), Version::Http1) => "HTTP2_TO_HTTP1",
            (Front::Tls(_), Version::Http1) => "TLS_TO_HTTP1",
            (Front::Plain(Version::Http1), Version::Http2) => "HTTP1_TO_HTTP2",
            (Front::Plain(Version::Http2), Version::Http2) => "HTTP2_TO_HTTP2",
            (Front::Tls(_), Version::Http2) => "TLS_TO_HTTP2",
        }
    }
}

/// What the configurations leave open: ports, and where the certificate is.
#[derive(Clone, Debug)]
pub struct Place {
    directory: PathBuf,
    values: BTreeMap<&'static str, String>,
}

impl Place {
    /// Chooses ports, for proxies that work in this directory, in which the certificate and its key are.
    pub async fn choose(directory: &Path) -> io::Result<Place> {
        let names = ["SERVER_A", "SERVER_B", "HTTP1_TO_HTTP1", "HTTP2_TO_HTTP1", "TLS_TO_HTTP1"];
        let names = names.into_iter().chain(["HTTP1_TO_HTTP2", "HTTP2_TO_HTTP2", "TLS_TO_HTTP2"]);
        let mut values = BTreeMap::new();
        let mut held = Vec::new(); // so that each is another
        for name in names {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            values.insert(name, listener.local_addr()?.port().to_string());
            held.push(listener);
        }
        values.insert("CERTIFICATE", directory.join("certificate.pem").display().to_string());
        Ok(Place { directory: directory.to_owned(), values })
    }

    fn port(&self, name: &str) -> u16 {
        self.values.get(name).and_then(|port| port.parse().ok()).expect("it was chosen")
    }

    /// The port of one of the two servers.
    pub fn server(&self, index: usize) -> u16 {
        self.port(["SERVER_A", "SERVER_B"][index])
    }

    /// Where the certificate of the proxies is.
    pub fn certificate(&self) -> PathBuf {
        self.directory.join("certificate.pem")
    }

    /// The port of a proxy.
    pub fn front(&self, route: Route) -> u16 {
        self.port(route.port_name())
    }
}

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub struct Proxy {
    process: Child,
}

impl Proxy {
    /// Starts a proxy with its configuration, in which `change` may have changed something, and waits until it accepts.
    pub async fn start(
        kind: Kind,
        place: &Place,
        change: impl FnOnce(String) -> String,
    ) -> io::Result<Proxy> {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(kind.file());
        let mut text = change(fs::read_to_string(file)?);
        for (name, value) in &place.values {
            text = text.replace(&format!("${{{name}}}"), value);
        }
        let configuration = place.directory.join(kind.file());
        fs::write(&configuration, text)?;
        let log = place.directory.join(format!("{}.log", kind.name()));
        let mut command = kind.command(&place.directory, &configuration);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log)?).kill_on_drop(true);
        if fs::metadata("/proc/self")?.uid() == 0 {
            for path in [&place.directory, &place.certificate()] {
                chown(path, Some(NOBODY), Some(NOBODY))?;
            }
            command.uid(NOBODY).gid(NOBODY);
        }
        let mut process = command.spawn()?;
        let route = Route { front: Front::Tls(Version::Http2), upstream: Version::Http2 };
        while TcpStream::connect(("127.0.0.1", place.front(route))).await.is_err() {
            if let Some(status) = process.try_wait()? {
                let log = fs::read_to_string(&log)?;
                return Err(io::Error::other(format!("{} ended with {status}: {log}", kind.name())));
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(Proxy { process })
    }

    /// Stops it, so that its ports are free again.
    pub async fn stop(mut self) -> io::Result<()> {
        self.process.kill().await
    }
}
