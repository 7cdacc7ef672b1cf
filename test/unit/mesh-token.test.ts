/** Join tokens: one form, typos found, and no way for the secret to get out. */
import { inspect } from "node:util";
import fc from "fast-check";
import t from "tap";
import { WeftError } from "../../packages/control/dist/errors.js";
import { Identity, newNetworkId, nodeIdOf } from "../../packages/control/dist/mesh/identity.js";
import { formatToken, newToken, parseToken, type Token } from "../../packages/control/dist/mesh/token.js";

/** Computed without this code. */
const TEXT =
  "weft1.AAECAwQFBgcICQoLDA0OD9damAGCsQq31Uv-08lkBzoO4XLz2qYjJa8CGmj3B1EaAQIDBAUGBwgAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eH25GX3w";
const SECRET = Buffer.from(Array.from({ length: 32 }, (_, i) => i));
const fields = (token: Token): object => ({ ...token, secret: Buffer.from(token.secret).toString("hex") });

function refusalOf(read: () => unknown): WeftError {
  try {
    read();
  } catch (error) {
    if (error instanceof WeftError) return error;
    throw error;
  }
  throw new Error("it was taken");
}

t.test("a token is read and written in one form", async (t) => {
  const token = parseToken(TEXT);
  t.same(fields(token), {
    id: "0102030405060708",
    networkId: "000102030405060708090a0b0c0d0e0f",
    founder: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    secret: SECRET.toString("hex"),
  });
  t.equal(formatToken(token), TEXT);
  t.same(fields(parseToken(` \n${TEXT}\r\n`)), fields(token));
  const octets = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(octets, octets, (a, b) => {
      const made = newToken(newNetworkId(), nodeIdOf(a), (length) => b.slice(0, length));
      const text = formatToken(made);
      t.equal(text.length, 129);
      return JSON.stringify(fields(parseToken(text))) === JSON.stringify(fields(made));
    }),
  );
  t.throws(() => formatToken(newToken(newNetworkId(), "x")), RangeError);
});

t.test("tokens are new each time, with 256 random bits", async (t) => {
  const founder = (await Identity.fromSeed(SECRET)).id;
  const network = newNetworkId();
  const made = Array.from({ length: 50 }, () => newToken(network, founder));
  t.equal(new Set(made.map(({ id }) => id)).size, 50);
  t.equal(new Set(made.map(({ secret }) => Buffer.from(secret).toString("hex"))).size, 50);
  t.ok(made.every(({ secret }) => secret.length === 32));
});

t.test("every typo is found: one character changed, lost, doubled or two swapped", async (t) => {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  const damaged = new Set<string>();
  for (let i = 6; i < TEXT.length; i++) {
    for (const c of [...alphabet, " ", "=", "ä"]) damaged.add(TEXT.slice(0, i) + c + TEXT.slice(i + 1));
    damaged.add(TEXT.slice(0, i) + TEXT.slice(i + 1));
    damaged.add(TEXT.slice(0, i) + TEXT[i] + TEXT.slice(i));
    damaged.add(TEXT.slice(0, i) + (TEXT[i + 1] ?? "") + TEXT[i] + TEXT.slice(i + 2));
    damaged.add(TEXT.slice(0, i));
  }
  damaged.delete(TEXT);
  const taken = [...damaged].filter((text) => {
    if (text.trim() === TEXT) return false;
    const { code, message } = refusalOf(() => parseToken(text));
    return code !== "invalid_input" || message !== "token: damaged: copy it whole, from weft1 to its end";
  });
  t.same(taken, []);
});

t.test("what is no token at all says so, and never shows what it was", async (t) => {
  t.match(refusalOf(() => parseToken("")).message, /it is empty/);
  t.match(refusalOf(() => parseToken("hunter2")).message, /it is none/);
  t.match(refusalOf(() => parseToken(TEXT.replace("weft1", "weft2"))).message, /of another version of weft/);
  fc.assert(
    fc.property(fc.string({ minLength: 6 }), (text) => {
      const { message } = refusalOf(() => parseToken(`weft1.${text}`));
      return (
        !message.includes(text) ||
        text.trim() === "" ||
        "token: damaged: copy it whole, from weft1 to its end".includes(text)
      );
    }),
  );
});

t.test("nothing that prints a token shows its secret", async (t) => {
  const secret = Buffer.from("correct horse battery staple !!!");
  const token = newToken(newNetworkId(), "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", (length) =>
    secret.subarray(0, length),
  );
  t.same(token.secret, secret);
  const shown = [
    inspect(token, { depth: 9, showHidden: true }),
    JSON.stringify(token),
    String(token),
    `${Object.entries(token)}`,
  ].join("\n");
  for (const form of ["hex", "base64", "base64url"] as const)
    t.notOk(shown.includes(secret.toString(form).slice(20)), form);
  t.notMatch(shown, "battery");
  t.notMatch(shown, [...secret.subarray(10, 14)].join(", "));
});
