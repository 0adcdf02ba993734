/**
 * Generic resources of a node lie in pools, one for each type: `gpu:a100`, `gpu:v100`, or just `gpu`. Device numbers go on
 * from pool to pool of one name, so that a number names one device. Who asks for `gpu` takes from any pool of that name,
 * the first ones first; who asks for a type, from that one (slurm.conf(5), Gres). Pure.
 */
export type Counts = Readonly<Record<string, number>>;

/** What a job wants of one node's pools; undefined when they have not enough. */
export function takeFrom(pools: Counts, wanted: Counts): Record<string, number> | undefined {
  const left: Record<string, number> = { ...pools };
  const taken: Record<string, number> = {};
  const take = (pool: string, count: number) => {
    left[pool] = (left[pool] ?? 0) - count;
    if (count > 0) taken[pool] = (taken[pool] ?? 0) + count;
  };
  // Types first: what is not particular takes what they leave.
  for (const [name, count] of Object.entries(wanted).sort(([a], [b]) => Number(b.includes(":")) - Number(a.includes(":")))) {
    let missing = count;
    for (const pool of Object.keys(left)) {
      if (pool !== name && (name.includes(":") || nameOf(pool) !== name)) continue;
      const part = Math.min(missing, Math.max(0, left[pool] ?? 0));
      take(pool, part);
      missing -= part;
    }
    if (missing > 0) return undefined;
  }
  return taken;
}

/** How many of a wish, `gpu` or `gpu:a100`, there are. */
export function countIn(pools: Counts, wish: string): number {
  return Object.entries(pools).reduce((sum, [pool, count]) => (pool === wish || nameOf(pool) === wish ? sum + Math.max(0, count) : sum), 0);
}

export function nameOf(pool: string): string {
  return pool.split(":", 1)[0] ?? pool;
}

/** Device numbers of each pool of a node. */
export function numberPools(pools: Counts): Map<string, Set<number>> {
  const next = new Map<string, number>();
  return new Map(
    Object.entries(pools).map(([pool, count]) => {
      const first = next.get(nameOf(pool)) ?? 0;
      next.set(nameOf(pool), first + count);
      return [pool, new Set(Array.from({ length: count }, (_, i) => first + i))];
    }),
  );
}

/** All wishes together; the same one twice adds up. */
export function sumOf(...wishes: readonly Counts[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const wish of wishes) for (const [name, count] of Object.entries(wish)) sum[name] = (sum[name] ?? 0) + count;
  return sum;
}

export function times(counts: Counts, factor: number): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [name, count * factor]));
}
