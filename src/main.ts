/** Which command was asked for, by the name we were called or by the first word; nothing else. */
import { runCommand } from "./commands/dispatch.ts";

process.exitCode = await runCommand({ calledAs: process.argv0, argv: process.argv.slice(2) });
