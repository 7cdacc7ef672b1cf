/** Two real members over TLS on the loopback: who was away while tokens were retired and addresses changed comes back. */
import { mkdirSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import t, { type Test } from "tap";
import type { MeshConfig } from "../../packages/control/src/config/mesh.js";
import { Membership } from "../../packages/control/src/fabric/membership.js";
import { takeStanding } from "../../packages/control/src/fabric/standing.js";
import { MeshStore } from "../../packages/control/src/fabric/state.js";
import { openLog } from "../../packages/control/src/log/log.js";
import { until } from "../lab/job.js";

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await new Promise<number>((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port));
  });
  await new Promise((resolve) => server.close(resolve));
  return port;
}

class Host {
  readonly test: Test;
  readonly name: string;
  readonly stateDir: string;
  constructor(test: Test, name: string, directory: string) {
    this.test = test;
    this.name = name;
    this.stateDir = join(directory, name);
    mkdirSync(this.stateDir);
  }
  async up(port: number, join: readonly string[] = [], token?: string): Promise<Membership> {
    const config: MeshConfig = {
      ...{ join, advertise: [], port, wireguardPort: 1, discovery: true, cidr: undefined },
      token: token === undefined ? undefined : { text: token },
      wireguard: {
        ...{ address: [], peers: [], device: undefined, rekeyAfterMessages: undefined, keylog: undefined },
        peersMax: 8,
      },
    };
    const membership = await Membership.open({
      ...{ config, name: this.name, stateDir: this.stateDir, store: new MeshStore(this.stateDir) },
      standing: await takeStanding(config, this.stateDir),
      underlay: [{ address: "127.0.0.1", mtu: 65_536 }],
      log: await openLog({ level: "error", format: "json", name: this.name }),
    });
    this.test.teardown(() => membership.close());
    return membership;
  }
}

for (const how of ["the token of today", "its key alone"])
  t.test(`a member that nobody can call any more comes back with ${how}`, { timeout: 120_000 }, async (t) => {
    const directory = t.testdir({});
    const [founder, member] = [new Host(t, "founder", directory), new Host(t, "member", directory)];
    const [port, moved] = [await freePort(), await freePort()];
    const first = await founder.up(port);
    const joined = await member.up(await freePort(), [`127.0.0.1:${port}`], first.token().token);
    await until("they are linked", () => first.mesh.channels().length === 1 || undefined, 20_000);
    await joined.close();
    const { id } = first.token();
    first.rotate();
    first.retire(id);
    const { token } = first.token();
    await first.close();

    const again = await founder.up(moved);
    const back = await member.up(await freePort(), [`127.0.0.1:${moved}`], how === "its key alone" ? undefined : token);
    await until("they are linked again", () => again.mesh.channels().length === 1 || undefined, 30_000);
    t.same(
      back.targets.list().map(({ address }) => address),
      [`127.0.0.1:${moved}`],
    );
    t.equal(again.records.members().length, 2);
    await back.close();
    await again.close();
  });
