#pragma once

#if defined(SAMPLE_STATIC)
#  define SAMPLE_API
#elif defined(_WIN32)
#  if defined(SAMPLE_BUILDING)
#    define SAMPLE_API __declspec(dllexport)
#  else
#    define SAMPLE_API __declspec(dllimport)
#  endif
#else
#  define SAMPLE_API __attribute__((visibility("default")))
#endif
