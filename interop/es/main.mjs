// connect-es as a server of the service that the README tells of, or as its client.
//
//   node main.mjs serve TRANSPORT       prints its URL and serves until it is killed
//   node main.mjs call TRANSPORT URL    prints a line for each case
import { call } from "./call.mjs";
import { serve } from "./service.mjs";

const [command, transport, url] = process.argv.slice(2);
if (!["h1", "h2c"].includes(transport)) {
  throw new Error(`unknown transport ${transport}`);
}
if (command === "serve") {
  console.log(await serve(transport));
} else {
  process.exit((await call(transport, url)) ? 0 : 1);
}
