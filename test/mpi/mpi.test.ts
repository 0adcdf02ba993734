// MPI for real: MPICH and Open MPI as Debian has them, started by srun and by their own mpirun.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { haveMpich, haveOpenMpi, haveRuntime, hello, MpiSite, ring, sorted } from "./site.ts";

const CANCELLED = /slurmstepd: error: \*\*\* STEP \d+\.0 ON v1 CANCELLED AT /;

describe.skipIf(!haveMpich)("MPICH under --mpi=pmi2", () => {
  let site: MpiSite;
  beforeAll(() => {
    site = new MpiSite();
    site.compile("mpich");
  });
  afterAll(() => site[Symbol.asyncDispose]());
  const srun = (...argv: readonly string[]) => site.run(["srun", "--mpi=pmi2", ...argv]);

  test("ranks on one node share memory", async () => {
    const { code, stdout } = await srun("-n4", "./hello_c");
    expect({ code, stdout: sorted(stdout) }).toEqual({ code: 0, stdout: hello([4, 4, 4, 4]) });
  });

  test("a ring over four nodes", async () => {
    const { code, stdout } = await srun("-N4", "-n4", "./ring_c");
    expect({ code, stdout: sorted(stdout) }).toEqual({ code: 0, stdout: ring(4) });
  });

  test("nodes that take turns, one with a single CPU", async () => {
    const { code, stdout } = await srun("-N2", "-n5", "-m", "cyclic", "./hello_c");
    expect({ code, stdout: sorted(stdout) }).toEqual({ code: 0, stdout: hello([4, 1, 4, 4, 4]) });
  });

  test("MPI_Abort ends the step", async () => {
    const { code, stderr } = await srun("-n4", "./hello_c", "abort");
    expect(stderr).toContain("application called MPI_Abort(MPI_COMM_WORLD, 7)");
    expect(stderr).toMatch(CANCELLED);
    expect(code).toBe(137); // as with Slurm: the others were killed
  });

  test("who leaves without MPI_Finalize ends the step only with -K", async () => {
    const { code, stderr } = await srun("-K", "-n2", "./hello_c", "leave");
    expect(stderr).toContain("task 1: Exited with exit code 3");
    expect(code).toBe(143);
  });

  test("an exit status after MPI_Finalize is a task's own", async () => {
    const { code, stderr } = await srun("-n2", "./hello_c", "late");
    expect({ code, stderr }).toEqual({ code: 5, stderr: "srun: error: v1: task 1: Exited with exit code 5\n" });
  });

  test("MPI_Comm_spawn fails, and says where", async () => {
    const { code, stderr } = await srun("-n2", "./hello_c", "spawn");
    expect(stderr).toContain("Error in spawn call");
    expect(code).not.toBe(0);
  });

  // Debian's UCX finds the host's shared memory by itself. Over TCP on one host it hangs now and then in MPI_Finalize, under
  // MPICH's own mpirun as well, so that containers that share nothing are Open MPI's test.
  test.skipIf(!haveRuntime)("in containers, each a node of its own to MPI", async () => {
    const bundle = site.makeBundle({ programs: site.dir, isApart: false });
    const { code, stdout, stderr } = await srun("-N2", "-n3", "--container", bundle, "hello_c");
    expect({ code, stdout: sorted(stdout), stderr }).toMatchObject({ code: 0, stdout: hello([1, 1, 1]) });
  });

  test("the kind comes from SLURM_MPI_TYPE, else from MpiDefault; none is alone", async () => {
    const alone = await site.run(["srun", "-n2", "./hello_c"]);
    expect(alone.stdout).toBe(hello([1]).repeat(2));
    const { stdout } = await site.run(["srun", "-n2", "./hello_c"], { SLURM_MPI_TYPE: "pmi2" });
    expect(sorted(stdout)).toBe(hello([2, 2]));
    await using other = new MpiSite();
    other.configure("MpiDefault=pmi2\n");
    const byDefault = await other.run(["srun", "-n2", join(site.dir, "hello_c")]);
    expect(sorted(byDefault.stdout)).toBe(hello([2, 2]));
    const none = await other.run(["srun", "--mpi=none", "-n2", join(site.dir, "hello_c")]);
    expect(none.stdout).toBe(hello([1]).repeat(2));
  });

  test("a kind that there is not", async () => {
    const { code, stderr } = await site.run(["srun", "--mpi=bogus", "true"]);
    expect(stderr).toBe(
      "srun: error: Couldn't find the specified plugin name for mpi/bogus looking at all files\n" +
        "srun: error: cannot find mpi plugin for mpi/bogus\n" +
        "srun: error: MPI: Cannot create context for mpi/bogus\n" +
        "srun: error: MPI: Unable to load any plugin\n" +
        "srun: error: Invalid MPI type 'bogus', --mpi=list for acceptable types\n",
    );
    expect(code).toBe(1);
  });
});

