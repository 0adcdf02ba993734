/**
 * Container Device Interface: what a vendor says must happen to a container that gets one of its devices. A later directory
 * overrides an earlier one, device by device; a device that two files of one directory name is nobody's, as the CDI
 * specification has it.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { parseCdiSpec, specError, type CdiSpec, type ContainerEdits } from "./cdi-spec.ts";

/** Where specifications are, in rising priority; BERTH_CDI_DIRS names others, with colons between them. */
export function cdiDirs(env: Readonly<Record<string, string | undefined>> = process.env): readonly string[] {
  const named = (env["BERTH_CDI_DIRS"] ?? "").split(":").filter((dir) => dir.startsWith("/"));
  return named.length > 0 ? named : ["/etc/cdi", "/var/run/cdi"];
}

const MAX_BYTES = 8 << 20;
const MAX_FILES = 256;

export class CdiRegistry {
  /** By qualified name, `vendor/class=device`; null where two files of one directory name it. */
  readonly #devices = new Map<string, { readonly spec: CdiSpec; readonly edits: ContainerEdits } | null>();

  /** Missing directories are empty. @throws BerthError CDI_SPEC for a file that cannot be used */
  constructor(dirs: readonly string[]) {
    for (const dir of dirs) this.#load(dir);
  }

  #load(dir: string): void {
    const here = new Set<string>();
    let names: string[];
    try {
      names = readdirSync(dir).sort();
    } catch {
      return;
    } // not there, or not for us
    for (const name of names.filter((text) => /\.(json|ya?ml)$/.test(text)).slice(0, MAX_FILES)) {
      const file = join(dir, name);
      const stat = statSync(file, { throwIfNoEntry: false });
      if (stat?.isFile() !== true) continue;
      if (stat.size > MAX_BYTES) throw specError(file, `it is larger than ${MAX_BYTES} bytes`);
      const spec = parseCdiSpec(readFileSync(file, "utf8"), file);
      for (const [device, edits] of spec.devices) {
        const qualified = `${spec.kind}=${device}`;
        this.#devices.set(qualified, here.has(qualified) ? null : { spec, edits });
        here.add(qualified);
      }
    }
  }

  get isEmpty(): boolean {
    return this.#devices.size === 0;
  }

  names(): readonly string[] {
    return [...this.#devices.keys()];
  }

  /** What one device, by its qualified name, brings along of its own; undefined when nobody, or more than one, has it. */
  ownEdits(qualified: string): ContainerEdits | undefined {
    return this.#devices.get(qualified)?.edits;
  }

  /**
   * What a container needs that got these devices of a generic resource: `gpu` and [0, 2] are nvidia.com/gpu=0 and =2.
   * Undefined when no vendor has devices of that class.
   * @throws BerthError CDI_DEVICE when one of them is not there, or is ambiguous
   */
  editsFor(gres: string, ids: readonly number[]): ContainerEdits | undefined {
    const [deviceClass = ""] = gres.split(":");
    const kinds = [...new Set(this.names().map((name) => name.split("=")[0] as string))]
      .filter((kind) => kind.split("/")[1] === deviceClass)
      .sort(byVendor);
    const kind = kinds.find((candidate) => ids.every((id) => this.#devices.has(`${candidate}=${id}`))) ?? kinds[0];
    if (kind === undefined) return undefined;
    const found = ids.map((id) => {
      const device = this.#devices.get(`${kind}=${id}`);
      if (device != null) return device;
      const known = this.names()
        .filter((name) => name.startsWith(`${kind}=`))
        .map((name) => name.slice(kind.length + 1));
      const reason = device === null ? "two CDI specifications of one directory name it" : `CDI knows ${known.join(", ")}`;
      throw new BerthError("CDI_DEVICE", `Cannot give device ${kind}=${id}: ${reason}`, {
        hint: "make the specification anew (nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml), or correct Gres= of the node",
      });
    });
    // Each specification's own edits come once, before its devices'.
    return joinEdits([...new Set(found.map(({ spec }) => spec.edits)), ...found.map(({ edits }) => edits)]);
  }
}

const VENDORS = ["nvidia.com", "amd.com", "intel.com"];

function byVendor(a: string, b: string): number {
  const rank = (kind: string) => {
    const at = VENDORS.indexOf(kind.split("/")[0] as string);
    return at === -1 ? VENDORS.length : at;
  };
  return rank(a) - rank(b) || (a < b ? -1 : 1);
}

export function joinEdits(all: readonly ContainerEdits[]): ContainerEdits {
  return {
    env: all.flatMap(({ env }) => env),
    deviceNodes: uniqueBy(
      all.flatMap(({ deviceNodes }) => deviceNodes),
      ({ path }) => path,
    ),
    mounts: uniqueBy(
      all.flatMap(({ mounts }) => mounts),
      ({ containerPath }) => containerPath,
    ),
    hooks: all.flatMap(({ hooks }) => hooks),
    additionalGids: [...new Set(all.flatMap(({ additionalGids }) => additionalGids))],
  };
}

/** The last one counts, at the first one's place. */
function uniqueBy<T>(items: readonly T[], key: (item: T) => string): readonly T[] {
  return [...new Map(items.map((item) => [key(item), item])).values()];
}
