// Who one is, and whom one trusts.
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import tls from "node:tls";
import { ConnectError, decodeBinaryHeader } from "@connectrpc/connect";
import { message } from "./schema.mjs";
import { HERE } from "./transport.mjs";

/** The cases of a server at a URL; `connect` makes a client by a URL, and options of TLS. */
export function* tlsCases({ alpn, certificates }, url, connect) {
  const client = (trusts, shows, at = url) => connect(at, certificates.client(trusts, shows));
  yield ["tls-alpn", async () => {
    const { hostname: host, port } = new URL(url);
    const socket = tls.connect({ host, port, ALPNProtocols: [alpn], ...certificates.client("known", "known") });
    await once(socket, "secureConnect");
    assert.equal(socket.alpnProtocol, alpn);
    socket.destroy();
  }];
  yield ["tls-client-certificate", async () => {
    let seen;
    await client("known", "known").echo(message(""), { onHeader: (it) => (seen = it.get("x-certificate-bin")) });
    const shown = new X509Certificate(certificates.read("known", "client.pem"));
    assert.ok(shown.raw.equals(decodeBinaryHeader(seen)), "another one was seen");
  }];
  yield ["tls-no-client-certificate", () => refused(client("known"), "certificate required")];
  yield ["tls-unknown-client-certificate", () => refused(client("known", "other"), "unknown ca")];
  yield ["tls-untrusted-server", () => refused(client("other", "known"), "unable to verify the first certificate")];
  yield ["tls-wrong-name", () =>
    refused(client("known", "known", url.replace(HERE, "localhost")), "does not match certificate's altnames")];
  // The last one, as the server does not go back.
  yield ["tls-renewed-certificate", async () => {
    // Over HTTP/1.1, Node may not yet have the first connection back when the next call is made.
    const connected = connect(url, { ...certificates.client("known", "known"), maxSockets: 1 });
    await connected.renew(message(""));
    await connected.echo(message("on the same connection"));
    await client("other", "known").echo(message("to one that is trusted"));
    await refused(client("known", "known"), "unable to verify the first certificate");
  }];
}

/** Checks that one has no answer, and is told why. */
async function refused(client, reason) {
  const error = await client.echo(message("")).then(() => undefined, ConnectError.from);
  assert.ok(error, "it was not refused");
  assert.ok(error.message.includes(reason), `${error.message} instead of ${reason}`);
}
