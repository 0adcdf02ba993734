import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BerthError } from "#job/errors.ts";
import { parseConfLines } from "./oci-conf-lines.ts";
import { findOciConf, parseOciConf, readOciConf } from "./oci-conf.ts";
import { rejectionOf } from "../../test/rejection.ts";

const RUN = "RunTimeRun=r\nRunTimeKill=k\nRunTimeDelete=d\n";

describe("lines", () => {
  const values: readonly (readonly [name: string, text: string, pairs: readonly (readonly [string, string])[]])[] = [
    ["a bare value ends at a blank", "K=v  ", [["K", "v"]]],
    ["blanks around the equals sign are dropped", "  K \t= v", [["K", "v"]]],
    ["double quotes keep blanks", 'K="a b"', [["K", "a b"]]],
    ["an empty quoted value is a value", 'K=""', [["K", ""]]],
    [
      "an operator before the equals sign has no effect",
      "K+=v\nL -= w",
      [
        ["K", "v"],
        ["L", "w"],
      ],
    ],
    ["a comment ends the line", "K=v # x\n# y", [["K", "v"]]],
    ["quotes do not protect a hash", 'K="a#b"', [["K", '"a']]],
    ["an escaped hash is a hash", "K=a\\#b", [["K", "a#b"]]],
    ["a hash after two backslashes starts a comment", "K=a\\\\#b", [["K", "a\\"]]],
    ["backslashes are removed inside quotes too", 'K="^a\\\\.b\\c"', [["K", "^a\\.bc"]]],
    ["a last backslash continues the line", 'K="a \\\nb"', [["K", "a b"]]],
    ["blanks after the last backslash do not matter", "K=a\\ \t\nb", [["K", "ab"]]],
    [
      "two backslashes at the end do not continue",
      "K=a\\\\\nL=b",
      [
        ["K", "a\\"],
        ["L", "b"],
      ],
    ],
    ["a comment may follow a continuation", 'K="a \\ # x\nb"', [["K", "a b"]]],
    ["the file may end in a continuation", "K=a\\", [["K", "a"]]],
    ["text glued to a closing quote makes it a bare value", 'K="abc"def', [["K", '"abc"def']]],
    [
      "Windows line ends are blanks",
      'K=v\r\n\r\nL="w"\r\n',
      [
        ["K", "v"],
        ["L", "w"],
      ],
    ],
    ["a value may hold equals signs", "K=a=b", [["K", "a=b"]]],
  ];
  test.each(values)("%s", (_name, text, pairs) => {
    expect(parseConfLines(text, "f").map((line) => (line.kind === "pair" ? [line.key, line.value] : line))).toEqual(pairs as never);
  });

  test("Include starts in column 1, in any case of letters", () => {
    expect(parseConfLines("iNclude\tb.conf x", "f")).toEqual([{ kind: "include", path: "b.conf", where: { file: "f", line: 1 } }]);
    expect(() => parseConfLines(" Include b.conf", "f")).toThrow(BerthError);
    expect(() => parseConfLines("Include *.conf", "f")).toThrow("patterns");
  });

  test.each([
    ["K='a b'", "single quotes"],
    ['K="a b', "close the value"],
    ["K=a b", "double quotes"],
    ["K=a L=b", "double quotes"],
    ["K=", "empty value"],
    ["word", "one Key=value"],
    ["=v", "one Key=value"],
    ["K-x=v", "one Key=value"],
    ['K="a" b', "one Key=value"],
  ])("%s is refused with a hint", (text, hint) => {
    const error = catchError(() => parseConfLines(`# first\n${text}`, "/etc/oci.conf"));
    expect(error.message).toContain("/etc/oci.conf:2");
    expect(error.hint).toContain(hint);
  });

  test("a continued line is known by its first number", () => {
    expect(catchError(() => parseConfLines("A=1\nB=2\\\n c\nC=3", "f")).message).toContain("f:2");
  });
});

