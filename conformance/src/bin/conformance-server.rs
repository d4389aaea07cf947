//! The server under test: reads from stdin what to serve, writes to stdout where, and serves until it is killed.

use std::sync::Arc;
use std::{env, io};

use conformance::args::Args;
use conformance::convert::{self, Unsupported};
use conformance::proto::{ServerCompatRequest, ServerCompatResponse};
use conformance::tls::ServerMaterial;
use conformance::{framing, runtime};

fn main() -> Result<(), Unsupported> {
    let args = Args::parse(env::args().skip(1))?;
    let runtime = runtime::find(&args.runtime)?;
    let request: ServerCompatRequest = framing::read(&mut io::stdin())?.ok_or("no request on stdin")?;
    let config = Arc::new(convert::server_config(&request)?);
    let tls = ServerMaterial::new(&request)?;
    let pem_cert = tls.as_ref().map(|tls| tls.server_creds.cert.clone()).unwrap_or_default();

    runtime.serve(config, tls.as_ref(), &mut |address| {
        let response = ServerCompatResponse {
            host: address.ip().to_string(),
            port: address.port().into(),
            pem_cert: pem_cert.clone(),
        };
        framing::write(&mut io::stdout(), &response)
    })
}
