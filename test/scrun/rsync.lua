-- In the manner of the example of scrun(1): rsync to where the nodes see it, another config.json, and back. @DEST@ is put in by the test.
local json = require 'json'
local open = io.open

local function read_file(path)
  local file = open(path, "rb")
  if not file then return nil end
  local content = file:read "*all"
  file:close()
  return content
end

local function write_file(path, contents)
  local file = open(path, "wb")
  if not file then return nil end
  file:write(contents)
  file:close()
end

function slurm_scrun_stage_in(id, bundle, spool_dir, config_file, job_id, user_id, group_id, job_env)
  slurm.log_debug(string.format("stage_in(%s, %s, %s, %s, %d, %d, %d)", id, bundle, spool_dir, config_file, job_id, user_id, group_id))
  local status, output
  local config = json.decode(read_file(config_file))
  local src_rootfs = config["root"]["path"]
  if string.sub(src_rootfs, 1, 1) ~= "/" then src_rootfs = bundle .. "/" .. src_rootfs end
  local dest = "@DEST@/" .. id .. "/"
  local dest_rootfs = dest .. "rootfs/"

  status, output = slurm.allocator_command("mkdir -p " .. dest_rootfs)
  if status ~= 0 then
    slurm.log_info(string.format("mkdir failed %u: %s", status, output))
    return slurm.ERROR
  end
  status, output = slurm.allocator_command(string.format("/usr/bin/env rsync --exclude sys --exclude proc --numeric-ids --delete-after --ignore-errors -a -- %s/ %s/", src_rootfs, dest_rootfs))
  if status ~= 0 then slurm.log_info(string.format("rsync failed: %s", output)) end

  slurm.set_bundle_path(dest)
  slurm.set_root_path(dest_rootfs)
  config["root"]["path"] = dest_rootfs

  local found = false
  for _, namespace in ipairs(config["linux"]["namespaces"]) do
    if namespace["type"] == "user" then found = true end
  end
  if not found then table.insert(config["linux"]["namespaces"], { type = "user" }) end
  local process_user_id = config.process.user and config.process.user.uid or 0
  local process_group_id = config.process.user and config.process.user.gid or 0
  config["linux"]["uidMappings"] = { { containerID = process_user_id, hostID = math.floor(user_id), size = 1 } }
  config["linux"]["gidMappings"] = { { containerID = process_group_id, hostID = math.floor(group_id), size = 1 } }
  config["linux"]["cgroupsPath"] = nil

  if config["mounts"] ~= nil then
    for _, mount in ipairs(config["mounts"]) do
      if mount["options"] ~= nil then
        local kept = {}
        for _, option in ipairs(mount["options"]) do
          if string.sub(option, 1, 4) ~= "gid=" and string.sub(option, 1, 4) ~= "uid=" then table.insert(kept, option) end
        end
        mount["options"] = kept
      end
    end
  end
  for _, entry in pairs(job_env) do table.insert(config["process"]["env"], entry) end
  table.insert(config["process"]["env"], "STAGED=copied")
  if config["hooks"] ~= nil then config["hooks"] = nil end
  if config["process"]["rlimits"] ~= nil then config["process"]["rlimits"] = nil end

  write_file(dest .. "config.json", json.encode(config))
  slurm.log_info("created: " .. dest .. "config.json")
  return slurm.SUCCESS
end

function slurm_scrun_stage_out(id, bundle, orig_bundle, root_path, orig_root_path, spool_dir, config_file, job_id, user_id, group_id)
  if bundle == orig_bundle then return slurm.SUCCESS end
  local status, output = slurm.allocator_command(string.format("/usr/bin/env rsync --numeric-ids --delete-after -a -- %s/ %s/", root_path, orig_root_path))
  if status ~= 0 then
    slurm.log_info(string.format("rsync failed: %s", output))
  else
    slurm.allocator_command(string.format("rm -rf --one-file-system -- %s", bundle))
  end
  return slurm.SUCCESS
end
