//! What goes on around the calls: a server, channels, the weather, and the end of it all.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use connect_proto::compress::Gzip;
use connect_proto::connection::ConnectionConfig;

use super::super::faults::Random;
use super::super::suite::{sleep, within};
use super::super::{Dial, Fault, Faults, Side, Sim};
use super::call::Excuses;
use super::client::{Client, Seat, all_done, recovers, start};
use super::fickle::Patience;
use super::ledger::Ledger;
use super::{Outcome, Tally, Weather, handlers};
use crate::{Address, Channel, ChannelConfig, Code, Protocol, Runtime, Server, ServerConfig};

/// How much later than its grace a shutdown whose future was dropped cuts off what is left; and how long that may still
/// read what comes.
const BACKSTOP: Duration = Duration::from_secs(1);
const LINGER: Duration = Duration::from_secs(2);
/// After how long every channel carries calls again on a network that is in order.
const RECOVERY: Duration = Duration::from_secs(120);
/// After how long nothing is left.
const SETTLING: Duration = Duration::from_secs(600);

pub(super) fn play(seed: u64) -> Outcome {
    let sim = Sim::new(seed);
    let mut random = Random::new(!seed);
    let weather = match random.below(4) {
        0 => Weather::Calm,
        1 => Weather::Rough,
        _ => Weather::Storm,
    };
    sim.set_faults(faults(weather, &mut random));
    // Of its own: it is to be the last one who holds it.
    let runtime = sim.handle();
    let held = Arc::downgrade(&runtime);
    let ledger = Ledger::new(sim.handle());
    let _report = Report { seed, ledger: ledger.clone() };
    ledger.tell(format_args!("{weather:?}"));
    let excuses = Excuses { weather, is_crowded: weather != Weather::Calm && random.below(3) == 0 };
    let stage = Stage { runtime, ledger: ledger.clone(), excuses, servers: 0 };
    sim.run(stage.play(&sim, &mut random));
    sim.run(sleep(&*sim.handle(), SETTLING));
    ledger.assert_in_order();
    sim.assert_nothing_left();
    assert_eq!(held.strong_count(), 0, "something still holds the runtime");
    let tally = ledger.with(|books| Tally { runs: 1, faults: sim.faults(), ..books.tally });
    Outcome { tally, fingerprint: sim.fingerprint(), story: ledger.story() }
}

/// Says what happened, if it ends with a panic.
struct Report {
    seed: u64,
    ledger: Ledger,
}

impl Drop for Report {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Report { seed, ledger } = self;
            eprint!("{}", ledger.story());
            eprintln!(
                "To have it again: cargo run -p connect-proto-async --features testing --example simulate -- {seed} 1"
            );
        }
    }
}

fn faults(weather: Weather, random: &mut Random) -> Faults {
    let mut faults = match weather {
        Weather::Calm => return Faults::none(),
        Weather::Rough => Faults::harmless(),
        Weather::Storm => Faults::any(),
    };
    faults.capacity = 1 << (6 + random.below(11));
    faults.cut = random.below(2) == 0;
    let magnitude = random.below(9);
    faults.delay = Duration::ZERO..Duration::from_millis((1 << magnitude) - 1);
    faults
}

fn address() -> Address {
    Address::Tcp { host: "server.example".into(), port: 80 }
}

struct Stage {
    /// What the code under test gets.
    runtime: Arc<dyn Runtime>,
    ledger: Ledger,
    excuses: Excuses,
    servers: u32,
}

impl Stage {
    async fn play(mut self, sim: &Sim, random: &mut Random) {
        let is_calm = self.excuses.weather == Weather::Calm;
        let mut server = self.serve(random).await;
        let seats: Vec<Seat> = (0..=random.below(2)).map(|_| self.seat(random)).collect();
        // Mostly a few that call often, sometimes a crowd.
        let (clients, calls) = if random.below(8) == 0 { (40, 2) } else { (8, 5) };
        let clients = (0..=random.below(clients))
            .map(|_| {
                let (ledger, seats, excuses) = (self.ledger.clone(), seats.clone(), self.excuses);
                let client = Client { ledger, seats, excuses, random: Random::new(random.next()) };
                start(client, 1 + random.below(calls))
            })
            .collect();
        if !is_calm {
            for _ in 0..random.below(6) {
                self.disturb(sim, &mut server, &seats, random).await;
            }
        }
        all_done(clients).await;
        sim.set_faults(Faults::none());
        if !is_calm {
            self.restart(&mut server, random).await;
            for seat in &seats {
                let until = self.ledger.now().saturating_add(RECOVERY);
                assert!(recovers(&self.ledger, seat, until).await, "a channel does not recover");
            }
        }
        self.wind_down(server, seats, random).await;
    }

