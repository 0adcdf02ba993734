// The walls between the rooms of src/: which room may import which, and what only platform/ may touch.
// The table below is the one of docs/architecture.md; a new import that it does not allow is a decision, not an accident.
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

const SRC = join(import.meta.dir, "..", "src");

/** What every room of scrun/ may build on, besides what they share. */
const SCRUN_GROUND = ["engine", "container", "platform", "job", "options"];

/** Room → what its files may import besides the room itself. A name ending in .ts is that one file. */
const WALLS: Readonly<Record<string, readonly string[]>> = {
  job: ["options"],
  options: ["job"],
  platform: ["job"],
  format: ["job", "options"],
  container: ["platform", "job", "options"],
  step: ["container", "platform", "job", "options"],
  engine: ["job"],
  "engine/embedded": ["engine", "step", "container", "platform", "job", "options"],
  "engine/slurm": ["engine", "step", "container", "platform", "job", "options"],
  // What scrun's own rooms share: where a container is kept, its configuration, the anchor's messages, the log.
  scrun: SCRUN_GROUND,
  "scrun/scrun.ts": ["scrun", "scrun/commands", "scrun/anchor", "scrun/remote", "engine", "job"],
  "scrun/commands": ["scrun", "scrun/request", "scrun/staging", "scrun/stand-in", "scrun/launcher", ...SCRUN_GROUND],
  "scrun/request": ["scrun", ...SCRUN_GROUND],
  "scrun/anchor": ["scrun", "scrun/request", "scrun/staging", "scrun/stand-in", "scrun/launcher", ...SCRUN_GROUND],
  "scrun/remote": ["scrun", "scrun/anchor", "scrun/staging", "scrun/stand-in", ...SCRUN_GROUND],
  "scrun/staging": ["scrun", ...SCRUN_GROUND],
  "scrun/stand-in": ["scrun", "platform", "job"],
  "scrun/launcher": ["scrun", "platform"],
  "scrun/setup": ["scrun/launcher", "platform", "job", "options"], // before there is a container: how engines find scrun
  commands: ["engine", "format", "job", "options"],
  "main.ts": ["commands"],
};

/** Single files that may import more than their room, and why: entry points, and the one place that picks an engine. */
const EXTRA: Readonly<Record<string, readonly string[]>> = {
  "commands/engine.ts": ["engine/embedded", "engine/slurm", "platform"], // the one function that picks an engine
  "commands/site.ts": ["engine/slurm", "platform"], // becomes the site's own command
  "commands/daemon.ts": ["engine/embedded", "platform"], // is the controller's process, or looks after it
  "commands/info.ts": ["engine/embedded", "engine/slurm"], // says where the engine in use keeps its files
  "commands/cluster.ts": ["engine/slurm"], // looks after a Slurm of its own
  "commands/stage.ts": ["engine/slurm", "platform"], // sends itself to nodes, then becomes the site's srun
  "commands/site-sacct.ts": ["engine/slurm"], // lays out the site's own sacct, with containers
  "commands/task.ts": ["engine/slurm"], // is a task's process on a node
  "commands/pmix-host.ts": ["platform"], // is the process that serves PMIx
  "commands/lua-host.ts": ["platform"], // is a Lua interpreter
  "commands/mpi-types.ts": ["platform"], // which kinds of MPI can be served here
  "commands/scrun.ts": ["scrun/scrun.ts"], // is the OCI runtime proxy
  "commands/generate.ts": ["scrun/setup", "platform"], // sets up container engines, outside any engine of ours
  "commands/stepd.ts": ["step"], // is the step daemon's process
  "commands/context.ts": ["platform"], // who asks, from where: user, groups, working directory
  "commands/doctor.ts": ["container", "platform", "scrun/launcher"], // looks at the host, outside any engine
  "commands/doctor-engine.ts": ["engine/embedded", "engine/slurm", "container", "platform"], // asks the engine in use, whichever it is
  "commands/oci.ts": ["container", "platform"], // about oci.conf itself, outside any engine
  "commands/bundle.ts": ["container", "platform"], // about bundles themselves, outside any engine
  "commands/completion.ts": ["platform"], // names the executable that runs
  "commands/link.ts": ["platform", "scrun/launcher"], // links point at the executable that runs
  "commands/terminal.ts": ["platform"], // writes
  "commands/sbatch.ts": ["platform"], // reads the script
  "commands/step-input.ts": ["platform"], // reads files, and writes them:
  "commands/step-output.ts": ["platform"],
  "commands/identity.ts": ["platform"], // names of users and of this host
  "commands/login-environment.ts": ["platform"], // runs the user's login shell
  "commands/salloc.ts": ["platform"], // runs the user's command in the foreground
  "commands/srun.ts": ["platform"], // makes the terminal raw for --pty
  "commands/bcast.ts": ["platform"], // asks the dynamic linker for libraries
  "commands/sattach.ts": ["platform"], // makes the terminal raw for --pty
  "commands/srun-scripts.ts": ["platform"], // runs the programs of the site and the user in the foreground
};

