/**
 * Who connects, as the one who is connected to sees it: a program of its own so that it can run inside a namespace.
 *
 *   who.mjs serve PORT NAME         TCP and UDP on all addresses; answers `NAME sees ADDRESS` and prints `serving`
 *   who.mjs ask tcp|udp ADDR PORT   prints the answer, or `no answer: REASON` after 2.5 s
 */
import { createSocket } from "node:dgram";
import { connect, createServer, isIPv6 } from "node:net";

const [mode, ...rest] = process.argv.slice(2);
const plain = (address) => address.replace(/^::ffff:/, "");

if (mode === "serve") {
  const [port, name] = rest;
  const answer = (address) => `${name} sees ${plain(address)}`;
  createServer((socket) => {
    socket.on("error", () => {});
    socket.end(answer(socket.remoteAddress ?? ""));
  }).listen(Number(port), "::");
  const udp = createSocket("udp6");
  udp.on("message", (_, from) => udp.send(answer(from.address), from.port, from.address));
  udp.bind(Number(port), "::", () => console.log("serving"));
} else {
  const [protocol, address, port] = rest;
  const done = (text) => {
    console.log(text);
    process.exit(0);
  };
  setTimeout(() => done("no answer: timeout"), 2500);
  if (protocol === "tcp") {
    const socket = connect(Number(port), address);
    socket.on("error", (error) => done(`no answer: ${error.code}`));
    socket.on("data", (data) => done(String(data)));
    socket.on("end", () => done("no answer: end"));
  } else {
    const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
    socket.on("message", (data) => done(String(data)));
    socket.on("error", (error) => done(`no answer: ${error.code}`));
    socket.connect(Number(port), address, () => socket.send("who"));
  }
}
