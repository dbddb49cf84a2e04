#include "sampledep.hpp"

#include <stdexcept>

namespace sampledep {

std::vector<unsigned char> shrink(const unsigned char* data, std::size_t size) {
  std::vector<unsigned char> pairs;
  for (std::size_t start = 0; start < size;) {
    std::size_t end = start + 1;
    while (end < size && data[end] == data[start] && end - start < 255) {
      ++end;
    }
    pairs.push_back(static_cast<unsigned char>(end - start));
    pairs.push_back(data[start]);
    start = end;
  }
  return pairs;
}

std::vector<unsigned char> expand(const unsigned char* data, std::size_t size) {
  if (size % 2 != 0) {
    throw std::runtime_error("packed data ends in the middle of a pair");
  }
  std::vector<unsigned char> bytes;
  for (std::size_t i = 0; i < size; i += 2) {
    if (data[i] == 0) {
      throw std::runtime_error("packed data holds an empty run");
    }
    bytes.insert(bytes.end(), data[i], data[i + 1]);
  }
  return bytes;
}

}  // namespace sampledep
