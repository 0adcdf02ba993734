import { describe, expect, test } from "bun:test";
import { readDirectives } from "../site/directives.ts";
import { restoreScript, wrapBatchScript } from "./batch-script.ts";

const scripts: readonly (readonly [name: string, script: string])[] = [
  ["a plain script", "#!/bin/bash\necho hello\n"],
  ["directives and remarks", "#!/bin/sh\n#SBATCH -n2\n\n# why\n#SBATCH -o x\necho\n#SBATCH late\n"],
  ["nothing but directives", "#!/bin/sh\n#SBATCH -n2"],
  ["an interpreter with words and quotes", "#!/usr/bin/env -S python3 -c 'x'\nprint(1)\n"],
  ["no line end", "#!/bin/sh\ntrue"],
];

describe("a batch script with a shell in front", () => {
  test.each(scripts)("%s comes back as it was", (_name, script) => {
    const { text, firstLine } = wrapBatchScript(script, () => "exec berth", new Map());
    expect(text.startsWith("#!/bin/sh\n")).toBe(true);
    expect(restoreScript(text, firstLine)).toBe(script);
  });

  test("the shell ends before the script's own first line; directives stay in front of it", () => {
    const { text } = wrapBatchScript("#!/bin/bash\n#SBATCH -n2\necho hello\n", (line) => `exec berth '${line}'`, new Map());
    expect(text).toBe("#!/bin/sh\n#SBATCH -n2\nexec berth '#!/bin/bash' # berth:batch\necho hello\n");
  });
});

describe("directives about containers", () => {
  test("are read, and taken out of their lines", () => {
    const { taken, given, lines } = readDirectives(
      "#!/bin/sh\n#SBATCH --container=/b -o 'a b' --time 5\n" + "#SBATCH --container-id x\n#SBATCH -n2\ntrue\n#SBATCH --container=/late\n",
      () => false,
    );
    expect(Object.fromEntries(taken)).toEqual({ container: "/b", "container-id": "x" });
    expect([...given]).toEqual(["output", "time", "ntasks"]);
    expect([...lines]).toEqual([
      [1, "#SBATCH -o 'a b' --time 5"],
      [2, "#"],
    ]);
  });
});
