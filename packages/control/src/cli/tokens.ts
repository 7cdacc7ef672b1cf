/** `weft token`. A secret is printed by `show` and `rotate` alone. */
import { WeftError } from "../errors.js";
import { joinCommand } from "../join-command.js";
import type { JoinToken, MeshInfo, TokenInfo } from "../mesh-answers.js";
import { call } from "./client.js";
import { type ListingOptions, print } from "./options.js";
import { type Cell, table } from "./table.js";
import { when } from "./when.js";

type TokenOptions = ListingOptions & { readonly quiet?: boolean };

export async function show(options: TokenOptions): Promise<void> {
  tell(await call<JoinToken>(options.socket, "GET", "/v1/token"), options);
}

export async function rotate(options: TokenOptions): Promise<void> {
  tell(await call<JoinToken>(options.socket, "POST", "/v1/tokens", {}), options);
}

function tell(token: JoinToken, options: TokenOptions): void {
  print(options, { ...token, command: joinCommand(token) }, options.quiet ? token.token : joinCommand(token));
}

export async function retire(id: string, options: ListingOptions): Promise<void> {
  // It may be the token itself, a secret: not repeated.
  if (!/^[0-9a-f]{16}$/.test(id))
    throw new WeftError(
      "invalid_input",
      "that is no id of a token: give 16 hexadecimal digits as `weft token list` shows them",
    );
  const answer = await call<{ retired: string }>(options.socket, "DELETE", `/v1/tokens/${encodeURIComponent(id)}`);
  print(options, answer, `token ${answer.retired} is retired`);
}

export async function list(options: ListingOptions): Promise<void> {
  const [tokens, { members }] = await Promise.all([
    call<TokenInfo[]>(options.socket, "GET", "/v1/tokens"),
    call<MeshInfo>(options.socket, "GET", "/v1/mesh"),
  ]);
  const nameOf = (node: string): string => members.find(({ id }) => id === node)?.name || node;
  const rows = tokens.map((t): Cell[] => [t.id, t.state, when(t.createdAt), nameOf(t.node)]);
  print(options, tokens, rows.length === 0 ? "no tokens" : table(["TOKEN", "STATE", "SINCE", "BY"], rows));
}
