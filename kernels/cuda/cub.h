// CUB or, for the emulator, a twin of the functions in use.
#pragma once

#ifdef __CUDACC__
#include <cub/device/device_radix_sort.cuh>
#else
#include "simt/cub.h"
#endif
