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