/** Packages and built-in modules that only some rooms may load, and why. */
const RESERVED: readonly { readonly module: RegExp; readonly rooms: readonly string[]; readonly why: string }[] = [
  { module: /^bun:ffi$/, rooms: ["platform"], why: "foreign calls live in platform/ only" },
  { module: /^(node:)?child_process$/, rooms: ["platform"], why: "processes are started in platform/ only" },
  { module: /^bun:sqlite$/, rooms: ["engine/embedded"], why: "durable state belongs to its owner" },
];

/** What every command needs; all else is loaded by the command that was asked for. */
const LOADED_ALWAYS = ["commands/dispatch.ts", "commands/terminal.ts"];

/** A file that says so in its first line is part of the tests, and only tests may import it. */
const TEST_SUPPORT = /^(\/\*\*|\/\/) (For tests|Fixtures)\b/;

/** "engine/embedded/journal.ts" → "engine/embedded"; undefined when the path is in no room. */
function roomOf(path: string): string | undefined {
  return Object.keys(WALLS)
    .filter((room) => path === room || path.startsWith(`${room}/`))
    .sort((a, b) => b.length - a.length)[0];
}

/** What `import` statement `specifier` in `file` points at, relative to src/; undefined for a package. */
function targetOf(file: string, specifier: string): string | undefined {
  if (specifier.startsWith("#")) return normalize(specifier.slice(1));
  if (specifier.startsWith(".")) return normalize(join(dirname(file), specifier));
  return undefined;
}

/** Every complaint about one file, in words that name the rule. Pure, so that the rules themselves have a test. */
export function complaintsAbout(file: string, imports: readonly { path: string; kind: string }[], text: string): string[] {
  const room = roomOf(file);
  if (room === undefined) return [`${file} is in no room of the table`];
  const complaints: string[] = [];
  for (const { path: specifier, kind } of imports) {
    const target = targetOf(file, specifier);
    if (target === undefined) {
      for (const { module, rooms, why } of RESERVED) {
        if (module.test(specifier) && !rooms.includes(room)) complaints.push(`${file} imports ${specifier}: ${why}`);
      }
      continue;
    }
    if (target.startsWith("..")) {
      // The version comes from package.json; nothing else outside src/ is part of the executable.
      if (target !== "../package.json") complaints.push(`${file} imports ${specifier}, outside src/`);
      continue;
    }
    const other = roomOf(target);
    if (other === undefined) {
      complaints.push(`${file} imports ${specifier}, which is in no room`);
      continue;
    }
    const allowed = [...(WALLS[room] ?? []), ...(EXTRA[file] ?? [])];
    if (other !== room && !allowed.includes(other)) {
      complaints.push(`${file} imports ${specifier}: ${room} may import ${allowed.join(", ")}`);
    }
    const isTop = (path: string) => path.split("/")[0];
    if (room !== "main.ts" && isTop(file) !== isTop(target) && !specifier.startsWith("#")) {
      complaints.push(`${file} imports ${specifier}: write a crossing as "#${target}"`);
    }
    const isCommand = other === "commands" && !LOADED_ALWAYS.includes(target);
    if ((room === "main.ts" || file === "commands/dispatch.ts") && isCommand && kind === "import-statement") {
      complaints.push(`${file} imports ${specifier} at once: load one command by await import(), start-up time is a feature`);
    }
  }
  if (room !== "platform" && /\bBun\.spawn(Sync)?\b/.test(withoutComments(text))) {
    complaints.push(`${file} calls Bun.spawn: processes are started in platform/ only`);
  }
  if (/^export default\b/m.test(text)) complaints.push(`${file} has a default export`);
  return complaints;
}

