#include "sample/sample.hpp"

namespace sample {

double dot(const double* left, const double* right, std::size_t count) noexcept {
  // MSVC's OpenMP wants a signed index.
  const std::ptrdiff_t end = static_cast<std::ptrdiff_t>(count);
  double sum = 0.0;
#pragma omp parallel for reduction(+ : sum) schedule(static)
  for (std::ptrdiff_t i = 0; i < end; ++i) {
    sum += left[i] * right[i];
  }
  return sum;
}

}  // namespace sample
