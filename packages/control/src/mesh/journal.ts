/**
 * Records on disk: `records.log`, which only grows, and is written anew when most of it is out of date.
 *
 *     header: `weft-rec` | format u32 | network id 16 | node 32 | CRC-32 u32 of all before
 *     entry:  length u32 of the runs | CRC-32 u32 of the length | CRC-32 u32 of the runs | runs (wire.ts)
 *
 * An entry is there as a whole or not at all, so several records in one are written together or not. Every entry is followed by an fsync
 * before the next one: a crash can only damage the last, which nobody has been told of; it is cut off. Any other damage is refused. The
 * length has its own check, so that a damaged one does not pass for an entry that was not finished.
 */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { codeOf, WeftError } from "../errors.js";
import { nodeOctets, type RawRecord } from "./record.js";
import type { NodeId } from "./types.js";
import { decodeRuns, encodeRuns } from "./wire.js";
import { WireError } from "./wire-error.js";

export const JOURNAL_FORMAT = 1;
const MAGIC = Buffer.from("weft-rec");
const HEADER_LEN = 64;
const ENTRY_HEAD_LEN = 12;
/** Octets of the longest entry: more than all records of a node. */
const ENTRY_MAX = 2 ** 26;
const SNAPSHOT_ENTRY = 2 ** 20;
/** The file may be so much longer than what is in force. */
const SLACK = 2 ** 20;

export interface Stored {
  readonly node: NodeId;
  readonly octets: Buffer;
}

/** Where records outlive the daemon. A simulation has one in memory. */
export interface Journal {
  /** What was there at the start, once. */
  load(): readonly RawRecord[];
  /** Returns when all of them are on disk. @throws the system error, and then none of them is */
  append(records: readonly Stored[]): void;
  /** Called from time to time with all that is in force: writes the file anew where that pays. */
  compact(records: () => Iterable<Stored>, octets: number): void;
  close(): void;
}

/** The calls of node:fs that matter, so that a test can end the world between two of them. */
export interface JournalFs {
  readFile(path: string): Buffer;
  open(path: string, flags: "r+" | "w"): number;
  write(fd: number, octets: Uint8Array, at: number): number;
  truncate(fd: number, length: number): void;
  sync(fd: number): void;
  close(fd: number): void;
  rename(from: string, to: string): void;
  remove(path: string): void;
  syncDirectory(path: string): void;
}

export const nodeFs: JournalFs = {
  readFile: (path) => readFileSync(path),
  open: (path, flags) => openSync(path, flags, 0o600),
  write: (fd, octets, at) => writeSync(fd, octets, 0, octets.length, at),
  truncate: (fd, length) => {
    if (fstatSync(fd).size !== length) ftruncateSync(fd, length);
  },
  sync: (fd) => fsyncSync(fd),
  close: (fd) => closeSync(fd),
  rename: (from, to) => renameSync(from, to),
  remove: (path) => rmSync(path, { force: true }),
  syncDirectory: (path) => {
    const fd = openSync(path, "r");
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  },
};

export class FileJournal implements Journal {
  readonly #fs: JournalFs;
  readonly #directory: string;
  readonly #path: string;
  readonly #header: Buffer;
  #loaded: RawRecord[] = [];
  #fd: number;
  #length: number;
  /** Set when a failed write could not be undone: what is at the end of the file is unknown. */
  #isBroken = false;
  /** The file may still have its old content after a power cut: its new name is not known to be on disk. */
  #isNameUnsure = false;

