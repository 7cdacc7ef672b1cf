/** The identity file: written once, whole or not at all, and refused when it is not this node's. */
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { WeftError } from "../../packages/control/dist/errors.js";
import { Identity } from "../../packages/control/dist/mesh/identity.js";
import {
  DISK,
  type Disk,
  loadKeys,
  machineOf,
  newKeys,
  saveKeys,
} from "../../packages/control/dist/mesh/identity-file.js";
import { publicKeyText } from "../../packages/control/dist/wireguard/key.js";

const MACHINE = "00112233445566778899aabbccddeeff";

function refusalOf(read: () => unknown): WeftError {
  try {
    read();
  } catch (error) {
    if (error instanceof WeftError) return error;
    throw error;
  }
  throw new Error("it was taken");
}

t.test("keys are read back as they were written, by their owner alone", async (t) => {
  const directory = t.testdir();
  t.equal(loadKeys(directory, MACHINE), undefined);
  const keys = await newKeys(MACHINE, 1_700_000_000_000);
  saveKeys(directory, keys);
  t.same(loadKeys(directory, MACHINE), keys);
  t.equal(statSync(join(directory, "identity.json")).mode & 0o777, 0o600);
  t.same(readdirSync(directory), ["identity.json"]);
  t.equal(keys.founder, (await Identity.fromSeed(keys.seed)).id, "it founds a network itself");
  t.equal(publicKeyText(keys.wireguardKey).length, 44);
  const joining = await newKeys(null, 1, { networkId: keys.networkId, founder: keys.founder });
  t.match(joining, { networkId: keys.networkId, founder: keys.founder, machine: null });
  t.notSame(joining.seed, keys.seed);
  t.notSame(joining.wireguardKey, keys.wireguardKey);
  saveKeys(directory, joining);
  t.same(loadKeys(directory, MACHINE), joining, "where the machine had no id, none is asked for");
});

// state.json and mesh.json are written by the same function.
t.test("a crash or a failing disk at any step leaves the old file or the new one", async (t) => {
  const keys = [await newKeys(MACHINE, 1), await newKeys(MACHINE, 2)] as const;
  /** Fails at the given call; with `isPartial` a write takes half of its octets first. */
  const failing = (at: number, isPartial: boolean): { disk: Disk; calls: () => number } => {
    let calls = 0;
    const step =
      <A extends unknown[], R>(run: (...args: A) => R, half?: (...args: A) => void) =>
      (...args: A): R => {
        if (++calls === at) {
          if (isPartial) half?.(...args);
          throw Object.assign(new Error("crash"), { code: "EIO" });
        }
        return run(...args);
      };
    const disk: Disk = {
      ...DISK,
      open: step(DISK.open),
      // Seven octets at a time, as a slow device may.
      write: step(
        (fd, octets) => DISK.write(fd, octets.subarray(0, 97)),
        (fd, octets) => void DISK.write(fd, octets.subarray(0, octets.length >> 1)),
      ),
      fsync: step(DISK.fsync),
      close: DISK.close,
      rename: step(DISK.rename),
    };
    return { disk, calls: () => calls };
  };
  for (const hasOld of [false, true]) {
    let renamedAt = 0;
    for (let at = 1; ; at++) {
      const directory = t.testdir();
      if (hasOld) saveKeys(directory, keys[0]);
      const { disk, calls } = failing(at, at % 2 === 0);
      let hasFailed = false;
      try {
        saveKeys(directory, keys[1], disk);
      } catch (error) {
        t.equal((error as NodeJS.ErrnoException).code, "EIO");
        hasFailed = true;
      }
      const found = loadKeys(directory, MACHINE);
      const isNew = found !== undefined && found.createdAt === 2;
      if (isNew && renamedAt === 0) renamedAt = at;
      t.same(found, isNew ? keys[1] : hasOld ? keys[0] : undefined, `call ${at}`);
      t.ok(renamedAt === 0 || isNew, "once new, it stays so");
      // The next start goes on from whatever was left.
      saveKeys(directory, keys[1]);
      t.same(loadKeys(directory, MACHINE), keys[1]);
      if (hasFailed) continue;
      t.ok(calls() >= 9 && at === calls() + 1, `${calls()} calls, each has failed once`);
      break;
    }
    t.ok(renamedAt > 0);
  }
});

