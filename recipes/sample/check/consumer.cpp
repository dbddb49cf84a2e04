// A user of the core tree: found with find_package(sample), linked to sample::sample.
#include <cstdio>
#include <cstring>
#include <vector>

#include <sample/sample.hpp>

int main() {
  const std::vector<double> ones(1000, 1.0);
  const double sum = sample::dot(ones.data(), ones.data(), ones.size());
  const std::uint32_t check = sample::checksum("123456789", 9);
  const std::vector<unsigned char> packed = sample::pack("aaaaaaaaaa", 10);
  const std::vector<unsigned char> bytes = sample::unpack(packed.data(), packed.size());
  std::printf("libsample %s: dot %g, checksum %08x, threads %d, CUDA: %s\n", sample::version(), sum,
              static_cast<unsigned>(check), sample::threads(), sample::cuda_available().c_str());
  const bool right = sum == 1000.0 && check == 0xCBF43926u && packed.size() == 6 &&
                     bytes.size() == 10 && std::memcmp(bytes.data(), "aaaaaaaaaa", 10) == 0 &&
                     sample::threads() >= 1;
  return right ? 0 : 1;
}
