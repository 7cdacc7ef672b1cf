/** `weft demo`, as a newcomer starts it: it ends well, says what it has seen, and leaves nothing. */
import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import t from "tap";

const WEFT = fileURLToPath(new URL("../../packages/control/bin/weft.js", import.meta.url));

t.test("three hosts, names and addresses, and nothing afterwards", { timeout: 360_000 }, async (t) => {
  const had = ["/etc/netns", "/run/host-a.sock"].map((path) => existsSync(path));
  const { code, text } = await new Promise<{ code: number; text: string }>((resolve) => {
    // Without the test runner's own preloads, which would be in every daemon too.
    const command = ["-u", "NODE_OPTIONS", process.execPath, WEFT, "demo"];
    execFile("env", command, { encoding: "utf8", timeout: 340_000 }, (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, text: stdout + stderr }),
    );
  });
  t.equal(code, 0, text);
  t.match(text, /web asks for db\.weft\.local .* 10\.\d+\.\d+\.\d+ fd[0-9a-f:]+$/m);
  t.equal(text.match(/20 of 20 answered/g)?.length, 3, "every ping is answered");
  t.equal(text.match(/SHA-256 equal at both ends/g)?.length, 2);
  for (const name of ["host-b", "host-c"]) t.match(text, new RegExp(`^ *${name} +direct `, "m"), `a path to ${name}`);
  t.match(text, /Everything is removed again/);
  t.same(
    ["/etc/netns", "/run/host-a.sock"].map((path) => existsSync(path)),
    had,
    "nothing is left",
  );
});

t.test(
  "--keep goes on until it is interrupted, also when only the command itself is",
  { timeout: 360_000 },
  async (t) => {
    const { NODE_OPTIONS: _, ...env } = process.env;
    const demo = spawn(process.execPath, [WEFT, "demo", "--keep"], {
      env,
      detached: true,
      stdio: ["ignore", "pipe", "inherit"],
    });
    t.teardown(() => demo.kill("SIGKILL"));
    let text = "";
    for await (const chunk of demo.stdout.setEncoding("utf8")) {
      const had = text.includes("It keeps running until Ctrl-C");
      text += chunk;
      if (!had && text.includes("It keeps running until Ctrl-C")) demo.kill("SIGINT");
    }
    t.match(text, /Everything is removed\./);
    t.equal(demo.exitCode ?? (await new Promise((resolve) => demo.once("exit", resolve))), 0);
  },
);
