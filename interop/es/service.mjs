// The service, as connect-es serves it. What each procedure does is told in the README.
import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import { setTimeout as pause } from "node:timers/promises";
import { StringValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createContextKey, createContextValues, encodeBinaryHeader } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { InteropService, message } from "./schema.mjs";
import { HERE } from "./transport.mjs";

/** What breaks a call off. */
const breakOff = createContextKey(() => {});

/** The client's certificate, if it has shown one. */
const certificate = createContextKey(undefined);

/** What replaces the server's certificate at work. */
const renewal = createContextKey(() => {
  throw new ConnectError("there is no TLS", Code.FailedPrecondition);
});

/** How calls have ended, by their x-id. */
const outcomes = new Map();

/** Serves on a free port; the URL. */
export async function serve({ httpVersion, certificates }) {
  const contextValues = (request) => {
    const values = createContextValues().set(breakOff, () =>
      request.stream ? request.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR) : request.socket.destroy(),
    );
    if (certificates !== undefined) {
      values.set(certificate, request.socket.getPeerCertificate().raw);
      values.set(renewal, () => server.setSecureContext(certificates.server("other")));
    }
    return values;
  };
  const handler = connectNodeAdapter({ routes, contextValues });
  const server = newServer(httpVersion, certificates?.server("known"), handler);
  server.listen(0, HERE);
  await once(server, "listening");
  return `${certificates === undefined ? "http" : "https"}://${HERE}:${server.address().port}`;
}

function newServer(httpVersion, tls, handler) {
  if (httpVersion === "1.1") {
    return tls === undefined ? http.createServer(handler) : https.createServer(tls, handler);
  }
  return tls === undefined ? http2.createServer(handler) : http2.createSecureServer(tls, handler);
}

function routes(router) {
  const implement = (name, handler) => router.rpc(InteropService.method[name], handler);
  implement("echo", (request, context) => {
    answerMetadata(context, context.responseHeader, context.responseTrailer);
    return request;
  });
  implement("query", (request, context) => message(`${context.requestMethod} ${request.value}`));
  implement("fail", (request, context) => {
    throw failure(context, request.value);
  });
  implement("wait", (_, context) => noted(context, () => ended(context)));
  implement("outcome", outcome);
  implement("renew", (request, context) => {
    context.values.get(renewal)();
    return request;
  });
  implement("join", (requests, context) =>
    noted(context, async () => {
      const texts = [];
      for await (const request of requests) {
        texts.push(request.value);
      }
      answerMetadata(context, context.responseHeader, context.responseTrailer);
      return message(texts.join(","));
    }),
  );
  implement("count", count);
  implement("hold", (request, context) => notedStream(context, hold(request, context)));
  implement("chat", (requests, context) => notedStream(context, chat(requests, context)));
}

async function outcome(request) {
  for (let tries = 0; tries < 500 && !outcomes.has(request.value); tries++) {
    await pause(10);
  }
  return message(outcomes.get(request.value) ?? "none");
}

async function* count(request, context) {
  answerMetadata(context, context.responseHeader, context.responseTrailer);
  const [count, size] = request.value.split("x").map(Number);
  for (let at = 0; at < count; at++) {
    yield message(String(at).padEnd(size ?? 0, "x"));
  }
}

async function* hold(request, context) {
  answerMetadata(context, context.responseHeader, context.responseTrailer);
  const how = request.value;
  if (how !== "mute") {
    yield message("first");
  }
  switch (how) {
    case "soon":
      await pause(200);
      yield message("second");
      return;
    case "silent":
    case "mute":
      await ended(context);
      return;
    case "flood":
      for (;;) {
        yield message("x".repeat(1000));
      }
    case "fail":
      // The stream has the trailers.
      throw failure({ requestHeader: new Headers() }, "after a message");
    case "cancel":
      throw new ConnectError("by the server", Code.Canceled);
    case "break":
      // After the message has gone out.
      await pause(50);
      context.values.get(breakOff)();
      await ended(context);
      return;
    default:
      throw new ConnectError("no such way to hold a stream", Code.InvalidArgument);
  }
}

async function* chat(requests, context) {
  answerMetadata(context, context.responseHeader, context.responseTrailer);
  yield* requests;
}

/** Waits until the call has ended. */
async function ended({ signal }) {
  if (!signal.aborted) {
    await once(signal, "abort");
  }
  throw signal.reason;
}

/** Does a handler's work, and notes how its call ends. */
async function noted(context, work) {
  try {
    const answer = await work();
    note(context, "done");
    return answer;
  } catch (error) {
    note(context, "broken");
    throw error;
  }
}

async function* notedStream(context, work) {
  // One that waits to write may never get to its end.
  context.signal.addEventListener("abort", () => note(context, "broken"), { once: true });
  let outcome = "broken";
  try {
    yield* work;
    outcome = "done";
  } finally {
    note(context, outcome);
  }
}

/** Notes how a call has ended, if it has an id, and the first end only. */
function note({ requestHeader, signal }, outcome) {
  const id = requestHeader.get("x-id");
  if (id !== null && !outcomes.has(id)) {
    const timedOut = ConnectError.from(signal.reason).code === Code.DeadlineExceeded;
    outcomes.set(id, !signal.aborted ? outcome : timedOut ? "deadline_exceeded" : "canceled");
  }
}

/** Sets what goes before an answer, and after it. */
function answerMetadata(context, headers, trailers) {
  const { requestHeader } = context;
  for (const [asked, answer] of [["x-ask", ""], ["x-ask-bin", "-bin"]]) {
    const value = requestHeader.get(asked);
    if (value !== null) {
      headers?.set(`x-header${answer}`, value);
      trailers.set(`x-trailer${answer}`, value);
    }
  }
  const encoding = requestHeader.get("content-encoding") ?? requestHeader.get("connect-content-encoding");
  headers?.set("x-encoding", encoding ?? "identity");
  const shown = context.values?.get(certificate);
  if (shown !== undefined) {
    headers?.set("x-certificate-bin", encodeBinaryHeader(shown));
  }
  const left = context.timeoutMs?.();
  if (left !== undefined) {
    headers?.set("x-time-left", String(Math.trunc(left)));
  }
}

function failure(context, text) {
  const detail = { desc: StringValueSchema, value: { value: "detail" } };
  const failure = new ConnectError(text, Code.FailedPrecondition, undefined, [detail]);
  answerMetadata(context, undefined, failure.metadata);
  return failure;
}
