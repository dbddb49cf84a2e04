#include "sample/sample.hpp"

namespace sample {

const char* version() noexcept { return SAMPLE_VERSION_TEXT; }

}  // namespace sample
