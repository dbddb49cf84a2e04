#include "sample/sample.hpp"

#include "sampledep.hpp"

namespace sample {

std::uint32_t checksum(const void* data, std::size_t size) noexcept {
  return sampledep::crc32(static_cast<const unsigned char*>(data), size);
}

}  // namespace sample
