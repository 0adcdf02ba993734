// Networks that podman makes for an ordinary user: user-mode networking with published ports, bridges, another container's; and podman-compose, which wants
// a bridge for every project. They take /dev/net/tun, which the site's mount namespace has for everybody.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, writeFileSync } from "node:fs";
import { until } from "../e2e/site.ts";
import { havePeers } from "../peers.ts";
import { IMAGE, PodmanSite } from "./podman.ts";
import { ordinaryUser } from "./user-site.ts";

const CONF = "NodeName=n1 CPUs=16 RealMemory=16000\nPartitionName=debug Nodes=ALL Default=YES\nKillWait=2\n";
const serve = (text: string) => `echo ${text} > /tmp/index.html; trap 'exit 0' TERM; httpd -p 80 -h /tmp; while :; do sleep 0.05; done`;

const canMakeNetworks = existsSync("/usr/lib/cni/bridge");
if (!canMakeNetworks) console.error("skipping the tests of podman's networks: no CNI plugins");

describe.skipIf(
  ordinaryUser === undefined ||
    !canMakeNetworks ||
    !havePeers("podman", "conmon", "newuidmap", "crun", "busybox", "slirp4netns", "iptables"),
)("networks of rootless podman through scrun", () => {
  let site: PodmanSite;
  beforeAll(async () => {
    site = await PodmanSite.open({ user: ordinaryUser, conf: CONF });
  }, 120_000);
  afterAll(() => site?.[Symbol.asyncDispose](), 60_000);
  afterEach(async () => {
    await site.podman(["rm", "-f", "-a", "-t", "0"]);
    await site.podman(["network", "rm", "-f", "bridged"]);
  }, 60_000);

  const inside = (args: readonly string[], script: string) => site.podman(["run", "--rm", ...args, IMAGE, "sh", "-c", script]);
  const start = async (name: string, ...options: readonly string[]) => {
    const started = await site.podman(["run", "-d", "--name", name, ...options, IMAGE, "sh", "-c", serve(name)]);
    expect(started).toMatchObject({ status: 0, stderr: "" });
  };
  /** From outside, by the published port. */
  const fetchOf = async (name: string) => {
    const { stdout } = await site.podman(["port", name, "80/tcp"]);
    return await until("an answer", async () => {
      try {
        return await (await fetch(`http://${stdout.trim()}/index.html`, { signal: AbortSignal.timeout(2000) })).text();
      } catch {
        return undefined; // not up yet
      }
    });
  };

  test("user-mode networking, with a published port; another container joins it", async () => {
    await start("web", "--network=slirp4netns", "-p", "127.0.0.1::80");
    expect(await fetchOf("web")).toBe("web\n");
    expect(await inside(["--network=slirp4netns"], "ls /sys/class/net")).toMatchObject({ status: 0, stdout: "lo\ntap0\n" });
    expect(await inside(["--network=container:web"], "wget -q -O - http://127.0.0.1/index.html")).toMatchObject({
      status: 0,
      stdout: "web\n",
    });
  });

  test("a bridge of its own name: containers reach each other, and the port is published", async () => {
    expect((await site.podman(["network", "create", "bridged"])).status).toBe(0);
    await start("one", "--network=bridged", "-p", "127.0.0.1::80");
    expect(await fetchOf("one")).toBe("one\n");
    const { stdout: address } = await site.podman(["inspect", "one", "--format", "{{.NetworkSettings.Networks.bridged.IPAddress}}"]);
    const told = await inside(["--network=bridged"], `echo $SLURM_STEP_ID; wget -q -O - http://${address.trim()}/index.html`);
    expect(told).toMatchObject({ status: 0, stdout: "0\none\n" });
    // The network goes with its containers.
    expect(await site.podman(["rm", "-f", "-t", "0", "one"])).toMatchObject({ status: 0, stderr: "" });
    expect((await site.run(["squeue", "-h"])).stdout).toBe("");
  });

  test.skipIf(!havePeers("podman-compose"))(
    "podman-compose: services are jobs on a bridge of their project, with their deploy limits",
    async () => {
      const wrapper = site.path("podman");
      writeFileSync(wrapper, `#!/bin/sh\nexec /usr/bin/podman --runtime ${site.dir}/bin/scrun "$@"\n`, { mode: 0o755 });
      const file = site.path("compose.yaml");
      const one = { image: `localhost/${IMAGE}`, command: ["sh", "-c", serve("one")], ports: ["127.0.0.1::80"] };
      const deploy = { resources: { limits: { cpus: "2.5", memory: "96m" } } };
      const two = { ...one, command: ["sh", "-c", serve("two")], environment: { SCRUN_TIMELIMIT: "9" }, depends_on: ["one"], deploy };
      writeFileSync(file, JSON.stringify({ version: "3.8", services: { one, two } }));
      const compose = (...args: readonly string[]) =>
        site.run(["/usr/bin/podman-compose", "--podman-path", wrapper, "-p", "site", "-f", file, ...args], {
          env: { CONTAINERS_CONF: `${site.dir}/containers.conf`, USER: site.userName, LOGNAME: site.userName },
          timeoutMs: 60_000,
        });
      expect(await compose("up", "-d")).toMatchObject({ status: 0 });
      const jobs = await site.run(["squeue", "-h", "-S", "j", "-o", "%j %T %l %C %m"]);
      expect(jobs.stdout).toBe("site_one_1 RUNNING UNLIMITED 1 0\nsite_two_1 RUNNING 9:00 3 96M\n");
      expect(await fetchOf("site_two_1")).toBe("two\n");
      const own = "ip -4 -o addr show eth0 | wc -l; exit 7";
      // Its own status is 0 whatever the command's was; it tells that one.
      expect((await compose("exec", "-T", "one", "sh", "-c", own)).stdout).toMatch(/^1\n[^]*exit code: 7\n$/);
      expect(await compose("down", "-t", "5")).toMatchObject({ status: 0 });
      expect((await site.run(["squeue", "-h"])).stdout).toBe("");
      await site.podman(["network", "rm", "site_default"]);
    },
  );
});
