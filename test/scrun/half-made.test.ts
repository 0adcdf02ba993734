// The anchor or the runtime is killed while a container is being made: nothing of it stays behind, whoever of the two goes first.
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { launcherFor } from "#scrun/launcher/launcher.ts";
import { canRunContainers, Site } from "../e2e/site.ts";

const LONG_MS = 60_000;
let site: Site;
beforeEach(() => {
  site = new Site();
});
afterEach(() => site[Symbol.asyncDispose](), LONG_MS);

function scrun(...words: string[]): number {
  const options = {
    env: site.env,
    cwd: site.bundle,
    stdio: ["ignore", "ignore", "ignore"] as ["ignore", "ignore", "ignore"],
    timeout: 30_000,
  };
  return Bun.spawnSync([join(site.dir, "bin/scrun"), ...words], options).exitCode;
}

describe.skipIf(!canRunContainers)("a create of the runtime", () => {
  const runc = Bun.which("runc", { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` });
  test.each([
    ["that is killed when it has made the container", `${runc} "$@"; kill -9 $$`],
    ["that is killed then with the anchor", `${runc} "$@"; kill -9 $PPID $$`],
    ["that outlives the anchor", `kill -9 $PPID; sleep 0.3; exec ${runc} "$@"`],
  ])(
    "%s leaves nothing",
    async (_how, instead) => {
      writeFileSync(join(site.dir, "bin/scrun"), launcherFor(join(site.dir, "bin/berth")), { mode: 0o755 });
      writeFileSync(join(site.dir, "bin/crun"), "#!/bin/sh\nexit 1\n", { mode: 0o755 });
      const isCreate = 'case " $* " in *" create "*" half-made ") true ;; *) false ;; esac';
      const wrapped = join(site.dir, "wrapped");
      const script = `#!/bin/sh\nif ${isCreate}; then : >${wrapped}; ${instead}; fi\nexec ${runc} "$@"\n`;
      writeFileSync(join(site.dir, "bin/runc"), script, { mode: 0o755 });
      const config = JSON.parse(readFileSync(join(site.bundle, "config.json"), "utf8"));
      Object.assign(config.process, { terminal: false, args: ["/bin/sleep", "1000"] });
      writeFileSync(join(site.bundle, "config.json"), JSON.stringify(config));
      await site.run(["berth", "daemon", "start"]);
      if (scrun("create", "half-made") === 0) expect(scrun("start", "half-made")).not.toBe(0);
      expect(scrun("delete", "--force", "half-made")).toBe(0);
      expect(existsSync(wrapped)).toBe(true);
      expect(existsSync(join(site.dir, "run/scrun/half-made"))).toBe(false);
      expect(await site.leftovers()).toEqual([]);
    },
    LONG_MS,
  );
});
