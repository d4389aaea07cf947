//! A client that calls each procedure of the example `server`: of the one at the URL that is given, or else of one that it
//! starts itself.
//!
//! ```text
//! $ cargo run -p connect-proto-tokio --example client
//! $ cargo run -p connect-proto-tokio --example client -- http://127.0.0.1:8080
//! ```

mod arithmetic;

use std::sync::Arc;
use std::time::Duration;

use arithmetic::procedure;
use connect_proto_tokio::{Channel, ChannelConfig, Code, Duplex, Protocol, Tokio};

type Error = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let url = match std::env::args().nth(1) {
        Some(url) => url,
        None => {
            let server = arithmetic::serve(&"127.0.0.1:0".parse()?).await?;
            format!("http://{}", server.local_address().ok_or("the server has an address")?)
        }
    };
    let mut config = ChannelConfig::new(&url, "json")?;
    config.pool.protocol = Protocol::Http2; // which full duplex needs; all else works over HTTP/1.1 as well
    let channel = Channel::new(Arc::new(Tokio::current()), config);

    unary(&channel).await?;
    server_stream(&channel).await?;
    client_stream(&channel).await?;
    bidi(&channel).await?;

    assert_eq!(channel.counters().dials, 1, "all went over one connection");
    assert_eq!(channel.shutdown(Duration::from_secs(1)).await, 0, "nothing had to be cut off");
    Ok(())
}

async fn unary(channel: &Channel) -> Result<(), Error> {
    let factors = channel.call(&procedure("Factor")).timeout(Duration::from_secs(1)).unary("84").await?;
    println!("the factors of 84: {:?}", factors.message);
    assert_eq!(factors.message, "[2, 2, 3, 7]");

    // An error is the server's word, as the handler has put it, or this side's own.
    let error = channel.call(&procedure("Factor")).unary("0").await.expect_err("it has none");
    println!("the factors of 0: {error}");
    assert_eq!(error.code(), Code::InvalidArgument);
    Ok(())
}

async fn server_stream(channel: &Channel) -> Result<(), Error> {
    let mut multiples = channel.call(&procedure("Multiples")).server_stream("7")?;
    for factor in 1..=3u32 {
        let multiple = multiples.recv().await?.ok_or("there is no end of them")?;
        println!("{factor} times 7: {multiple:?}");
        assert_eq!(multiple, (factor * 7).to_string());
    }
    // Enough. It does not wait; awaited, it tells how the call has ended.
    let end = multiples.close().await;
    println!("closed: {:?} after {} bytes more", end.closed.reason, end.closed.drained);
    Ok(())
}

async fn client_stream(channel: &Channel) -> Result<(), Error> {
    let (mut numbers, mut mean) = channel.call(&procedure("Mean")).client_stream()?;
    for number in ["2", "3", "5", "7"] {
        numbers.send(number).await?;
    }
    // Dropped without this, the call would be aborted: an end that nobody meant must not look like one.
    numbers.finish()?;
    let mean = mean.response().await?.message;
    println!("the mean of 2, 3, 5 and 7: {mean:?}");
    assert_eq!(mean, "4.25");
    Ok(())
}

async fn bidi(channel: &Channel) -> Result<(), Error> {
    let (mut numbers, mut sums) = channel.call(&procedure("Sum")).bidi(Duplex::Full)?;
    for (number, expected) in [("1", "1"), ("10", "11"), ("100", "111")] {
        numbers.send(number).await?;
        let sum = sums.recv().await?.ok_or("an answer to each")?;
        println!("with {number} the sum is {sum:?}");
        assert_eq!(sum, expected);
    }
    numbers.finish()?;
    assert_eq!(sums.recv().await?, None, "the server has said that all went well");
    Ok(())
}
