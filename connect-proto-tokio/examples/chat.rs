//! A chat room: everybody in it has one call, over which lines go in both directions at any time. A line is a message of plain
//! text: a codec is a name, and what it stands for is between the two sides.
//!
//! ```text
//! $ cargo run -p connect-proto-tokio --example chat                      # three guests talk among themselves
//! $ cargo run -p connect-proto-tokio --example chat serve                # a room at 127.0.0.1:8080
//! $ cargo run -p connect-proto-tokio --example chat join Ada             # in other terminals; Ctrl-D or Ctrl-C leaves
//! ```

use std::sync::Arc;

use connect_proto_tokio::{
    Address, Channel, ChannelConfig, Code, Context, Duplex, Metadata, Procedure, Protocol, Receiver,
    Requests, Responses, Router, RpcError, Sender, Server, ServerConfig, Tokio,
};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::broadcast;

type Error = Box<dyn std::error::Error>;

const ADDRESS: &str = "127.0.0.1:8080";

#[tokio::main]
async fn main() -> Result<(), Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => demonstrate().await,
        ["serve"] => {
            serve(&ADDRESS.parse()?).await?.ended().await;
            Ok(())
        }
        ["join", name] => talk(name).await,
        _ => Err("usage: chat [serve | join NAME]".into()),
    }
}

// The server

/// Opens a room. A line that one guest says goes to all of them.
async fn serve(address: &Address) -> Result<Server, Error> {
    let (room, _) = broadcast::channel(100);
    let router = Router::new(["text"]).bidi(&procedure()?, Duplex::Full, move |context, lines, responses| {
        attend(room.clone(), context, lines, responses)
    });
    Ok(Server::bind(Arc::new(Tokio::current()), address, router, ServerConfig::default()).await?)
}

/// One guest's call, from beginning to end.
async fn attend(
    room: broadcast::Sender<String>,
    context: Context,
    mut said: Requests,
    mut heard: Responses,
) -> Result<(), RpcError> {
    let name = context.metadata().get("chat-name").and_then(|name| name.to_str().ok());
    let name = name.ok_or_else(|| RpcError::new(Code::InvalidArgument, "who are you?"))?.to_owned();
    let mut lines = room.subscribe();
    let guest = Guest::new(room, name);
    loop {
        tokio::select! {
            line = said.recv() => match line? {
                Some(line) => guest.tell(&format!("says {}", String::from_utf8_lossy(&line))),
                None => return Ok(()),
            },
            line = lines.recv() => match line {
                Ok(line) => heard.send(line).await?,
                Err(_) => return Err(RpcError::new(Code::ResourceExhausted, "you listen too slowly")),
            },
        }
    }
}

/// Somebody in the room. However the call ends, its handler is dropped, and the others hear of it: there is one place to
/// clean up for a guest who says goodbye, one who gives up and one whose network is gone.
struct Guest {
    room: broadcast::Sender<String>,
    name: String,
}

impl Guest {
    fn new(room: broadcast::Sender<String>, name: String) -> Self {
        let guest = Guest { room, name };
        guest.tell("has come");
        guest
    }

    fn tell(&self, what: &str) {
        // Without anybody in the room it is said to nobody.
        let _ = self.room.send(format!("{} {what}", self.name));
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.tell("has left");
    }
}

// The clients

/// Enters a room.
fn enter(channel: &Channel, name: &str) -> Result<(Sender, Receiver), Error> {
    let mut metadata = Metadata::new();
    metadata.insert("chat-name", name.parse()?);
    Ok(channel.call(&procedure()?).metadata(metadata).bidi(Duplex::Full)?)
}

/// Says what is typed, and shows what is heard.
async fn talk(name: &str) -> Result<(), Error> {
    let (mut say, mut hear) = enter(&channel(ADDRESS)?, name)?;
    let mut typed = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            line = typed.next_line() => match line? {
                Some(line) => say.send(line).await?,
                None => break,
            },
            line = hear.recv() => match line? {
                Some(line) => println!("{}", String::from_utf8_lossy(&line)),
                None => break,
            },
        }
    }
    say.finish()?;
    while let Some(line) = hear.recv().await? {
        println!("{}", String::from_utf8_lossy(&line));
    }
    Ok(())
}

/// Three guests: one stays until the end, one says goodbye, and one just vanishes.
async fn demonstrate() -> Result<(), Error> {
    let server = serve(&"127.0.0.1:0".parse()?).await?;
    let channel = channel(&server.local_address().ok_or("the server has an address")?.to_string())?;

    let (mut ada, mut adas) = enter(&channel, "Ada")?;
    expect(&mut [&mut adas], "Ada has come").await?;
    let (mut bob, mut bobs) = enter(&channel, "Bob")?;
    expect(&mut [&mut adas, &mut bobs], "Bob has come").await?;
    let (cyd, mut cyds) = enter(&channel, "Cyd")?;
    expect(&mut [&mut adas, &mut bobs, &mut cyds], "Cyd has come").await?;

    ada.send("hello").await?;
    expect(&mut [&mut adas, &mut bobs, &mut cyds], "Ada says hello").await?;
    bob.send("hello, Ada").await?;
    expect(&mut [&mut adas, &mut bobs, &mut cyds], "Bob says hello, Ada").await?;

    drop((cyd, cyds)); // aborts the call
    expect(&mut [&mut adas, &mut bobs], "Cyd has left").await?;
    bob.finish()?; // the server answers that all went well
    assert_eq!(bobs.recv().await?, None);
    expect(&mut [&mut adas], "Bob has left").await?;
    Ok(())
}

/// All of them hear this next.
async fn expect(guests: &mut [&mut Receiver], expected: &str) -> Result<(), Error> {
    for guest in guests {
        let line = guest.recv().await?.ok_or("the call goes on")?;
        assert_eq!(line, expected);
    }
    println!("{expected}");
    Ok(())
}

fn channel(address: &str) -> Result<Channel, Error> {
    let mut config = ChannelConfig::new(&format!("http://{address}"), "text")?;
    config.pool.protocol = Protocol::Http2;
    Ok(Channel::new(Arc::new(Tokio::current()), config))
}

fn procedure() -> Result<Procedure, Error> {
    Ok(Procedure::new("/example.v1.ChatService/Talk")?)
}
