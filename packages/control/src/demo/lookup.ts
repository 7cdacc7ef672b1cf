/**
 * One question of the demo to the name server, as a program of its own so that it can run inside a container's namespace.
 *
 *   lookup.js SERVER NAME     prints {addresses, ms}
 */
import { Resolver } from "node:dns/promises";

const [server = "", name = ""] = process.argv.slice(2);
const resolver = new Resolver({ timeout: 1000, tries: 3 });
resolver.setServers([server]);
const started = performance.now();
const addresses = [...(await resolver.resolve4(name)), ...(await resolver.resolve6(name))];
console.log(JSON.stringify({ addresses, ms: (performance.now() - started) / 2 }));
