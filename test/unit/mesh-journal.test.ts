/** The record file: nothing acknowledged is lost wherever the machine stops, and no other file is taken for ours. */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { FileJournal, type JournalFs, nodeFs } from "../../packages/control/src/mesh/journal.js";
import type { RawRecord } from "../../packages/control/src/mesh/record.js";
import { NETWORK_ID, newIdentity, signedRecord } from "../sim/mesh-world.js";

const self = newIdentity();
const OWNER = { networkId: NETWORK_ID, node: self.id };
const token = (version: number): RawRecord =>
  signedRecord<"token">(self, `token:t${version}`, version, { secret: null, at: version });
const texts = (records: readonly RawRecord[]): string[] => records.map(({ octets }) => octets.toString("base64"));

/**
 * A disk in memory that forgets what was not synced. The world ends before system call number `callsLeft`, and what was written since the
 * last sync is there up to `keeps` octets.
 */
class FragileFs implements JournalFs {
  readonly files: Map<string, Buffer>;
  /** What a crash leaves under each name. */
  #synced: Map<string, Buffer>;
  /** Renames that the directory has not been synced for. */
  #renamed = false;
  callsLeft: number;
  readonly #open = new Map<number, string>();
  readonly #pending = new Map<string, string>();
  #next = 3;

