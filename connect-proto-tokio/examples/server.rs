//! A server with one procedure of each kind. The example `client` calls them, and so can curl:
//!
//! ```text
//! $ cargo run -p connect-proto-tokio --example server
//! http://127.0.0.1:8080
//!
//! $ curl --json 84 http://127.0.0.1:8080/example.v1.ArithmeticService/Factor
//! [2, 2, 3, 7]
//! $ curl 'http://127.0.0.1:8080/example.v1.ArithmeticService/Factor?connect=v1&encoding=json&message=84'
//! [2, 2, 3, 7]
//! ```

mod arithmetic;

/// Serves at the address that is given, or else at 127.0.0.1:8080.
#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8080".to_owned());
    let server = arithmetic::serve(&address.parse()?).await?;
    if let Some(address) = server.local_address() {
        println!("http://{address}");
    }
    server.ended().await;
    Ok(())
}
