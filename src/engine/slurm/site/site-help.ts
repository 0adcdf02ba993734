/**
 * What a site's command says about options that Berth's tables do not know, because its Slurm is newer or patched:
 * `--name=VALUE` in its --help takes a value. Asked only when such an option is met.
 */
import { outputOf } from "#platform/run-tool.ts";

export function helpGuess(program: string): (option: string) => boolean {
  let help: string | undefined;
  return (option) => {
    help ??= outputOf([program, "--help"]);
    const name = option.replace(/[^\w-]/g, "");
    if (name.length === 1) return new RegExp(`^\\s*-${name}, --[\\w-]+=\\w`, "m").test(help);
    return new RegExp(`--${name}=`).test(help);
  };
}
