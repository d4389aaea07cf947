//! What is tried with servers that go away: they are two, and come back.

use std::io;
use std::time::Duration;

use connect_proto_tokio::{Channel, Code, Server, ShutdownReport};
use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::proxy::Place;
use crate::upstream::{CallBoard, serve};
use crate::way::{Failed, Outcome, PATIENCE, Way, ensure, soon};

/// What is tried, in this order.
pub const CASES: &[&str] = &[
    "connections to the servers are kept",
    "graceful shutdown of one of two servers",
    "a server is cut off in a stream",
    "no server is there",
];

/// The two servers.
#[derive(Debug)]
pub struct Servers {
    place: Place,
    board: CallBoard,
    servers: [Server; 2],
}

impl Servers {
    /// Starts both.
    pub async fn start(place: &Place, board: &CallBoard) -> io::Result<Servers> {
        let servers = [serve(place.server(0), 0, board).await?, serve(place.server(1), 1, board).await?];
        Ok(Servers { place: place.clone(), board: board.clone(), servers })
    }

    /// Starts one again that was shut down.
    async fn restart(&mut self, index: usize) -> Outcome {
        let server = serve(self.place.server(index), index, &self.board).await;
        self.servers[index] = server.map_err(|error| Failed(error.to_string()))?;
        Ok(())
    }

    fn accepted(&self) -> u64 {
        self.servers.iter().map(|server| server.counters().connections).sum()
    }

    /// Runs a case.
    pub async fn run(&mut self, case: &str, way: &Way) -> Outcome {
        let outcome = match case {
            "connections to the servers are kept" => self.reuse(way).await,
            "graceful shutdown of one of two servers" => self.graceful(way).await,
            "a server is cut off in a stream" => self.cut(way).await,
            "no server is there" => self.none(way).await,
            other => Err(Failed(format!("no such case: {other}"))),
        };
        self.settle(way).await?;
        outcome
    }

    /// Waits until the proxy sends calls to both servers again.
    async fn settle(&self, way: &Way) -> Outcome {
        let channel = way.channel()?;
        for expected in [0, 1] {
            let both = async {
                loop {
                    let (call, observed) = way.call(&channel, "Echo");
                    let is_there = call.unary("hello").await.is_ok() && observed.seen().server == expected;
                    if is_there {
                        return;
                    }
                    sleep(Duration::from_millis(20)).await;
                }
            };
            timeout(4 * PATIENCE, both).await.map_err(|_| Failed("a server is not used again".into()))?;
        }
        Ok(())
    }

    async fn reuse(&self, way: &Way) -> Outcome {
        let channel = way.channel()?;
        let before = self.accepted();
        for _ in 0..100 {
            way.call(&channel, "Echo").0.unary("hello").await?;
        }
        // Those that look whether a server is there come on top.
        let made = self.accepted() - before;
        ensure(made < 20, "each call has one of its own")
    }

    /// A stream is under way, and calls go on all the time.
    async fn graceful(&mut self, way: &Way) -> Outcome {
        let channel = way.channel()?;
        let (call, observed) = way.call(&channel, "Steps");
        observed.permit(1);
        let mut receiver = call.server_stream("2")?;
        receiver.recv().await?;
        let index = observed.seen().server;

        let (stop, stopped) = watch::channel(false);
        let callers = join_all((0..4).map(|_| tokio::spawn(keep_calling(way.clone(), stopped.clone()))));
        sleep(Duration::from_millis(200)).await;
        let server = self.servers[index].clone();
        let shutdown = tokio::spawn(async move { server.shutdown(PATIENCE).await });
        sleep(Duration::from_millis(500)).await;
        observed.permit(2);
        let rest = (receiver.recv().await, receiver.recv().await);
        let report = shutdown.await.map_err(|error| Failed(error.to_string()))?;
        sleep(Duration::from_millis(200)).await;
        let _ = stop.send(true);
        let failures = callers.await;
        self.restart(index).await?;

        ensure(matches!(rest, (Ok(Some(_)), Ok(None))), "the stream is cut off")?;
        ensure(report == ShutdownReport::default(), "the server has to cut something off")?;
        for failure in failures {
            failure.map_err(|error| Failed(error.to_string()))??;
        }
        Ok(())
    }

    async fn cut(&mut self, way: &Way) -> Outcome {
        let (call, observed) = way.call(&way.channel()?, "Steps");
        observed.permit(1);
        let mut receiver = call.server_stream("2")?;
        receiver.recv().await?;
        let index = observed.seen().server;
        self.servers[index].shutdown(Duration::ZERO).await;
        let end = soon(receiver.recv(), "the client does not hear of it").await;
        self.restart(index).await?;
        match end? {
            Ok(_) => Err(Failed("looks complete".into())),
            Err(error) => ensure(error.code() == Code::Unavailable, error.code().to_string()),
        }
    }

    async fn none(&mut self, way: &Way) -> Outcome {
        for server in &self.servers {
            server.shutdown(Duration::ZERO).await;
        }
        let answer = soon(way.call(&way.channel()?, "Echo").0.unary("hello"), "hangs").await;
        self.restart(0).await?;
        self.restart(1).await?;
        match answer? {
            Ok(_) => Err(Failed("succeeds".into())),
            Err(error) => ensure(error.code() == Code::Unavailable, error.code().to_string()),
        }
    }
}

async fn keep_calling(way: Way, stopped: watch::Receiver<bool>) -> Outcome {
    let channel: Channel = way.channel()?;
    while !*stopped.borrow() {
        let answer = way.call(&channel, "Echo").0.unary("hello").await;
        answer.map_err(|error| Failed(format!("calls fail: {}", error.code())))?;
    }
    Ok(())
}
