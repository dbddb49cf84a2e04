#include "sample/sample.hpp"

#include <stdexcept>

#include "sampledep.hpp"

namespace {

// The packed form begins with the checksum of the unpacked bytes, least significant byte first.
constexpr std::size_t header = 4;

}  // namespace

namespace sample {

std::vector<unsigned char> pack(const void* data, std::size_t size) {
  const auto* bytes = static_cast<const unsigned char*>(data);
  const std::uint32_t sum = sampledep::crc32(bytes, size);
  const std::vector<unsigned char> pairs = sampledep::shrink(bytes, size);
  std::vector<unsigned char> packed;
  packed.reserve(header + pairs.size());
  for (std::size_t i = 0; i < header; ++i) {
    packed.push_back(static_cast<unsigned char>(sum >> (8 * i)));
  }
  packed.insert(packed.end(), pairs.begin(), pairs.end());
  return packed;
}

std::vector<unsigned char> unpack(const void* data, std::size_t size) {
  const auto* packed = static_cast<const unsigned char*>(data);
  if (size < header) {
    throw std::runtime_error("packed data is shorter than its header");
  }
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < header; ++i) {
    sum |= static_cast<std::uint32_t>(packed[i]) << (8 * i);
  }
  std::vector<unsigned char> bytes = sampledep::expand(packed + header, size - header);
  if (sampledep::crc32(bytes.data(), bytes.size()) != sum) {
    throw std::runtime_error("packed data does not match its checksum");
  }
  return bytes;
}

}  // namespace sample
