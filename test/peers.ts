// What tests need from the machine: other programs. On a developer's machine a test without its peer is skipped and
// says so; with CI=true a missing peer is an error, because a suite that skips itself looks green for months.

const missing = new Set<string>();

/** True when every program is in PATH (or in /usr/sbin, where Debian puts runc). For test.skipIf(!havePeers(…)). */
export function havePeers(...programs: readonly string[]): boolean {
  const path = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;
  const absent = programs.filter((program) => Bun.which(program, { PATH: path }) === null);
  for (const program of absent) {
    if (process.env["CI"] === "true") throw new Error(`"${program}" is not installed, and CI installs what it needs`);
    if (!missing.has(program)) console.error(`skipping tests that need "${program}": it is not installed`);
    missing.add(program);
  }
  return absent.length === 0;
}
