//! A tour of `connect-proto`: a server and a client on loopback, every kind of call, and four ways to close a stream,
//! over HTTP/1.1 and over HTTP/2. The exit code tells whether all went as it says. Built on the drive loop of
//! `blocking`.

#[allow(dead_code)]
#[path = "blocking.rs"]
mod blocking;
#[path = "tour/server.rs"]
mod server;

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant as StdInstant};

use blocking::Driver;
use bytes::Bytes;
use connect_proto::call::{DrainBudget, Duplex, Event, Kind};
use connect_proto::client::{Call, CallConfig, Procedure, Request};
use connect_proto::connection::{CallClosed, CallId, Client, ConnectionConfig, Fate, Notice, OpenError};
use connect_proto::error::{CloseReason, Code, RpcError};
use connect_proto::message::Outbound;
use connect_proto::metadata::Metadata;

type Error = Box<dyn std::error::Error>;

const BUDGET: DrainBudget = DrainBudget { time: Duration::from_secs(1), bytes: 256 << 10 };

fn main() -> Result<ExitCode, Error> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    server::start(listener);

    println!("connect-proto: a server and a client on {address}, Connect with JSON");
    let mut unexpected = 0;
    for http2 in [false, true] {
        let mut tour = Tour { address, http2, driver: None, config: config(address)?, unexpected: 0 };
        println!("\nOver {}\n", if http2 { "HTTP/2" } else { "HTTP/1.1" });
        tour.calls()?;
        println!(
            "\n  Closing after the first message of a server stream. The drain budget is {} s and {} KiB.",
            BUDGET.time.as_secs(),
            BUDGET.bytes >> 10
        );
        println!(
            "  {:<16}{:>12}{:>12}  {:<16}{:>9}  {:<14}connection",
            "the server ...", "in close()", "closed in", "reason", "drained", "trailers"
        );
        tour.closes()?;
        unexpected += tour.unexpected;
    }

    println!(
        "\n{}",
        match unexpected {
            0 => "All as expected.".to_owned(),
            n => format!("{n} of these were not as expected."),
        }
    );
    Ok(if unexpected == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn config(address: SocketAddr) -> Result<Arc<CallConfig>, Error> {
    let mut config = CallConfig::new("http".parse()?, address.to_string().parse()?, "json")?;
    config.get_max_url = Some(2048);
    config.limits.drain_http1 = BUDGET;
    config.limits.drain_http2 = BUDGET;
    Ok(Arc::new(config))
}

struct Tour {
    address: SocketAddr,
    http2: bool,
    /// The connection of the call before, if it can carry another one.
    driver: Option<Driver<Client>>,
    config: Arc<CallConfig>,
    unexpected: u32,
}

/// What came of a call.
#[derive(Default)]
struct Outcome {
    headers: Metadata,
    messages: Vec<String>,
    verdict: Option<Result<Metadata, RpcError>>,
    closed: Option<CallClosed>,
    /// Inside `close()`, and from there to the end.
    close_took: Duration,
    closed_in: Duration,
}

/// A call on its connection.
struct Open {
    driver: Driver<Client>,
    id: CallId,
    outcome: Outcome,
}

impl Tour {
    fn calls(&mut self) -> Result<(), Error> {
        let greeting = self.run(request("Greet", Kind::Unary)?, &["\"Ada\""])?;
        self.line(
            "unary",
            "Greet \"Ada\"",
            &greeting.messages.join(" "),
            greeting.messages == ["\"Hello, Ada!\""],
        );

        let get = self.run(request("Greet", Kind::Unary)?.side_effect_free(), &["\"Grace\""])?;
        let by_get = get.headers.get("greeted-by").is_some_and(|method| method == "GET");
        self.line(
            "GET",
            "Greet \"Grace\"",
            &get.messages.join(" "),
            by_get && get.messages == ["\"Hello, Grace!\""],
        );

        let countdown = self.run(request("Countdown", Kind::ServerStream)?, &["5"])?;
        self.line(
            "server stream",
            "Countdown 5",
            &countdown.messages.join(" "),
            countdown.messages.len() == 5,
        );

        let sum = self.run(request("Sum", Kind::ClientStream)?, &["1", "2", "3", "4"])?;
        self.line("client stream", "Sum 1 2 3 4", &sum.messages.join(" "), sum.messages == ["10"]);

        let echo = self.run(request("Echo", Kind::Bidi(Duplex::Half))?, &["1", "2", "3"])?;
        self.line("half duplex", "Echo 1 2 3", &echo.messages.join(" "), echo.messages == ["1", "2", "3"]);

        self.full_duplex()?;

        let failed = self.run(request("Fail", Kind::Unary)?, &["\"please\""])?;
        let (text, ok) = describe_error(&failed, Code::ResourceExhausted);
        let detail = failed.error().and_then(|error| error.details().first());
        let detail =
            detail.map(|detail| format!(", detail {} of {} bytes", detail.type_name, detail.value.len()));
        self.line(
            "error",
            "Fail",
            &format!("{text}{}", detail.as_deref().unwrap_or_default()),
            ok && detail.is_some(),
        );

        let slow =
            self.run(request("Slow", Kind::Unary)?.with_timeout(Duration::from_millis(250)), &["\"?\""])?;
        let (text, ok) = describe_error(&slow, Code::DeadlineExceeded);
        self.line("deadline", "Slow, 250 ms", &text, ok);
        Ok(())
    }

    /// Sends each message only when the one before it was answered.
    fn full_duplex(&mut self) -> Result<(), Error> {
        let request = request("Echo", Kind::Bidi(Duplex::Full))?;
        if !self.http2 {
            let mut driver = Driver::connect(self.address, &ConnectionConfig::default())?;
            let now = driver.now();
            let opened = driver.connection.open(now, Call::new(now, &self.config, request)?);
            let refused = opened.err().map(|refused| refused.why);
            let text = refused.map_or("not refused".to_owned(), |why| format!("refused: {why}"));
            self.line("full duplex", "Echo 1 2 3", &text, refused == Some(OpenError::FullDuplexOverHttp1));
            return Ok(());
        }
        let mut open = self.open(request)?;
        let (messages, mut answered) = (["1", "2", "3"], Vec::new());
        for message in messages {
            open.send(&[message])?;
            while open.outcome.messages.len() == answered.len() && open.step() {}
            answered.clone_from(&open.outcome.messages);
        }
        open.finish()?;
        let echo = self.until_closed(open);
        let ok = answered == messages && matches!(echo.verdict, Some(Ok(_)));
        self.line(
            "full duplex",
            "Echo 1 2 3",
            &format!("{}, each before the next went", answered.join(" ")),
            ok,
        );
        Ok(())
    }

    fn line(&mut self, kind: &str, call: &str, result: &str, ok: bool) {
        println!("  {kind:<16}{call:<16}{result}{}", self.mark(ok));
    }

    fn mark(&mut self, ok: bool) -> &'static str {
        self.unexpected += u32::from(!ok);
        if ok { "" } else { "   <- unexpected" }
    }

    fn closes(&mut self) -> Result<(), Error> {
        let about_to_end = self.close("AboutToEnd", true)?;
        let drained = about_to_end.reason() == Some(CloseReason::Drained) && self.driver.is_some();
        let has_trailers = matches!(&about_to_end.verdict, Some(Ok(trailers)) if !trailers.is_empty());
        self.row("is about to end", &about_to_end, drained && has_trailers);
        self.next_call()?;

        for (what, method, wait, reason) in [
            ("went silent", "Silent", true, CloseReason::DrainTimedOut),
            ("floods", "Flood", true, CloseReason::DrainTooLarge),
            ("never answered", "NoHead", false, CloseReason::DrainTimedOut),
        ] {
            let outcome = self.close(method, wait)?;
            let ok = outcome.reason() == Some(reason) && outcome.closed_in < BUDGET.time * 2;
            // Over HTTP/1.1 a response that is not read to its end costs the connection.
            self.row(what, &outcome, ok && self.driver.is_some() == self.http2);
        }
        if self.http2 {
            self.next_call()?;
        }
        Ok(())
    }

    fn next_call(&mut self) -> Result<(), Error> {
        let before = self.driver.as_ref().and_then(Driver::local_address);
        let next = self.run(request("Greet", Kind::Unary)?, &["\"again\""])?;
        let same = before.is_some() && before == self.driver.as_ref().and_then(Driver::local_address);
        let text = format!("{} over the same TCP connection", next.messages.join(" "));
        self.line("", "the next call", &text, same);
        Ok(())
    }

    fn row(&mut self, what: &str, outcome: &Outcome, ok: bool) {
        // Well under a millisecond, unless the machine has something more urgent to do.
        let ok = ok && outcome.close_took < Duration::from_millis(20);
        let trailers = match &outcome.verdict {
            Some(Ok(trailers)) => format!("{} arrived", trailers.len()),
            _ => "-".to_owned(),
        };
        let (reason, drained, fate) = outcome.closed.map_or((String::new(), 0, Fate::Unknown), |closed| {
            (format!("{:?}", closed.reason), closed.drained, closed.fate)
        });
        let fate = match fate {
            Fate::Reusable => "lives".to_owned(),
            Fate::Closing(why) => format!("closes: {why}"),
            Fate::Unknown => "unknown".to_owned(),
        };
        println!(
            "  {what:<16}{:>9} us{:>9} ms  {reason:<16}{drained:>7} B  {trailers:<14}{fate}{}",
            outcome.close_took.as_micros(),
            outcome.closed_in.as_millis(),
            self.mark(ok)
        );
    }

    /// Runs a call to its end.
    fn run(&mut self, request: Request, messages: &[&str]) -> Result<Outcome, Error> {
        let mut open = self.open(request)?;
        open.send(messages)?;
        open.finish()?;
        Ok(self.until_closed(open))
    }

    fn until_closed(&mut self, mut open: Open) -> Outcome {
        while open.step() {}
        // Keep the connection if it lives.
        if open.outcome.closed.is_some_and(|closed| closed.fate == Fate::Reusable) {
            self.driver = Some(open.driver);
        }
        open.outcome
    }

    /// Closes a server stream after its first message, or half a second after the request went out.
    fn close(&mut self, method: &str, wait_for_message: bool) -> Result<Outcome, Error> {
        let mut open = self.open(request(method, Kind::ServerStream)?)?;
        open.send(&["\"go\""])?;
        open.finish()?;
        if wait_for_message {
            while open.outcome.messages.is_empty() && open.step() {}
        } else {
            let until = open.driver.now().saturating_add(Duration::from_millis(100));
            open.driver.turn(Some(until));
        }
        let start = StdInstant::now();
        let now = open.driver.now();
        if let Some(mut call) = open.driver.connection.call(open.id) {
            call.close(now);
        }
        open.outcome.close_took = start.elapsed();
        let mut outcome = self.until_closed(open);
        outcome.closed_in = start.elapsed();
        Ok(outcome)
    }

    /// Opens a call on the connection at hand, or on a new one.
    fn open(&mut self, request: Request) -> Result<Open, Error> {
        let mut driver = match self.driver.take() {
            Some(driver) => driver,
            None if self.http2 => Driver::connect_http2(self.address, &ConnectionConfig::default())?,
            None => Driver::connect(self.address, &ConnectionConfig::default())?,
        };
        let now = driver.now();
        let id = driver.connection.open(now, Call::new(now, &self.config, request)?)?;
        Ok(Open { driver, id, outcome: Outcome::default() })
    }
}

