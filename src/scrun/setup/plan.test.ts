import { describe, expect, test } from "bun:test";
import { networkFileSystemOf, type Host } from "./host.ts";
import { applySettings, planDocker, planPodman, undoSettings, type JsonSetting, type Places } from "./plan.ts";

const HOST: Host = {
  scrun: "/opt/bin/scrun",
  hasSlirp: true,
  hasServiceManager: true,
  hasJournal: true,
  endsWithSession: false,
  networkStore: undefined,
  hasStore: false,
  usesNetwork: false,
};
const PLACES = { config: "/c", isSystem: false, exists: () => false };

/** The files of a plan for podman, read back as TOML. */
function podmanFiles(host: Partial<Host>, places: Places = PLACES): Record<string, unknown> {
  const files = planPodman({ ...HOST, ...host }, places).files;
  return Object.fromEntries(files.map((file) => [file.path, file.kind === "own" ? Bun.TOML.parse(file.text) : file]));
}

describe("podman", () => {
  test("a host with everything needs the runtime only", () => {
    expect(podmanFiles({})).toEqual({
      "/c/containers/containers.conf.d/50-berth.conf": {
        engine: {
          runtime: "scrun",
          runtime_supports_json: expect.arrayContaining(["crun", "runc", "scrun"]),
          runtime_supports_nocgroup: expect.arrayContaining(["crun", "scrun"]),
          runtimes: { scrun: ["/opt/bin/scrun"] },
        },
      },
    });
  });

  test("what a host lacks is gone without", () => {
    const [conf] = Object.values(podmanFiles({ hasSlirp: false, hasServiceManager: false, hasJournal: false }));
    expect(conf).toMatchObject({ containers: { netns: "host" }, engine: { cgroup_manager: "cgroupfs", events_logger: "file" } });
  });

  test("podman's clean-up process finds the runtime, too", () => {
    const paths = Object.keys(podmanFiles({}, { ...PLACES, plainConfig: "/h/.config" }));
    expect(paths).toEqual(["/c/containers/containers.conf.d/50-berth.conf", "/h/.config/containers/containers.conf.d/50-berth.conf"]);
  });

  test("who does not linger is told what becomes of containers", () => {
    for (const plan of [planPodman, planDocker]) {
      expect(plan({ ...HOST, endsWithSession: true }, PLACES).notes.join("\n")).toContain("loginctl enable-linger");
      expect(plan(HOST, PLACES).notes.join("\n")).not.toContain("linger");
    }
  });

  test("a path with quotes stays TOML", () => {
    const [conf] = Object.values(podmanFiles({ scrun: '/opt/a "b" \\c/scrun' }));
    expect(conf).toMatchObject({ engine: { runtimes: { scrun: ['/opt/a "b" \\c/scrun'] } } });
  });

  test("storage.conf only where podman would choose wrongly, and the user has none", () => {
    expect(podmanFiles({ networkStore: "nfs4" })).toHaveProperty(["/c/containers/storage.conf", "storage", "driver"], "vfs");
    expect(Object.keys(podmanFiles({ networkStore: "nfs4", hasStore: true }))).toHaveLength(1);
    expect(Object.keys(podmanFiles({ networkStore: "nfs4" }, { ...PLACES, exists: () => true }))).toHaveLength(1);
  });

  test.each([
    ["/home/u/x", "ext4 / ext4\nhost:/h /home nfs4 rw", "nfs4"],
    ["/home/u/x", "d / ext4 rw\nh /home nfs4 rw\nd /home/u ext4 rw", undefined],
    ["/homes/u", "d / ext4 rw\nh /home nfs4 rw", undefined],
    ["/my home/u", "d / ext4 rw\nh /my\\040home lustre rw", "lustre"],
  ])("%s below mounts %j is on %p", (path, mounts, type) => {
    expect(networkFileSystemOf(path, mounts)).toBe(type);
  });
});

