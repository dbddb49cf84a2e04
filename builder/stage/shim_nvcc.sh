#!/bin/sh
# Made by `builder` for one stage: stands for nvcc, and before nvcc where CMake wants a launcher.
real=@real@
[ @launcher@ ] && { real=$1 && shift; }

cd -P .
export PWD
@count@
# The host compiler is found on the path: then it is the shim, and names are neutral there too.
PATH=@folder@:$PATH
export PATH
if [ -n "$compiles" ]; then
  # Temporary files of a random name would leave their name in the object.
  set -- "$@"@flags@
  if [ -z "$other" ]; then
    BUILDER_COUNTED=1 exec @cache@"$real" "$@"
  fi
fi
BUILDER_COUNTED=1 exec "$real" "$@"