impl Open {
    fn send(&mut self, messages: &[&str]) -> Result<(), Error> {
        let now = self.driver.now();
        let mut call = self.driver.connection.call(self.id).ok_or("the call is over")?;
        for message in messages {
            call.send(now, Outbound::encode(&call.encoding(), Bytes::copy_from_slice(message.as_bytes())))?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Error> {
        let now = self.driver.now();
        Ok(self.driver.connection.call(self.id).ok_or("the call is over")?.finish(now)?)
    }

    /// Takes what comes next; false when the call is over.
    fn step(&mut self) -> bool {
        match self.driver.turn(None) {
            Some(Notice::Readable(id)) => self.read(id),
            Some(Notice::Closed(_, closed)) => self.outcome.closed = Some(closed),
            Some(_) => {}
            None => return false,
        }
        self.outcome.closed.is_none()
    }

    fn read(&mut self, id: CallId) {
        let now = self.driver.now();
        let Some(mut call) = self.driver.connection.call(id) else { return };
        while let Some(event) = call.poll_event(now) {
            match event {
                Event::Headers(headers) => self.outcome.headers = headers,
                Event::Message(message) => match message.decode() {
                    Ok(text) => self.outcome.messages.push(String::from_utf8_lossy(&text).into_owned()),
                    Err(fault) => call.reject(now, fault),
                },
                Event::Finished(verdict) => self.outcome.verdict = Some(verdict),
                _ => {}
            }
        }
    }
}

impl Outcome {
    fn error(&self) -> Option<&RpcError> {
        self.verdict.as_ref().and_then(|verdict| verdict.as_ref().err())
    }

    fn reason(&self) -> Option<CloseReason> {
        self.closed.map(|closed| closed.reason)
    }
}

fn describe_error(outcome: &Outcome, expected: Code) -> (String, bool) {
    match outcome.error() {
        Some(error) => (error.to_string(), error.code() == expected),
        None => ("no error".to_owned(), false),
    }
}

fn request(method: &str, kind: Kind) -> Result<Request, Error> {
    Ok(Request::new(Procedure::new(format!("/tour.v1.TourService/{method}"))?, kind))
}