  /**
   * @param directory exists and is locked (state/lock.ts)
   * @param owner whose records they are: another node's or network's file is refused
   * @throws WeftError bad_state for another format, another owner, or damage. Such a file is never changed.
   */
  constructor(directory: string, owner: { readonly networkId: string; readonly node: NodeId }, fs: JournalFs = nodeFs) {
    this.#fs = fs;
    this.#directory = directory;
    this.#path = join(directory, "records.log");
    this.#header = headerOf(owner);
    fs.remove(`${this.#path}.new`);
    const file = this.#read();
    if (!file) {
      [this.#fd, this.#length] = this.#replace([]);
      this.#sureName();
      return;
    }
    this.#checkHeader(file);
    this.#length = this.#readEntries(file);
    this.#fd = fs.open(this.#path, "r+");
    if (this.#length < file.length) this.#cut();
  }

  load(): readonly RawRecord[] {
    const loaded = this.#loaded;
    this.#loaded = [];
    return loaded;
  }

  append(records: readonly Stored[]): void {
    if (this.#isBroken)
      throw new WeftError("bad_state", `${this.#path} could not be written before: repair the disk and restart weft`);
    this.#sureName();
    for (const runs of encodeRuns(records, ENTRY_MAX)) {
      try {
        writeAll(this.#fs, this.#fd, entryOf(runs), this.#length);
        this.#fs.sync(this.#fd);
      } catch (error) {
        this.#undo();
        throw error;
      }
      this.#length += ENTRY_HEAD_LEN + runs.length;
    }
  }

  compact(records: () => Iterable<Stored>, octets: number): void {
    if (this.#isBroken || this.#length < 2 * octets + SLACK) return;
    const old = this.#fd;
    [this.#fd, this.#length] = this.#replace(records());
    this.#fs.close(old);
    this.#sureName();
  }

  close(): void {
    // What was refused should not turn up after the next start: once more.
    if (this.#isBroken) this.#undo();
    this.#fs.close(this.#fd);
  }

  #read(): Buffer | undefined {
    try {
      return this.#fs.readFile(this.#path);
    } catch (error) {
      if (codeOf(error) === "ENOENT") return undefined;
      throw error;
    }
  }

  /** The file appears under its name when all of it is on disk. */
  #replace(records: Iterable<Stored>): [fd: number, length: number] {
    const temporary = `${this.#path}.new`;
    const fd = this.#fs.open(temporary, "w");
    try {
      writeAll(this.#fs, fd, this.#header, 0);
      let length = HEADER_LEN;
      for (const runs of encodeRuns(records, SNAPSHOT_ENTRY)) {
        writeAll(this.#fs, fd, entryOf(runs), length);
        length += ENTRY_HEAD_LEN + runs.length;
      }
      this.#fs.sync(fd);
      this.#fs.rename(temporary, this.#path);
      this.#isNameUnsure = true;
      return [fd, length];
    } catch (error) {
      this.#fs.close(fd);
      throw error;
    }
  }

  /** Nothing counts as written to a file whose name a power cut may take away. */
  #sureName(): void {
    if (this.#isNameUnsure) this.#fs.syncDirectory(this.#directory);
    this.#isNameUnsure = false;
  }

  #checkHeader(file: Buffer): void {
    if (!file.subarray(0, MAGIC.length).equals(MAGIC)) throw this.#damaged("is not a record file");
    const format = file.length >= 12 ? file.readUInt32BE(8) : 0;
    if (format !== JOURNAL_FORMAT) {
      throw new WeftError(
        "bad_state",
        `${this.#path} is of format ${format}, this weft reads format ${JOURNAL_FORMAT}: run the weft that wrote it, or start with another --state-dir`,
      );
    }
    if (file.length < HEADER_LEN || file.readUInt32BE(60) !== crc32(file.subarray(0, 60)))
      throw this.#damaged("has a damaged header");
    if (!file.subarray(12, 60).equals(this.#header.subarray(12, 60)))
      throw new WeftError(
        "bad_state",
        `${this.#path} belongs to another node or network: files of two state directories were mixed. Restore all of one, or start with another --state-dir`,
      );
  }

  /** @returns where the next entry goes */
  #readEntries(file: Buffer): number {
    let at = HEADER_LEN;
    while (at < file.length) {
      // What an unfinished write leaves: a part of the entry, or zeros in place of its end.
      if (at + ENTRY_HEAD_LEN > file.length || isZero(file.subarray(at))) return at;
      const length = file.readUInt32BE(at);
      const end = at + ENTRY_HEAD_LEN + length;
      if (crc32(file.subarray(at, at + 4)) !== file.readUInt32BE(at + 4))
        throw this.#damaged(`is damaged at octet ${at}`);
      const runs = file.subarray(at + ENTRY_HEAD_LEN, end);
      if (end > file.length || crc32(runs) !== file.readUInt32BE(at + 8)) {
        if (end >= file.length) return at;
        throw this.#damaged(`is damaged at octet ${at}`);
      }
      try {
        for (const record of decodeRuns(runs, 0)) this.#loaded.push(record);
      } catch (error) {
        if (error instanceof WireError) throw this.#damaged(`holds no records at octet ${at} (${error.message})`);
        throw error;
      }
      at = end;
    }
    return at;
  }

  #cut(): void {
    this.#fs.truncate(this.#fd, this.#length);
    this.#fs.sync(this.#fd);
  }

  #undo(): void {
    try {
      this.#cut();
    } catch {
      this.#isBroken = true;
    }
  }

  #damaged(how: string): WeftError {
    return new WeftError(
      "bad_state",
      `${this.#path} ${how}: it was changed by something else than weft, or the disk fails. Restore it, or move it away: ` +
        "then join again with --join HOST --token TOKEN of another member, and the others send back what they know",
    );
  }
}

function headerOf(owner: { readonly networkId: string; readonly node: NodeId }): Buffer {
  const header = Buffer.alloc(HEADER_LEN);
  MAGIC.copy(header);
  header.writeUInt32BE(JOURNAL_FORMAT, 8);
  header.write(owner.networkId, 12, "hex");
  nodeOctets(owner.node).copy(header, 28);
  header.writeUInt32BE(crc32(header.subarray(0, 60)), 60);
  return header;
}

function entryOf(runs: Buffer): Buffer {
  const head = Buffer.alloc(ENTRY_HEAD_LEN);
  head.writeUInt32BE(runs.length, 0);
  head.writeUInt32BE(crc32(head.subarray(0, 4)), 4);
  head.writeUInt32BE(crc32(runs), 8);
  return Buffer.concat([head, runs]);
}

/** A write may take less than asked: a full disk announces itself only at the next one. */
function writeAll(fs: JournalFs, fd: number, octets: Buffer, at: number): void {
  for (let done = 0; done < octets.length; ) done += fs.write(fd, octets.subarray(done), at + done);
}

const isZero = (octets: Buffer): boolean => octets.every((octet) => octet === 0);
