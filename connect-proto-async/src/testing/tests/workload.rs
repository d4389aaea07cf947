//! Calls of every kind at random, on a network that has everything: they are answered rightly or fail, and nothing is left.

use connect_proto::call::Duplex;
use connect_proto::error::RpcError;

use super::*;
use crate::testing::faults::Random;
use crate::{Channel, ChannelConfig, Context, Procedure, Protocol, Receiver, Requests, Responses, Router};
use crate::{Sender, Server, ServerConfig};

const CLIENTS: usize = 8;
const CALLS: usize = 4;
/// The longest timeout of a call, and how much later than that it must have ended.
const TIMEOUT: Duration = Duration::from_secs(8);
const SLACK: Duration = Duration::from_secs(5);

fn procedure(name: &str) -> Procedure {
    Procedure::new(format!("/test.Service/{name}")).unwrap()
}

fn router() -> Router {
    Router::new(["text"])
        .unary(&procedure("Echo"), |_: Context, message: Bytes| async move { Ok(message) })
        .client_stream(&procedure("Join"), |_: Context, mut requests: Requests| async move {
            let mut joined = Vec::new();
            while let Some(message) = requests.recv().await? {
                joined.extend_from_slice(&message);
            }
            Ok(Bytes::from(joined))
        })
        .server_stream(
            &procedure("Count"),
            |_: Context, message: Bytes, mut responses: Responses| async move {
                for at in 0..message.len() {
                    let _ = responses.send(at.to_string()).await;
                }
                Ok(())
            },
        )
        .bidi(
            &procedure("Chat"),
            Duplex::Full,
            |_: Context, mut requests: Requests, mut responses: Responses| async move {
                while let Some(message) = requests.recv().await? {
                    let _ = responses.send(message).await;
                }
                Ok(())
            },
        )
}

/// A message of random bytes, so that compression does not make it small.
fn message(random: &mut Random) -> Bytes {
    let magnitude = random.below(17);
    let len = random.below(1 << magnitude);
    (0..len).map(|_| u8::try_from(random.below(256)).unwrap_or_default()).collect()
}

/// Sends messages and ends: as far as the call goes.
async fn send_all(mut sender: Sender, messages: Vec<Bytes>) {
    for message in messages {
        if sender.send(message).await.is_err() {
            return;
        }
    }
    let _ = sender.finish();
}

/// Takes messages up to the end, or up to `most` and then closes or aborts.
async fn receive(mut receiver: Receiver, leave: Leave, expected: &[Bytes]) -> Result<(), RpcError> {
    let most = match leave {
        Leave::AtTheEnd => usize::MAX,
        Leave::Closing(after) | Leave::Aborting(after) => after,
    };
    let mut received = 0;
    while received < most {
        let Some(message) = receiver.recv().await? else {
            assert_eq!(received, expected.len(), "what has ended well is whole");
            receiver.ended().await;
            return Ok(());
        };
        assert!(Some(&message) == expected.get(received), "message {received} is another");
        received += 1;
    }
    match leave {
        Leave::Aborting(_) => receiver.abort().await,
        _ => receiver.close().await,
    };
    Ok(())
}

#[derive(Clone, Copy)]
enum Leave {
    AtTheEnd,
    Closing(usize),
    Aborting(usize),
}

