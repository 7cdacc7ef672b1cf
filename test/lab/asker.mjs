/**
 * Asks a name server for names that nobody answers, from many addresses: `asker.mjs SERVER COUNT ADDRESS…`, COUNT questions from each.
 * Prints `asked` when all are sent, and stays.
 */
import { createSocket } from "node:dgram";

const [server, count, ...addresses] = process.argv.slice(2);
const sockets = await Promise.all(
  addresses.map(
    (address) =>
      new Promise((resolve) => {
        const socket = createSocket("udp6");
        socket.bind({ address }, () => resolve(socket));
      }),
  ),
);
let asked = 0;
for (let i = 0; i < Number(count); i++) {
  for (const socket of sockets) {
    const label = Buffer.from(`silent${asked++}`);
    // A question for A with recursion desired (RFC 1035 section 4.1.1): `silentN.example.`.
    const head = Buffer.from([asked >> 8, asked & 0xff, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, label.length]);
    socket.send(Buffer.concat([head, label, Buffer.from("\u0007example\0\0\u0001\0\u0001")]), 53, server);
  }
  await new Promise((resolve) => setTimeout(resolve, 5));
}
console.log("asked");
