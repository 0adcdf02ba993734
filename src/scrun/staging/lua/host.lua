-- What runs in the interpreter beside a site's scrun.lua: makes the `slurm` table, loads the script, and serves calls of its two
-- functions until the anchor closes the channel (fields.ts has the format of a message, lua-host.ts the dialogue).
--
-- Everything used here is local, so that a script may replace any global. `json` and `constants` come before this text.
local requests_path, replies_path, script_path, srun_command, shell_file = ...
local io, os, string, table, math = io, os, string, table, math
local type, pairs, ipairs, tostring, tonumber, select, error = type, pairs, ipairs, tostring, tonumber, select, error
local pcall, xpcall, setmetatable, loadfile = pcall, xpcall, setmetatable, loadfile
local format, gsub, sub, match = string.format, string.gsub, string.sub, string.match
local concat, unpack, pack = table.concat, table.unpack, table.pack
local exit, remove, open, popen, getinfo = os.exit, os.remove, io.open, io.popen, debug.getinfo
local execute = os.execute

-- Kept open for good; nothing that a script can name refers to them. Read and write: without its reader the channel would end us by SIGPIPE.
local requests = open(requests_path, "r+")
local replies = open(replies_path, "r")
io.stdout:setvbuf("line") -- the anchor passes on what a script prints

local function send(...)
  local lengths, fields = {}, { ... }
  for index = 1, select("#", ...) do
    fields[index] = tostring(fields[index])
    lengths[index] = #fields[index]
  end
  requests:write(concat(lengths, " "), "\n", concat(fields))
  requests:flush()
end

