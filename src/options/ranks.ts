/** Task numbers as srun's messages name them: `0-2,5`, without an array's steps. */
export function foldRanks(ranks: readonly number[]): string {
  const parts: string[] = [];
  for (let start = 0; start < ranks.length; ) {
    let end = start;
    while (ranks[end + 1] === (ranks[end] ?? 0) + 1) end++;
    parts.push(start === end ? `${ranks[start]}` : `${ranks[start]}-${ranks[end]}`);
    start = end + 1;
  }
  return parts.join(",");
}
