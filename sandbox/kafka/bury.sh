#!/bin/sh
# Ends and deletes what a stack left behind whose owner died without a goodbye.
#   bury.sh folder DIR        processes named in DIR/*.pid (only if their command line names DIR), then DIR
#   bury.sh containers STACK  containers and networks with the label socos.sandbox.stack=STACK
# Called by a stack's minder, which outlives its owner, and by the next start for what even the minder could not do.
kind=$1
name=${2:?}

case $kind in
folder)
  for file in "$name"/*.pid; do
    [ -e "$file" ] || continue
    read -r pid <"$file" || continue
    if [ -r "/proc/$pid/cmdline" ]; then
      args=$(tr '\0' ' ' <"/proc/$pid/cmdline")
    else
      args=$(ps -ww -o args= -p "$pid" 2>/dev/null)
    fi
    case $args in *"$name"*) kill -9 "$pid" ;; esac
  done
  # a killed process may still be closing its files
  rm -rf "$name" || { sleep 1; rm -rf "$name"; }
  ;;
containers)
  command -v docker >/dev/null || exit 0
  # three times: the engine may still be working on the owner's last request
  for _ in 1 2 3; do
    ids=$(docker ps -aq --filter "label=socos.sandbox.stack=$name")
    # shellcheck disable=SC2086
    [ -z "$ids" ] || docker rm -f -v $ids
    ids=$(docker network ls -q --filter "label=socos.sandbox.stack=$name")
    # shellcheck disable=SC2086
    [ -z "$ids" ] || docker network rm $ids
    sleep 1
  done
  ;;
*)
  echo "bury.sh: folder or containers, not $kind" >&2
  exit 2
  ;;
esac
