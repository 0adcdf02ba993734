/** Counts in node order with runs folded, `2(x3),1` (SLURM_TASKS_PER_NODE; commands.md §1.4.6). */
export function foldPerNode(counts: readonly number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < counts.length; ) {
    let end = i + 1;
    while (end < counts.length && counts[end] === counts[i]) end++;
    parts.push(end - i > 1 ? `${counts[i]}(x${end - i})` : `${counts[i]}`);
    i = end;
  }
  return parts.join(",");
}

const MAX_NODES = 65_536;

/** The counts of `2(x3),1`; undefined when the text is not of this form or speaks of more than 65536 nodes. */
export function expandPerNode(text: string): number[] | undefined {
  const counts: number[] = [];
  for (const part of text.split(",")) {
    const match = /^(\d{1,9})(?:\(x([1-9]\d{0,5})\))?$/.exec(part);
    if (match === null) return undefined;
    const times = Number(match[2] ?? 1);
    if (counts.length + times > MAX_NODES) return undefined;
    for (let i = 0; i < times; i++) counts.push(Number(match[1]));
  }
  return counts;
}
