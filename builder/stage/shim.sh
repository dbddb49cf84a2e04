#!/bin/sh
# Made by `builder` for one stage: counts what is compiled, gives sources names that do not depend on
# where they lie, and asks the compiler cache.
real=@real@
base=@base@
prefix=-ffile-prefix-map=

cd -P .
export PWD
@count@
# The neutral name of a folder.
name() {
  case $1/ in
@names@
    *) neutral= ;;
  esac
}

# The last map that fits wins: outer folders come before inner ones.
set -- "$@"@maps@
case $PWD/ in
  "$base"/*)
    # A compiler cache makes paths below its base relative, so those need names as well: first the
    # folders above this one, from the nearest to the base, then the others.
    here=$PWD up=
    while [ "$here" != "$base" ]; do
      here=${here%/*} up=../$up
      name "$here"
      set -- "$@" "$prefix$up=$neutral/"
    done
    for root in @roots@; do
      case $PWD/ in "$root"/*) continue ;; esac
      here=$PWD up=
      until case $root/ in "$here"/*) true ;; *) false ;; esac; do
        here=${here%/*} up=../$up
      done
      name "$root"
      set -- "$@" "$prefix$up${root#"$here"/}=$neutral"
    done
    set -- "$@" "$prefix$PWD/="
    ;;
esac

if [ -n "$compiles" ] && [ -z "$other$BUILDER_COUNTED" ]; then
  exec @cache@"$real" "$@"
fi
exec "$real" "$@"
