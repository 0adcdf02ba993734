# Runs one case and writes its transcript; called by replay.ts, in the private state that it made.
#
#   bash runner.sh CASE OUT        with B (the state's directory) and PATH in the environment
#
# Case language, one instruction per line:
#   # text        title, notes                    $ command     run and recorded, in one persistent shell
#   < text        stdin of the next command       ! command     run, not recorded: set-up, waiting
#   @ NAME … @    a file to make                   !!root, !!after   administrator's part before and after the case
# On stdout it tells which recorded command begins ("begin 3") and ends ("end 3"), so that replay.ts can bound its time.
case_file=$1 out_file=$2
cd "$B/w" || exit 1
exec 9>"$out_file" 6>&1 >/dev/null
emit() { # prefix file
  [ -s "$2" ] || return 0
  sed "s/^/$1 /" "$2" >&9
  [ -z "$(tail -c1 "$2")" ] || printf '\n%% no newline at the end of the %s above\n' "$([ "$1" = '|' ] && echo stdout || echo stderr)" >&9
}
# Waiting has a bound everywhere: WAIT_TENTHS tenths of a second, like the recorder's.
wait_idle() { # until none of our jobs runs or is about to run
  local i
  for ((i = 0; i < 300; i++)); do
    squeue -h -t PD,R,CG,CF,S -u "$USER" -o '%t %r' | grep -qE '^(R|CG|CF|S) |^PD (None|Resources|Priority|JobArrayTaskLimit)$' || return
    sleep 0.1
  done
}
wait_state() { # job state...
  local j=$1 i s x
  shift
  for ((i = 0; i < ${WAIT_TENTHS:-150}; i++)); do
    s=$(squeue -h -t all -j "$j" -o %T 2>/dev/null | head -1)
    for x in "$@"; do [ "$s" = "$x" ] && return; done
    sleep 0.1
  done
}
wait_file() { local i; for ((i = 0; i < 200; i++)); do [ -s "$1" ] && return; sleep 0.1; done; }
last_job() { squeue -h -t all -u "$USER" -o %A | sort -n | tail -1; }
settle() { local i; for ((i = 0; i < 50; i++)); do [ -z "$(squeue -h -t CG 2>/dev/null)" ] && return; sleep 0.1; done; }
as_root() { printf '%s\n' "$*" | xargs scontrol; } # whoever owns the engine is its administrator

grep '^!!root ' "$case_file" | sed 's/^!!root //' >"$B/before"
grep '^!!after ' "$case_file" | sed 's/^!!after //' >"$B/after"
(. "$B/before") >/dev/null 2>&1 </dev/null 9>&- 6>&-

sin=$B/stdin so=$B/stdout se=$B/stderr have_in=0 number=0
: >"$sin"
while IFS= read -r line <&8; do
  case $line in
    '!!'*) ;;
    '') printf '\n' >&9 ;;
    '#'*) printf '%s\n' "$line" >&9 ;;
    '< '*) printf '%s\n' "${line#< }" >>"$sin"; have_in=1 ;;
    '<') printf '\n' >>"$sin"; have_in=1 ;;
    '@ '*)
      f=${line#@ }
      : >"$f"
      printf '@ %s\n' "$f" >&9
      while IFS= read -r line <&8 && [ "$line" != "@" ]; do printf '%s\n' "$line" >>"$f"; printf '  %s\n' "$line" >&9; done
      printf '@\n' >&9 ;;
    '! '*)
      echo "begin setup $number" >&6
      eval "${line#! }" >/dev/null 2>&1 </dev/null 6>&- 8<&- 9>&- ;;
    '$ '*)
      c=${line#\$ }
      settle
      number=$((number + 1))
      echo "begin $number" >&6
      printf '$ %s\n' "$c" >&9
      [ $have_in = 1 ] && sed 's/^/< /' "$sin" >&9
      [ $have_in = 1 ] || : >"$sin"
      : >"$so"
      : >"$se"
      eval "$c" >"$so" 2>"$se" <"$sin" 6>&- 8<&- 9>&-
      rc=$?
      emit '|' "$so"
      emit '!' "$se"
      printf '= %d\n' "$rc" >&9
      : >"$sin"
      have_in=0 ;;
  esac
done 8<"$case_file"
echo "begin after" >&6
(. "$B/after") >/dev/null 2>&1 </dev/null 9>&- 6>&-
