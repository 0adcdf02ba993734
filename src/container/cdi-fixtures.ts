/** Fixtures: CDI documents in the form in which nvidia-ctk 1.14 (YAML) and an AMD tool (JSON) write them. */

/** Two GPUs and "all". `host` maps the device files to ones that any machine has. */
export function nvidiaYaml(host: (path: string) => string = (path) => path, folder = "/usr/lib/x86_64-linux-gnu"): string {
  const node = (path: string, indent: string) =>
    host(path) === path ? `${indent}- path: ${path}\n` : `${indent}- hostPath: ${host(path)}\n${indent}  path: ${path}\n`;
  const device = (name: string, nodes: readonly string[]) => `- containerEdits:
    deviceNodes:
${nodes.map((path) => node(path, "    ")).join("")}    hooks:
    - args:
      - nvidia-ctk
      - hook
      - chmod
      - --mode
      - "755"
      - --path
      - /dev/dri
      hookName: createContainer
      path: ${host("/usr/bin/nvidia-ctk")}
  name: "${name}"
`;
  const mount = (name: string, extra = "") => `  - containerPath: ${folder}/${name}
    hostPath: ${host(`/usr/lib/x86_64-linux-gnu/${name}`)}
    options:
    - ro
    - nosuid
    - nodev
    - bind
${extra}`;
  const devices =
    device("0", ["/dev/nvidia0", "/dev/dri/card1"]) +
    device("1", ["/dev/nvidia1", "/dev/dri/card2"]) +
    device("all", ["/dev/nvidia0", "/dev/nvidia1"]);
  return `---
cdiVersion: 0.5.0
containerEdits:
  deviceNodes:
${["/dev/nvidia-modeset", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidiactl"].map((path) => node(path, "  ")).join("")}  env:
  - NVIDIA_VISIBLE_DEVICES=void
  hooks:
  - args:
    - nvidia-ctk
    - hook
    - create-symlinks
    - --link
    - libcuda.so.1::${folder}/libcuda.so
    hookName: createContainer
    path: ${host("/usr/bin/nvidia-ctk")}
  - args:
    - nvidia-ctk
    - hook
    - update-ldcache
    - --folder
    - ${folder}
    env:
    - NVIDIA_CTK_DEBUG=false
    hookName: createContainer
    path: ${host("/usr/bin/nvidia-ctk")}
  mounts:
${mount("libcuda.so.535.161.07")}${mount("libnvidia-ml.so.535.161.07", "    type: bind\n")}devices:
${devices}kind: nvidia.com/gpu
`;
}

export const AMD_JSON = JSON.stringify(
  {
    cdiVersion: "0.6.0",
    kind: "amd.com/gpu",
    annotations: { whatever: "true" },
    devices: [{ name: "0", containerEdits: { deviceNodes: [{ path: "/dev/dri/renderD128", permissions: "rw" }] } }],
    containerEdits: {
      deviceNodes: [{ path: "/dev/kfd", type: "c", major: 235, minor: 0, fileMode: 438, permissions: "rw", uid: 0, gid: 44 }],
      additionalGids: [44],
    },
  },
  null,
  2,
);
