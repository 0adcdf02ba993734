# Shared by the scripts beside it; sourced, never run. Sets ROOT and goes there.
# Assumes bash, coreutils and, for npm packages, node and npm. Nothing here asks a question.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
export PATH=$PATH:/usr/sbin:/sbin # where Debian puts runc; an ordinary user's PATH often lacks it
export npm_config_fund=false npm_config_audit=false npm_config_update_notifier=false

say() { printf '\n== %s\n' "$*"; }
die() {
  printf '%s\n' "$@" >&2
  exit 1
}
# A command in PATH, or a file: a pattern with an absolute path.
have() {
  case $1 in
    /*) compgen -G "$1" >/dev/null ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
  esac
}

# The packages of the lock file. A second call is free: npm leaves node_modules/.package-lock.json behind.
need_npm_packages() {
  if [ -x node_modules/.bin/bun ] && [ -x node_modules/.bin/tsc ] \
    && [ ! package-lock.json -nt node_modules/.package-lock.json ]; then return; fi
  have npm || die "npm is not in PATH" "hint: install Node.js 20 or newer, with npm"
  say "Installing the npm packages of package-lock.json"
  npm ci --loglevel=error || die "npm ci failed" "hint: is the npm registry reachable (npm ping)?"
  touch node_modules/.package-lock.json
}

# Options that a caller wants apt-get to have.
apt_options=()
# need_apt_packages COMMAND:PACKAGE... installs packages whose command is missing.
# Returns 1 when something is missing that only root can install, after saying which command would do it.
need_apt_packages() {
  local pair missing=()
  for pair in "$@"; do have "${pair%%:*}" || missing+=("${pair##*:}"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  if ! have apt-get; then
    echo "Missing: ${missing[*]} (Debian package names). Install them with this system's package manager." >&2
    return 1
  fi
  if [ "$(id -u)" != 0 ]; then
    echo "Missing: ${missing[*]}. To install them:" >&2
    echo "    sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    return 1
  fi
  say "Installing Debian packages: ${missing[*]}"
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends -o Dpkg::Use-Pty=0 "${apt_options[@]}" install "${missing[@]}")
  "${apt[@]}" >/dev/null 2>&1 && return 0
  apt-get -q update >/dev/null || true # package lists missing or old: fetch them and try once more
  "${apt[@]}" >/dev/null || { echo "apt-get could not install: ${missing[*]}" >&2; return 1; }
}
