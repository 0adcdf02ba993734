/** Which command was asked for, by the name we were called or by the first word; nothing else. */
import { runCommand } from "./commands/dispatch.ts";

// Everything is written synchronously, so nothing is lost; and nothing that is still open may keep the process.
process.exit(await runCommand({ calledAs: process.argv0, argv: process.argv.slice(2) }));
