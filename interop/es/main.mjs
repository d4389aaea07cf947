// connect-es as a server of the service that the README tells of, or as its client.
//
//   node main.mjs serve TRANSPORT DIRECTORY       prints its URL and serves until it is killed
//   node main.mjs call TRANSPORT DIRECTORY URL    prints a line for each case
import { call } from "./call.mjs";
import { serve } from "./service.mjs";
import { newTransport } from "./transport.mjs";

const [command, name, directory, url] = process.argv.slice(2);
const transport = newTransport(name, directory);
if (command === "serve") {
  console.log(await serve(transport));
} else {
  process.exit((await call(transport, url)) ? 0 : 1);
}
