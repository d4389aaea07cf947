//! h2's side: its futures, polled by hand.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::{Error, Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response, header};

use crate::link::{Link, TheirEnd};
use crate::log::{End, World};
use crate::plan::{CLIENT, Message, SERVER, Settings, bytes};

type Shared = Rc<RefCell<World>>;
type Task = Pin<Box<dyn Future<Output = ()>>>;

/// How far it is proven that our side answers pings and acknowledges settings.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Probe {
    #[default]
    None,
    /// A ping is to be sent when all before it are answered.
    Wanted,
    Sent,
    /// The settings are to be changed when all changes before are acknowledged.
    Answered,
    Passed,
}

/// What is to be done with the connection, from outside.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    pub(crate) shut_down: bool,
    pub(crate) abort: bool,
    /// No more calls: the client's connection may end.
    pub(crate) is_over: bool,
    pub(crate) window: Option<u32>,
    pub(crate) ping: bool,
    pub(crate) probe: Probe,
    pub(crate) result: Option<Result<(), String>>,
}

/// h2's side, in either role.
pub(crate) struct Theirs {
    tasks: Rc<RefCell<Vec<Task>>>,
    running: Vec<Task>,
    pub(crate) orders: Rc<RefCell<Orders>>,
}

#[derive(Clone)]
struct Scope {
    world: Shared,
    /// Where new tasks go.
    tasks: Rc<RefCell<Vec<Task>>>,
    orders: Rc<RefCell<Orders>>,
}

impl Scope {
    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks.borrow_mut().push(Box::pin(task));
    }

    fn below(&self, bound: usize) -> usize {
        self.world.borrow_mut().draw.below(bound)
    }

    fn one_in(&self, n: usize) -> bool {
        self.world.borrow_mut().draw.one_in(n)
    }

    /// Waits for so many polls.
    async fn pause(&self, polls: usize) {
        let mut left = self.below(polls);
        poll_fn(|_| {
            if left == 0 {
                return Poll::Ready(());
            }
            left -= 1;
            self.world.borrow_mut().moved += 1;
            Poll::Pending
        })
        .await;
    }
}

impl Theirs {
    pub(crate) fn new(world: &Shared, link: &Rc<RefCell<Link>>) -> Self {
        let tasks = Rc::new(RefCell::new(Vec::new()));
        let orders = Rc::new(RefCell::new(Orders::default()));
        let scope = Scope { world: world.clone(), tasks: tasks.clone(), orders: orders.clone() };
        let end = TheirEnd(link.clone());
        let theirs = world.borrow().plan.theirs();
        if theirs == CLIENT {
            scope.clone().spawn(client(scope, end));
        } else {
            scope.clone().spawn(server(scope, end));
        }
        Theirs { tasks, running: Vec::new(), orders }
    }

    pub(crate) fn poll(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        self.running.append(&mut self.tasks.borrow_mut());
        self.running.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
        self.running.append(&mut self.tasks.borrow_mut());
    }
}

/// Sets up a client's or a server's builder.
macro_rules! set_up {
    ($builder:ident, $settings:ident) => {
        $builder
            .initial_window_size($settings.stream_window)
            .initial_connection_window_size($settings.connection_window)
            .max_frame_size($settings.max_frame)
            .header_table_size($settings.table)
            .max_concurrent_reset_streams(1000)
            .max_concurrent_streams($settings.max_streams)
    };
}

/// Carries out orders that both roles know. `None` if h2 has no pings left to give.
macro_rules! carry_out {
    ($scope:ident, $connection:ident, $pings:ident, $cx:ident) => {
        let mut orders = $scope.orders.borrow_mut();
        if let Some(window) = orders.window.take() {
            // It refuses while the last change is not acknowledged.
            let _ = $connection.set_initial_window_size(window);
        }
        if std::mem::take(&mut orders.ping) {
            let _ = $pings.send_ping(h2::Ping::opaque());
        }
        if orders.probe == Probe::Wanted && $pings.send_ping(h2::Ping::opaque()).is_ok() {
            orders.probe = Probe::Sent;
        }
        if let Poll::Ready(Ok(_)) = $pings.poll_pong($cx)
            && orders.probe == Probe::Sent
        {
            orders.probe = Probe::Answered;
        }
        if orders.probe == Probe::Answered && $connection.set_initial_window_size(1 << 20).is_ok() {
            orders.probe = Probe::Passed;
        }
        drop(orders);
    };
}

