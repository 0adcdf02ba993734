/** What the ranks of one step tell each other through their process manager: keys, attributes of nodes, published names, barriers. */
import { MAPPING_KEY, processMapping } from "./process-mapping.ts";

/** The limits that clients are told (PMI-1 get_maxes); MPICH cuts its values to fit. */
export const MAX_NAME = 256;
export const MAX_KEY = 64;
export const MAX_VALUE = 1024;
/** Of all keys and values together: a step must not fill its daemon's memory. */
const MAX_BYTES = 64 * 1024 * 1024;

export interface SpaceFacts {
  /** `JOB.STEP`: the name of the space, and PMI_JOBID. */
  readonly name: string;
  /** By rank: the number of its node; ranks of one number share memory. */
  readonly nodeOf: readonly number[];
  readonly universeSize: number;
}

export class Space {
  readonly facts: SpaceFacts;
  readonly #keys = new Map<string, string>();
  readonly #names = new Map<string, string>();
  readonly #nodeAttributes = new Map<string, string>();
  readonly #attributeWaiters = new Map<string, ((value: string) => void)[]>();
  readonly #waiting = new Map<number, () => void>();
  #bytes = 0;

  constructor(facts: SpaceFacts) {
    this.facts = facts;
    const mapping = processMapping(facts.nodeOf);
    // Without it MPICH compares host names, which says the same at greater cost.
    if (mapping.length < MAX_VALUE) this.#keys.set(MAPPING_KEY, mapping);
  }

  get size(): number {
    return this.facts.nodeOf.length;
  }

  get mapping(): string | undefined {
    return this.#keys.get(MAPPING_KEY);
  }

  /** False when there is no room. A key that is put again has its new value. */
  put(key: string, value: string): boolean {
    return this.#store(this.#keys, key, value);
  }

  get(key: string): string | undefined {
    return this.#keys.get(key);
  }

  entryAt(index: number): readonly [key: string, value: string] | undefined {
    return [...this.#keys][index];
  }

  publish(name: string, port: string): boolean {
    return this.#store(this.#names, name, port);
  }

  unpublish(name: string): boolean {
    return this.#names.delete(name);
  }

  lookUp(name: string): string | undefined {
    return this.#names.get(name);
  }

  putNodeAttribute(rank: number, key: string, value: string): boolean {
    const name = this.#attributeName(rank, key);
    if (!this.#store(this.#nodeAttributes, name, value)) return false;
    const waiters = this.#attributeWaiters.get(name) ?? [];
    this.#attributeWaiters.delete(name);
    for (const tell of waiters) tell(value);
    return true;
  }

  getNodeAttribute(rank: number, key: string): string | undefined {
    return this.#nodeAttributes.get(this.#attributeName(rank, key));
  }

  /** Tells the value when somebody on the rank's node has put it. */
  awaitNodeAttribute(rank: number, key: string, tell: (value: string) => void): void {
    const name = this.#attributeName(rank, key);
    this.#attributeWaiters.set(name, [...(this.#attributeWaiters.get(name) ?? []), tell]);
  }

  /** Calls every rank's `release` once all ranks have come. */
  enterBarrier(rank: number, release: () => void): void {
    this.#waiting.set(rank, release);
    if (this.#waiting.size < this.size) return;
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const each of all) each();
  }

  #attributeName(rank: number, key: string): string {
    return `${this.facts.nodeOf[rank]} ${key}`;
  }

  #store(map: Map<string, string>, key: string, value: string): boolean {
    const before = map.get(key);
    const bytes = this.#bytes + key.length + value.length - (before === undefined ? 0 : key.length + before.length);
    if (bytes > MAX_BYTES) return false;
    this.#bytes = bytes;
    map.set(key, value);
    return true;
  }
}
