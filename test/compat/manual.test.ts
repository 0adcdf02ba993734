// Manual pages: every option is in its command's page, and what formats pages has nothing to complain about.
import { describe, expect, test } from "bun:test";
import { COMMANDS, type HelpRow } from "../../src/options/command-tables.ts";
import { MANUAL_NAMES, manualPage } from "../../src/options/manual.ts";
import { havePeers } from "../peers.ts";
import { Site } from "../e2e/site.ts";

describe.each([...MANUAL_NAMES])("%s(1)", (name) => {
  const page = manualPage(name, "1") ?? "";

  test.skipIf(!havePeers("groff"))("groff has no warning, and shows every option", () => {
    const formatted = format(["groff", "-man", "-ww", "-Tascii", "-P-cbou", "-rLL=200n"], page);
    expect(formatted.errors).toBe("");
    const rows: readonly HelpRow[] = name === "berth" ? [] : COMMANDS[name as keyof typeof COMMANDS].rows;
    for (const row of rows) expect(formatted.text).toContain(`--${row.name}`);
    expect(formatted.text).toContain(`${name} - `);
  });

  test.skipIf(!havePeers("mandoc"))("mandoc has neither error nor warning", () => {
    const { text, errors } = format(["mandoc", "-Tlint", "-Wwarning"], page);
    // It wants a date; the page has the version of Berth instead.
    expect(`${text}${errors}`.split("\n").filter((line) => line !== "" && !/missing date/.test(line))).toEqual([]);
  });
});

test("berth man writes pages that man(1) finds", async () => {
  await using site = new Site();
  expect((await site.run(["berth", "man", "--dir", site.path("man")])).status).toBe(0);
  for (const name of MANUAL_NAMES) expect(site.read(`man/man1/${name}.1`)).toStartWith(`.TH ${name.toUpperCase()} 1`);
  expect((await site.run(["berth", "man", "squeue"])).stdout).toBe(site.read("man/man1/squeue.1"));
  expect((await site.run(["berth", "man", "nothing"])).status).toBe(255);
});

function format(argv: readonly [string, ...string[]], page: string): { readonly text: string; readonly errors: string } {
  const { stdout, stderr } = Bun.spawnSync([...argv], { stdin: Buffer.from(page), timeout: 30_000 });
  return { text: stdout.toString(), errors: stderr.toString() };
}