    async fn serve(&mut self, random: &mut Random) -> Server {
        let mut config = ServerConfig::default();
        config.calls.limits.end_time = Duration::from_secs(1 + random.below(5) as u64);
        config.calls.limits.send_queue = send_queue(random);
        config.calls.compress_from = 256;
        narrow(&mut config.connection, random);
        if self.excuses.weather != Weather::Calm {
            if random.below(4) == 0 {
                config.max_connections = Some(1 + random.below(4));
            }
            if random.below(4) == 0 {
                config.max_connection_age = Some(random.within(&(Duration::ZERO..Duration::from_secs(5))));
                config.max_connection_age_grace = random.within(&(Duration::ZERO..Duration::from_secs(5)));
            }
            let http2 = &mut config.connection.http2;
            http2.max_concurrent_streams = 1 + u32::try_from(random.below(10)).unwrap_or_default();
        }
        if self.excuses.is_crowded {
            config.max_calls = Some(1 + random.below(4));
        }
        self.servers += 1;
        self.ledger.tell(format_args!("server {} starts", self.servers));
        let router = handlers::router(&self.ledger, self.servers);
        Server::bind(self.runtime.clone(), &address(), router, config).await.expect("the address is free")
    }

    fn seat(&mut self, random: &mut Random) -> Seat {
        let protocol = if random.below(2) == 0 { Protocol::Http1 } else { Protocol::Http2 };
        let drain = Duration::from_millis([0, 50, 1000, 30_000][random.below(4)]);
        let end = Duration::from_secs(1 + random.below(5) as u64);
        Seat::new(self.channel(protocol, drain, end, random), protocol, drain, end)
    }

    fn channel(&self, protocol: Protocol, drain: Duration, end: Duration, random: &mut Random) -> Channel {
        let mut config = ChannelConfig::new("http://server.example", "text").expect("a URI");
        config.pool.protocol = protocol;
        config.calls.limits.drain_http1.time = drain;
        config.calls.limits.drain_http2.time = drain;
        config.calls.limits.end_time = end;
        config.calls.limits.send_queue = send_queue(random);
        narrow(&mut config.connection, random);
        if random.below(2) == 0 {
            config.calls.compression = Some(Arc::new(Gzip::default()));
            config.calls.compress_from = 64;
        }
        if self.excuses.weather != Weather::Calm {
            config.pool.connect_timeout = random.within(&(Duration::ZERO..Duration::from_secs(10)));
            config.pool.max_http1_connections = 1 + random.below(6);
            config.pool.http2_connections = 1 + random.below(2);
            if random.below(3) == 0 {
                config.pool.max_age = Some(random.within(&(Duration::ZERO..Duration::from_secs(4))));
                config.pool.idle_timeout = Some(random.within(&(Duration::ZERO..Duration::from_secs(2))));
            }
            if random.below(2) == 0 {
                config.connection.http2.keep_alive = Some(connect_proto::http2::KeepAlive {
                    interval: random.within(&(Duration::from_secs(1)..Duration::from_secs(5))),
                    timeout: Duration::from_secs(1),
                    while_idle: random.below(2) == 0,
                });
            }
        }
        if self.excuses.is_crowded {
            config.pool.max_waiting = 1 + random.below(4);
            config.connection.waiting_calls = random.below(4);
        }
        Channel::new(self.runtime.clone(), config)
    }

    /// Something happens that calls have to live with.
    async fn disturb(&mut self, sim: &Sim, server: &mut Server, seats: &[Seat], random: &mut Random) {
        sleep(&*sim.handle(), random.within(&(Duration::ZERO..Duration::from_secs(2)))).await;
        let is_storm = self.excuses.weather == Weather::Storm;
        match random.below(8) {
            0..=1 => self.restart(server, random).await,
            2..=3 => {
                let seat = &seats[random.below(seats.len())];
                self.ledger.tell(format_args!("a channel is replaced"));
                let channel = seat.replace(self.channel(seat.protocol, seat.drain, seat.end, random));
                self.end_channel(channel, random).await;
            }
            4 if is_storm => {
                let dials = [Dial::Refused, Dial::Unanswered, Dial::Answered(Duration::from_secs(2))];
                sim.script_dials((0..random.below(4)).map(|_| dials[random.below(3)]));
                sim.script_accept_errors((0..random.below(3)).map(|_| std::io::ErrorKind::Other));
            }
            _ if is_storm => {
                let connections = sim.connections();
                if connections.is_empty() {
                    return;
                }
                let side = if random.below(2) == 0 { Side::Dialer } else { Side::Acceptor };
                let stall = Fault::Stall(random.within(&(Duration::ZERO..Duration::from_secs(20))));
                let fault = [stall, Fault::BlackHole, Fault::HalfClose, Fault::Reset][random.below(4)];
                connections[random.below(connections.len())].inject(side, fault);
            }
            _ => {}
        }
    }

