#include "sample/sample.hpp"

#include <omp.h>

namespace sample {

int threads() noexcept { return omp_get_max_threads(); }

}  // namespace sample
