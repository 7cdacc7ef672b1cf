/** Whether what stood in the state file is a State. By hand: the schema library would double the time of a restart. */
import { isAddress, isCidr, isMac } from "../config/formats.js";

type Test = (value: unknown) => boolean;

const text: Test = (v) => typeof v === "string" && v !== "";
const textOrNull: Test = (v) => v === null || text(v);
const whole: Test = (v) => Number.isSafeInteger(v) && (v as number) >= 0;
const written =
  (test: (text: string) => boolean): Test =>
  (v) =>
    typeof v === "string" && test(v);
const list =
  (test: Test): Test =>
  (v) =>
    Array.isArray(v) && v.every(test);
const optional =
  (test: Test): Test =>
  (v) =>
    v === undefined || test(v);
const map =
  (fields: Readonly<Record<string, Test>>): Test =>
  (v) =>
    isMap(v) && Object.entries(fields).every(([key, test]) => test(v[key]));

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

const route: Test = (v) =>
  map({ via: text })(v) && (map({ mac: written(isMac) })(v) || map({ prefix: written(isCidr) })(v));
const encryption: Test = (v) => v === "required" || v === "none" || v === "mixed";
const network = map({
  spec: map({ name: text, vni: whole, encryption: optional(encryption) }),
  routes: list(route),
});
const role: Test = (v) => v === "container" || v === "gateway";
const flag: Test = (v) => typeof v === "boolean";
const port = map({
  id: text,
  network: text,
  ifname: text,
  netnsPath: textOrNull,
  netnsId: textOrNull,
  mac: written(isMac),
  ip: list(written(isCidr)),
  mtu: whole,
  gateway: list(written(isAddress)),
  routes: list(map({ to: written(isCidr), via: optional(written(isAddress)) })),
  labels: (v) => isMap(v) && Object.values(v).every((label) => typeof label === "string"),
  configure: flag,
  // Missing in the files of a release that had container ports with Ethernet only.
  role: optional(role),
  l3: optional(flag),
});

export const isState = map({ networks: list(network), ports: list(port) });
