/** The old member's half of a join: tells who it is, hears who wants in, and lets it in or says why not. */
import type { TLSSocket } from "node:tls";
import { messageOf, WeftError } from "../errors.js";
import { MESSAGE_MAX } from "./channel.js";
import { FRAME, FrameError, type FrameReader, frame, textFrame } from "./framing.js";
import type { Identity } from "./identity.js";
import { decodeJoin, EXPORTER_LABEL, EXPORTER_LEN, encodeHello, type Newcomer } from "./join-messages.js";
import { readFrame } from "./tls-channel.js";
import type { NodeId } from "./types.js";

/** Who may come in. Removed nodes get a link of their own (tls.ts), to be shown their tombstone; a join does not help them. */
export interface Membership {
  /** 32 hexadecimal digits. */
  readonly networkId: string;
  isMember(node: NodeId): boolean;
  isRemoved(node: NodeId): boolean;
  /** All that are known; `secret` has 32 octets, null: retired. */
  tokens(): Iterable<{ readonly id: string; readonly secret: Uint8Array | null }>;
  /**
   * Makes it a member, unless it is one already. On disk when this returns.
   *
   * @returns signed records by which the newcomer can believe us, as the gossip writes them; 32 MiB at most, and better far less,
   *   for they have to be there within the 5 s of a join
   * @throws WeftError with a message that the newcomer is shown
   */
  admit(newcomer: Newcomer): Uint8Array;
}

/** It is not let in; the message has been sent to it. */
export class NotAdmitted extends Error {
  override readonly name = "NotAdmitted";
}

/**
 * @returns who has been let in; from here on it is an ordinary link
 * @throws NotAdmitted, FrameError, and Error when the connection ends before
 */
export async function admitOver(
  socket: TLSSocket,
  reader: FrameReader,
  identity: Identity,
  membership: Membership,
): Promise<NodeId> {
  const { networkId } = membership;
  const exporter = socket.exportKeyingMaterial(EXPORTER_LEN, EXPORTER_LABEL, Buffer.alloc(0));
  socket.write(frame(FRAME.HELLO, encodeHello(identity, networkId, exporter)));
  const { type, body } = await readFrame(socket, reader);
  if (type !== FRAME.JOIN) throw new FrameError(`it sent a frame of type ${type}, a join was expected`, false);
  const join = decodeJoin(body, exporter);
  if (!join) throw refuse(socket, "the join is damaged, or not signed by the node that it names");
  if (join.networkId !== networkId) {
    throw refuse(socket, `this is network ${networkId}, not ${join.networkId}: networks never merge`);
  }
  if (join.id === identity.id) throw refuse(socket, "this is the same node: give the address of another one");
  if (membership.isRemoved(join.id)) {
    throw refuse(
      socket,
      "this node has been removed from the network, for ever: clear its state directory, then it joins as a new one",
    );
  }
  let records: Uint8Array;
  try {
    records = membership.admit({ id: join.id, name: join.name, records: join.records });
  } catch (error) {
    // What else goes wrong here is no newcomer's business, a full disk for example.
    throw refuse(socket, error instanceof WeftError ? error.message : "it cannot be done at present", error);
  }
  for (let at = 0; at < records.length; at += MESSAGE_MAX) {
    const hasRoom = socket.write(frame(FRAME.RECORDS, records.subarray(at, at + MESSAGE_MAX)));
    if (!hasRoom) await drained(socket);
  }
  socket.write(frame(FRAME.WELCOME, Buffer.alloc(0)));
  return join.id;
}

function drained(socket: TLSSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    const onDrain = (): void => {
      socket.off("close", onClose);
      resolve();
    };
    const onClose = (): void => {
      socket.off("drain", onDrain);
      reject(new Error("it closed the connection"));
    };
    socket.once("drain", onDrain);
    socket.once("close", onClose);
  });
}

function refuse(socket: TLSSocket, why: string, cause?: unknown): NotAdmitted {
  socket.end(textFrame(FRAME.REFUSED, why));
  return new NotAdmitted(cause === undefined ? why : `${why} (${messageOf(cause)})`);
}
