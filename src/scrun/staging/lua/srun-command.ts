/** The srun of remote_command: ours, unless oci.conf names another one, with oci.conf's arguments for it (spec: oci-conf, SrunPath and SrunArgs). */
import { findOciConf, readOciConf } from "#container/oci-conf.ts";
import { directories, SITE_CONFIG_DIR } from "#platform/directories.ts";
import { selfOnDisk } from "#platform/self.ts";

/** @throws BerthError OCI_CONF_… */
export async function srunCommand(env: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const file = findOciConf([directories(env).config, SITE_CONFIG_DIR]);
  if (file === undefined) return selfOnDisk("srun");
  const { srunPath, srunArgs } = await readOciConf(file);
  return [...(srunPath === undefined ? selfOnDisk("srun") : [srunPath]), ...srunArgs];
}