t.test("the order of calls is: write, sync, rename, sync of the directory", async (t) => {
  const directory = t.testdir();
  const calls: string[] = [];
  const noting =
    <A extends unknown[], R>(name: string, run: (...args: A) => R) =>
    (...args: A): R => {
      calls.push(name);
      return run(...args);
    };
  saveKeys(directory, await newKeys(null, 1), {
    ...DISK,
    open: noting("open", DISK.open),
    write: noting("write", DISK.write),
    fsync: noting("fsync", DISK.fsync),
    close: noting("close", DISK.close),
    rename: noting("rename", DISK.rename),
  });
  t.same(calls, ["open", "write", "fsync", "close", "rename", "open", "fsync", "close"]);
});

t.test(
  "a clone, another version, damage and a file that others can read are refused, and left as they are",
  async (t) => {
    const directory = t.testdir();
    const file = join(directory, "identity.json");
    const keys = await newKeys(MACHINE, 1);
    saveKeys(directory, keys);
    const good = JSON.parse(readFileSync(file, "utf8")) as Record<string, unknown>;
    const refused = (text: string, machine: string | null = MACHINE): string => {
      writeFileSync(file, text);
      const error = refusalOf(() => loadKeys(directory, machine));
      t.equal(error.code, "bad_state");
      t.ok(error.message.startsWith(file));
      t.equal(readFileSync(file, "utf8"), text);
      for (const secret of ["seed", "wireguardKey"]) t.notOk(error.message.includes(String(good[secret]).slice(0, 12)));
      return error.message;
    };
    const changed = (change: object): string => JSON.stringify({ ...good, ...change });
    t.match(
      refused(changed({}), "f".repeat(32)),
      /made on another machine.*Remove the state directory here and join again/,
    );
    t.match(refused(changed({ version: 2 })), /is of version 2, this weft reads version 1/);
    t.match(refused(""), /is not JSON/);
    t.match(refused(JSON.stringify(good).slice(0, 100)), /is not JSON/);
    for (const value of ["null", "[]", "1", "{}"]) t.match(refused(value), /has no version/);
    for (const [key, values] of Object.entries({
      networkId: [null, "", "A".repeat(32)],
      founder: [null, "x"],
      seed: [null, "", 7, String(good["seed"]).slice(1)],
      wireguardKey: [null, "x"],
      machine: [7, "", "x", undefined],
      createdAt: [null, "1", -1, 0.5],
    })) {
      for (const value of values)
        t.match(refused(changed({ [key]: value })), /has fields that are missing or wrong/, key);
    }
    writeFileSync(file, JSON.stringify(good));
    t.same(loadKeys(directory, null), keys, "a machine without an id is not judged");
    for (const mode of [0o640, 0o604, 0o660]) {
      chmodSync(file, mode);
      t.match(
        refusalOf(() => loadKeys(directory, MACHINE)).message,
        new RegExp(`has mode 0${mode.toString(8)}.*chmod 600`),
      );
    }
    chmodSync(file, 0o600);
    t.same(loadKeys(directory, MACHINE), keys);
  },
);

t.test("a machine is known by a keyed hash of its id, and by nothing where it has none", async (t) => {
  const directory = t.testdir({
    id: "0123456789abcdef0123456789abcdef\n",
    empty: "",
    early: "uninitialized\n",
  });
  t.equal(machineOf(join(directory, "id")), "4b8342b643b40e880ad162750fb62c45");
  for (const name of ["empty", "early", "none"]) t.equal(machineOf(join(directory, name)), null);
});
