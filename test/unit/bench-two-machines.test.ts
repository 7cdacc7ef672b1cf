/** `weft bench serve` and `weft bench to`, both on the loopback; and what receives in the bench of one machine. */
import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import t from "tap";
import { buildPeer } from "../../bench/peer.js";
import { readEndpoint } from "../../bench/two-machines.js";
import { hostEndpoint, listenEndpoint } from "../../packages/control/src/cli/bench-endpoint.js";
import { startBenchServer } from "../../packages/control/src/cli/bench-serve.js";
import { benchLines, type Line } from "../../packages/control/src/cli/bench-to.js";
import { DEFAULT_PORT, ECHO, LINE_MAX, readOrder } from "../../packages/control/src/cli/bench-wire.js";

const WEFT = fileURLToPath(new URL("../../packages/control/bin/weft.js", import.meta.url));
const HERE = { address: "127.0.0.1", port: 0 };

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = await startBenchServer(HERE, () => undefined);
  await server.close();
  return server.at.port;
}

t.test("every test gives a figure", async (t) => {
  const port = await freePort();
  const server = spawn(process.execPath, [WEFT, "bench", "serve", `${HERE.address}:${port}`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => server.kill("SIGKILL"));
  const said: string[] = [];
  createInterface({ input: server.stdout }).on("line", (line) => said.push(line));
  const heard = async (count: number): Promise<void> => {
    for (let i = 0; i < 1000 && said.length < count; i++) await sleep(20);
    t.equal(said.length, count);
  };
  await heard(1);
  let lines: Line[] = [];
  // On a busy machine a short window may pass before the other side has its turn.
  for (const seconds of [0.2, 1, 3]) {
    lines = [];
    const before = said.length;
    await benchLines({ ...HERE, port }, { seconds, streams: 2 }, (line) => lines.push(line));
    await heard(before + 6 + 4);
    if (lines.every(({ value, more }) => value > 0 && more.lostShare !== 1)) break;
  }
  t.same(
    lines.map(({ what }) => what),
    [
      ...["TCP to there, 1 stream", "TCP to there, 2 streams", "TCP from there, 1 stream", "TCP from there, 2 streams"],
      ...["UDP to there, 64 octets", "UDP to there, 512 octets", "UDP to there, 1400 octets", "round trip, 64 octets"],
    ],
  );
  for (const { what, value } of lines) t.ok(value > 0, `${what}: ${value}`);
  for (const { what, more } of lines.filter(({ unit }) => unit === "kpps"))
    t.ok((more.lostShare ?? -1) >= 0 && (more.lostShare ?? 2) < 1, `${what}: a share of ${more.lostShare} lost`);
});

t.test("the server answers nobody who has not asked", async (t) => {
  const said: string[] = [];
  const server = await startBenchServer(HERE, (line) => said.push(line));
  t.teardown(() => server.close());
  const stranger = createSocket("udp4");
  t.teardown(() => void stranger.close());
  let answers = 0;
  stranger.on("message", () => answers++);
  const datagram = Buffer.alloc(64);
  datagram.writeUInt32BE(ECHO, 8);
  for (let i = 0; i < 10; i++) stranger.send(datagram, server.at.port, HERE.address);
  stranger.send(Buffer.alloc(1), server.at.port, HERE.address);
  await sleep(100);
  t.equal(answers, 0, "no echo without the token of a connection");

  for (const line of ['{"test":"erase","seconds":1}\n', '{"test":"send","seconds":1e9}\n', "w".repeat(LINE_MAX + 1)]) {
    const socket = connect(server.at.port, HERE.address);
    socket.resume().on("error", () => undefined);
    socket.write(line);
    await once(socket, "close");
  }
  t.equal(said.length, 3);
  for (const line of said) t.match(line, /is it `weft bench to`\?|is the other side `weft bench`\?/);
});

t.test("a machine without a server", async (t) => {
  const port = await freePort();
  await t.rejects(
    benchLines({ ...HERE, port }, { seconds: 0.1, streams: 1 }, () => undefined),
    /cannot be reached: .*ECONNREFUSED.*; is `weft bench serve` running there\?/,
  );
});

t.test("a window lasts until something has arrived in it", async (t) => {
  const port = await freePort();
  const peer = spawn(buildPeer(), ["tcp-recv", HERE.address, String(port), "0", "0.05"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.teardown(() => peer.kill("SIGKILL"));
  const lines = createInterface({ input: peer.stdout })[Symbol.asyncIterator]();
  t.same(await lines.next(), { done: false, value: "listening" });
  const socket = connect(port, HERE.address);
  t.teardown(() => socket.destroy());
  t.same(await lines.next(), { done: false, value: "start" });
  await sleep(300);
  socket.write("w");
  const { bytes, seconds } = JSON.parse((await lines.next()).value as string) as { bytes: number; seconds: number };
  t.equal(bytes, 1);
  t.ok(seconds >= 0.25, `measured over ${seconds} s, all the time it took`);
});

t.test("orders and endpoints", async (t) => {
  t.same(readOrder('{"test":"send","seconds":2}'), { test: "send", seconds: 2 });
  for (const line of ["", "null", "[]", '{"test":"send"}', '{"test":"send","seconds":0}', '{"test":"x","seconds":1}'])
    t.equal(readOrder(line), undefined, line);
  t.same(listenEndpoint("10.0.0.1"), { address: "10.0.0.1", port: DEFAULT_PORT });
  t.same(listenEndpoint("[::1]:7000"), { address: "::1", port: 7000 });
  t.throws(() => listenEndpoint("host"), /Allowed/);
  t.same(hostEndpoint("2001:db8::1"), { address: "2001:db8::1", port: DEFAULT_PORT });
  t.same(hostEndpoint("far.example:7000"), { address: "far.example", port: 7000 });
  t.same(hostEndpoint("far"), { address: "far", port: DEFAULT_PORT });
  for (const wrong of ["", "far:0", "far:70000", "-far", "10.0.0.1:0", "a b"])
    t.throws(() => hostEndpoint(wrong), /Allowed/, wrong);
  t.same(readEndpoint("[::1]:7000", ""), { address: "::1", port: 7000 });
  t.same(readEndpoint("10.0.0.1:7000", ""), { address: "10.0.0.1", port: 7000 });
  t.match(readEndpoint("::1", ""), { address: "::1" });
  t.match(readEndpoint("", "0.0.0.0"), { address: "0.0.0.0" });
  for (const wrong of ["", "host", "10.0.0.1:0", "10.0.0.1:65535"])
    t.throws(() => readEndpoint(wrong, ""), /write ADDR/, wrong);
});
