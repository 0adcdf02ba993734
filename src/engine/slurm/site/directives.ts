import { splitWords } from "#options/batch-script.ts";
import { SBATCH_ROWS } from "#options/sbatch.ts";
import { takeOptions } from "#options/take-options.ts";
import { OWN_ROWS, quote, TAKEN } from "./container-request.ts";

export const SBATCH_AND_OWN_ROWS = [...SBATCH_ROWS, ...OWN_ROWS];

/** The script's #SBATCH lines: what they say about containers, and how they read without that. */
export function readDirectives(
  script: string,
  guess: (option: string) => boolean,
): {
  readonly taken: ReadonlyMap<string, string>;
  readonly given: ReadonlySet<string>;
  readonly lines: ReadonlyMap<number, string>;
} {
  const taken = new Map<string, string>();
  const given = new Set<string>();
  const lines = new Map<number, string>();
  for (const [index, line] of script.split("\n").entries()) {
    if (!/^\s*(#|$)/.test(line)) break;
    const directive = /^#SBATCH(?=\s)(.*)$/.exec(line);
    if (directive === null) continue;
    const read = takeOptions(SBATCH_AND_OWN_ROWS, splitWords(directive[1] ?? ""), { take: TAKEN, guess });
    for (const option of read.given) given.add(option);
    for (const [option, value] of read.taken) taken.set(option, value);
    if (read.taken.size > 0)
      lines.set(index, read.kept.length === 0 ? "#" : `#SBATCH ${[...read.kept, ...read.rest].map(quote).join(" ")}`);
  }
  return { taken, given, lines };
}
