//! How to run on another executor: what a channel and a server need of one is the trait `Runtime`, implemented in `mini.rs` on
//! nothing but std. Here both run on it, in one thread.

mod mini;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connect_proto_async::{
    Channel, ChannelConfig, Context, Procedure, Protocol, Responses, Router, RpcError, Runtime, Server,
    ServerConfig,
};
use mini::Mini;

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    let runtime = Mini::new();
    runtime.run(serve_and_call(Arc::new(runtime.clone())))
}

async fn serve_and_call(runtime: Arc<dyn Runtime>) -> Result<(), Error> {
    let (greet, spell) = (procedure("Greet")?, procedure("Spell")?);
    let router = Router::new(["text"])
        .unary(&greet, |_: Context, name: Bytes| async move {
            Ok(Bytes::from([b"Hello, ", &name[..], b"!"].concat()))
        })
        .server_stream(&spell, |_: Context, word: Bytes, mut letters: Responses| async move {
            for at in 0..word.len() {
                letters.send(word.slice(at..=at)).await?;
            }
            Ok::<(), RpcError>(())
        });
    let server =
        Server::bind(runtime.clone(), &"127.0.0.1:0".parse()?, router, ServerConfig::default()).await?;
    let url = format!("http://{}", server.local_address().ok_or("the server has an address")?);

    for protocol in [Protocol::Http1, Protocol::Http2] {
        let mut config = ChannelConfig::new(&url, "text")?;
        config.pool.protocol = protocol;
        let channel = Channel::new(runtime.clone(), config);

        let greeting = channel.call(&greet).timeout(Duration::from_secs(5)).unary("Ada").await?.message;
        println!("{protocol:?}: {greeting:?}");
        assert_eq!(greeting, "Hello, Ada!");

        let mut letters = channel.call(&spell).server_stream("loop")?;
        let mut word = Vec::new();
        while let Some(letter) = letters.recv().await? {
            println!("{protocol:?}: {letter:?}");
            word.extend_from_slice(&letter);
        }
        assert_eq!(word, b"loop");
        assert_eq!(channel.shutdown(Duration::from_secs(1)).await, 0, "nothing had to be cut off");
    }
    let report = server.shutdown(Duration::from_secs(1)).await;
    assert_eq!((report.calls_cut, report.connections_cut), (0, 0));
    Ok(())
}

fn procedure(method: &str) -> Result<Procedure, Error> {
    Ok(Procedure::new(format!("/example.v1.WordService/{method}"))?)
}
