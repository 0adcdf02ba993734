// Real shells complete our commands: keys are typed at a terminal, and what the shell makes of them is read back.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { havePeers } from "../peers.ts";
import { Site, until } from "../e2e/site.ts";

let site: Site;
let jobId: number;
beforeAll(async () => {
  site = new Site({
    conf: "NodeName=n1 CPUs=4 RealMemory=4000\nPartitionName=interactive Nodes=ALL Default=YES\nPartitionName=batch Nodes=ALL\n",
  });
  jobId = await site.sbatch("#!/bin/sh\ntrue\n", "-H", "-J", "sleeper");
  writeFileSync(site.path("my script.sh"), "#!/bin/sh\n");
  writeFileSync(site.path("myscript2.sh"), "#!/bin/sh\n");
  for (const shell of ["bash", "zsh", "fish"]) {
    const { stdout, status } = await site.run(["berth", "completion", shell]);
    expect(status).toBe(0);
    writeFileSync(join(site.dir, `completion.${shell}`), stdout);
  }
});
afterAll(async () => {
  await site[Symbol.asyncDispose]();
});

/** What is typed, up to the Tab, and what must stand on the line then. */
const CASES: readonly (readonly [typed: string, completed: string | (() => string)])[] = [
  ["srun --parti", "srun --partition="],
  ["sbatch --partition=inter", "sbatch --partition=interactive"],
  ["sbatch -p ba", "sbatch -p batch"],
  ["squeue -t RUN", "squeue -t RUNNING"],
  ["squeue --Format=jobarrayid,userna", "squeue --Format=jobarrayid,username"],
  ["sacct --format=jobid,alloccp", "sacct --format=jobid,AllocCPUS"],
  ["scancel ", () => `scancel ${jobId}`],
  ["scontrol requeueh", "scontrol requeuehold"],
  ["scontrol show parti", "scontrol show partition"],
  ["scontrol update jobid=1 TimeL", "scontrol update jobid=1 TimeLimit="],
  ["sbatch mysc", "sbatch myscript2.sh"],
  ["srun -n2 hostna", "srun -n2 hostname"],
  ["berth daem", "berth daemon"],
  ["berth daemon stat", "berth daemon status"],
  ["berth sinfo --resp", "berth sinfo --responding"],
  ["sinfo --noc", "sinfo --noconvert"],
  ["sstat --helpf", "sstat --helpformat"],
  ["sbcast --pres", "sbcast --preserve"],
];

describe("the answer to the scripts", () => {
  const words = async (...line: readonly string[]) =>
    (await site.run(["berth", "completion", "--words", "--", ...line])).stdout.trimEnd().split("\n");

  test("options, values, jobs and files", async () => {
    expect(await words("salloc", "--open")).toEqual(["words"]);
    expect(await words("scancel", "")).toEqual(["words", `${jobId}\tsleeper PENDING`]);
    expect(await words("srun", "-o", "x")).toEqual(["files"]);
    expect(await words("srun", "--output=x")).toEqual(["files --output="]);
    expect(await words("srun", "--container", "")).toEqual(["dirs"]);
    expect(await words("srun", "-n", "2", "")).toEqual(["commands first"]);
    expect(await words("srun", "-n", "2", "ls", "-")).toEqual(["commands"]);
    expect(await words("srun", "--", "-")).toEqual(["commands first"]);
    expect(await words("/usr/bin/squeue", "-o", "")).toEqual(["words"]);
    expect(await words("squeue", "--states=RUNNING,pend")).toEqual(["words", "--states=RUNNING,PENDING"]);
  });

  test("nothing is started by a key that was pressed", async () => {
    await using idle = new Site();
    const { stdout } = await idle.run(["berth", "completion", "--words", "--", "scancel", ""]);
    expect(stdout).toBe("words\n");
    expect(await idle.status()).toBeUndefined();
  });
});

/** What is left on the terminal, without its control sequences and with backspaces done. */
function visible(screen: string): string {
  let text = "";
  for (const char of screen.replace(/\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\r|\x07/g, "")) text = char === "\b" ? text.slice(0, -1) : text + char;
  return text;
}

/** Types at a shell on a terminal, one line after the other; what it echoes is searched for the completed lines. */
async function atTerminal(shell: string, start: string, cases: readonly (readonly [string, string | (() => string)])[]): Promise<void> {
  const child = Bun.spawn(["script", "-qfec", shell, "/dev/null"], {
    env: { ...site.env, TERM: "dumb", PS1: "$ ", INPUTRC: "/dev/null", ZDOTDIR: site.dir, HISTFILE: "" },
    cwd: site.workDir,
    stdin: "pipe",
    stdout: "pipe",
    stderr: "ignore",
  });
  const deadline = setTimeout(() => child.kill("SIGKILL"), 90_000);
  let screen = "";
  const reading = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of child.stdout) screen += decoder.decode(chunk, { stream: true });
  })();
  try {
    const type = (keys: string) => {
      child.stdin.write(keys);
      child.stdin.flush();
    };
    type(`${start}; echo rea''dy\n`);
    await until(`${shell} to be ready`, () => screen.includes("ready\r"), 30_000);
    for (const [typed, completed] of cases) {
      const line = typeof completed === "string" ? completed : completed();
      screen = "";
      // The line is not run: it becomes an argument that is printed back.
      type(`${typed}\t`);
      const shown = () => visible(screen);
      try {
        await until(`"${line}"`, () => shown().includes(line), 20_000);
      } catch (error) {
        throw new Error(`${shell} makes ${JSON.stringify(shown())} of "${typed}"`, { cause: error });
      }
      type("\x15"); // kill the line
    }
    type("\x15exit\n");
    await child.exited;
  } finally {
    clearTimeout(deadline);
    child.kill("SIGKILL");
    await Promise.race([reading, Bun.sleep(1000)]);
  }
}

test.skipIf(!havePeers("script"))("bash", async () => {
  await atTerminal("bash --norc --noprofile -i", `source ${site.dir}/completion.bash; bind 'set bell-style none'`, CASES);
});

test.skipIf(!havePeers("zsh", "script"))("zsh", async () => {
  const start = `autoload -Uz compinit && compinit -u -d ${site.dir}/zcompdump; source ${site.dir}/completion.zsh; setopt no_beep`;
  await atTerminal("zsh -f -i", start, CASES);
});

test.skipIf(!havePeers("fish"))("fish", () => {
  for (const [typed, completed] of CASES) {
    const { stdout, stderr } = Bun.spawnSync(
      ["fish", "--no-config", "-c", `source ${site.dir}/completion.fish; complete -C $argv[1]`, typed],
      {
        env: site.env,
        cwd: site.workDir,
        timeout: 30_000,
      },
    );
    const line = typeof completed === "string" ? completed : completed();
    const word = line.slice(typed.lastIndexOf(" ") + 1);
    const offered = stdout
      .toString()
      .split("\n")
      .map((candidate) => candidate.split("\t")[0]);
    expect({ typed, offered, errors: stderr.toString() }).toEqual({ typed, offered: expect.arrayContaining([word]), errors: "" });
  }
});
