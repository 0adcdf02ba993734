#!/bin/sh
# scrun of Berth. `berth link` has written this file; it stands for `berth scrun`, which can do everything itself.
# An executable takes about 10 ms to start and this shell one, and an engine starts an OCI runtime three times for each container. So:
#   create   its anchor starts at the same time, not after it
#   start    asks the anchor by a signal, and hears of it through a FIFO (src/scrun/launcher)
#   delete   of a container that its anchor has put away: what is left is a directory
# Whatever is not plain is done by Berth from its beginning.
berth='@BERTH@'
# Of a directory that has been deleted shells know no name, and Bun does not start in it.
case $PWD in
  /*) [ -d "$PWD" ] || cd / ;;
  *) cd / ;;
esac
root='' command='' id='' taken='' status=''

for word do
  case $taken in
    root) root=$word taken='' ; continue ;;
    value) taken='' ; continue ;;
  esac
  case $command,$word in
    ,--root) taken=root ;;
    ,--root=*) root=${word#*=} ;;
    ,--log | ,--log-format | create,--bundle | create,--pid-file | create,--console-socket) taken=value ;;
    ,--log=* | ,--log-format=* | ,--systemd-cgroup | ,--debug) ;;
    create,--bundle=* | create,--pid-file=* | create,--console-socket=* | create,--no-pivot | create,--no-new-keyring | delete,--force) ;;
    ,create | ,start | ,delete) command=$word ;;
    ,* | *,-*) exec "$berth" scrun "$@" ;;
    *) [ -z "$id" ] || exec "$berth" scrun "$@"
      id=$word ;;
  esac
done
root=${root:-${XDG_RUNTIME_DIR:+$XDG_RUNTIME_DIR/scrun}}
dir=$root/$id
case $id in
  '' | . | .. | */* | *[!0-9A-Za-z_+.-]*) command=none ;;
esac
case $root in
  /*) [ -O "$root" ] || command=none ;; # Berth makes it
  *) command=none ;;
esac

# Whether process $pid started at $ticks (proc(5), stat): its number alone may be somebody else's by now.
is_since() {
  shift 19
  [ "$1" = "$ticks" ]
}

case $command in
  create)
    { "$berth" scrun anchor "$dir" "$$" "$@" <&9 9<&- & } 9<&0
    exec "$berth" scrun --anchor "$!:$dir" "$@"
    ;;
  start)
    # A FIFO whose writers have gone ends: when the anchor is killed, nobody waits for its answer.
    if [ -O "$dir" ] && [ -p "$dir/answer" ] && { read -r pid ticks <"$dir/anchor" && read -r stat <"/proc/$pid/stat"; } 2>/dev/null \
      && is_since ${stat##*) } && { set -C && true >"$dir/asked"; } 2>/dev/null; then
      {
        exec 8<&-
        kill -USR2 "$pid" && read -r status
      } 8<>"$dir/answer" <"$dir/answer" 2>/dev/null
      [ "$status" != started ] || exit 0
    fi
    ;;
  delete)
    [ ! -O "$dir" ] || [ -L "$dir" ] || [ ! -f "$dir/over" ] || [ -e "$dir/runtime/$id" ] || exec rm -rf -- "$dir"
    ;;
esac
exec "$berth" scrun "$@"
