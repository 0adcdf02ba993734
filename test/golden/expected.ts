// expected.list: which transcripts are expected to pass, and which single commands differ, with the reason.
//
//   pass NAME                    replayed by the tests
//   differ NAME N[,N...] REASON  these commands of it are expected to be different; one that is not is reported
//   later NAME REASON            not replayed by the tests yet
import { readFileSync } from "node:fs";
import { join } from "node:path";

export interface Expectation {
  readonly verdict: "pass" | "later";
  readonly reason: string;
  /** Command number → why it differs. */
  readonly differences: ReadonlyMap<number, string>;
}

export function readExpectations(file = join(import.meta.dir, "expected.list")): Map<string, Expectation> {
  return parseExpectations(readFileSync(file, "utf8"));
}

/** @throws Error with the line's number, when a line is none of the three forms */
export function parseExpectations(text: string): Map<string, Expectation> {
  const result = new Map<string, Expectation & { differences: Map<number, string> }>();
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    if (line === "" || line.startsWith("#")) continue;
    const [word = "", name = "", ...rest] = line.split(/\s+/);
    const refuse = (what: string): never => { throw new Error(`expected.list:${index + 1}: ${what}`); };
    switch (word) {
      case "pass": case "later":
        if (result.has(name)) refuse(`"${name}" is named twice`);
        if (word === "later" && rest.length === 0) refuse("a reason is missing");
        result.set(name, { verdict: word, reason: rest.join(" "), differences: new Map() });
        break;
      case "differ": {
        const entry = result.get(name);
        if (entry?.verdict !== "pass") { refuse(`"differ" must follow "pass ${name}"`); break; }
        const [numbers = "", ...reason] = rest;
        if (!/^\d+(,\d+)*$/.test(numbers) || reason.length === 0) refuse("want: differ NAME N[,N...] REASON");
        for (const number of numbers.split(",")) entry.differences.set(Number(number), reason.join(" "));
        break;
      }
      default: refuse(`cannot read "${word}"`);
    }
  }
  return result;
}

/** The reason, when this command is listed as different. */
export function isExpectedToDiffer(expectation: Expectation, number: number): string | undefined {
  return expectation.differences.get(number);
}

export function differencesOf(expectation: Expectation): number[] {
  return [...expectation.differences.keys()];
}
