// expected.list: which transcripts are expected to pass, and which single commands differ, with the reason.
//
//   pass NAME                    replayed by the tests
//   slow NAME                    the same, but takes a minute: only with CI=true or GOLDEN_SLOW=1
//   later NAME REASON            not replayed by the tests yet
//   differ NAME N[,N...] REASON  these commands of it are expected to be different; one that is not is reported
//   varies NAME N[,N...] REASON  these may or may not be different, from run to run
import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface Expectation {
  readonly verdict: "pass" | "slow" | "later";
  readonly reason: string;
  /** Command number → why it differs. */
  readonly differences: ReadonlyMap<number, string>;
  /** Command number → why it cannot be relied upon. */
  readonly varying: ReadonlyMap<number, string>;
}

export function readExpectations(file = join(import.meta.dir, "expected.list")): Map<string, Expectation> {
  return parseExpectations(readFileSync(file, "utf8"));
}

/** @throws Error with the line's number, when a line has none of these forms */
export function parseExpectations(text: string): Map<string, Expectation> {
  const result = new Map<string, Expectation & Record<"differences" | "varying", Map<number, string>>>();
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const [word = "", name = "", ...rest] = line.split(/\s+/);
    const refuse = (what: string): never => {
      throw new Error(`expected.list:${index + 1}: ${what}`);
    };
    switch (word) {
      case "pass":
      case "slow":
      case "later":
        if (result.has(name)) refuse(`"${name}" is named twice`);
        if (word === "later" && rest.length === 0) refuse("a reason is missing");
        result.set(name, { verdict: word, reason: rest.join(" "), differences: new Map(), varying: new Map() });
        break;
      case "differ":
      case "varies": {
        const entry = result.get(name);
        if (entry === undefined || entry.verdict === "later") {
          refuse(`"${word}" must follow "pass ${name}"`);
          break;
        }
        const [numbers = "", ...reason] = rest;
        if (!/^\d+(,\d+)*$/.test(numbers) || reason.length === 0) refuse(`want: ${word} NAME N[,N...] REASON`);
        const map = word === "differ" ? entry.differences : entry.varying;
        for (const number of numbers.split(",")) map.set(Number(number), reason.join(" "));
        break;
      }
      default:
        refuse(`cannot read "${word}"`);
    }
  }
  return result;
}

/** The list again, one line for each reason. Comments are not kept, but for the first lines. */
export function formatExpectations(expectations: ReadonlyMap<string, Expectation>): string {
  const lines = ["# What is expected of each transcript; the forms are explained in expected.ts.", ""];
  for (const [name, entry] of [...expectations].sort(([a], [b]) => (a < b ? -1 : 1))) {
    lines.push(`${entry.verdict} ${name}${entry.reason === "" ? "" : ` ${entry.reason}`}`);
    for (const [word, map] of [
      ["differ", entry.differences],
      ["varies", entry.varying],
    ] as const) {
      const reasons = Map.groupBy(
        [...map].sort(([a], [b]) => a - b),
        ([, reason]) => reason,
      );
      for (const [reason, pairs] of reasons) lines.push(`${word} ${name} ${pairs.map(([number]) => number).join(",")} ${reason}`);
    }
  }
  return `${lines.join("\n")}\n`;
}
