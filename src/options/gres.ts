export interface GresCount {
  readonly name: string;
  readonly type: string | null;
  readonly count: number;
}

const SCALE = { "": 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3 } as const;

/**
 * `--gres=NAME[[:TYPE]:COUNT][,…]`: `gpu`, `gpu:2`, `gpu:a100:2`, with an optional `gres:` or `gres/` in front;
 * `none` is an empty list. Undefined when malformed (commands.md §1.4.7).
 */
export function parseGres(text: string): GresCount[] | undefined {
  if (text.toLowerCase() === "none") return [];
  const items = text.split(",").map((item) => {
    const words = item.replace(/^gres[:/]/i, "").split(":");
    const name = words[0] ?? "";
    if (!/^[A-Za-z][\w.-]*$/.test(name) || words.length > 3) return undefined;
    return typedCount(name, words.slice(1));
  });
  return items.every((item) => item !== undefined) ? items : undefined;
}

/** `-G [TYPE:]N` and its kin: gpus by count, by type or both, `a100:2,v100:1`. */
export function parseGpus(text: string): GresCount[] | undefined {
  if (text.toLowerCase() === "none") return [];
  const items = text.split(",").map((item) => typedCount("gpu", item.replace(/^gpu:/i, "").split(":")));
  return items.every((item) => item !== undefined) ? items : undefined;
}

function typedCount(name: string, words: readonly string[]): GresCount | undefined {
  const [first, second] = words;
  if (words.length > 2) return undefined;
  if (first === undefined) return { name, type: null, count: 1 };
  const count = parseCount(second ?? first);
  if (second === undefined && count !== undefined) return { name, type: null, count };
  if (!/^[A-Za-z_][\w.-]*$/.test(first)) return undefined;
  if (second === undefined) return { name, type: first, count: 1 };
  return count === undefined ? undefined : { name, type: first, count };
}

function parseCount(text: string): number | undefined {
  const match = /^(\d{1,9})([KMG]?)$/i.exec(text);
  return match === null ? undefined : Number(match[1]) * SCALE[(match[2] ?? "").toUpperCase() as keyof typeof SCALE];
}