  constructor(files: ReadonlyMap<string, Buffer> = new Map(), callsLeft = Number.POSITIVE_INFINITY) {
    this.files = new Map(files);
    this.#synced = new Map(files);
    this.callsLeft = callsLeft;
  }
  #call(): void {
    if (this.callsLeft-- <= 0) throw new Error("the world has ended");
  }
  readFile(path: string): Buffer {
    const file = this.files.get(path);
    if (!file) throw Object.assign(new Error("ENOENT"), { code: "ENOENT" });
    return Buffer.from(file);
  }
  open(path: string, flags: "r+" | "w"): number {
    this.#call();
    if (flags === "w") this.files.set(path, Buffer.alloc(0));
    this.#open.set(this.#next, path);
    return this.#next++;
  }
  write(fd: number, octets: Uint8Array, at: number): number {
    this.#call();
    // Never all at once.
    const part = octets.subarray(0, Math.max(1, octets.length >> 1));
    const path = this.#open.get(fd) as string;
    const file = this.files.get(path) as Buffer;
    const longer = Buffer.alloc(Math.max(file.length, at + part.length));
    file.copy(longer);
    longer.set(part, at);
    this.files.set(path, longer);
    return part.length;
  }
  truncate(fd: number, length: number): void {
    this.#call();
    const path = this.#open.get(fd) as string;
    this.files.set(path, (this.files.get(path) as Buffer).subarray(0, length));
  }
  sync(fd: number): void {
    this.#call();
    const path = this.#open.get(fd) as string;
    this.#synced.set(path, this.files.get(path) as Buffer);
  }
  close(): void {}
  rename(from: string, to: string): void {
    this.#call();
    this.files.set(to, this.files.get(from) as Buffer);
    this.files.delete(from);
    for (const [fd, path] of this.#open) if (path === from) this.#open.set(fd, to);
    this.#pending.set(from, to);
    this.#renamed = true;
  }
  remove(path: string): void {
    this.#call();
    this.files.delete(path);
  }
  syncDirectory(): void {
    this.#call();
    for (const [from, to] of this.#pending) {
      this.#synced.set(to, this.#synced.get(from) as Buffer);
      this.#synced.delete(from);
    }
    this.#pending.clear();
    this.#renamed = false;
  }

  /** Every state that a crash now may leave, with so many octets of what was not synced. */
  *afterCrash(): Generator<Map<string, Buffer>> {
    // A rename that was not synced may have happened or not.
    for (const isRenamed of this.#renamed ? [false, true] : [false]) {
      const base = new Map(this.#synced);
      if (isRenamed)
        for (const [from, to] of this.#pending) {
          base.set(to, base.get(from) as Buffer);
          base.delete(from);
        }
      const written = [...this.files].find(([path, file]) => base.has(path) && !base.get(path)?.equals(file));
      if (!written) {
        yield base;
        continue;
      }
      const [path, file] = written;
      const old = base.get(path) as Buffer;
      for (let keeps = old.length; keeps <= file.length; keeps++)
        yield new Map(base).set(path, file.subarray(0, keeps));
      // The length was written, the octets were not.
      yield new Map(base).set(path, Buffer.concat([old, Buffer.alloc(Math.max(0, file.length - old.length))]));
    }
  }
}

t.test("a new file whose name may not be on disk takes nothing until it is", async (t) => {
  const directory = t.testdir({});
  let isFull = false;
  const fs: JournalFs = {
    ...nodeFs,
    syncDirectory: (path) => {
      if (isFull) throw Object.assign(new Error("EMFILE"), { code: "EMFILE" });
      nodeFs.syncDirectory(path);
    },
  };
  const journal = new FileJournal(directory, OWNER, fs);
  journal.append([token(1)]);
  isFull = true;
  t.throws(() => journal.compact(() => [token(1)], -(2 ** 20)), { code: "EMFILE" });
  t.throws(() => journal.append([token(2)]), { code: "EMFILE" });
  isFull = false;
  journal.append([token(3)]);
  journal.close();
  const again = new FileJournal(directory, OWNER);
  t.same(
    again.load().map(({ version }) => version),
    [1, 3],
    "what was acknowledged is in the file that has the name",
  );
  again.close();
});

t.test("what was acknowledged is there after a crash before any system call, and in whole entries", async (t) => {
  let crashes = 0;
  for (let calls = 0; ; calls++) {
    const fs = new FragileFs(new Map(), calls);
    const acknowledged: RawRecord[] = [];
    let attempted: RawRecord[] = [];
    let isOver = true;
    try {
      const journal = new FileJournal("/d", OWNER, fs);
      for (let i = 0; i < 3; i++) {
        attempted = [token(2 * i + 1), token(2 * i + 2)];
        journal.append(attempted);
        acknowledged.push(...attempted);
        attempted = [];
      }
      // Long enough to be written anew.
      journal.compact(() => acknowledged, -(2 ** 20));
      attempted = [token(7), token(8)];
      journal.append(attempted);
      acknowledged.push(...attempted);
      attempted = [];
    } catch {
      isOver = false;
    }
    for (const files of fs.afterCrash()) {
      crashes++;
      const found = texts(new FileJournal("/d", OWNER, new FragileFs(files)).load());
      const without = texts(acknowledged);
      const withLast = [...without, ...texts(attempted)];
      if (found.join() !== without.join() && found.join() !== withLast.join())
        t.same(found, without, `crash before call ${calls}`);
    }
    if (isOver) break;
  }
  t.ok(crashes > 500, `${crashes} crashes`);
});

t.test("a write that fails leaves what was there, and the next one works", async (t) => {
  const fs = new FragileFs();
  const journal = new FileJournal("/d", OWNER, fs);
  journal.append([token(1)]);
  const { write } = fs;
  let writes = 0;
  fs.write = (fd, octets, at) => {
    if (++writes === 2) throw Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
    return write.call(fs, fd, octets, at);
  };
  t.throws(() => journal.append([token(2)]), { code: "ENOSPC" });
  journal.append([token(3)]);
  t.same(texts(new FileJournal("/d", OWNER, new FragileFs(fs.files)).load()), texts([token(1), token(3)]));
});

t.test("a sync that fails: the entry, which is whole, does not turn up after a restart", async (t) => {
  const fails = Object.assign(new Error("EIO"), { code: "EIO" });
  const found = (fs: FragileFs): string[] => texts(new FileJournal("/d", OWNER, new FragileFs(fs.files)).load());
  const fs = new FragileFs();
  const journal = new FileJournal("/d", OWNER, fs);
  journal.append([token(1)]);
  const { sync, truncate } = fs;
  let syncs = 0;
  fs.sync = (fd) => {
    if (++syncs === 1) throw fails;
    sync.call(fs, fd);
  };
  t.throws(() => journal.append([token(2), token(3)]), { code: "EIO" });
  t.same(found(fs), texts([token(1)]));
  journal.append([token(4)]);
  t.same(found(fs), texts([token(1), token(4)]));

  // When it cannot even be cut off, nothing more is taken, and it is cut off at the end.
  syncs = 0;
  fs.truncate = () => {
    throw fails;
  };
  t.throws(() => journal.append([token(5)]), { code: "EIO" });
  t.throws(() => journal.append([token(6)]), { code: "bad_state", message: /repair the disk/ });
  fs.truncate = truncate;
  journal.close();
  t.same(found(fs), texts([token(1), token(4)]));
});

t.test("on a real disk: closed, opened, written anew", async (t) => {
  const directory = mkdtempSync(join(t.testdir(), "j"));
  const journal = new FileJournal(directory, OWNER);
  for (let i = 1; i <= 20; i++) journal.append([token(i)]);
  journal.compact(() => [token(20)], -(2 ** 20));
  journal.append([token(21)]);
  journal.close();
  const again = new FileJournal(directory, OWNER);
  t.same(texts(again.load()), texts([token(20), token(21)]));
  t.same(again.load(), [], "once");
  again.close();
});

t.test("another's file, another format, and damage are refused; the file stays as it was", async (t) => {
  const directory = t.testdir();
  const path = join(directory, "records.log");
  const journal = new FileJournal(directory, OWNER);
  for (let i = 1; i <= 3; i++) journal.append([token(i)]);
  journal.close();
  const file = readFileSync(path);
  const refused = (changed: Buffer, message: RegExp, owner = OWNER): void => {
    writeFileSync(path, changed);
    t.throws(() => new FileJournal(directory, owner), { code: "bad_state", message });
    t.ok(readFileSync(path).equals(changed), "not changed");
  };
  refused(file, /another node or network/, { networkId: NETWORK_ID, node: newIdentity().id });
  refused(file, /another node or network/, { networkId: "ff".repeat(16), node: self.id });
  refused(Buffer.concat([file.subarray(0, 8), Buffer.from([0, 0, 0, 2]), file.subarray(12)]), /format 2/);
  refused(Buffer.from("something else altogether"), /not a record file/);
  const entry = (file.length - 64) / 3;
  for (let at = 12; at < file.length - entry; at++) {
    const changed = Buffer.from(file);
    changed[at] = (changed[at] as number) ^ 0x40;
    refused(changed, /damaged|another node/);
  }
});
