// A site's scrun.lua under a real rootless docker: the container runs in the copy that the script has made, and docker has what it wrote.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { havePeers } from "../peers.ts";
import { canRunDocker, DockerSite, IMAGE } from "./docker.ts";

describe.skipIf(!canRunDocker || !havePeers("lua5.4"))("docker through scrun with a scrun.lua", () => {
  let site: DockerSite;
  beforeAll(async () => {
    site = await DockerSite.open();
    mkdirSync(site.path("shared"));
    chmodSync(site.path("shared"), 0o777);
  }, 120_000);
  afterAll(() => site?.[Symbol.asyncDispose](), 60_000);

  const write = (text: string) => writeFileSync(join(site.dir, "config/berth/scrun.lua"), text);

  test("staged in and out, in the foreground and detached", async () => {
    write(`
      local shared = "${site.path("shared")}"
      local function read(path) local file = assert(io.open(path)) local text = file:read("a") file:close() return text end
      function slurm_scrun_stage_in(id, bundle, spool, config_file, job_id)
        local config = slurm.from_json(read(config_file))
        local copy = shared .. "/" .. id
        if not os.execute("mkdir -p " .. copy .. " && cp -a " .. config.root.path .. " " .. copy .. "/rootfs") then return slurm.ERROR end
        config.root.path = copy .. "/rootfs"
        table.insert(config.process.env, "STAGED_FOR=" .. math.floor(job_id))
        local file = assert(io.open(copy .. "/config.json", "w"))
        file:write(slurm.to_json(config))
        file:close()
        slurm.set_bundle_path(copy)
        slurm.set_root_path(copy .. "/rootfs")
        return slurm.SUCCESS
      end
      function slurm_scrun_stage_out(id, bundle, orig_bundle, root, orig_root)
        return slurm.allocator_command("cp -a " .. root .. "/. " .. orig_root .. "/ && rm -rf " .. bundle)
      end`);
    const script = "[ $STAGED_FOR = $SLURM_JOB_ID ] && echo made > /made; exit 3";
    expect(await site.dockerRun(["--name", "staged", IMAGE, "sh", "-c", script])).toMatchObject({ status: 3, stderr: "" });
    expect((await site.docker(["diff", "staged"])).stdout).toContain("A /made");
    expect(readdirSync(site.path("shared"))).toEqual([]);
    expect(await site.job("staged")).toBe("FAILED 3:0");
    expect(await site.dockerRun(["-d", "--name", "detached", IMAGE, "sh", "-c", script])).toMatchObject({ status: 0 });
    expect(await site.docker(["wait", "detached"])).toMatchObject({ status: 0, stdout: "3\n" });
    expect((await site.docker(["diff", "detached"])).stdout).toContain("A /made");
    expect(readdirSync(site.path("shared"))).toEqual([]);
  }, 120_000);

  test("what is wrong with a script is docker's own error message", async () => {
    write("function slurm_scrun_stage_in(id)\n local t = id.x.y\nend\nfunction slurm_scrun_stage_out() end");
    const failing = await site.dockerRun(["--rm", IMAGE, "true"]);
    expect(failing.status).toBe(125);
    expect(failing.stderr).toMatch(/slurm_scrun_stage_in failed: .*scrun\.lua:2: attempt to index a nil value/);
    expect((await site.run(["squeue", "-h"])).stdout).toBe("");
  }, 120_000);
});
