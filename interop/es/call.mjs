// Calls of a server that somebody else wrote.
import assert from "node:assert/strict";
import https from "node:https";
import { setTimeout as pause } from "node:timers/promises";
import { StringValueSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient, decodeBinaryHeader, encodeBinaryHeader } from "@connectrpc/connect";
import { compressionGzip, createConnectTransport } from "@connectrpc/connect-node";
import { InteropService, message } from "./schema.mjs";
import { tlsCases } from "./tls.mjs";

/** How long a case may take, in milliseconds. */
const LIMIT = 20_000;

/** What a default limit on messages lets through, and no window or queue does at once. */
const LARGE = 3 << 20;

/** Runs all cases that the transport can carry, one after the other. Whether all were well. */
export async function call(transport, url) {
  const { httpVersion, certificates } = transport;
  const connect = (baseUrl, tls, options = {}) => {
    const nodeOptions = httpVersion === "1.1" && tls ? { agent: new https.Agent({ keepAlive: true, ...tls }) } : tls;
    return createClient(InteropService, createConnectTransport({ baseUrl, httpVersion, nodeOptions, ...options }));
  };
  const tls = certificates?.client("known", "known");
  const all = [...cases(httpVersion === "2")];
  if (certificates !== undefined) {
    all.push(...tlsCases(transport, url, connect));
  }
  let passed = true;
  for (const [name, run] of all) {
    const late = pause(LIMIT, undefined, { ref: false }).then(() => assert.fail("took too long"));
    try {
      await Promise.race([run((options) => connect(url, tls, options)), late]);
      console.log(`${name} ok`);
    } catch (error) {
      passed = false;
      console.log(`${name} FAILED: ${String(error).replaceAll("\n", " ").slice(0, 300)}`);
    }
  }
  return passed;
}

function* cases(isHttp2) {
  for (const [name, useBinaryFormat] of [["proto", true], ["json", false]]) {
    const inCodec = (run) => (connect) => run(connect({ useBinaryFormat }));
    yield [`unary-${name}`, inCodec(unary)];
    yield [`server-stream-${name}`, inCodec(serverStream)];
    yield [`client-stream-${name}`, inCodec(clientStream)];
    yield [`bidi-half-${name}`, inCodec(bidiHalf)];
    if (isHttp2) {
      yield [`bidi-full-${name}`, inCodec(bidiFull)];
    }
  }
  const binary = (run) => (connect) => run(connect({ useBinaryFormat: true }));
  yield ["large-unary", binary((client) => echo(client, "x".repeat(LARGE)))];
  yield ["large-server-stream", binary(largeServerStream)];
  yield ["large-client-stream", binary((client) => joined(client, Array(3).fill("x".repeat(1 << 20))))];
  if (isHttp2) {
    yield ["large-bidi", binary(largeBidi)];
  }
  yield ["crowd", binary((client) => Promise.all([...Array(300).keys()].map((at) => echo(client, String(at)))))];
  yield ["gzip-unary", gzipUnary];
  yield ["gzip-server-stream", gzipServerStream];
  yield ["gzip-client-stream", gzipClientStream];
  yield ["metadata-unary", binary(metadataUnary)];
  yield ["metadata-stream", binary(metadataStream)];
  yield ["error-unary", errorUnary];
  yield ["error-stream", binary(errorStream)];
  yield ["error-unknown-procedure", binary(errorUnknownProcedure)];
  yield ["get", get];
  yield ["get-too-long", getTooLong];
  yield ["deadline-told", binary(deadlineTold)];
  yield ["deadline-unary", binary(deadlineUnary)];
  yield ["deadline-stream", binary(deadlineStream)];
  yield ["cancel-unary", binary(cancelUnary)];
  yield ["cancel-server-stream", binary(cancelServerStream)];
  // Over HTTP/2, Node ends the request before it resets the call: a handler may be done with that.
  const seen = isHttp2 ? ["canceled", "done"] : ["canceled"];
  yield ["cancel-client-stream", binary((client) => cancelClientStream(client, seen))];
  if (isHttp2) {
    yield ["cancel-bidi", binary((client) => cancelBidi(client, seen))];
  }
  yield ["server-cancels", binary(serverCancels)];
}

async function echo(client, text) {
  const answer = await client.echo(message(text));
  assert.ok(answer.value === text, "another answer");
}

async function* messages(texts) {
  yield* texts.map(message);
}

async function texts(stream) {
  const texts = [];
  for await (const { value } of stream) {
    texts.push(value);
  }
  return texts;
}

