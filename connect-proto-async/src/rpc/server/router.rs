//! Procedures and their handlers.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use connect_proto::call::{Duplex, Kind};
use connect_proto::client;
use connect_proto::error::RpcError;
use connect_proto::message::Outbound;
use connect_proto::metadata::Metadata;
use connect_proto::server::MethodSpec;

use super::handle::{Requests, Responses};
use super::{Conclusion, Context, Outcome, Trailers};
use crate::rpc::Response;
use crate::rpc::outbox::Sending;

/// A handler at work.
pub(super) type Work = Pin<Box<dyn Future<Output = Outcome> + Send>>;

type Handler = dyn Fn(Context, Requests, Responses) -> Work + Send + Sync;

/// The procedures that a server has, each with its handler.
///
/// A handler is an async function over messages as bytes, in the codec that [`Context::codec`] names. It is dropped when its
/// call has ended under it, as any future that nobody waits for: see [`Context::ended`]. One that panics answers with
/// [`Code::Internal`](connect_proto::error::Code::Internal).
///
/// A handler must not block, nor compute for long between two waits: it is polled by the task of its connection, over
/// HTTP/2 until it waits for the first time, and meanwhile nothing else moves there. Long work is for a task or a thread
/// of its own, such as `tokio::task::spawn_blocking` or `smol::unblock`, of which the handler awaits the result.
#[derive(Clone, Debug)]
pub struct Router {
    codecs: Arc<[String]>,
    procedures: HashMap<String, Arc<Procedure>>,
}

/// A procedure.
pub(super) struct Procedure {
    path: client::Procedure,
    spec: MethodSpec,
    handler: Box<Handler>,
}

impl Router {
    /// No procedures yet. Those that are added speak these codecs, such as `proto` and `json`.
    pub fn new<C: Into<String>>(codecs: impl IntoIterator<Item = C>) -> Self {
        Router { codecs: codecs.into_iter().map(Into::into).collect(), procedures: HashMap::new() }
    }

    /// Adds a unary procedure, in place of one of the same path, if there is any.
    #[must_use]
    pub fn unary<F, W, R>(self, procedure: &client::Procedure, handler: F) -> Self
    where
        F: Fn(Context, Bytes) -> W + Send + Sync + 'static,
        W: Future<Output = Result<R, RpcError>> + Send + 'static,
        R: Into<Response>,
    {
        self.one_message(procedure, |spec| spec, handler)
    }

    /// Adds a unary procedure that is free of side effects, so that a call of it may come by GET.
    #[must_use]
    pub fn side_effect_free_unary<F, W, R>(self, procedure: &client::Procedure, handler: F) -> Self
    where
        F: Fn(Context, Bytes) -> W + Send + Sync + 'static,
        W: Future<Output = Result<R, RpcError>> + Send + 'static,
        R: Into<Response>,
    {
        self.one_message(procedure, MethodSpec::side_effect_free, handler)
    }

    /// Adds a procedure that takes a stream of messages and answers with one.
    #[must_use]
    pub fn client_stream<F, W, R>(self, procedure: &client::Procedure, handler: F) -> Self
    where
        F: Fn(Context, Requests) -> W + Send + Sync + 'static,
        W: Future<Output = Result<R, RpcError>> + Send + 'static,
        R: Into<Response>,
    {
        self.add(
            procedure,
            Kind::ClientStream,
            |spec| spec,
            move |context, requests, responses| {
                let work = handler(context, requests);
                Box::pin(async move { Ok(conclude(work.await?.into(), &responses)) })
            },
        )
    }

    /// Adds a procedure that takes one message and answers with a stream of them.
    #[must_use]
    pub fn server_stream<F, W, T>(self, procedure: &client::Procedure, handler: F) -> Self
    where
        F: Fn(Context, Bytes, Responses) -> W + Clone + Send + Sync + 'static,
        W: Future<Output = Result<T, RpcError>> + Send + 'static,
        T: Into<Trailers>,
    {
        self.add(
            procedure,
            Kind::ServerStream,
            |spec| spec,
            move |context, mut requests, responses| {
                let handler = handler.clone();
                Box::pin(async move {
                    let message = requests.only().await?;
                    Ok(end(handler(context, message, responses).await?))
                })
            },
        )
    }

    /// Adds a procedure with a stream of messages in both directions. With [`Duplex::Full`] it needs HTTP/2; one with
    /// [`Duplex::Half`] also works over HTTP/1.1, where the response begins when the request has ended.
    #[must_use]
    pub fn bidi<F, W, T>(self, procedure: &client::Procedure, duplex: Duplex, handler: F) -> Self
    where
        F: Fn(Context, Requests, Responses) -> W + Send + Sync + 'static,
        W: Future<Output = Result<T, RpcError>> + Send + 'static,
        T: Into<Trailers>,
    {
        self.add(
            procedure,
            Kind::Bidi(duplex),
            |spec| spec,
            move |context, requests, responses| {
                let work = handler(context, requests, responses);
                Box::pin(async move { Ok(end(work.await?)) })
            },
        )
    }

    fn one_message<F, W, R>(
        self,
        procedure: &client::Procedure,
        spec: fn(MethodSpec) -> MethodSpec,
        handler: F,
    ) -> Self
    where
        F: Fn(Context, Bytes) -> W + Send + Sync + 'static,
        W: Future<Output = Result<R, RpcError>> + Send + 'static,
        R: Into<Response>,
    {
        let handler = Arc::new(handler);
        self.add(procedure, Kind::Unary, spec, move |context, mut requests, responses| {
            let handler = handler.clone();
            Box::pin(async move {
                let message = requests.only().await?;
                drop(requests);
                Ok(conclude(handler(context, message).await?.into(), &responses))
            })
        })
    }

    fn add(
        mut self,
        procedure: &client::Procedure,
        kind: Kind,
        spec: fn(MethodSpec) -> MethodSpec,
        handler: impl Fn(Context, Requests, Responses) -> Work + Send + Sync + 'static,
    ) -> Self {
        let spec = spec(MethodSpec::new(kind, &self.codecs));
        let added = Procedure { path: procedure.clone(), spec, handler: Box::new(handler) };
        self.procedures.insert(procedure.as_str().to_owned(), Arc::new(added));
        self
    }

    pub(super) fn find(&self, path: &str) -> Option<&Arc<Procedure>> {
        self.procedures.get(path)
    }
}

impl Procedure {
    pub(super) fn path(&self) -> &str {
        self.path.as_str()
    }

    pub(super) fn spec(&self) -> &MethodSpec {
        &self.spec
    }

    pub(super) fn codec(&self, at: usize) -> &str {
        self.spec.codecs.get(at).map_or("", String::as_str)
    }

    pub(super) fn codec_named(&self, name: &str) -> Option<usize> {
        self.spec.codecs.iter().position(|codec| codec == name)
    }

    pub(super) fn handle(&self, context: Context, requests: Requests, responses: Responses) -> Work {
        (self.handler)(context, requests, responses)
    }
}

impl fmt::Debug for Procedure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Procedure").field(&self.spec).finish()
    }
}

fn conclude(response: Response, responses: &Responses) -> Conclusion {
    let Response { headers, message, trailers } = response;
    // Compressed here, outside of the connection's lock.
    Conclusion { headers, message: Some(Outbound::encode(responses.encoding(), message)), trailers }
}

fn end(trailers: impl Into<Trailers>) -> Conclusion {
    let Trailers(trailers) = trailers.into();
    Conclusion { headers: Metadata::new(), message: None, trailers }
}