describe("docker", () => {
  const daemon = (host: Partial<Host>, isSystem = false) => {
    const { files } = planDocker({ ...HOST, ...host }, { ...PLACES, isSystem });
    const json = files.find((file) => file.kind === "json");
    const service = files.find(({ path }) => path.endsWith("/50-berth.conf"));
    return {
      value: JSON.parse(applySettings("", json?.settings ?? [], "f").text),
      paths: files.map(({ path }) => path),
      service: service?.kind === "own" ? service.text : "",
    };
  };

  test("the runtime, for containers and for the builder, where a rootless network can be had", () => {
    const { service, ...rest } = daemon({});
    expect(rest).toEqual({
      value: { runtimes: { scrun: { path: "/opt/bin/scrun" } }, "default-runtime": "scrun" },
      paths: ["/c/docker/daemon.json", "/c/docker/berth-build/runc", "/c/systemd/user/docker.service.d/50-berth.conf"],
    });
    expect(service).toContain('\nEnvironment="PATH=/c/docker/berth-build:/usr/local/sbin:');
    expect(service).not.toContain("ROOTLESSKIT");
  });

  test("a service's PATH keeps what is found in the user's, spelt for systemd", () => {
    const { files } = planDocker(HOST, { ...PLACES, path: 'relative:/opt/50%/bin:/a "b"/bin:/usr/bin' });
    const [service] = files.flatMap((file) => (file.kind === "own" && file.path.endsWith(".conf") ? [file.text] : []));
    expect(service).toContain('PATH=/c/docker/berth-build:/opt/50%%/bin:/a \\"b\\"/bin:/usr/bin:/usr/local/sbin:');
  });

  test("on a cluster builds stay here", () => {
    expect(daemon({ usesNetwork: true }).paths).not.toContain("/c/docker/berth-build/runc");
    expect(daemon({ usesNetwork: true }).service).not.toContain("PATH=");
    expect(daemon({ usesNetwork: true }, true).paths).toEqual(["/c/docker/daemon.json"]);
  });

  test.each([[{ hasSlirp: false }], [{ usesNetwork: true }]])("the host's network with %j", (host) => {
    const { value, service } = daemon(host);
    expect(value).toMatchObject({ bridge: "none", iptables: false });
    expect(service).toContain('"DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS=--net=host"');
  });

  test("root's daemon keeps its network", () => {
    const { value, paths, service } = daemon({ hasSlirp: false }, true);
    expect(value).not.toHaveProperty("bridge");
    expect(paths).toContain("/c/systemd/system/docker.service.d/50-berth.conf");
    expect(service).not.toContain("ROOTLESSKIT");
  });
});

describe("settings in a JSON file", () => {
  const settings: JsonSetting[] = [
    { keys: ["runtimes", "scrun"], value: { path: "/s" }, why: "" },
    { keys: ["default-runtime"], value: "scrun", why: "" },
    { keys: ["bridge"], value: "none", why: "", yields: true },
  ];
  const before = '{\n\t"debug": true,\n\t"bridge": "br0",\n\t"default-runtime": "kata",\n\t"runtimes": {"kata": {"path": "/k"}}\n}\n';

  test("join what is there, which keeps its order, indentation and own choices", () => {
    const { text } = applySettings(before, settings, "f");
    expect(JSON.parse(text)).toEqual({
      debug: true,
      bridge: "br0",
      "default-runtime": "scrun",
      runtimes: { kata: { path: "/k" }, scrun: { path: "/s" } },
    });
    expect(text).toStartWith('{\n\t"debug": true,\n\t"bridge"');
    expect(applySettings(text, settings, "f")).toEqual({ text, replaced: [] });
  });

  test("are taken back one by one; what was changed since stays", () => {
    const { text, replaced } = applySettings(before, settings, "f");
    const later = text.replace('"debug": true', '"debug": false');
    expect(JSON.parse(undoSettings(later, replaced, "f"))).toEqual({ ...JSON.parse(before), debug: false });
    const own = text.replace('"default-runtime": "scrun"', '"default-runtime": "runc"');
    expect(JSON.parse(undoSettings(own, replaced, "f"))).toHaveProperty("default-runtime", "runc");
  });

  test.each(["[]", "{", '{"runtimes": 3}'])("%s is refused", (text) => {
    expect(() => applySettings(text, settings, "/d.json")).toThrow("Cannot change /d.json");
  });
});
