// What src/saxpy.cu offers to the rest; no CUDA type appears, so that any compiler can read it.
#pragma once

#include <cstddef>
#include <string>

namespace sample {
namespace device {

// The name of the first device, or nothing when there is no driver or no device.
std::string name();

// Whether a device did the work; the values are untouched when none did.
bool saxpy(float factor, const float* addends, float* values, std::size_t count);

}  // namespace device
}  // namespace sample
