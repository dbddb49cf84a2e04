// Private to libsample.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#if defined(SAMPLEDEP_STATIC)
#  define SAMPLEDEP_API
#elif defined(_WIN32)
#  if defined(SAMPLEDEP_BUILDING)
#    define SAMPLEDEP_API __declspec(dllexport)
#  else
#    define SAMPLEDEP_API __declspec(dllimport)
#  endif
#else
#  define SAMPLEDEP_API __attribute__((visibility("default")))
#endif

namespace sampledep {

SAMPLEDEP_API std::uint32_t crc32(const unsigned char* data, std::size_t size) noexcept;

// Pairs of (count, byte). `expand` throws std::runtime_error for half a pair and for a count of 0.
SAMPLEDEP_API std::vector<unsigned char> shrink(const unsigned char* data, std::size_t size);
SAMPLEDEP_API std::vector<unsigned char> expand(const unsigned char* data, std::size_t size);

}  // namespace sampledep
