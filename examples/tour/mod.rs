//! A tour of `connect-proto`: a server and a client on loopback, every kind of call, and four ways to close a stream, over
//! HTTP/1.1 and over HTTP/2. Written once for every runtime.

mod server;

use std::future::poll_fn;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use connect_proto::Instant;
use connect_proto::call::{DrainBudget, Duplex};
use connect_proto::connection::Fate;
use connect_proto::error::{CloseReason, Code, RpcError};
use connect_proto_async::{
    Address, CallBuilder, CallEnd, Channel, ChannelConfig, OpenError, Procedure, Protocol, Receiver,
    Response, Runtime,
};

type Error = Box<dyn std::error::Error>;

const BUDGET: DrainBudget = DrainBudget { time: Duration::from_secs(1), bytes: 256 << 10 };

/// Takes the tour. The exit code tells whether all went as it says.
pub(crate) async fn take(runtime: Arc<dyn Runtime>) -> Result<ExitCode, Error> {
    let server = server::start(runtime.clone()).await?;
    let address = server.local_address().ok_or("the server has an address")?;
    println!("connect-proto: a server and a client on {address}, Connect with JSON");
    let mut unexpected = 0;
    for protocol in [Protocol::Http1, Protocol::Http2] {
        let channel = Channel::new(runtime.clone(), config(address, protocol)?);
        let mut tour = Tour { runtime: runtime.clone(), channel, protocol, unexpected: 0 };
        println!("\nOver {}\n", if protocol == Protocol::Http2 { "HTTP/2" } else { "HTTP/1.1" });
        tour.calls().await?;
        tour.closes().await?;
        unexpected += tour.unexpected;
    }
    server.shutdown(Duration::ZERO).await;

    match unexpected {
        0 => println!("\nAll as expected."),
        n => println!("\n{n} of these were not as expected."),
    }
    Ok(if unexpected == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn config(address: &Address, protocol: Protocol) -> Result<ChannelConfig, Error> {
    let mut config = ChannelConfig::new(&format!("http://{address}"), "json")?;
    config.pool.protocol = protocol;
    config.calls.get_max_url = Some(2048);
    config.calls.limits.drain_http1 = BUDGET;
    config.calls.limits.drain_http2 = BUDGET;
    Ok(config)
}

struct Tour {
    runtime: Arc<dyn Runtime>,
    channel: Channel,
    protocol: Protocol,
    unexpected: u32,
}

impl Tour {
    fn call(&self, method: &str) -> Result<CallBuilder, Error> {
        Ok(self.channel.call(&Procedure::new(format!("/tour.v1.TourService/{method}"))?))
    }

    async fn calls(&mut self) -> Result<(), Error> {
        let greeting = self.call("Greet")?.unary("\"Ada\"").await?;
        self.line("unary", "Greet \"Ada\"", &text(&greeting), text(&greeting) == "\"Hello, Ada!\"");

        let get = self.call("Greet")?.side_effect_free().unary("\"Grace\"").await?;
        let by_get = get.headers.get("greeted-by").is_some_and(|method| method == "GET");
        self.line("GET", "Greet \"Grace\"", &text(&get), by_get && text(&get) == "\"Hello, Grace!\"");

        let countdown = all(self.call("Countdown")?.server_stream("5")?).await?;
        self.line("server stream", "Countdown 5", &countdown, countdown == "5 4 3 2 1");

        let (mut sender, mut receiver) = self.call("Sum")?.client_stream()?;
        for number in 1..=4 {
            sender.send(number.to_string()).await?;
        }
        sender.finish()?;
        let sum = receiver.response().await?;
        self.line("client stream", "Sum 1 2 3 4", &text(&sum), text(&sum) == "10");

        let (mut sender, receiver) = self.call("Echo")?.bidi(Duplex::Half)?;
        for number in 1..=3 {
            sender.send(number.to_string()).await?;
        }
        sender.finish()?;
        let echo = all(receiver).await?;
        self.line("half duplex", "Echo 1 2 3", &echo, echo == "1 2 3");

        self.full_duplex().await?;

        let failed = self.call("Fail")?.unary("\"please\"").await;
        let detail = failed.as_ref().err().and_then(|error| error.details().first());
        let detail =
            detail.map(|detail| format!(", detail {} of {} bytes", detail.type_name, detail.value.len()));
        let (result, ok) = error_text(&failed, Code::ResourceExhausted);
        let result = format!("{result}{}", detail.as_deref().unwrap_or_default());
        self.line("error", "Fail", &result, ok && detail.is_some());

        let slow = self.call("Slow")?.timeout(Duration::from_millis(250)).unary("\"?\"").await;
        let (result, ok) = error_text(&slow, Code::DeadlineExceeded);
        self.line("deadline", "Slow, 250 ms", &result, ok);
        Ok(())
    }

    /// Sends each message only when the one before it was answered.
    async fn full_duplex(&mut self) -> Result<(), Error> {
        let opened = self.call("Echo")?.bidi(Duplex::Full);
        if self.protocol == Protocol::Http1 {
            let refused = opened.err();
            let result = refused.map_or("not refused".to_owned(), |why| format!("refused: {why}"));
            self.line("full duplex", "Echo 1 2 3", &result, refused == Some(OpenError::FullDuplexOverHttp1));
            return Ok(());
        }
        let (mut sender, mut receiver) = opened?;
        let mut answered = Vec::new();
        for number in 1..=3 {
            sender.send(number.to_string()).await?;
            answered.extend(receiver.recv().await?);
        }
        sender.finish()?;
        let ok = answered == ["1", "2", "3"] && receiver.recv().await?.is_none();
        self.line("full duplex", "Echo 1 2 3", "1 2 3, each before the next went", ok);
        Ok(())
    }

    async fn closes(&mut self) -> Result<(), Error> {
        println!(
            "\n  Closing after the first message of a server stream. The drain budget is {} s and {} KiB.",
            BUDGET.time.as_secs(),
            BUDGET.bytes >> 10
        );
        println!(
            "  {:<16}{:>12}{:>12}  {:<16}{:>9}  {:<14}connection",
            "the server ...", "in close()", "closed in", "reason", "drained", "trailers"
        );
        let about_to_end = self.close("AboutToEnd", true).await?;
        let lives = about_to_end.end.closed.fate == Fate::Reusable;
        let ok = about_to_end.reason() == CloseReason::Drained && lives && about_to_end.trailers() == Some(1);
        self.row("is about to end", &about_to_end, ok);
        self.next_call().await?;

        for (what, method, wait_for_message, reason) in [
            ("went silent", "Silent", true, CloseReason::DrainTimedOut),
            ("floods", "Flood", true, CloseReason::DrainTooLarge),
            ("never answered", "NoHead", false, CloseReason::DrainTimedOut),
        ] {
            let closing = self.close(method, wait_for_message).await?;
            // Over HTTP/1.1 a response that is not read to its end costs the connection.
            let lives = closing.end.closed.fate == Fate::Reusable;
            let ok = closing.reason() == reason && closing.closed_in < BUDGET.time * 2;
            self.row(what, &closing, ok && lives == (self.protocol == Protocol::Http2));
        }
        Ok(())
    }

    /// Closes a server stream after its first message, or a tenth of a second after the request went out.
    async fn close(&self, method: &str, wait_for_message: bool) -> Result<Closing, Error> {
        let mut receiver = self.call(method)?.server_stream("\"go\"")?;
        if wait_for_message {
            receiver.recv().await?;
        } else {
            sleep(&*self.runtime, Duration::from_millis(100)).await;
        }
        let begun = self.runtime.now();
        let ending = receiver.close();
        let close_took = self.since(begun);
        let end = ending.await;
        Ok(Closing { close_took, closed_in: self.since(begun), end })
    }

    async fn next_call(&mut self) -> Result<(), Error> {
        let before = self.channel.counters();
        let next = self.call("Greet")?.unary("\"again\"").await?;
        let is_same = self.channel.counters().dials == before.dials;
        let result = format!("{} over the same TCP connection", text(&next));
        self.line("", "the next call", &result, is_same);
        Ok(())
    }

    fn row(&mut self, what: &str, closing: &Closing, ok: bool) {
        // Well under a millisecond, unless the machine has something more urgent to do.
        let ok = ok && closing.close_took < Duration::from_millis(20);
        let closed = closing.end.closed;
        let trailers = closing.trailers().map_or("-".to_owned(), |count| format!("{count} arrived"));
        let fate = match closed.fate {
            Fate::Reusable => "lives".to_owned(),
            Fate::Closing(why) => format!("closes: {why}"),
            Fate::Unknown => "unknown".to_owned(),
        };
        println!(
            "  {what:<16}{:>9} us{:>9} ms  {:<16}{:>7} B  {trailers:<14}{fate}{}",
            closing.close_took.as_micros(),
            closing.closed_in.as_millis(),
            format!("{:?}", closed.reason),
            closed.drained,
            self.mark(ok)
        );
    }

    fn line(&mut self, kind: &str, call: &str, result: &str, ok: bool) {
        println!("  {kind:<16}{call:<16}{result}{}", self.mark(ok));
    }

    fn mark(&mut self, ok: bool) -> &'static str {
        self.unexpected += u32::from(!ok);
        if ok { "" } else { "   <- unexpected" }
    }

    fn since(&self, begun: Instant) -> Duration {
        self.runtime.now().saturating_duration_since(begun)
    }
}

/// How a close went.
struct Closing {
    /// Inside `close()`.
    close_took: Duration,
    /// From there to the end.
    closed_in: Duration,
    end: CallEnd,
}

impl Closing {
    fn reason(&self) -> CloseReason {
        self.end.closed.reason
    }

    fn trailers(&self) -> Option<usize> {
        self.end.verdict.as_ref()?.as_ref().ok().map(|trailers| trailers.len())
    }
}

async fn all(mut receiver: Receiver) -> Result<String, RpcError> {
    let mut messages = Vec::new();
    while let Some(message) = receiver.recv().await? {
        messages.push(String::from_utf8_lossy(&message).into_owned());
    }
    Ok(messages.join(" "))
}

fn text(response: &Response) -> String {
    String::from_utf8_lossy(&response.message).into_owned()
}

fn error_text(result: &Result<Response, RpcError>, expected: Code) -> (String, bool) {
    match result {
        Ok(_) => ("no error".to_owned(), false),
        Err(error) => (error.to_string(), error.code() == expected),
    }
}

async fn sleep(runtime: &dyn Runtime, duration: Duration) {
    let mut timer = runtime.timer(runtime.now().saturating_add(duration));
    poll_fn(|cx| timer.as_mut().poll(cx)).await;
}