async fn client(scope: Scope, end: TheirEnd) {
    let mut builder = h2::client::Builder::new();
    {
        let plan = &scope.world.borrow().plan;
        let Settings { max_streams, .. } = plan.settings[SERVER];
        let settings = &plan.settings[CLIENT];
        set_up!(builder, settings).initial_max_send_streams(max_streams.min(100) as usize).enable_push(false);
    }
    let (sender, mut connection) = match builder.handshake::<_, Bytes>(end).await {
        Ok(made) => made,
        Err(error) => {
            scope.orders.borrow_mut().result = Some(Err(error.to_string()));
            let calls = scope.world.borrow().plan.calls.len();
            for call in 0..calls {
                let mut world = scope.world.borrow_mut();
                world.see_end(CLIENT, call, End::Unopened);
                world.has_sent(CLIENT, call);
            }
            return;
        }
    };
    let calls = scope.world.borrow().plan.calls.len();
    for call in 0..calls {
        scope.spawn(client_call(scope.clone(), sender.clone(), call));
    }
    let mut sender = Some(sender);
    let mut pings = connection.ping_pong().expect("asked for once");
    let result = poll_fn(|cx| {
        carry_out!(scope, connection, pings, cx);
        if scope.orders.borrow().is_over {
            sender = None;
        }
        Pin::new(&mut connection).poll(cx)
    })
    .await;
    scope.orders.borrow_mut().result = Some(result.map_err(|error| error.to_string()));
}

async fn client_call(scope: Scope, sender: h2::client::SendRequest<Bytes>, call: usize) {
    // Some begin before our settings have come.
    if !scope.one_in(3) {
        scope.pause(60).await;
    }
    let opened = sender.ready().await.and_then(|mut sender| {
        let world = scope.world.borrow();
        let plan = &world.plan.calls[call];
        let mut request = Request::post(format!("http://host/{call}")).body(()).expect("a request");
        *request.headers_mut() = head_fields(&plan.request);
        sender.send_request(request, plan.request.at_head)
    });
    let (response, stream) = match opened {
        Ok(opened) => opened,
        Err(error) => {
            assert!(!error.is_reset(), "{error:?}");
            let mut world = scope.world.borrow_mut();
            world.see_end(CLIENT, call, End::Unopened);
            return world.has_sent(CLIENT, call);
        }
    };
    scope.spawn(send(scope.clone(), CLIENT, call, stream));
    match response.await {
        Ok(response) => {
            let (parts, body) = response.into_parts();
            scope.world.borrow_mut().see_head(CLIENT, call, parts.status.as_str().into(), parts.headers);
            receive(scope, CLIENT, call, body).await;
        }
        Err(error) => scope.world.borrow_mut().see_end(CLIENT, call, end_of(&error)),
    }
}

async fn server(scope: Scope, end: TheirEnd) {
    let mut builder = h2::server::Builder::new();
    {
        let settings = &scope.world.borrow().plan.settings[SERVER];
        set_up!(builder, settings).max_pending_accept_reset_streams(1000);
    }
    let result = match builder.handshake::<_, Bytes>(end).await {
        Ok(connection) => serve(&scope, connection).await,
        Err(error) => Err(error),
    };
    scope.orders.borrow_mut().result = Some(result.map_err(|error| error.to_string()));
}

async fn serve(scope: &Scope, mut connection: h2::server::Connection<TheirEnd, Bytes>) -> Result<(), Error> {
    let mut pings = connection.ping_pong().expect("asked for once");
    loop {
        let accepted = poll_fn(|cx| {
            carry_out!(scope, connection, pings, cx);
            let mut orders = scope.orders.borrow_mut();
            if std::mem::take(&mut orders.shut_down) {
                connection.graceful_shutdown();
            }
            if std::mem::take(&mut orders.abort) {
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
            }
            drop(orders);
            connection.poll_accept(cx)
        })
        .await;
        let Some((request, respond)) = accepted.transpose()? else { return Ok(()) };
        let (parts, body) = request.into_parts();
        let call: usize = parts.uri.path()[1..].parse().expect("the number of a call");
        let line = format!("{} {}", parts.method, parts.uri);
        scope.world.borrow_mut().see_head(SERVER, call, line, parts.headers);
        scope.spawn(server_call(scope.clone(), call, body, respond));
    }
}

async fn server_call(
    scope: Scope,
    call: usize,
    body: RecvStream,
    mut respond: h2::server::SendResponse<Bytes>,
) {
    let (is_early, is_half_duplex) = {
        let plan = &scope.world.borrow().plan.calls[call];
        (plan.is_early, plan.is_half_duplex)
    };
    let mut unread = None;
    if is_early {
        unread = Some(body);
    } else if is_half_duplex {
        receive(scope.clone(), SERVER, call, body).await;
        let complete = matches!(scope.world.borrow().seen[SERVER][call].end, Some(End::Complete(_)));
        if !complete {
            return scope.world.borrow_mut().has_sent(SERVER, call);
        }
    } else {
        scope.spawn(receive(scope.clone(), SERVER, call, body));
    }
    scope.pause(20).await;
    let sent = {
        let plan = &scope.world.borrow().plan.calls[call];
        let mut response = Response::builder().status(plan.status).body(()).expect("a response");
        *response.headers_mut() = head_fields(&plan.response);
        respond.send_response(response, plan.response.at_head)
    };
    match sent {
        Ok(stream) => send(scope.clone(), SERVER, call, stream).await,
        Err(_) => scope.world.borrow_mut().has_sent(SERVER, call),
    }
    if let Some(unread) = unread {
        drop((unread, respond));
        scope.world.borrow_mut().see_end(SERVER, call, End::GivenUp);
    }
}