describe.skipIf(!haveOpenMpi)("Open MPI", () => {
  let site: MpiSite;
  beforeAll(() => {
    site = new MpiSite();
    site.compile("openmpi");
  });
  afterAll(() => site[Symbol.asyncDispose]());
  // Ranks that are killed leave their shared memory behind: it goes with the site.
  const srun = (...argv: readonly string[]) =>
    site.run(["srun", "--mpi=pmix", ...argv], { OMPI_MCA_btl_vader_backing_directory: site.dir });

  test("--mpi=list", async () => {
    const { code, stdout } = await site.run(["srun", "--mpi=list"]);
    const wanted = "MPI plugin types are...\n\tpmix\n\tnone\n\tpmi2\nspecific pmix plugin versions available: pmix_v4\n";
    expect({ code, stdout }).toEqual({ code: 0, stdout: wanted });
  });

  test("under --mpi=pmix, over virtual nodes, which are one host", async () => {
    const { code, stdout } = await srun("-N2", "-n4", "./hello_c");
    expect({ code, stdout: sorted(stdout) }).toEqual({ code: 0, stdout: hello([4, 4, 4, 4]) });
  });

  test("MPI_Abort ends the step", async () => {
    const { code, stderr } = await srun("-n3", "./hello_c", "abort");
    expect(stderr).toContain("MPI_ABORT was invoked on rank 1");
    expect(stderr).toMatch(CANCELLED);
    expect(code).toBe(137);
  });

  test("who leaves without MPI_Finalize ends the step", async () => {
    const { code, stderr } = await srun("-n3", "./hello_c", "leave");
    expect(stderr).toMatch(CANCELLED);
    expect(stderr).toContain("task 1: Exited with exit code 3");
    expect(code).toBe(137);
  });

  test("an exit status after MPI_Finalize is a task's own, and nothing is left", async () => {
    const { code, stderr } = await srun("-n2", "./hello_c", "late");
    expect({ code, stderr }).toEqual({ code: 5, stderr: "srun: error: v1: task 1: Exited with exit code 5\n" });
    expect(readdirSync(join(site.dir, "run/berth/steps"))).toEqual([]);
  });

  test.skipIf(!haveRuntime)("hello_c and ring_c in containers", async () => {
    const bundle = site.makeBundle({ programs: site.dir, isApart: true });
    const said = await srun("-n3", "--container", bundle, "hello_c");
    expect({ code: said.code, stdout: sorted(said.stdout) }).toEqual({ code: 0, stdout: hello([1, 1, 1]) });
    const went = await srun("-N2", "-n2", "--container", bundle, "ring_c");
    expect({ code: went.code, stdout: sorted(went.stdout) }).toEqual({ code: 0, stdout: ring(2) });
  });

  test("mpirun inside salloc, on one node and on several with two ranks each", async () => {
    for (const [nodes, sharing] of [
      [
        ["-N1", "-n2"],
        [2, 2],
      ],
      [
        ["-N2", "--ntasks-per-node=2"],
        [2, 2, 2, 2],
      ],
    ] as const) {
      const { code, stdout, stderr } = await site.run(["salloc", ...nodes, "mpirun.openmpi", "./hello_c"]);
      expect({ code, stdout: sorted(stdout), stderr }).toMatchObject({ code: 0, stdout: hello(sharing) });
    }
  });

  test("mpirun inside sbatch, and its exit status", async () => {
    const script = "mpirun.openmpi ./hello_c abort 2>err; echo status $?";
    const { code } = await site.run(["sbatch", "-W", "-N2", "-n2", "-o", "out", "--wrap", script]);
    expect({ code, out: (await Bun.file(join(site.dir, "out")).text()).trim().split("\n").at(-1) }).toEqual({ code: 0, out: "status 7" });
  });
});
