/** `scrun ps`, `events` and `update` at their other end: the runtime of a container that runs on this node is asked. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { printEvents, printProcesses, reasonOf } from "#container/running-container.ts";
import { BerthError } from "#job/errors.ts";
import { shellCode, type ExitStatus } from "#job/outcome.ts";
import { runChild } from "#platform/child.ts";
import { hostKey } from "#platform/host-key.ts";
import type { ContainerQuestion } from "../../remote-containers.ts";
import { findContainer, RUNTIME_ENVIRONMENT, type FoundContainer } from "./exec-in-task.ts";

const UPDATE_MS = 30_000;
const DONE: ExitStatus = { kind: "exited", code: 0 };

/** @param text a ContainerQuestion, as JSON. @throws BerthError */
export async function askContainer(step: string, text: string, print: (line: string) => void): Promise<ExitStatus> {
  const question = JSON.parse(text) as ContainerQuestion; // our own scrun's
  const found = await findContainer(step);
  const container = { ...found, initPid: () => found.initPid, env: RUNTIME_ENVIRONMENT };
  switch (question.op) {
    case "ps":
      if (question.numbersOf !== null && question.numbersOf !== hostKey())
        throw new BerthError(
          "NOT_SUPPORTED",
          "The container's processes are another host's: their numbers mean nothing where they were asked for",
          {
            hint: "exec ps in the container instead",
          },
        );
      print(await printProcesses(container, question));
      return DONE;
    case "events":
      await printEvents({ ...container, shownId: question.shownId }, question, print);
      return DONE;
    case "update":
      await update(found, question);
      return DONE;
    default:
      throw new Error(`no question ${String(question satisfies never)}`);
  }
}

async function update(
  { path, call, id }: FoundContainer,
  { options, resources }: Extract<ContainerQuestion, { readonly op: "update" }>,
): Promise<void> {
  const file = join(path, `update-${process.pid}.json`);
  if (resources !== null) writeFileSync(file, resources, { mode: 0o600 });
  try {
    const given = resources === null ? options : ["--resources", file, ...options];
    const argv = [...call, "update", ...given, id] as const;
    const ran = await runChild(argv, { env: RUNTIME_ENVIRONMENT, cwd: "/", signal: new AbortController().signal, timeoutMs: UPDATE_MS });
    if (shellCode(ran.status) === 0) return;
    const reason = reasonOf(ran.stderr);
    throw new BerthError(
      "RUNTIME_FAILED",
      `Cannot change the container's limits: ${reason}`,
      /cgroup|controller|open `\w+\.[\w.]+` for writing/i.test(reason) // a file of a controller that the cgroup lacks, in crun's words
        ? { hint: "the container has no cgroup for that on its node; what its job was granted holds" }
        : {},
    );
  } finally {
    rmSync(file, { force: true });
  }
}
