/**
 * Membership of this host: control links, the records that all nodes share, tokens, admission and removal.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { hostPort } from "../config/formats.js";
import type { MeshConfig } from "../config/mesh.js";
import { messageOf, WeftError } from "../errors.js";
import { errorFields, type Log } from "../log/log.js";
import type { Channel, Transport } from "../mesh/channel.js";
import { verify } from "../mesh/identity.js";
import { joinNetwork } from "../mesh/join.js";
import { FileJournal, type Journal } from "../mesh/journal.js";
import { Mesh } from "../mesh/mesh.js";
import type { NodeValue } from "../mesh/records.js";
import { ControlLinks } from "../mesh/tls.js";
import { formatToken, Token } from "../mesh/token.js";
import { tunnelAddress } from "../mesh/tunnel-address.js";
import type { NodeId, Records } from "../mesh/types.js";
import type { JoinToken, TokenInfo } from "../mesh-answers.js";
import { VERSION } from "../version.js";
import { publicKeyText } from "../wireguard/key.js";
import { dropStanding, type Standing } from "./standing.js";
import type { MeshStore } from "./state.js";
import { Targets } from "./targets.js";
import { freshToken, retirements, secretOf, secretsOf, tokenInfos } from "./tokens.js";

/** Milliseconds between two node records that say another address seen from outside: members may see another one with every echo. */
const SEEN_MS = 5000;
/** WireGuard endpoints in our node record. */
const ENDPOINTS_MAX = 8;

export interface MembershipOptions {
  readonly config: MeshConfig;
  readonly standing: Standing;
  readonly name: string;
  /** Underlay addresses of this host with their MTU. */
  readonly underlay: readonly { readonly address: string; readonly mtu: number }[];
  readonly stateDir: string | undefined;
  readonly store: MeshStore;
  readonly log: Log;
}

export class Membership {
  readonly mesh: Mesh;
  readonly links: ControlLinks;
  /** Addresses that were named on this host. */
  readonly targets: Targets;
  readonly #options: MembershipOptions;
  readonly #adopt: (channel: Channel) => void;
  readonly #startedAt = Date.now();
  /** Of WireGuard. The private one is wiped once the data plane has it. */
  readonly #publicKey: string;
  #outside: readonly string[] = [];
  #seenTimer: NodeJS.Timeout | undefined;
  #hasFounded = false;
  #hasLeft = false;
  #closing: Promise<void> | undefined;

  private constructor(options: MembershipOptions, links: ControlLinks, mesh: Mesh, adopt: (channel: Channel) => void) {
    this.#options = options;
    this.#publicKey = publicKeyText(options.standing.keys.wireguardKey);
    this.links = links;
    this.mesh = mesh;
    this.#adopt = adopt;
    this.targets = new Targets({
      ...{ records: mesh.records, store: options.store, join: options.config.join, adopt },
      tokens: () => this.#dialTokens(),
      dial: (address, token) => links.connect([address], token, { name: options.name, records: mesh.introduction() }),
    });
  }

  /**
   * Listens, and is a member when this resolves.
   * @throws WeftError already_running, bad_state, unavailable when nobody could be asked, invalid_input when a token is refused
   */
  static async open(options: MembershipOptions): Promise<Membership> {
    const { standing, config, underlay, stateDir, log } = options;
    const { identity, keys } = standing;
    // The links come before the mesh that they are for: whoever calls in between is told to come again.
    let mesh: Mesh | undefined;
    let membership: Membership | undefined;
    const warn = (message: string): void => log.warn({ component: "mesh" }, message);
    const links = await ControlLinks.start({
      identity,
      listen: underlay.map(({ address }) => ({ address, port: config.port })),
      warn,
      membership: {
        networkId: keys.networkId,
        isMember: (node) => mesh?.records.isMember(node) ?? false,
        isRemoved: (node) => mesh?.records.isRemoved(node) ?? false,
        tokens: () => (mesh ? secretsOf(mesh.records) : []),
        admit: ({ id, name, records }) => {
          if (!mesh) throw new WeftError("unavailable", "this node is starting: try again");
          const isNew = !mesh.records.isMember(id);
          try {
            mesh.admit(id, name, records);
          } catch (error) {
            throw new WeftError("invalid_input", messageOf(error));
          }
          if (isNew) log.info({ component: "mesh", node: id, name }, "admitted");
          return mesh.allRecords();
        },
      },
    });
    let deliver: (channel: Channel) => void = () => undefined;
    const transport: Transport = {
      dial: (node, addresses) => links.dial(node, addresses),
      onChannel: (listener) => {
        deliver = listener;
        links.onChannel(listener);
      },
    };
    try {
      mesh = new Mesh({
        self: identity.id,
        networkId: keys.networkId,
        founder: keys.founder,
        journal:
          stateDir === undefined
            ? memoryJournal()
            : new FileJournal(stateDir, { networkId: keys.networkId, node: identity.id }),
        transport,
        surroundings: surroundings(identity.sign.bind(identity), log),
        mayDial: (node) => config.discovery || (membership?.targets.isNamed(node) ?? false),
        // Only who has no link at all: they may have moved.
        seeds: () => (mesh && mesh.channels().length === 0 ? (membership?.targets.addresses() ?? []) : []),
      });
      membership = new Membership(options, links, mesh, (channel) => deliver(channel));
      await membership.#enter();
      return membership;
    } catch (error) {
      mesh?.stop();
      await links.close();
      throw error;
    }
  }

