//! What is tried through TLS by curl, which knows nothing of Connect.

use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::proxy::{Front, Version};
use crate::upstream::{CALL, HEADER, TRAILER};
use crate::way::{Failed, Observed, Outcome, PATIENCE, Way, ensure, soon};

/// What is tried.
pub const CASES: &[&str] = &[
    "unary, with headers and trailers",
    "unary by GET",
    "error with details",
    "server stream, message by message",
    "client stream, message by message",
    "bidi, full duplex",
    "3 MiB both ways",
    "deadline",
    "abort: a silent server stream",
];

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        Failed(error.to_string())
    }
}

/// Runs a case.
pub async fn run(case: &str, way: &Way) -> Outcome {
    let trial = async {
        match case {
            "unary, with headers and trailers" => unary(way).await,
            "unary by GET" => get(way).await,
            "error with details" => error(way).await,
            "server stream, message by message" => server_stream(way).await,
            "client stream, message by message" => client_stream(way).await,
            "bidi, full duplex" => full_duplex(way).await,
            "3 MiB both ways" => large(way).await,
            "deadline" => deadline(way).await,
            "abort: a silent server stream" => abort(way).await,
            other => Err(Failed(format!("no such case: {other}"))),
        }
    };
    tokio::time::timeout(4 * PATIENCE, trial).await.unwrap_or_else(|_| Err(Failed("hangs".into())))
}

/// curl on its way to a procedure, which trusts nobody but the proxy.
fn curl(way: &Way, target: &str, observed: &Observed, arguments: &[&str]) -> Command {
    let version = if way.route.front == Front::Tls(Version::Http1) { "--http1.1" } else { "--http2" };
    let url = format!("https://localhost:{}/test.v1.Service/{target}", way.place.front(way.route));
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--no-buffer", "--noproxy", "*", version, "--cacert"]);
    curl.arg(way.place.certificate()).args(["-H", &format!("{CALL}: {}", observed.number), "-H", "Expect:"]);
    curl.args(arguments).arg(url).kill_on_drop(true);
    curl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    curl
}

const UNARY: [&str; 2] = ["-H", "content-type: application/text"];
const STREAM: [&str; 2] = ["-H", "content-type: application/connect+text"];

/// Has curl run to its end. Heads, then bodies.
async fn output(mut curl: Command) -> Result<Output, Failed> {
    let output = curl.output().await?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure(output.status.success(), said)?;
    Ok(output)
}

async fn text(curl: Command) -> Result<String, Failed> {
    Ok(String::from_utf8_lossy(&output(curl).await?.stdout).into_owned())
}

async fn unary(way: &Way) -> Outcome {
    let observed = way.observe();
    let text = text(curl(way, "Echo", &observed, &[&UNARY[..], &["-i", "-d", "hello"]].concat())).await?;
    let version = if way.route.front == Front::Tls(Version::Http1) { "HTTP/1.1 200" } else { "HTTP/2 200" };
    ensure(text.starts_with(version), text.lines().next().unwrap_or("nothing"))?;
    let has = |name: &str| text.to_ascii_lowercase().contains(&format!("{name}: of a response"));
    ensure(has(HEADER) && has(&format!("trailer-{TRAILER}")), "no headers or no trailers")?;
    ensure(text.ends_with("\r\n\r\nhello"), "another message")
}

async fn get(way: &Way) -> Outcome {
    let observed = way.observe();
    let target = "Echo?connect=v1&encoding=text&message=a%20%2F%20%3F%20%26%20b";
    ensure(text(curl(way, target, &observed, &[])).await? == "a / ? & b", "another message")?;
    ensure(observed.seen().by_get, "came by POST")
}

async fn error(way: &Way) -> Outcome {
    let observed = way.observe();
    let arguments = [&UNARY[..], &["-d", "hello", "-w", " %{http_code}"]].concat();
    let text = text(curl(way, "Fail", &observed, &arguments)).await?;
    let is_whole = text.contains(r#""code":"unavailable""#) && text.contains("google.rpc.RetryInfo");
    ensure(is_whole && text.ends_with(" 503"), text)
}

/// A message of a stream: a byte of flags, its length, and itself.
fn envelope(message: &str) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0], &length.to_be_bytes()[..], message.as_bytes()].concat()
}

/// The next message, or else the end of the stream.
async fn receive(curl: &mut Child, otherwise: &str) -> Result<(u8, String), Failed> {
    let stdout = curl.stdout.as_mut().ok_or_else(|| Failed("curl has no output".into()))?;
    let mut prefix = [0; 5];
    soon(stdout.read_exact(&mut prefix), otherwise).await??;
    let [flags, length @ ..] = prefix;
    let mut message = vec![0; usize::try_from(u32::from_be_bytes(length)).unwrap_or(0).min(1 << 20)];
    soon(stdout.read_exact(&mut message), otherwise).await??;
    Ok((flags, String::from_utf8_lossy(&message).into_owned()))
}

