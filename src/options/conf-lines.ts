/** Lines of a file in slurm.conf's syntax (slurm.conf(5)): comments, continuation lines and quotes. Pure. */

/** In the order in which they stand, with keys in lower case. */
export type Pairs = Map<string, string>;

export interface ConfLine {
  /** Counts from 1; of a continued line the first. */
  readonly line: number;
  readonly pairs: Pairs;
  /** What is no pair; "" as a rule. */
  readonly rest: string;
}

export function* readConfLines(text: string): Generator<ConfLine> {
  const physical = text.split("\n");
  for (let i = 0; i < physical.length; i++) {
    const line = i + 1;
    let logical = (physical[i] ?? "").replace(/(^|[^\\])#.*$/, "$1");
    while (/\\\s*$/.test(logical) && i + 1 < physical.length)
      logical = logical.replace(/\\\s*$/, " ") + (physical[++i] ?? "").replace(/(^|[^\\])#.*$/, "$1");
    const pairs: Pairs = new Map();
    const rest = logical.replace(
      /\s*([A-Za-z][A-Za-z0-9_]*)\s*=\s*("([^"]*)"|\S+)/g,
      (_all, key: string, raw: string, quoted: string | undefined) => {
        pairs.set(key.toLowerCase(), quoted ?? raw);
        return "";
      },
    );
    if (pairs.size > 0 || rest.trim() !== "") yield { line, pairs, rest: rest.trim() };
  }
}

/** The last word of the file on a key that stands in no line of a node or partition. Lines that cannot be read are passed over. */
export function settingIn(text: string, key: string): string | undefined {
  let found: string | undefined;
  for (const { pairs } of readConfLines(text)) {
    const [[kind = ""] = []] = pairs;
    if (kind === "nodename" || kind === "partitionname") continue;
    found = pairs.get(key.toLowerCase()) ?? found;
  }
  return found;
}