  get records(): Records {
    return this.mesh.records;
  }
  /** This start has founded the network, or has finished what one before had begun. */
  get hasFounded(): boolean {
    return this.#hasFounded;
  }
  get tunnelAddress(): string {
    return this.tunnelAddressOf(this.records.self);
  }
  tunnelAddressOf(node: NodeId): string {
    return tunnelAddress(this.records.networkId, node);
  }

  async #enter(): Promise<void> {
    const { standing, config, stateDir, store, name, log } = this.#options;
    const { records } = this;
    if (records.isRemoved(records.self)) throw expelledError(stateDir);
    this.describe();
    const hasFoundedBefore = store.state.founded === records.networkId;
    if (isUnfounded(records) && !hasFoundedBefore) {
      this.#putToken();
      this.#hasFounded = true;
      log.info({ component: "mesh", network: records.networkId }, "network founded");
    } else if (!isAdmitted(records)) {
      if (!standing.token || config.join.length === 0)
        throw new WeftError(
          "bad_config",
          hasFoundedBefore
            ? "this host has founded its network, and the records of it are gone: give --join HOST --token TOKEN of another " +
                "member, which sends them back. Where there is no other, start with another --state-dir"
            : "this host was never admitted to its network: give --join HOST --token TOKEN once more",
        );
      const {
        channel,
        by,
        records: raw,
      } = await joinNetwork({
        token: standing.token,
        addresses: config.join,
        identity: standing.identity,
        name,
        records: this.mesh.introduction(),
      });
      this.mesh.load(raw);
      // Whoever has a token can answer; whom the founder's signatures do not lead to is no member.
      if (!records.isMember(by) || !isAdmitted(records))
        throw new WeftError(
          "invalid_input",
          `cannot join: ${channel.remote} knows a token, but is no member of the network`,
        );
      this.#adopt(channel);
      log.info({ component: "mesh", network: records.networkId, members: records.members().length }, "joined");
    }
    if (records.self === records.founder && !hasFoundedBefore) store.change({ founded: records.networkId });
    this.targets.start();
  }

  /** Writes our node record. */
  describe(): void {
    const { config, name, underlay } = this.#options;
    const { port, wireguardPort, advertise } = config;
    const addresses = underlay.map(({ address }) => address);
    const control = [...advertise.map((a) => hostPort(a.address, a.port)), ...addresses.map((a) => hostPort(a, port))];
    const endpoints = [
      ...[...advertise.map((a) => a.address), ...addresses].map((a) => hostPort(a, wireguardPort)),
      ...this.#outside,
    ];
    const value: NodeValue = {
      name,
      wireguard: this.#publicKey,
      control: unique(control).slice(0, ENDPOINTS_MAX),
      endpoints: unique(endpoints).slice(0, ENDPOINTS_MAX),
      // A loopback has more than an IP packet can be long.
      underlayMtu: Math.max(576, Math.min(65_535, ...underlay.map(({ mtu }) => mtu))),
      version: VERSION,
      capabilities: ["relay", "layer3"],
      startedAt: this.#startedAt,
    };
    this.records.put("node", "", value);
  }

  /** Others see our WireGuard port at these endpoints: written at once, or soon. */
  seenAt(outside: readonly string[]): void {
    this.#outside = outside;
    if (this.#seenTimer === undefined) this.#describeSeen();
  }
  #describeSeen(): void {
    const said = this.#outside;
    let isSaid = true;
    try {
      this.describe();
    } catch (error) {
      // A full disk, for example: nobody who talks with us is to blame.
      isSaid = false;
      const { log } = this.#options;
      log.warn({ component: "mesh", ...errorFields(log, error) }, "where others see this host is not written down");
    }
    this.#seenTimer = setTimeout(() => {
      this.#seenTimer = undefined;
      if (!isSaid || this.#outside !== said) this.#describeSeen();
    }, SEEN_MS).unref();
  }

  // ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  token(): JoinToken {
    const { records } = this;
    const { control = [] } = records.get(records.self, "node") ?? {};
    const valid = this.tokens().filter(({ state }) => state === "valid");
    for (const { id } of valid) {
      const secret = secretOf(records, id);
      if (secret === undefined) continue;
      const token = new Token({ id, networkId: records.networkId, founder: records.founder, secret });
      // The default port needs not be said.
      return { id, token: formatToken(token), hosts: control.map((text) => text.replace(/:6783$/, "")) };
    }
    throw new WeftError("unavailable", "there is no valid token: make one with `weft token rotate`");
  }

  /** The latest first. */
  tokens(): TokenInfo[] {
    return tokenInfos(this.records);
  }

  rotate(): JoinToken {
    this.#putToken();
    return this.token();
  }

  retire(id: string): void {
    const token = this.tokens().find((one) => one.id === id);
    if (!token) throw new WeftError("not_found", `there is no token ${id}: \`weft token list\` shows all`);
    if (token.state === "retired") return;
    if (this.tokens().filter(({ state }) => state === "valid").length === 1)
      throw new WeftError("conflict", `token ${id} is the only valid one: \`weft token rotate\` makes another first`);
    this.records.put("token", id, { secret: null, at: token.createdAt });
  }

  #putToken(): void {
    const { kind, id, value } = freshToken(this.records, Date.now());
    this.records.put(kind, id, value);
  }

  // ── members ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Removes a member for ever, and every token that it knows. @throws WeftError not_found, conflict */
  remove(id: NodeId, isForced: boolean): void {
    const { records } = this;
    if (records.isRemoved(id)) return;
    if (id === records.self) throw new WeftError("conflict", "that is this node: `weft leave` takes it out");
    if (!records.isMember(id))
      throw new WeftError("not_found", `there is no member ${id}: \`weft status mesh\` lists them`);
    if (!isForced && !records.isAlive(id)) {
      throw new WeftError(
        "conflict",
        `${nameOf(records, id)} cannot be reached, so nobody here knows whether it still runs beyond a broken link. ` +
          "If you are sure that it does not, or that it may be cut off, repeat with --force",
      );
    }
    // All in one: whatever comes in between, nobody who is out has a token that opens. The new one is not for its ears.
    this.mesh.expel(id, retirements(records, id));
    this.#putToken();
  }

  /** Takes this node out, for ever. What the state directory knows of the network goes when it closes. */
  leave(): void {
    this.#hasLeft = true;
    this.mesh.expel(this.records.self);
  }

  /** To dial addresses with that were named here, see targets.ts. */
  #dialTokens(): Token[] {
    const { records } = this;
    const { networkId, founder } = records;
    const valid = this.tokens().find(({ id, state }) => state === "valid" && secretOf(records, id) !== undefined);
    const secret = valid && secretOf(records, valid.id);
    const known = valid && secret ? [new Token({ id: valid.id, networkId, founder, secret })] : [];
    const { token: given } = this.#options.standing;
    return given && given.id !== valid?.id ? [...known, given] : known;
  }

  /** Says goodbye. Again: waits for the first. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }
  async #close(): Promise<void> {
    this.targets.stop();
    clearTimeout(this.#seenTimer);
    this.mesh.stop();
    // The last words are on their way.
    await sleep(20);
    await this.links.close();
    if (!this.#hasLeft) return;
    dropStanding(this.#options.stateDir);
    this.#options.store.clear();
  }
}

/** What a node that was removed is told, at its start or while it runs. */
export function expelledError(stateDir: string | undefined): WeftError {
  const where = stateDir === undefined ? "" : `, after \`rm -r ${stateDir}\``;
  return new WeftError(
    "conflict",
    `this host was removed from its network, for ever: it can only join again as a new node, with a token${where}`,
  );
}

