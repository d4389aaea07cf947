//! The crate connectrpc, at the boundary that its generated code has.

use bytes::Bytes;
use connectrpc::dispatcher::{
    MethodDescriptor, RequestStream, StreamingResult, UnaryResult, unimplemented_streaming,
};
use connectrpc::{
    CodecFormat, ConnectRpcService, Dispatcher, EncodedBody, Payload, RequestContext, Response, Server,
};
use futures_util::{StreamExt, stream};
use tokio::net::TcpListener;

pub(crate) async fn serve(listener: TcpListener) {
    let served = Server::from_listener(listener).serve_with_service(ConnectRpcService::new(Bench)).await;
    served.expect("a server");
}

struct Bench;

impl Dispatcher for Bench {
    fn lookup(&self, path: &str) -> Option<MethodDescriptor> {
        match path {
            "bench.Bench/Echo" => Some(MethodDescriptor::unary(false)),
            "bench.Bench/Source" => Some(MethodDescriptor::server_streaming()),
            "bench.Bench/Sink" => Some(MethodDescriptor::client_streaming()),
            _ => None,
        }
    }

    fn call_unary(&self, _: &str, _: RequestContext, request: Payload, _: CodecFormat) -> UnaryResult {
        Box::pin(async move { Ok(Response::new(EncodedBody::from(request.encoded()?))) })
    }

    fn call_server_streaming(
        &self,
        _: &str,
        _: RequestContext,
        request: Bytes,
        _: CodecFormat,
    ) -> StreamingResult {
        Box::pin(async move {
            let messages = crate::source(&request).map(|message| Ok(EncodedBody::from(message)));
            Ok(Response::stream(stream::iter(messages)))
        })
    }

    fn call_client_streaming(
        &self,
        _: &str,
        _: RequestContext,
        mut requests: RequestStream,
        _: CodecFormat,
    ) -> UnaryResult {
        Box::pin(async move {
            while let Some(message) = requests.next().await {
                message?;
            }
            Ok(Response::new(EncodedBody::from(crate::ANSWER)))
        })
    }

    fn call_bidi_streaming(
        &self,
        path: &str,
        _: RequestContext,
        _: RequestStream,
        _: CodecFormat,
    ) -> StreamingResult {
        unimplemented_streaming(path)
    }
}