/** The error that a call fails with. */
async function failed(promise) {
  const error = await promise.then(() => undefined, ConnectError.from);
  assert.ok(error, "it did not fail");
  return error;
}

/** Checks how the server has seen the call of an id end. */
async function saw(client, id, ...expected) {
  const { value } = await client.outcome(message(id));
  assert.ok(expected.includes(value), `the server saw ${value} instead of ${expected}`);
}

async function unary(client) {
  for (const text of ["hello", "", 'größer "than" ☃\n']) {
    await echo(client, text);
  }
}

async function serverStream(client) {
  for (const count of [0, 1, 100]) {
    const expected = [...Array(count).keys()].map(String);
    assert.deepEqual(await texts(client.count(message(String(count)))), expected);
  }
}

async function clientStream(client) {
  for (const texts of [[], ["a"], ["a", "", "c"]]) {
    await joined(client, texts);
  }
}

async function joined(client, texts) {
  const answer = await client.join(messages(texts));
  assert.ok(answer.value === texts.join(","), "another answer");
}

async function bidiHalf(client) {
  assert.deepEqual(await texts(client.chat(messages(["a", "b", "c"]))), ["a", "b", "c"]);
}

/** What is sent when it is told to, and ends when that is told. */
class Requests {
  #queue = [];
  #wake = () => {};

  push(text) {
    this.#queue.push(text);
    this.#wake();
  }

