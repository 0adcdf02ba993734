// A site's scrun.lua under a real rootless podman: found without podman's help, run in its user namespace, heard by its user.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { havePeers } from "../peers.ts";
import { canRunPodman, IMAGE, PodmanSite } from "./podman.ts";

describe.skipIf(!canRunPodman || !havePeers("lua5.4", "rsync"))("podman through scrun with a scrun.lua", () => {
  let site: PodmanSite;
  beforeAll(async () => {
    site = await PodmanSite.open();
    mkdirSync(join(site.dir, "home/.config/berth"), { recursive: true });
    mkdirSync(site.path("shared"));
  }, 120_000);
  afterAll(() => site?.[Symbol.asyncDispose](), 60_000);
  afterEach(async () => void (await site.podman(["rm", "-f", "-a", "-t", "0"])), 60_000);

  const write = (text: string) => writeFileSync(join(site.dir, "home/.config/berth/scrun.lua"), text);

  test("the container runs in the copy that the script has made, and podman has what it wrote", async () => {
    write(`
      local shared = "${site.path("shared")}"
      local function read(path) local file = assert(io.open(path)) local text = file:read("a") file:close() return text end
      local function save(path, text) local file = assert(io.open(path, "w")) file:write(text) file:close() end

      function slurm_scrun_stage_in(id, bundle, spool, config_file, job_id, user_id, group_id, job_env)
        local config = slurm.from_json(read(config_file))
        local copy = shared .. "/" .. id
        if not os.execute("mkdir -p " .. copy .. " && rsync -a --numeric-ids " .. config.root.path .. "/ " .. copy .. "/rootfs/") then
          return slurm.ERROR
        end
        local original = slurm.set_bundle_path(copy)
        slurm.set_root_path(copy .. "/rootfs")
        config.root.path = copy .. "/rootfs"
        table.insert(config.process.env, "STAGED_FROM=" .. original)
        table.insert(config.process.env, "NODE=" .. select(2, slurm.remote_command("id -u")):gsub("\\n", ""))
        table.insert(config.process.env, "HERE=" .. select(2, slurm.allocator_command("id -u")):gsub("\\n", ""))
        -- As for a node, where the user has his own id.
        local _, name = slurm.allocator_command(string.format("id -un %d", user_id))
        table.insert(config.process.env, "NAME=" .. name:gsub("\\n", ""))
        table.insert(config.linux.namespaces, { type = "user" })
        config.linux.uidMappings = { { containerID = 0, hostID = math.floor(user_id), size = 1 } }
        config.linux.gidMappings = { { containerID = 0, hostID = math.floor(group_id), size = 1 } }
        config.linux.cgroupsPath = nil
        local mounts = {}
        for _, mount in ipairs(config.mounts) do
          local kept = {}
          for _, option in ipairs(mount.options or {}) do if not option:match("^[gu]id=") then kept[#kept + 1] = option end end
          mount.options = kept
          if mount.type == "bind" and not mount.source:match("^/sys") then
            slurm.allocator_command("rsync -a " .. mount.source .. " " .. copy .. "/rootfs" .. mount.destination)
          else
            mounts[#mounts + 1] = mount
          end
        end
        config.mounts = mounts
        save(copy .. "/config.json", slurm.to_json(config))
        return slurm.SUCCESS
      end

      function slurm_scrun_stage_out(id, bundle, orig_bundle, root, orig_root)
        local status, output = slurm.allocator_command("rsync -a --numeric-ids --delete " .. root .. "/ " .. orig_root .. "/ && rm -rf " .. bundle)
        if status ~= 0 then slurm.log_error("%s", output) end
        return status
      end`);
    const outcome = await site.podman([
      "run",
      "--name",
      "c",
      IMAGE,
      "sh",
      "-c",
      "echo $STAGED_FROM; echo $NODE $HERE $NAME | tee /tmp/made; exit 3",
    ]);
    expect(outcome).toMatchObject({ status: 3, stderr: "" });
    // The user's own id in a step of the job, root in podman's namespace.
    const [bundle, ids] = outcome.stdout.split("\n");
    expect(bundle).toMatch(/\/userdata$/);
    expect(ids).toBe(`${process.getuid?.()} 0 ${userInfo().username}`);
    // Not `podman diff`: it takes "c" for an image whose id begins with it, if there is one.
    expect((await site.podman(["container", "diff", "c"])).stdout).toContain("A /tmp/made");
    expect((await site.podman(["cp", "c:/tmp/made", site.path("made")])).status).toBe(0);
    expect(await site.run(["/bin/cat", site.path("made")])).toMatchObject({ stdout: `${ids}\n` });
    expect(readdirSync(site.path("shared"))).toEqual([]);
    expect(await site.job("c")).toBe("FAILED 3:0");
    const onTerminal = await site.podmanOnTerminal(["run", "--rm", "-t", IMAGE, "sh", "-c", "test -t 1 && echo $HERE; exit 4"]);
    expect({ status: onTerminal.status, stdout: onTerminal.stdout.trim() }).toEqual({ status: 4, stdout: "0" });
    expect(readdirSync(site.path("shared"))).toEqual([]);
  }, 120_000);

  test("what is wrong with a script is podman's own error message", async () => {
    write("function slurm_scrun_stage_in() return nil.x end");
    const unusable = await site.podman(["run", "--rm", IMAGE, "true"]);
    expect(unusable.status).toBe(126);
    expect(unusable.stderr).toMatch(/home\/\.config\/berth\/scrun\.lua:1: /);
    write("function slurm_scrun_stage_in(id)\n slurm.log_info('came')\n local t = id.x.y\nend\nfunction slurm_scrun_stage_out() end");
    const failing = await site.podman(["run", "--rm", IMAGE, "true"]);
    expect(failing.status).toBe(126);
    expect(failing.stderr).toMatch(/slurm_scrun_stage_in failed: .*scrun\.lua:3: attempt to index a nil value/);
    expect((await site.podman(["ps", "-aq"])).stdout).toBe("");
    expect((await site.run(["squeue", "-h"])).stdout).toBe("");
  }, 120_000);
});