export function nameOf(records: Records, node: NodeId): string {
  return records.get(node, "node")?.name ?? node.slice(0, 8);
}

/** We are the founder, and there is no token of ours: a start before was broken off before the first, or the records are gone. */
function isUnfounded(records: Records): boolean {
  return records.self === records.founder && ![...records.list("token")].some(({ node }) => node === records.self);
}

/** We are the founder, or some member says that it has let us in. */
function isAdmitted(records: Records): boolean {
  if (records.self === records.founder) return !isUnfounded(records);
  for (const { id, node } of records.list("member")) if (id === records.self && node !== records.self) return true;
  return false;
}
function unique(list: readonly string[]): string[] {
  return [...new Set(list)];
}

function memoryJournal(): Journal {
  return { load: () => [], append: () => undefined, compact: () => undefined, close: () => undefined };
}

function surroundings(
  sign: (octets: Uint8Array) => Uint8Array,
  log: Log,
): ConstructorParameters<typeof Mesh>[0]["surroundings"] {
  return {
    nowMs: () => performance.now(),
    wallMs: () => Date.now(),
    after: (ms, callback) => {
      const timer = setTimeout(() => {
        try {
          callback();
        } catch (error) {
          // A full disk, for example: the daemon goes on, the next call tries again.
          log.error({ component: "mesh", ...errorFields(log, error) }, "part of the mesh failed");
        }
      }, ms).unref();
      return () => clearTimeout(timer);
    },
    random: () => Math.random(),
    sign,
    verify,
    log,
  };
}