fn head_fields(message: &Message) -> HeaderMap {
    let mut fields = message.fields.clone();
    if message.is_announced {
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(message.len));
    }
    fields
}

/// Sends what comes after the head.
async fn send(scope: Scope, side: usize, call: usize, mut stream: SendStream<Bytes>) {
    let (at_head, len, reset, trailers) = {
        let message = &scope.world.borrow().plan.calls[call];
        let message = message.message(side);
        (message.at_head, message.len, message.reset, message.trailers.clone())
    };
    let until = reset.map_or(len, |(until, _)| until);
    let is_paced = scope.one_in(2);
    let piece = [100, 5000, 50_000, 1 << 20][scope.below(4)];
    let mut sent = 0;
    // It may fail only because the stream is over, which the receiving half tells.
    while !at_head && sent < until {
        scope.pause(4).await;
        let mut n = (until - sent).min(1 + scope.below(piece));
        if is_paced {
            stream.reserve_capacity(n);
            match poll_fn(|cx| stream.poll_capacity(cx)).await {
                Some(Ok(room)) => n = n.min(room),
                Some(Err(_)) | None => break,
            }
        }
        let end = sent + n == len && trailers.is_none() && reset.is_none() && scope.one_in(2);
        if stream.send_data(bytes(call, side, sent, n), end).is_err() {
            break;
        }
        sent += n;
        if end {
            return scope.world.borrow_mut().has_sent(side, call);
        }
    }
    if at_head || sent < until {
        return scope.world.borrow_mut().has_sent(side, call);
    }
    // The end may come when much has changed since the last data.
    if scope.one_in(3) {
        scope.pause(100).await;
    }
    if let Some((_, code)) = reset {
        scope.pause(30).await;
        stream.send_reset(code.into());
        scope.world.borrow_mut().see_end(side, call, End::GivenUp);
    } else if let Some(trailers) = trailers {
        let _ = stream.send_trailers(trailers);
    } else {
        let _ = stream.send_data(Bytes::new(), true);
    }
    scope.world.borrow_mut().has_sent(side, call);
}

/// Receives what comes after the head.
async fn receive(scope: Scope, side: usize, call: usize, mut body: RecvStream) {
    let is_slow = scope.one_in(3);
    let mut held = 0;
    loop {
        if is_slow {
            scope.pause(10).await;
        }
        let next = poll_fn(|cx| Poll::Ready(body.poll_data(cx))).await;
        let next = match next {
            Poll::Ready(next) => next,
            Poll::Pending => {
                // Nothing more may come until what was taken is given back.
                if held > 0 {
                    scope.pause(20).await;
                    let _ = body.flow_control().release_capacity(std::mem::take(&mut held));
                }
                poll_fn(|cx| body.poll_data(cx)).await
            }
        };
        // What it gave up itself is none of its business.
        if matches!(scope.world.borrow().seen[side][call].end, Some(End::GivenUp)) {
            return;
        }
        match next {
            Some(Ok(data)) => {
                scope.world.borrow_mut().see_data(side, call, &data);
                held += data.len();
                if scope.one_in(3) {
                    let _ = body.flow_control().release_capacity(std::mem::take(&mut held));
                }
            }
            Some(Err(error)) => return scope.world.borrow_mut().see_end(side, call, end_of(&error)),
            None => break,
        }
    }
    let end = match poll_fn(|cx| body.poll_trailers(cx)).await {
        Ok(trailers) => End::Complete(trailers.unwrap_or_default()),
        Err(error) => end_of(&error),
    };
    scope.world.borrow_mut().see_end(side, call, end);
}

fn end_of(error: &Error) -> End {
    match error.reason() {
        Some(Reason::REFUSED_STREAM) if error.is_remote() => End::Refused,
        Some(reason) if error.is_reset() && error.is_remote() => End::Reset(reason.into()),
        Some(_) if error.is_go_away() && error.is_remote() => End::Refused,
        // Its own application gave the connection up.
        Some(_) if error.is_go_away() && !error.is_library() => End::Lost,
        _ if error.is_io() => End::Lost,
        _ => End::Wrong(format!("{error:?}")),
    }
}
