// A small library with the features that make packaging hard: threads, a private library, a GPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "sample/export.hpp"

namespace sample {

// The version of the library, for example "1.4.0".
SAMPLE_API const char* version() noexcept;

// How many threads the next parallel region will have (OpenMP; obeys OMP_NUM_THREADS).
SAMPLE_API int threads() noexcept;

// The dot product of two vectors of `count` numbers, computed by all threads.
SAMPLE_API double dot(const double* left, const double* right, std::size_t count) noexcept;

// The CRC-32 (ISO-HDLC, as in zip) of `size` bytes.
SAMPLE_API std::uint32_t checksum(const void* data, std::size_t size) noexcept;

// Run-length coding with a checksum. `unpack` throws std::runtime_error for damaged input.
SAMPLE_API std::vector<unsigned char> pack(const void* data, std::size_t size);
SAMPLE_API std::vector<unsigned char> unpack(const void* data, std::size_t size);

// "not built for CUDA", "built for CUDA, no device", or the name of the first device.
SAMPLE_API std::string cuda_available();

// values[i] += factor * addends[i]. Returns whether a GPU did it; otherwise the threads did.
SAMPLE_API bool saxpy(float factor, const float* addends, float* values, std::size_t count);

}  // namespace sample
