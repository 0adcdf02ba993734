// Runtimes are killed, too: while they run a container, and while they delete one. No record of a container stays behind.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { accounted, canRunContainers, kill, processesOf, Site, until } from "../e2e/site.ts";

const LONG_MS = 60_000;

let site: Site;
beforeEach(() => {
  site = new Site();
});
afterEach(() => site[Symbol.asyncDispose](), LONG_MS);

/** A runc that is killed at its first delete. */
function wrapRunc(): void {
  const runc = Bun.which("runc", { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` });
  const isWanted = `case " $* " in *" delete "*n1.*) [ ! -e "${site.dir}/wrapped" ] ;; *) false ;; esac`;
  const script = `#!/bin/sh\nif ${isWanted}; then : >"${site.dir}/wrapped"; kill -9 $$; fi\nexec ${runc} "$@"\n`;
  writeFileSync(join(site.dir, "bin/runc"), script, { mode: 0o755 });
  writeFileSync(join(site.dir, "bin/crun"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
}

describe.skipIf(!canRunContainers)("kill -9 of a runtime", () => {
  test(
    "while it deletes one: it is deleted all the same",
    async () => {
      // The run is killed behind its container's back, so that there is something to delete.
      wrapRunc();
      const command = site.start(["srun", "--container", site.bundle, "sh", "-c", "echo up; sleep 1000"]);
      await until("the container", () => command.stdoutSoFar === "up\n");
      kill(await site.task(1, 0));
      expect((await command.outcome).status).toBe(137);
      expect(existsSync(join(site.dir, "wrapped")), "a delete has been killed").toBe(true);
      expect(await site.leftovers()).toEqual([]);
    },
    LONG_MS,
  );

  test(
    "and of its container and the step daemon, before anything was written down of them, in a step that is cancelled",
    async () => {
      const command = site.start(["srun", "--container", site.bundle, "sh", "-c", "echo up; sleep 1000"]);
      await until("the container", () => command.stdoutSoFar === "up\n");
      const controller = (await site.status())?.pid ?? 0;
      const [daemon, runtime] = [await site.stepDaemon(1, 0), await site.task(1, 0)];
      const inside = processesOf(site.dir).filter(({ command: line }) => line.startsWith("sh -c echo up") || line.startsWith("sleep 1000"));
      process.kill(controller, "SIGSTOP");
      for (const pid of [daemon, runtime, ...inside.map((found) => found.pid)]) kill(pid);
      const journal = join(site.spool(1, 0), "journal");
      const lines = readFileSync(journal, "utf8")
        .split("\n")
        .filter((line) => line !== "" && !line.includes('"started"'));
      writeFileSync(journal, `${[...lines, '{"kind":"terminating","reason":"cancelled"}'].join("\n")}\n`);
      process.kill(controller, "SIGCONT");
      await command.outcome;
      // It holds the task's streams open, and is not taken for the task.
      expect((await site.status())?.pid).toBe(controller);
      await using engine = await site.engine();
      await engine.waitForEnd(1, { signal: AbortSignal.timeout(20_000) });
      expect((await accounted(engine)).get(1)?.endedAt).not.toBeNull();
      expect(await site.leftovers()).toEqual([]);
    },
    LONG_MS,
  );

  for (const isGone of [false, true])
    test(
      `and of all of its step${isGone ? ", whose bundle is taken away" : " that is cancelled before another daemon has it"}`,
      async () => {
        const id = await site.sbatch("#!/bin/sh\necho up; exec sleep 1000\n", "--container", site.bundle);
        await site.written(`slurm-${id}.out`, "up");
        const daemon = await site.stepDaemon(id, "batch");
        const spares = processesOf(site.dir).flatMap(({ pid, command }) =>
          command.startsWith("berth-stepd ") && pid !== daemon ? [pid] : [],
        );
        for (const pid of spares) process.kill(pid, "SIGSTOP");
        const runtime = await site.task(id, "batch");
        for (const pid of [daemon, runtime]) kill(pid);
        if (isGone) renameSync(site.bundle, `${site.bundle}.gone`);
        else await site.run(["scancel", String(id)]);
        for (const pid of spares) process.kill(pid, "SIGCONT");
        await using engine = await site.engine();
        await engine.waitForEnd(id, { signal: AbortSignal.timeout(30_000) });
        expect((await accounted(engine)).get(id)?.state).toBe(isGone ? "NODE_FAIL" : "CANCELLED");
        expect(await site.leftovers()).toEqual([]);
      },
      LONG_MS,
    );
});
