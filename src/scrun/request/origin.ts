/**
 * Which image a bundle was made of, and what the user calls the container. config.json does not say; the engine's own store beside the
 * bundle does. Only a name for show commands: whatever is not as expected is left out.
 */
import { dirname, join } from "node:path";
import { isObject } from "#container/json.ts";
import { readRegularText } from "#container/regular-text.ts";
import type { BundleConfig } from "../config.ts";

export interface Origin {
  readonly name?: string;
  readonly image?: string;
}

const MAX_BYTES = 32 << 20;

export function findOrigin(facts: { readonly bundle: string; readonly id: string; readonly config: BundleConfig }): Origin {
  return podmanOrigin(facts.bundle, facts.id) ?? dockerOrigin(facts.config, facts.id) ?? builderOrigin(facts.config) ?? {};
}

/** A step of `docker build`: BuildKit gives all of them this host name, and says nothing else. */
function builderOrigin({ config }: BundleConfig): Origin | undefined {
  return config.get("hostname") === "buildkitsandbox" ? { name: "docker-build" } : undefined;
}

/**
 * `STORE/overlay-containers/ID/userdata` is the bundle, `STORE/overlay-containers/containers.json` the list (containers-storage.conf(5)), and
 * newer podmans keep those of `--rm` in a list of their own.
 */
function podmanOrigin(bundle: string, id: string): Origin | undefined {
  if (!bundle.endsWith(`/${id}/userdata`)) return undefined;
  const store = dirname(dirname(bundle));
  const lists = ["containers.json", "volatile-containers.json"].map((name) => readJson(join(store, name)));
  for (const entry of lists.flatMap((list): unknown[] => (Array.isArray(list) ? list : []))) {
    if (!isRecord(entry) || entry["id"] !== id) continue;
    const metadata = typeof entry["metadata"] === "string" ? parse(entry["metadata"]) : undefined;
    const image = isRecord(metadata) ? metadata["image-name"] : undefined;
    const names = entry["names"];
    const name = Array.isArray(names) ? (names as unknown[])[0] : undefined;
    return origin(name, image);
  }
  return undefined;
}

/** Docker binds `ROOT/containers/ID/resolv.conf` into each container, or that of another one whose network it shares; `config.v2.json` is beside its own. */
function dockerOrigin(config: BundleConfig, id: string): Origin | undefined {
  const mounts = config.config.get("mounts");
  if (!Array.isArray(mounts)) return undefined;
  for (const mount of mounts) {
    const source = isObject(mount) ? mount.get("source") : undefined;
    const [, containers] =
      typeof source === "string" ? (/^(.*\/containers\/)[0-9a-f]{64}\/(?:resolv\.conf|hostname|hosts)$/.exec(source) ?? []) : [];
    if (containers === undefined) continue;
    const found = readJson(join(containers, id, "config.v2.json"));
    if (!isRecord(found)) return undefined;
    const { Name: name, Config: inner } = found;
    return origin(typeof name === "string" ? name.replace(/^\//, "") : undefined, isRecord(inner) ? inner["Image"] : undefined);
  }
  return undefined;
}

function origin(name: unknown, image: unknown): Origin {
  return {
    ...(typeof name === "string" && name !== "" ? { name } : {}),
    ...(typeof image === "string" && image !== "" ? { image } : {}),
  };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readJson(path: string): unknown {
  try {
    return parse(readRegularText(path, MAX_BYTES)); // its path is a bundle's, and the bundle may be anybody's
  } catch {
    return undefined;
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
