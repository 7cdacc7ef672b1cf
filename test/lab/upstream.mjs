/**
 * A name server of the outside: answers every question for A with one address, over UDP at port 53; names that begin with `silent` get
 * no answer.
 *
 *   upstream.mjs ADDRESS   prints `serving`
 */
import { createSocket } from "node:dgram";

const octets = Buffer.from(process.argv[2].split(".").map(Number));
const socket = createSocket("udp4");
socket.on("message", (query, from) => {
  if (query.toString("latin1", 13, 19) === "silent") return;
  let end = 12;
  while (query[end] !== 0) end += query[end] + 1;
  const isA = query.readUInt16BE(end + 1) === 1;
  const answer = Buffer.from(query.subarray(0, end + 5));
  // A response, recursion available; one question, one answer or none, nothing else (RFC 1035 section 4.1.1).
  answer.writeUInt16BE(0x8180, 2);
  for (const [i, count] of [1, isA ? 1 : 0, 0, 0].entries()) answer.writeUInt16BE(count, 4 + 2 * i);
  // The question's name, A, IN, 60 s, 4 octets.
  const data = Buffer.concat([Buffer.from("c00c000100010000003c0004", "hex"), octets]);
  socket.send(isA ? Buffer.concat([answer, data]) : answer, from.port, from.address);
});
socket.bind(53, () => console.log("serving"));