/// One call; whether it succeeded.
async fn call(runtime: Arc<dyn Runtime>, channel: &Channel, mut random: Random) -> bool {
    let timeout = random.within(&(Duration::ZERO..TIMEOUT));
    let leave = match random.below(4) {
        0 => Leave::Closing(random.below(4)),
        1 => Leave::Aborting(random.below(4)),
        _ => Leave::AtTheEnd,
    };
    let build = |name| channel.call(&procedure(name)).timeout(timeout);
    let messages: Vec<_> = (0..random.below(8)).map(|_| message(&mut random)).collect();
    let done = match random.below(4) {
        0 => {
            let sent = message(&mut random);
            let answer = build("Echo").unary(sent.clone()).await;
            answer.map(|response| assert!(response.message == sent, "an echo is the same"))
        }
        1 => {
            let (sender, receiver) = build("Join").client_stream().unwrap();
            let joined: Bytes = messages.concat().into();
            spawn(&*runtime, send_all(sender, messages));
            receive(receiver, leave, &[joined]).await
        }
        2 => {
            let count = random.below(200);
            let receiver = build("Count").server_stream(vec![b'.'; count]).unwrap();
            let expected: Vec<_> = (0..count).map(|at| Bytes::from(at.to_string())).collect();
            receive(receiver, leave, &expected).await
        }
        _ => match build("Chat").bidi(Duplex::Full) {
            Ok((sender, receiver)) => {
                spawn(&*runtime, send_all(sender, messages.clone()));
                receive(receiver, leave, &messages).await
            }
            // Not over HTTP/1.1.
            Err(_) => Ok(()),
        },
    };
    done.is_ok()
}

/// Runs the workload of a seed; how many calls were made, and how many of them succeeded.
fn run(seed: u64, faults: Faults) -> (usize, usize) {
    let sim = Sim::new(seed);
    sim.set_faults(faults);
    let runtime = sim.handle();
    let mut random = Random::new(!seed);
    let mut tally = (0, 0);
    sim.run(async {
        let server =
            Server::bind(runtime.clone(), &somewhere(80), router(), ServerConfig::default()).await.unwrap();
        let mut config = ChannelConfig::new("http://server.example", "text").unwrap();
        config.pool.protocol = if random.below(2) == 0 { Protocol::Http1 } else { Protocol::Http2 };
        let channel = Channel::new(runtime.clone(), config);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                let (runtime, channel, mut random) = (runtime.clone(), channel.clone(), random.fork());
                spawn(&*sim.handle(), async move {
                    let (mut made, mut succeeded) = (0, 0);
                    for _ in 0..CALLS {
                        let call = call(runtime.clone(), &channel, random.fork());
                        // Some futures are dropped at whatever await they have come to.
                        let dropped =
                            (random.below(4) == 0).then(|| random.within(&(Duration::ZERO..millis(500))));
                        let limit = dropped.unwrap_or(TIMEOUT + SLACK);
                        let done = within(&*runtime, limit, call).await;
                        assert!(done.is_some() || dropped.is_some(), "a call ends soon after its timeout");
                        made += 1;
                        succeeded += usize::from(done == Some(true));
                    }
                    (made, succeeded)
                })
            })
            .collect();
        let early = random.below(2) == 0;
        if early {
            sleep(&*runtime, random.within(&(Duration::ZERO..TIMEOUT))).await;
            stop(&*runtime, &server, &mut random).await;
        }
        for client in clients {
            let (made, succeeded) = client.await;
            tally = (tally.0 + made, tally.1 + succeeded);
        }
        if !early {
            stop(&*runtime, &server, &mut random).await;
        }
    });
    sim.run(sleep(&*sim.handle(), SETTLING));
    sim.assert_nothing_left();
    tally
}

async fn stop(runtime: &dyn Runtime, server: &Server, random: &mut Random) {
    let grace = random.within(&(Duration::ZERO..millis(3000)));
    let begun = runtime.now();
    server.shutdown(grace).await;
    assert!(runtime.now() <= begun.saturating_add(grace), "a shutdown ends within its grace");
}

#[test]
fn calls_at_random_leave_nothing_behind() {
    for seed in seeds(25) {
        for faults in [Faults::none(), Faults::harmless(), Faults::any()] {
            run(seed, faults);
        }
    }
}

/// The workload is not one of failures alone.
#[test]
fn most_calls_succeed_where_nothing_breaks() {
    let tallies: Vec<_> = (0..10).map(|seed| run(seed, Faults::harmless())).collect();
    let made: usize = tallies.iter().map(|(made, _)| made).sum();
    let succeeded: usize = tallies.iter().map(|(_, succeeded)| succeeded).sum();
    assert!(succeeded > made / 2, "{succeeded} of {made}");
}
