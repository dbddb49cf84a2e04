
compiles= source= other=
for word do
  case $word in
    -c | -dc | -dw) compiles=1 ;;
    -E | -S | -M | -MM | -fsyntax-only | --dryrun | -dryrun) other=1 ;;
    conftest.* | */conftest.*) other=1 ;;
    *.c | *.cc | *.cpp | *.cxx | *.c++ | *.C | *.cu | *.m | *.mm | *.f | *.F | *.f90 | *.F90) source=1 ;;
  esac
done
# Whether a compiler understands a flag is a question, not a part of the package.
case $PWD/ in */CMakeFiles/* | */CMakeTmp/* | */meson-private/*) other=1 ;; esac
if [ -z "$other$BUILDER_COUNTED" ] && [ -n "$compiles$source" ]; then
  echo . >>@count_file@
fi
