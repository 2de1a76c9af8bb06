// The architectures that the CUDA kernels were compiled for, and which devices can run them.
#pragma once

#include <string_view>
#include <vector>

namespace sotalign::detail {

/// One architecture, as CMake writes it: "90", "90-real", "120-virtual", "100a-real", "120f".
struct CudaArchitecture {
  /// Which devices can run it, apart from the one that it names.
  enum class Reach {
    kLater,   ///< "90": machine code runs on later devices of the major version, PTX on all later devices
    kFamily,  ///< "100f": both run on later devices of the major version
    kExact,   ///< "100a": both run on this device alone
  };
  int number = 0;  ///< 10 major + minor
  Reach reach = Reach::kLater;
  bool machine_code = false;
  bool ptx = false;
  bool operator==(const CudaArchitecture&) const = default;
};

/// Reads a list with blanks between its entries, and sorts it by number. Skips what is no architecture.
std::vector<CudaArchitecture> parse_cuda_architectures(std::string_view text);

/// Whether a device of compute capability major.minor can run the kernels: some architecture has machine code
/// for it, or PTX that the driver can translate.
bool can_run(const std::vector<CudaArchitecture>& architectures, int major, int minor);

}  // namespace sotalign::detail