  async *[Symbol.asyncIterator]() {
    for (;;) {
      if (this.#queue.length === 0) {
        await new Promise((resolve) => (this.#wake = resolve));
      }
      const text = this.#queue.shift();
      if (text === null) {
        return;
      }
      yield message(text);
    }
  }
}

async function bidiFull(client) {
  const requests = new Requests();
  const answers = client.chat(requests)[Symbol.asyncIterator]();
  for (const text of ["a", "b", "c"]) {
    requests.push(text);
    assert.equal((await answers.next()).value?.value, text);
  }
  requests.push(null);
  assert.ok((await answers.next()).done);
}

async function largeServerStream(client) {
  const answers = await texts(client.count(message(`4x${LARGE}`)));
  assert.equal(answers.length, 4);
  answers.forEach((text, at) => assert.ok(text.length === LARGE && text.startsWith(`${at}x`), `message ${at}`));
}

async function largeBidi(client) {
  const large = "x".repeat(LARGE);
  const answers = await texts(client.chat(messages(Array(4).fill(large))));
  assert.ok(answers.length === 4 && answers.every((text) => text === large), "they come back changed");
}

const gzip = { sendCompression: compressionGzip, compressMinBytes: 0 };

/** Options of a call that note its metadata, sent with these headers. */
function noting(headers = {}) {
  const noted = { headers, onHeader: (header) => (noted.header = header), onTrailer: (it) => (noted.trailer = it) };
  return noted;
}

async function gzipUnary(connect) {
  const [text, options] = ["again ".repeat(1000), noting()];
  const answer = await connect({ ...gzip, useBinaryFormat: false }).echo(message(text), options);
  assert.equal(answer.value, text);
  assert.equal(options.header.get("x-encoding"), "gzip");
  assert.equal(options.header.get("content-encoding"), "gzip");
}

async function gzipServerStream(connect) {
  const options = noting();
  const answers = await texts(connect({ ...gzip, useBinaryFormat: true }).count(message("10x5000"), options));
  assert.deepEqual(answers.map((text) => text.length), Array(10).fill(5000));
  assert.equal(options.header.get("x-encoding"), "gzip");
  assert.equal(options.header.get("connect-content-encoding"), "gzip");
}

async function gzipClientStream(connect) {
  const options = noting();
  const text = "again ".repeat(1000);
  const answer = await connect({ ...gzip, useBinaryFormat: true }).join(messages([text, text, text]), options);
  assert.equal(answer.value, [text, text, text].join(","));
  assert.equal(options.header.get("x-encoding"), "gzip");
}

const DATA = new Uint8Array([0x00, 0xff, 0x10]);

function asking() {
  return noting([["x-ask", "one"], ["x-ask", "two"], ["x-ask-bin", encodeBinaryHeader(DATA)]]);
}

function answered(metadata, name) {
  assert.equal(metadata.get(name), "one, two");
  assert.deepEqual(decodeBinaryHeader(metadata.get(`${name}-bin`)), DATA);
}

async function metadataUnary(client) {
  const options = asking();
  await client.echo(message(""), options);
  answered(options.header, "x-header");
  answered(options.trailer, "x-trailer");
}

async function metadataStream(client) {
  const options = asking();
  await texts(client.count(message("2"), options));
  answered(options.header, "x-header");
  answered(options.trailer, "x-trailer");
}

/** Checks the error that the service makes on request. */
function isFailure(error, text) {
  assert.equal(error.code, Code.FailedPrecondition);
  assert.equal(error.rawMessage, text);
  assert.deepEqual(error.findDetails(StringValueSchema).map((detail) => detail.value), ["detail"]);
  answered(error.metadata, "x-trailer");
}

async function errorUnary(connect) {
  for (const useBinaryFormat of [true, false]) {
    const error = await failed(connect({ useBinaryFormat }).fail(message('nö, "☃"'), asking()));
    isFailure(error, 'nö, "☃"');
  }
}

/** A stream that has brought its first message. */
async function begun(stream) {
  const answers = stream[Symbol.asyncIterator]();
  assert.equal((await answers.next()).value?.value, "first");
  return answers;
}

async function errorStream(client) {
  const answers = await begun(client.hold(message("fail"), asking()));
  isFailure(await failed(answers.next()), "after a message");
}

async function errorUnknownProcedure(client) {
  assert.equal((await failed(client.nothing(message("")))).code, Code.Unimplemented);
}

async function get(connect) {
  for (const useBinaryFormat of [true, false]) {
    const client = connect({ useBinaryFormat, useHttpGet: true });
    for (const text of ["", "plain", "?&=+/ %ö☃"]) {
      assert.equal((await client.query(message(text))).value, `GET ${text}`);
    }
  }
}

/** Longer than most would let a URL be, but this client asks by GET whatever the length. */
async function getTooLong(connect) {
  const text = "x".repeat(2000);
  const client = connect({ useBinaryFormat: true, useHttpGet: true });
  assert.equal((await client.query(message(text))).value, `GET ${text}`);
}

async function deadlineTold(client) {
  const options = { ...noting(), timeoutMs: 60_000 };
  const noted = Object.assign(options, { onHeader: (header) => (options.header = header) });
  await client.echo(message(""), noted);
  const left = Number(options.header.get("x-time-left"));
  assert.ok(left > 50_000 && left <= 60_000, `${left} ms left of 60,000`);
}

async function deadlineUnary(client) {
  const id = "es-deadline-unary";
  const error = await failed(client.wait(message(""), { timeoutMs: 200, headers: { "x-id": id } }));
  assert.equal(error.code, Code.DeadlineExceeded);
  await saw(client, id, "deadline_exceeded", "canceled");
}

async function deadlineStream(client) {
  const id = "es-deadline-stream";
  const answers = await begun(client.hold(message("silent"), { timeoutMs: 200, headers: { "x-id": id } }));
  assert.equal((await failed(answers.next())).code, Code.DeadlineExceeded);
  await saw(client, id, "deadline_exceeded", "canceled");
}

async function cancelUnary(client) {
  const [id, controller] = ["es-cancel-unary", new AbortController()];
  const call = client.wait(message(""), { signal: controller.signal, headers: { "x-id": id } });
  setTimeout(() => controller.abort(), 200);
  assert.equal((await failed(call)).code, Code.Canceled);
  await saw(client, id, "canceled");
}

async function cancelServerStream(client) {
  const [id, controller] = ["es-cancel-server-stream", new AbortController()];
  const options = { signal: controller.signal, headers: { "x-id": id } };
  const answers = await begun(client.hold(message("silent"), options));
  controller.abort();
  assert.equal((await failed(answers.next())).code, Code.Canceled);
  await saw(client, id, "canceled");
}

async function cancelClientStream(client, seen) {
  const [id, controller, requests] = ["es-cancel-client-stream", new AbortController(), new Requests()];
  const call = client.join(requests, { signal: controller.signal, headers: { "x-id": id } });
  requests.push("a");
  setTimeout(() => controller.abort(), 200);
  assert.equal((await failed(call)).code, Code.Canceled);
  await saw(client, id, ...seen);
}

async function cancelBidi(client, seen) {
  const [id, controller, requests] = ["es-cancel-bidi", new AbortController(), new Requests()];
  const options = { signal: controller.signal, headers: { "x-id": id } };
  const answers = client.chat(requests, options)[Symbol.asyncIterator]();
  requests.push("a");
  assert.equal((await answers.next()).value?.value, "a");
  controller.abort();
  assert.equal((await failed(answers.next())).code, Code.Canceled);
  await saw(client, id, ...seen);
}

async function serverCancels(client) {
  const answers = await begun(client.hold(message("cancel")));
  assert.equal((await failed(answers.next())).code, Code.Canceled);
}