async fn expect(curl: &mut Child, message: &str) -> Outcome {
    let received = receive(curl, "messages are held back").await?;
    ensure(received == (0, message.to_owned()), received.1)
}

async fn expect_end(curl: &mut Child) -> Outcome {
    let (flags, end) = receive(curl, "the end is held back").await?;
    ensure(flags == 2 && end.contains("of a response"), end)
}

/// Sends a message, and leaves it to the caller to end the stream.
async fn send(curl: &mut Child, message: &str) -> Outcome {
    let stdin = curl.stdin.as_mut().ok_or_else(|| Failed("curl has no input".into()))?;
    stdin.write_all(&envelope(message)).await?;
    Ok(stdin.flush().await?)
}

async fn begun_stream(way: &Way, observed: &Observed, request: &str) -> Result<Child, Failed> {
    let mut curl = curl(way, "Steps", observed, &[&STREAM[..], &["--data-binary", "@-"]].concat()).spawn()?;
    send(&mut curl, request).await?;
    drop(curl.stdin.take());
    observed.begun().await?;
    Ok(curl)
}

async fn server_stream(way: &Way) -> Outcome {
    let observed = way.observe();
    let mut curl = begun_stream(way, &observed, "3").await?;
    for step in 0..3 {
        observed.permit(1);
        expect(&mut curl, &step.to_string()).await?;
    }
    observed.permit(1);
    expect_end(&mut curl).await
}

async fn client_stream(way: &Way) -> Outcome {
    let observed = way.observe();
    let arguments = [&STREAM[..], &["-X", "POST", "-T", "-"]].concat();
    let mut curl = curl(way, "Collect", &observed, &arguments).spawn()?;
    for count in 1..=3 {
        send(&mut curl, "12345").await?;
        observed.received(count).await?;
    }
    drop(curl.stdin.take());
    expect(&mut curl, "15").await
}

async fn full_duplex(way: &Way) -> Outcome {
    let observed = way.observe();
    // With a dot it reads its input without waiting for it.
    let arguments = [&STREAM[..], &["-i", "-X", "POST", "-T", "."]].concat();
    let mut curl = curl(way, "Full", &observed, &arguments).spawn()?;
    send(&mut curl, "0").await?;
    let status = soon(status(&mut curl), "the head is held back").await??;
    ensure(status == "200", status)?;
    expect(&mut curl, "0").await?;
    for count in 1..=3 {
        send(&mut curl, &count.to_string()).await?;
        expect(&mut curl, &count.to_string()).await?;
    }
    drop(curl.stdin.take());
    expect_end(&mut curl).await
}

/// Reads a head, and no more.
async fn status(curl: &mut Child) -> Result<String, Failed> {
    let stdout = curl.stdout.as_mut().ok_or_else(|| Failed("curl has no output".into()))?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stdout.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    Ok(head.split_whitespace().nth(1).unwrap_or("no status").to_owned())
}

async fn large(way: &Way) -> Outcome {
    let observed = way.observe();
    let mut curl = curl(way, "Echo", &observed, &[&UNARY[..], &["--data-binary", "@-"]].concat()).spawn()?;
    let message = vec![b'x'; 3 << 20];
    let mut stdin = curl.stdin.take().ok_or_else(|| Failed("curl has no input".into()))?;
    stdin.write_all(&message).await?;
    drop(stdin);
    ensure(curl.wait_with_output().await?.stdout == message, "another message")
}

async fn deadline(way: &Way) -> Outcome {
    let observed = way.observe();
    let arguments = ["-d", "hello", "-H", "connect-timeout-ms: 300", "-w", " %{http_code}"];
    let text = text(curl(way, "Stuck", &observed, &[&UNARY[..], &arguments].concat())).await?;
    ensure(text.contains("deadline_exceeded") && text.ends_with(" 504"), text)?;
    // The answer of its deadline was the server's last word.
    let seen = observed.until(|seen| seen.ended.is_some(), "the handler does not hear of it").await?;
    ensure(seen.time_left.is_some_and(|left| left <= Duration::from_millis(300)), "the server is not told")
}

async fn abort(way: &Way) -> Outcome {
    let observed = way.observe();
    let mut curl = begun_stream(way, &observed, "2").await?;
    observed.permit(1);
    expect(&mut curl, "0").await?;
    curl.kill().await?;
    observed.canceled().await
}
