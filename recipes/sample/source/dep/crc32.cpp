#include "sampledep.hpp"

#include <array>

namespace {

std::array<std::uint32_t, 256> make_table() noexcept {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t rest = byte;
    for (int bit = 0; bit < 8; ++bit) {
      rest = (rest & 1u) != 0 ? 0xEDB88320u ^ (rest >> 1) : rest >> 1;
    }
    table[byte] = rest;
  }
  return table;
}

}  // namespace

namespace sampledep {

std::uint32_t crc32(const unsigned char* data, std::size_t size) noexcept {
  static const std::array<std::uint32_t, 256> table = make_table();
  std::uint32_t rest = 0xFFFFFFFFu;
  for (std::size_t i = 0; i < size; ++i) {
    rest = table[(rest ^ data[i]) & 0xFFu] ^ (rest >> 8);
  }
  return ~rest;
}

}  // namespace sampledep
