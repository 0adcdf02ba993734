/**
 * Containers in the output of the site's scontrol, squeue and sacct. Slurm's own fields for them would make the site's container
 * support run the job a second time, so the request is in the job's comment, or, where the user has a comment of his own
 * and for steps, in the user's records (accounting/container-records.ts). Here both are shown as what they are.
 */
import { ContainerRecords, type ContainerFacts } from "../accounting/container-records.ts";
import { parseRequestComment } from "./container-request.ts";

export interface Filter {
  /** For the site's command. */
  readonly argv: readonly string[];
  readonly show: (text: string) => string;
}

export interface Subject {
  /** `12`, `12.0`, `12.batch`, with the number that an array's task has of its own. */
  readonly key: string;
  readonly comment?: string;
  /** As Slurm prints it, or epoch seconds. */
  readonly since?: string | number;
}

export class ContainerLookup {
  readonly #env: Readonly<Record<string, string | undefined>>;
  #records: ContainerRecords | undefined;

  constructor(env: Readonly<Record<string, string | undefined>>) {
    this.#env = env;
  }

  find({ key, comment = "", since = 0 }: Subject): ContainerFacts | undefined {
    this.#records ??= new ContainerRecords(this.#env);
    const at = typeof since === "number" ? since * 1000 : new Date(since).getTime();
    const record = this.#records.read(key, Number.isNaN(at) ? 0 : at);
    const request = parseRequestComment(comment);
    if (request === undefined) return record;
    return { container: request.bundle, id: request.containerId, annotations: record?.annotations ?? {} };
  }
}

/** How a command's output is to be changed; undefined when it says nothing of containers. */
export async function filterFor(
  command: "scontrol" | "squeue",
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<Filter | undefined> {
  const lookup = new ContainerLookup(env);
  const json = await jsonFilter(argv, lookup);
  if (json !== undefined) return json;
  switch (command) {
    case "scontrol": {
      const isAsked = argv.some((word) => /^sh/i.test(word)) && argv.some((word) => /^(?:job|step)/i.test(word));
      if (!isAsked) return undefined;
      const { showInScontrol } = await import("./show-in-scontrol.ts");
      return { argv, show: (text) => showInScontrol(text, lookup) };
    }
    case "squeue":
      return (await import("./show-in-squeue.ts")).squeueFilter(argv, lookup);
    default:
      return command satisfies never;
  }
}

/** `--json` of any of them. */
export async function jsonFilter(argv: readonly string[], lookup: ContainerLookup): Promise<Filter | undefined> {
  if (!argv.some((word) => /^--json(?:=|$)/.test(word))) return undefined;
  const { showInJson } = await import("./show-in-json.ts");
  return { argv, show: (text) => showInJson(text, lookup) };
}
