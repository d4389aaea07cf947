// What is beneath the calls: a version of HTTP, in the clear or over TLS with certificates that were made for this run.
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Where all servers are. */
export const HERE = "127.0.0.1";

/** A transport by its name; its certificates are undefined in the clear. */
export function newTransport(name, directory) {
  switch (name) {
    case "h1":
      return { httpVersion: "1.1" };
    case "h2c":
      return { httpVersion: "2" };
    case "h1s":
      return { httpVersion: "1.1", alpn: "http/1.1", certificates: new Certificates(directory) };
    case "h2":
      return { httpVersion: "2", alpn: "h2", certificates: new Certificates(directory) };
    default:
      throw new Error(`unknown transport ${name}`);
  }
}

/**
 * A directory with some of each authority. All trust the known one unless a case is about just that; there is another
 * one, too.
 */
class Certificates {
  #directory;

  constructor(directory) {
    this.#directory = directory;
  }

  read(authority, file) {
    return readFileSync(join(this.#directory, authority, file));
  }

  /** The options of a client that trusts an authority, and shows what one has vouched for, if any. */
  client(trusts, shows) {
    return { ca: this.read(trusts, "ca.pem"), ...(shows && this.#identity(shows, "client")) };
  }

  /** The options of a server that shows what an authority has vouched for. Its clients have to show what the known one has. */
  server(shows) {
    return { ca: this.read("known", "ca.pem"), requestCert: true, ...this.#identity(shows, "server") };
  }

  #identity(authority, who) {
    return { cert: this.read(authority, `${who}.pem`), key: this.read(authority, `${who}.key`) };
  }
}