describe("keys", () => {
  test("any case of letters, the last one wins, SrunArgs adds up", () => {
    const conf = parseOciConf(
      `${RUN}runtimerun="x %b"\nSrunArgs=-Q\nsrunargs="--mpi none"\nDISABLECLEANUP=Up\n` +
        `DisableCleanup=0\nFileDebug=debug3\nStdIODebug=7\n`,
      "f",
    );
    expect(conf.operations.run).toEqual(["x ", { field: "bundle" }]);
    expect(conf.srunArgs).toEqual(["-Q", "--mpi none"]);
    expect(conf).toMatchObject({ disableCleanup: false, fileDebug: 7, stdioDebug: 7, syslogDebug: 0, flow: "run" });
  });
  test.each([
    ["null", "null"],
    ["Y", "null"],
    ["1", "null"],
    ["NewLine", "newline"],
    ["no", "disabled"],
    ["0", "disabled"],
  ])("CreateEnvFile=%s is %s", (text, kind) => {
    expect(parseOciConf(`${RUN}CreateEnvFile=${text}`, "f").createEnvFile).toBe(kind as never);
  });
  test("hook names are split at commas and not trimmed", () => {
    expect(parseOciConf(`${RUN}DisableHooks="prestart,, poststop"`, "f").disableHooks).toEqual(["prestart", " poststop"]);
  });
  test.each([
    ["Nonsense=1", "OCI_CONF_SYNTAX", "known keys"],
    ["OCIRunTimeQuery=x", "OCI_CONF_SYNTAX", "RunTimeQuery"],
    ["DisableCleanup=maybe", "OCI_CONF_SYNTAX", "yes or no"],
    ["CreateEnvFile=maybe", "OCI_CONF_VALUE", "newline"],
    ["EnvExclude=(a", "OCI_CONF_VALUE", "doubled"],
    ["ContainerPath=/x/%q", "OCI_CONF_PATTERN", "%%"],
    ["RunTimeRun=100%", "OCI_CONF_PATTERN", "%%"],
  ])("%s is refused as %s", (line, code, hint) => {
    const error = catchError(() => parseOciConf(`${RUN}${line}\n`, "f"));
    expect(error).toMatchObject({ code });
    expect(error.message).toContain("f:4");
    expect(error.hint).toContain(hint);
  });
});

describe("combinations (oci-conf §5.3)", () => {
  const rows: readonly (readonly [letters: string, result: string])[] = [
    ["R K D", "run"],
    ["R K D Q", "run"],
    ["C S K D Q", "createStart"],
    ["ignore R", "run"],
    ["ignore R K D C S", "run"],
    ["", "refused"],
    ["R K", "refused"],
    ["R D", "refused"],
    ["R", "refused"],
    ["C S K D", "refused"],
    ["C K D Q", "refused"],
    ["S K D Q", "refused"],
    ["R C S K D Q", "refused"],
    ["R C K D", "refused"],
    ["K D", "refused"],
    ["Q", "refused"],
    ["ignore", "refused"],
    ["ignore C S K D Q", "refused"],
  ];
  const KEY: Readonly<Record<string, string>> = { R: "Run", C: "Create", S: "Start", K: "Kill", D: "Delete", Q: "Query" };
  test.each(rows)("%s is %s", (letters, result) => {
    const text = letters
      .split(" ")
      .map((letter) => (letter === "ignore" ? "IgnoreFileConfigJson=true" : letter === "" ? "" : `RunTime${KEY[letter]}=""`))
      .join("\n");
    if (result === "refused") expect(catchError(() => parseOciConf(text, "f"))).toMatchObject({ code: "OCI_CONF_COMBINATION" });
    else expect(parseOciConf(text, "f").flow).toBe(result as never);
  });
});

test("the documented presets load", async () => {
  const root = "--rootless=true --root=/run/user/%U/";
  const conf = parseOciConf(
    [
      'EnvExclude="^(SLURM_CONF|SLURM_CONF_SERVER)="',
      'RunTimeEnvExclude="^(SLURM_CONF|SLURM_CONF_SERVER)="',
      `RunTimeQuery="runc ${root} state %n.%u.%j.%s.%t"`,
      `RunTimeKill="runc ${root} kill -a %n.%u.%j.%s.%t"`,
      `RunTimeDelete="runc ${root} delete --force %n.%u.%j.%s.%t"`,
      `RunTimeRun="runc ${root} run %n.%u.%j.%s.%t -b %b"`,
    ].join("\n"),
    "oci.conf",
  );
  expect(conf.envExclude?.test("SLURM_CONF=/x")).toBe(true);
  expect(conf.envExclude?.test("MY_SLURM_CONF=/x")).toBe(false);
});

describe("files", () => {
  const dir = mkdtempSync(join(tmpdir(), "berth-conf-"));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));

  test("an included file is read from the main file's directory; its errors name it", async () => {
    writeFileSync(join(dir, "oci.conf"), `RunTimeRun=r\nInclude more.conf\n`);
    writeFileSync(join(dir, "more.conf"), "RunTimeKill=k\nRunTimeDelete=d\n");
    expect(findOciConf([join(dir, "none"), dir])).toBe(join(dir, "oci.conf"));
    expect((await readOciConf(join(dir, "oci.conf"))).flow).toBe("run");
    writeFileSync(join(dir, "more.conf"), "\nWhat=1");
    expect(String(await rejectionOf(readOciConf(join(dir, "oci.conf"))))).toContain("more.conf:2");
  });
  test("files that include each other, and missing ones, are errors", async () => {
    writeFileSync(join(dir, "a.conf"), "Include a.conf");
    expect(await rejectionOf(readOciConf(join(dir, "a.conf")))).toBeInstanceOf(BerthError);
    writeFileSync(join(dir, "b.conf"), "Include gone.conf");
    expect(String(await rejectionOf(readOciConf(join(dir, "b.conf"))))).toContain("b.conf:1");
    expect(await rejectionOf(readOciConf(dir))).toBeInstanceOf(BerthError);
  });
});

function catchError(body: () => unknown): BerthError {
  try {
    body();
  } catch (error) {
    if (error instanceof BerthError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}
