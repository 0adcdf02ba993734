/**
 * What runs on the nodes to fill their caches, in sh(1) with coreutils and tar, because Berth itself may not be there yet.
 * The cache is a directory of the user's own on each node:
 *
 *   CACHE/berth-SHA        an executable             CACHE/bundle-SHA/   config.json, rootfs
 *   CACHE/*.size           bytes, for eviction       CACHE/part-*        being received; swept after a day
 *
 * SHA is the SHA-256 of what was sent: it is compared before the entry appears under its name, by one rename.
 */

/** `%n` is the node's name, for nodes that share a file system. */
const PLACE = `n=\${SLURMD_NODENAME:-$(hostname)}; c=$(printf %s "$1" | sed "s/%n/$n/g")`;

/** Below /tmp anybody may have made the cache, or the directory around it, with a program in it that would be run as its user. */
const OWN = `own() { [ ! -h "$1" ] && [ -O "$1" ] && [ "$(stat -c %a "$1" 2>/dev/null)" = 700 ]; }
own_cache() { own "$c" && case $c in /tmp/berth-*) own "\${c%/*}";; esac; }`;

/**
 * Prints `berth-cache NODE BUNDLE EXECUTABLE`, the last two each one of shared (the same files are at the same path), cached, lacks.
 * Arguments: cache, bundle path, rootfs path, SHA of config.json, bundle's SHA, executable's path, its "size mtime", its SHA.
 */
export const PROBE = `${PLACE}
${OWN}
b=lacks; e=lacks
own_cache && [ -d "$c/bundle-$5" ] && b=cached
own_cache && [ -x "$c/berth-$8" ] && e=cached
[ -d "$3" ] && [ "$(sha256sum < "$2/config.json" 2>/dev/null)" = "$4  -" ] && b=shared
[ -x "$6" ] && [ "$(stat -c '%s %Y' "$6" 2>/dev/null)" = "$7" ] && e=shared
echo "berth-cache $n $b $e"`;

/**
 * A cache that somebody else could have made is not used. What is still being sent is read to its end: srun loses a task's last words when it
 * writes to a task that has gone.
 */
const CHECKED = `${OWN}
fail() { echo "berth: error: $n: $1" >&2; [ -z "$receives" ] || cat > /dev/null; exit 1; }
check_cache() { own_cache || fail "$c is not a directory that only its user can enter, or the one around it is not: remove it"; }`;

/** Standard input becomes an entry. Arguments: cache, kind (bundle or berth), SHA. */
export const RECEIVE = `${PLACE}
receives=yes
${CHECKED}
umask 077
mkdir -p "$c" || fail "cannot make the cache directory $c"
check_cache
find "$c" -maxdepth 1 -name 'part-*' -mtime +1 -exec rm -rf {} + 2>/dev/null
p=$c/part-$2-$$-$n
trap 'chmod -R u+w "$p.d" 2>/dev/null; rm -rf "$p" "$p.d"' EXIT
cat > "$p" || fail "cannot write to $c (disk full?)"
[ "$(sha256sum < "$p")" = "$3  -" ] || fail "what arrived is not what was sent"
wc -c < "$p" > "$c/$2-$3.size"
if [ "$2" = berth ]; then
  chmod 700 "$p" && mv "$p" "$c/berth-$3" || fail "cannot publish the executable"
else
  mkdir "$p.d" && tar -x -p -f "$p" --no-same-owner -C "$p.d" || fail "cannot unpack the bundle"
  mv -T "$p.d" "$c/bundle-$3" 2>/dev/null || [ -d "$c/bundle-$3" ] || fail "cannot publish the bundle"
fi`;

/**
 * Prints `berth-box NODE CACHE ROOTFS EXECUTABLE`, the last two each one of shared, cached, lacks. Arguments: cache, root file system, digest
 * of its names and time, its SHA or "-", executable's path, its "size mtime", its SHA.
 */
export const PROBE_ROOTFS = `${PLACE}
${OWN}
r=lacks; e=lacks
own_cache && [ "$4" != - ] && [ -d "$c/bundle-$4" ] && r=cached
own_cache && [ -x "$c/berth-$7" ] && e=cached
[ "$( (cd "$2" 2>/dev/null && ls -A && stat -c %Y .) | sha256sum)" = "$3  -" ] && r=shared
[ -x "$5" ] && [ "$(stat -c '%s %Y' "$5" 2>/dev/null)" = "$6" ] && e=shared
echo "berth-box $n $c $r $e"`;

/** The same digest here. */
export const WITNESS = `cd "$1" && { ls -A && stat -c %Y .; } | sha256sum`;

/** Standard input, an archive, becomes the directory of one container. Arguments: cache, its name. */
export const UNBOX = `${PLACE}
receives=yes
${CHECKED}
umask 077
mkdir -p "$c" || fail "cannot make the cache directory $c"
check_cache
find "$c" -maxdepth 1 -name 'box-*' -mtime +1 -exec rm -rf {} + 2>/dev/null
mkdir "$c/box-$2" && tar -x -f - --no-same-owner -C "$c/box-$2" || fail "cannot unpack to $c/box-$2"`;

/** Runs a task from the cache. Arguments: cache, executable's SHA, bundle's SHA; then berth task's, and the program's. */
export const START_CACHED = `${PLACE}; e=$2; b=$3; receives=; shift 3
${CHECKED}
check_cache
BERTH_TASK_NOFILE=$(ulimit -Sn) exec "$c/berth-$e" task --bundle "$c/bundle-$b" "$@"`;

/**
 * What a batch job on this node waits for appears, in one piece. Arguments: cache, job id with token, kind, then: nothing for "coming", paths of executable
 * and bundle for "shared", their SHAs for "cached", the reason for "failed".
 */
export const TELL = `${PLACE}
${CHECKED}
umask 077
mkdir -p "$c" || fail "cannot make the cache directory $c"
check_cache
find "$c" -maxdepth 1 -name 'job-*' -mtime +1 -exec rm -rf {} + 2>/dev/null
printf '%s\\n' "$3" "$4" "$5" > "$c/job-$2.part-$$" && mv "$c/job-$2.part-$$" "$c/job-$2"`;

/** How long a batch job waits for a first word of the host that it was submitted from, in seconds. */
const FIRST_WORD_SECONDS = 600;

/**
 * A batch job's wait for its courier, in one line: the script's own lines come behind. Words: cache, host of the courier, token (numbers
 * of jobs come again, with a new cluster), then berth task's. A word of the courier that has come stays, for the job may be requeued; entries of the caches are checked again by the task that uses them.
 */
export const AWAIT = [
  `${PLACE.replace("\n", " ")}`,
  `f=$c/job-$SLURM_JOB_ID-$3; h=$2; shift 3; w=0`,
  `while k=; [ ! -h "$c" ] && [ -O "$c" ] && [ -O "$f" ] && { read -r k; read -r e; read -r b; } < "$f"; [ -z "$k" ] || [ "$k" = coming ]; do ` +
    `w=$((w+1)); if [ -z "$k" ] && [ $w -gt $((${FIRST_WORD_SECONDS}*5)) ]; then ` +
    `echo "berth: error: $n: nobody at $h sends the bundle: run a berth command there, for example berth squeue" >&2; exit 1; fi; sleep 0.2; done`,
  `case $k in failed) echo "berth: error: $n: cannot have the bundle from $h: $e" >&2; exit 1;; cached) e=$c/berth-$e; b=$c/bundle-$b;; esac`,
  `BERTH_TASK_NOFILE=$(ulimit -Sn) exec "$e" task --bundle "$b" "$@"`,
].join("; ");