local function receive()
  local head = replies:read("l")
  if not head then
    -- The anchor has gone, and its watcher kills us, but first what is below us: that would be nobody's if we ended now.
    execute("exec sleep 10")
    exit(0)
  end
  local fields = {}
  for length in string.gmatch(head, "%d+") do fields[#fields + 1] = length == "0" and "" or replies:read(tonumber(length)) end
  return fields
end

-- Messages of Lua shorten a long path of the script from its left.
local function in_full(message)
  local tail, rest = match(message, "^%.%.%.(.-)(:%d+:.*)$")
  if tail and sub(script_path, -#tail) == tail then return script_path .. rest end
  return message
end

-- Where in the script it happened, when the message does not say any place: errors of C functions and of from_json do not.
local function located(message)
  if match(message, "^[^\n]-:%d+: ") then return message end
  for level = 3, 100 do
    local info = getinfo(level, "Sl")
    if not info then break end
    if info.source == "@" .. script_path and info.currentline > 0 then return format("%s:%d: %s", script_path, info.currentline, message) end
  end
  return message
end

local function reason_of(problem)
  if type(problem) == "string" then return located(in_full(problem)) end
  local text = tostring(problem)
  if type(problem) == "table" and match(text, "^table: ") then text = "a table was raised as an error" end
  return located(text)
end

-- Environment of the job: NAME=value, from stage_in on.
local job_environment = {}
local original_bundle, bundle, original_root, root

local function quote(text)
  return "'" .. gsub(text, "'", "'\\''") .. "'"
end

-- Through a file, because one argument of a program may not exceed 128 KiB.
local function run(command)
  local file, problem = open(shell_file, "w")
  if not file then error(problem, 0) end
  local words = {}
  for _, entry in ipairs(job_environment) do
    if match(entry, "^[^=]+=") then words[#words + 1] = quote(entry) end
  end
  file:write("exec env ", concat(words, " "), " ", command, "\n")
  file:close()
  local stream
  stream, problem = popen("exec /bin/sh " .. quote(shell_file) .. " </dev/null 2>&1", "r")
  if not stream then
    remove(shell_file)
    error(problem, 0)
  end
  local output = stream:read("a")
  local _, how, code = stream:close()
  remove(shell_file)
  return how == "signal" and 128 + code or code, output
end

local function check_text(value, name)
  if type(value) ~= "string" then error(format("%s: expected a string, got %s", name, type(value)), 3) end
  return value
end

local slurm = {}
for name, value in pairs(constants) do slurm[name] = value end

function slurm.set_bundle_path(path)
  bundle = check_text(path, "slurm.set_bundle_path")
  return original_bundle
end

function slurm.set_root_path(path)
  root = check_text(path, "slurm.set_root_path")
  return original_root
end

function slurm.allocator_command(script)
  return run("/bin/sh -c " .. quote(check_text(script, "slurm.allocator_command")))
end

function slurm.remote_command(script)
  check_text(script, "slurm.remote_command")
  local job_id = tonumber(match("\n" .. concat(job_environment, "\n"), "\nSLURM_JOB_ID=(%d+)"))
  if not job_id then error("slurm.remote_command: there is no job yet", 2) end
  return run(format("%s --jobid %d --overlap --no-kill --job-name lua-command -- /bin/sh -c %s", srun_command, job_id, quote(script)))
end

-- 0 info, 1 verbose, 2 … debug; both orders of the arguments are in use.
function slurm.log(level, message)
  if type(level) == "string" and type(message) == "number" then level, message = message, level end
  level = tonumber(level) or 0
  if level >= 0 then send("log", level, tostring(message)) end
end

function slurm.error(message)
  send("log", "error", tostring(message))
end

local function formatted(level)
  return function(text, ...)
    send("log", level, select("#", ...) == 0 and tostring(text) or format(text, ...))
  end
end
slurm.log_error = formatted("error")
slurm.log_user = formatted("user")
slurm.log_info = formatted(0)
slurm.log_verbose = formatted(1)
slurm.log_debug = formatted(2)
slurm.log_debug2 = formatted(3)
slurm.log_debug3 = formatted(4)
slurm.log_debug4 = formatted(5)

slurm.from_json = json.decode
slurm.to_json = json.encode

-- These are the anchor's. YAML is its to read and write; JSON is the form in between.
local function ask(...)
  send(...)
  local state, text = unpack(receive())
  if state ~= "ok" then error(text, 0) end
  return text
end
function slurm.time_str2mins(text)
  return math.tointeger(tonumber(ask("minutes", text)))
end
function slurm.from_yaml(text)
  return json.decode(ask("from_yaml", check_text(text, "slurm.from_yaml")))
end
function slurm.to_yaml(value)
  return ask("to_yaml", json.encode(value))
end

-- Of the accounting, which is not asked here.
function slurm.get_qos_priority()
  return constants.NO_VAL
end

_G.slurm = slurm
_G.SLURM = setmetatable({ success = 0, failure = -1 }, { __index = slurm })
_G.arg = nil

-- Scripts of older sites bring a JSON module of their own, if it is installed; if not, this one.
local searchers = package.searchers
searchers[#searchers + 1] = function(name)
  if name ~= "json" then return nil end
  return function() return { decode = json.decode, encode = json.encode } end
end

-- From 1, as lists in Lua are; [0] and names also find something, because scripts were written for either.
local function environment_table(entries)
  local by_name = {}
  for _, entry in ipairs(entries) do
    local name, value = match(entry, "^([^=]*)=(.*)$")
    if name then by_name[name] = value end
  end
  by_name[0] = entries[1]
  return setmetatable({ unpack(entries) }, { __index = by_name })
end

local function call(name, ...)
  local hook = _G[name]
  if type(hook) ~= "function" then return send("raised", format("%s: function %s is missing", script_path, name)) end
  local done, result = xpcall(hook, reason_of, ...)
  if not done then return send("raised", result) end
  -- 0.0 and "0" are as good as 0.
  local status = math.tointeger(tonumber(result))
  send("returned", status or "none", status and "" or type(result), bundle, root)
end

local function number(text)
  return math.tointeger(tonumber(text)) or tonumber(text)
end

local function load_script()
  local chunk, problem = loadfile(script_path)
  if not chunk then return in_full(problem) end
  local done, result = xpcall(chunk, reason_of)
  if not done then return result end
  if type(result) == "number" and result ~= 0 then return format("%s: it returned %s", script_path, tostring(result)) end
  for _, name in ipairs({ "slurm_scrun_stage_in", "slurm_scrun_stage_out" }) do
    if type(_G[name]) ~= "function" then return format("%s: function %s is missing", script_path, name) end
  end
  return nil
end

local problem = load_script()
if problem then
  send("failed", problem)
  exit(1)
end
send("loaded")

while true do
  local fields = receive()
  local hook, id, job_id, user_id, group_id, spool_dir, config_file = unpack(fields, 1, 7)
  local first = 12
  original_bundle, bundle, original_root, root = fields[8], fields[9], fields[10], fields[11]
  job_environment = { unpack(fields, first) }
  slurm.CLUSTER_NAME = match("\n" .. concat(job_environment, "\n"), "\nSLURM_CLUSTER_NAME=([^\n]*)")
  if hook == "stage_in" then
    call("slurm_scrun_stage_in", id, bundle, spool_dir, config_file, number(job_id), number(user_id), number(group_id), environment_table(job_environment))
  elseif hook == "stage_out" then
    call("slurm_scrun_stage_out", id, bundle, original_bundle, root, original_root, spool_dir, config_file, number(job_id), number(user_id), number(group_id))
  else
    exit(1) -- the script has written into the channel
  end
end
