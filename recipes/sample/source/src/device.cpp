#include "sample/sample.hpp"

#ifdef SAMPLE_WITH_CUDA
#  include "device.hpp"
#endif

namespace sample {

std::string cuda_available() {
#ifdef SAMPLE_WITH_CUDA
  const std::string name = device::name();
  return name.empty() ? "built for CUDA, no device" : name;
#else
  return "not built for CUDA";
#endif
}

bool saxpy(float factor, const float* addends, float* values, std::size_t count) {
#ifdef SAMPLE_WITH_CUDA
  if (device::saxpy(factor, addends, values, count)) {
    return true;
  }
#endif
  const std::ptrdiff_t end = static_cast<std::ptrdiff_t>(count);
#pragma omp parallel for schedule(static)
  for (std::ptrdiff_t i = 0; i < end; ++i) {
    values[i] += factor * addends[i];
  }
  return false;
}

}  // namespace sample
