/** `weft completion`: scripts for shells, made from the commands and options themselves. */
import type { Command, Option } from "commander";
import type { Shell } from "./topics.js";

/** A command as a shell sees it. */
interface Place {
  /** Words up to here, `weft network create`. */
  readonly path: string;
  readonly subcommands: readonly { readonly name: string; readonly about: string }[];
  /** What its arguments may be. */
  readonly choices: readonly string[];
  readonly options: readonly Switch[];
}

interface Switch {
  readonly names: readonly string[];
  readonly about: string;
  /** `words`: one of a few; `file`; `any`: nobody can know it. */
  readonly value: "none" | "words" | "file" | "any";
  readonly words: readonly string[];
}

/** @param program all commands */
export function completion(program: Command, shell: Shell): string {
  const places = placesOf(program, program.name());
  if (shell === "fish") return fish(places);
  return shell === "bash" ? bash(places) : `#compdef weft\nautoload -Uz bashcompinit && bashcompinit\n${bash(places)}`;
}

function placesOf(command: Command, path: string): Place[] {
  const help: Switch = { names: ["--help"], about: "print this help", value: "none", words: [] };
  const place: Place = {
    path,
    subcommands: command.commands.map((c) => ({ name: c.name(), about: c.description() })),
    choices: command.registeredArguments.flatMap((argument) => argument.argChoices ?? []),
    options: [...command.options.map(switchOf), help],
  };
  return [place, ...command.commands.flatMap((c) => placesOf(c, `${path} ${c.name()}`))];
}

function switchOf(option: Option): Switch {
  const words = option.argChoices ?? [];
  const takes = option.required || option.optional;
  const value = !takes ? "none" : words.length > 0 ? "words" : /<(file|path|dir)>/.test(option.flags) ? "file" : "any";
  return {
    names: [option.long, option.short].filter((name) => name !== undefined && name !== null) as string[],
    about: option.description,
    value,
    words,
  };
}

/** Words that only choose a command: everything behind them belongs to it. */
function paths(places: readonly Place[]): string[] {
  return places.slice(1).map((p) => p.path);
}

function bash(places: readonly Place[]): string {
  const either = (texts: readonly string[]): string => texts.map((text) => `"${text}"`).join(" | ");
  const values = places.flatMap((place) =>
    place.options
      .filter((o) => o.value !== "none")
      .map((o) => {
        const what = o.value === "words" ? `words="${o.words.join(" ")}"` : o.value === "file" ? "files=yes" : "return";
        return `    ${either(o.names.map((name) => `${place.path} ${name}`))}) ${what} ;;`;
      }),
  );
  const words = places.map((place) => {
    const all = [...place.subcommands.map((s) => s.name), ...place.choices, ...place.options.flatMap((o) => o.names)];
    return `        "${place.path}") words="${all.join(" ")}" ;;`;
  });
  return `# Completes weft in bash: source <(weft completion bash)
_weft() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD - 1]} path=weft words= files= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path \${COMP_WORDS[i]}" in
      ${either(paths(places))}) path="$path \${COMP_WORDS[i]}" ;;
    esac
  done
  COMPREPLY=()
  case "$path $prev" in
${values.join("\n")}
    *)
      case "$path" in
${words.join("\n")}
      esac
      ;;
  esac
  if [[ $files ]]; then
    compopt -o filenames 2>/dev/null || true
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
  else
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
  fi
}
complete -F _weft weft
`;
}

function fish(places: readonly Place[]): string {
  const at = (place: Place): string => `complete -c weft -n ${single(`__weft_at ${place.path}`)}`;
  const lines = places.flatMap((place) => [
    ...place.subcommands.map((s) => `${at(place)} -a ${s.name} -d ${single(s.about)}`),
    ...(place.choices.length > 0 ? [`${at(place)} -a ${single(place.choices.join(" "))}`] : []),
    ...place.options.map((o) => {
      const names = o.names.map((name) => (name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
      const value = { none: "", words: ` -x -a ${single(o.words.join(" "))}`, file: " -r -F", any: " -x" }[o.value];
      return `${at(place)} ${names.join(" ")}${value} -d ${single(o.about)}`;
    }),
  ]);
  return `# Completes weft in fish: weft completion fish | source
set -g __weft_paths ${paths(places).map(single).join(" ")}
function __weft_at
  set -l path weft
  for word in (commandline -opc)[2..-1]
    contains -- "$path $word" $__weft_paths; and set path "$path $word"
  end
  test "$path" = "$argv"
end
complete -c weft -f
${lines.join("\n")}
`;
}

/** In single quotes, as fish reads them. */
function single(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&")}'`;
}