    async fn restart(&mut self, server: &mut Server, random: &mut Random) {
        self.stop(server, random).await;
        if random.below(2) == 0 {
            sleep(&**self.ledger.runtime(), random.within(&(Duration::ZERO..Duration::from_secs(2)))).await;
        }
        *server = self.serve(random).await;
    }

    /// Shuts a server down, and looks whether that is true.
    async fn stop(&self, server: &Server, random: &mut Random) {
        let number = self.servers;
        let grace = grace(random);
        let until = self.ledger.now().saturating_add(grace);
        self.ledger.tell(format_args!("server {number} shuts down, with {grace:?}"));
        self.ledger.tally(|tally| tally.shutdowns += 1);
        let mut shutdown = pin!(server.shutdown(grace));
        let (mut at_work, mut at_most) = (0, 0);
        let reported = poll_fn(|cx| {
            at_work = self.ledger.at_work(number);
            at_most = at_most.max(at_work);
            shutdown.as_mut().poll(cx)
        });
        match Patience::any(4, random).polls_once().wait(reported).await {
            Some(report) => {
                let now = self.ledger.now();
                self.ledger.tell(format_args!("server {number} is shut down: {report:?}"));
                assert!(now <= until, "server {number} takes longer than its grace");
                assert!(report.connections_cut == 0 || now == until, "server {number} has cut off too early");
                // A handler whose connection has just ended by itself is about to go.
                let is_theirs = report.connections_cut > 0 || report.calls_cut <= at_most;
                assert!(is_theirs, "{at_most} handlers were at work: {report:?}");
                // Those without their request are there, too.
                let counts = report.connections_cut == 0 || report.calls_cut >= at_work;
                assert!(counts, "{at_work} handlers were at work: {report:?}");
            }
            None => self.ledger.tally(|tally| tally.dropped += 1),
        }
        let limit = until.saturating_add(BACKSTOP + LINGER).saturating_duration_since(self.ledger.now());
        let ended = within(&**self.ledger.runtime(), limit, server.ended()).await;
        assert!(ended.is_some(), "server {number} does not end");
        assert_eq!(server.connections(), 0);
        // When no task has anything to do any more.
        sleep(&**self.ledger.runtime(), Duration::from_nanos(1)).await;
        assert_eq!(self.ledger.at_work(number), 0, "a handler has outlived server {number}");
    }

    /// Shuts a channel down, or drops it.
    async fn end_channel(&self, channel: Channel, random: &mut Random) {
        if random.below(2) == 0 {
            return;
        }
        let grace = grace(random);
        let until = self.ledger.now().saturating_add(grace);
        self.ledger.tell(format_args!("a channel shuts down, with {grace:?}"));
        self.ledger.tally(|tally| tally.shutdowns += 1);
        let patience = Patience::any(4, random).polls_once();
        let Some(cut) = patience.wait(channel.shutdown(grace)).await else {
            return self.ledger.tally(|tally| tally.dropped += 1);
        };
        let now = self.ledger.now();
        assert!(now <= until, "a channel takes longer than its grace");
        assert!(cut == 0 || now == until, "a channel has cut off too early");
        let procedure = super::script::Kind::Unary.procedure();
        let refused = channel.call(&procedure).unary("").await.expect_err("the channel is shut down");
        assert_eq!((refused.code(), self.ledger.now()), (Code::Unavailable, now));
    }

    async fn wind_down(&self, server: Server, seats: Vec<Seat>, random: &mut Random) {
        if self.excuses.weather == Weather::Calm {
            // When no task has anything to do any more.
            sleep(&**self.ledger.runtime(), Duration::from_nanos(1)).await;
            let counters = seats.iter().map(|seat| seat.channel().counters());
            let dials: u64 = counters.map(|counters| counters.dials - counters.dial_failures).sum();
            assert_eq!(server.counters().connections, dials, "every connection is accepted");
            let (began, counted) = (self.ledger.begun(), server.counters().calls);
            assert!(began <= counted, "{began} handlers were begun, and {counted} counted");
        }
        for seat in seats {
            self.end_channel(seat.channel(), random).await;
        }
        self.stop(&server, random).await;
    }
}

/// Makes the windows so small that a receiver holds its sender up.
fn narrow(connection: &mut ConnectionConfig, random: &mut Random) {
    connection.receive_window = 1 << random.below(17);
    connection.http2.initial_stream_window = 1 << (10 + random.below(9));
}

/// Mostly so small that a sender has to wait.
fn send_queue(random: &mut Random) -> usize {
    1 << random.below(17)
}

fn grace(random: &mut Random) -> Duration {
    match random.below(3) {
        0 => Duration::ZERO,
        _ => random.within(&(Duration::ZERO..Duration::from_secs(4))),
    }
}