/** Drops comments well enough to look for a call; a "//" inside a string may cost the rest of that line. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/(^|[^:])\/\/.*$/gm, "$1");
}

describe("the walls between rooms", () => {
  // Type-only imports are erased and cross freely as far as scanImports can tell; that is intended.
  const transpiler = new Bun.Transpiler({ loader: "ts" });
  const read = (file: string) => readFileSync(join(SRC, file), "utf8");
  const sources = [...new Bun.Glob("**/*.ts").scanSync(SRC)].filter((file) => !file.endsWith(".test.ts")).sort();
  const support = sources.filter((file) => TEST_SUPPORT.test(read(file)));
  const files = sources.filter((file) => !support.includes(file));

  test("there is something to look at", () => expect(files.length).toBeGreaterThan(5));
  test.each(files)("%s", (file) => {
    const imports = transpiler.scanImports(read(file));
    expect(complaintsAbout(file, imports, read(file))).toEqual([]);
    expect(imports.map(({ path }) => targetOf(file, path) ?? "").filter((target) => support.includes(target))).toEqual([]);
  });
});

/** node:fs takes 1.6 ms to load, the other two 0.4 ms each; short commands use platform/system.ts. */
test.each(["srun", "sbatch", "squeue", "scancel"])("%s starts without node:fs", (command) => {
  const transpiler = new Bun.Transpiler({ loader: "ts" });
  const loaded = new Set<string>();
  const slow: string[] = [];
  const visit = (file: string): void => {
    if (loaded.has(file)) return;
    loaded.add(file);
    for (const { path, kind } of transpiler.scanImports(readFileSync(join(SRC, file), "utf8"))) {
      const target = kind === "import-statement" ? targetOf(file, path) : undefined;
      if (target !== undefined) visit(target);
      else if (kind === "import-statement" && /^(node:)?(fs|path|os)\b/.test(path)) slow.push(`${file} imports ${path}`);
    }
  };
  for (const file of ["main.ts", "commands/engine.ts", "engine/embedded/client.ts", `commands/${command}.ts`]) visit(file);
  expect(loaded.size).toBeGreaterThan(20);
  expect(slow).toEqual([]);
});

test("no test blocks on a promise, where its time limit cannot end it (rejection.ts)", () => {
  const root = join(SRC, "..");
  const files = [...new Bun.Glob("{src,test}/**/*.ts").scanSync(root)];
  const blocking = files.filter((file) => /\)\.(rejects|resolves)\./.test(readFileSync(join(root, file), "utf8")));
  expect(blocking).toEqual([]);
});

describe("the rules themselves", () => {
  const cases: readonly (readonly [name: string, file: string, specifier: string, text: string, complaints: number])[] = [
    ["a room may import itself", "job/a.ts", "./b.ts", "", 0],
    ["a room may import what the table names", "step/a.ts", "#container/pattern.ts", "", 0],
    ["a room may not import upwards", "job/a.ts", "#platform/child.ts", "", 1],
    ["the engines do not know each other", "engine/embedded/a.ts", "#engine/slurm/b.ts", "", 1],
    ["a crossing by relative path is refused", "step/a.ts", "../container/pattern.ts", "", 1],
    ["an engine reaches engine.ts as a neighbour", "engine/embedded/a.ts", "../engine.ts", "", 0],
    ["foreign calls are platform's", "step/a.ts", "bun:ffi", "", 1],
    ["platform may call foreign code", "platform/a.ts", "bun:ffi", "", 0],
    ["a spawn outside platform is seen", "step/a.ts", "./b.ts", "Bun.spawn([])", 1],
    ["a spawn in a comment is not", "step/a.ts", "./b.ts", "// Bun.spawn is platform's", 0],
    ["scrun's commands reach the anchor at its socket only", "scrun/commands/a.ts", "../anchor/anchor.ts", "", 1],
    ["what scrun's rooms share knows none of them", "scrun/place.ts", "./commands/create.ts", "", 1],
    ["main.ts loads commands lazily", "main.ts", "#commands/srun.ts", "", 1],
  ];
  test.each(cases)("%s", (_name, file, specifier, text, complaints) => {
    expect(complaintsAbout(file, [{ path: specifier, kind: "import-statement" }], text)).toHaveLength(complaints);
  });
});
