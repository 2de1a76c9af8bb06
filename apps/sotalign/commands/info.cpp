// sotalign info: how this program was built and what it runs on, whether it computes what it should, or what
// a file contains.
#include <cblas.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <hwy/highway.h>
#include <omp.h>

#include <memory>
#include <string_view>

#include "cli/files.h"
#include "cli/options.h"
#include "commands/command.h"
#include "run/self_check.h"
#include "sotalign/core/error.h"
#include "sotalign/core/product_math.h"
#include "sotalign/io/npy.h"
#include "sotalign/io/safetensors.h"
#include "sotalign/ot/sinkhorn.h"
#include "sotalign/version.h"

namespace sotalign::app {

namespace {

struct InfoArguments {
  std::string file;
  bool check = false;
  Machine machine;
};

/// The best instruction set that both this machine and the compiler support.
const char* simd_target() {
  const int64_t usable = hwy::SupportedTargets() & HWY_TARGETS;
  return hwy::TargetName(usable & -usable);  // better targets have lower bits
}

std::string version(int number) { return fmt::format("{}.{}", number / 1000, number / 10 % 100); }

void describe_cuda(const Context& context) {
  const CudaSupport cuda = cuda_support();
  if (!cuda.built) {
    fmt::print("CUDA      {}\n", cuda.unusable);
    return;
  }
  std::vector<std::string> architectures;
  for (const int a : cuda.architectures) architectures.push_back(fmt::format("{}.{}", a / 10, a % 10));
  fmt::print(
      "CUDA      {}, compiled for {}; {}\n", version(cuda.runtime_version), fmt::join(architectures, " "),
      cuda.driver_version == 0 ? cuda.unusable
                               : fmt::format("the driver supports CUDA {}", version(cuda.driver_version)));
  for (const CudaDevice& device : cuda.devices)
    fmt::print("          cuda:{}  {}, compute capability {}.{}, {} multiprocessors, {:.1f} GiB{}\n",
               device.index, device.name, device.major, device.minor, device.multiprocessors,
               static_cast<double>(device.bytes) / (1 << 30),
               device.unusable.empty() ? "" : "; cannot be used: " + device.unusable);
  if (!cuda.unusable.empty()) return;
  const CudaLibraries libraries = cuda_libraries();
  fmt::print("cuBLAS    {}\ncuSOLVER  {}\n", libraries.cublas, libraries.cusolver);
  fmt::print("math      {} in the products of a training step, unless --math says otherwise\n",
             to_string(TrainOptions{}.math));
  if (context.device().kind != DeviceKind::kCuda) return;
  const OnChipSupport chip = sinkhorn_on_chip_support(context);
  fmt::print(
      "Sinkhorn  {}\n",
      chip.why_not.empty()
          ? fmt::format("on chip, in one launch, up to {0} x {0}; checked on this device", chip.most_rows)
          : "in separate launches: " + chip.why_not);
}

void describe_program(const Machine& machine) {
  const Context context = make_context(machine);
  fmt::print("sotalign  {}, {} build\n", sotalign::version(), SOTALIGN_BUILD_TYPE);
  fmt::print("compiler  {}\n", SOTALIGN_COMPILER);
  fmt::print("device    {}\n", describe_device(context, machine));
  describe_cuda(context);
  fmt::print("threads   {} of {} cores\n", context.threads(), omp_get_num_procs());
  fmt::print("SIMD      {}\n", simd_target());
  fmt::print("BLAS      {} ({})\n", openblas_get_config(), openblas_get_corename());
}

void describe_npy(const std::string& path) {
  const NpyInfo info = inspect_npy(path);
  fmt::print("{}: .npy, {} ({}) [{}], {} order\n", path, to_string(info.type), info.descr,
             fmt::join(info.shape, ", "), info.fortran_order ? "Fortran" : "C");
}

void describe_safetensors(const std::string& path) {
  const SafetensorsFile file = SafetensorsFile::open(path);
  size_t width = 0;
  for (const std::string& name : file.names()) width = std::max(width, name.size());
  fmt::print("{}: safetensors, {} tensors\n", path, file.names().size());
  for (const std::string& name : file.names())
    fmt::print("  {:{}}  {:8}  [{}]\n", name, width, to_string(file.type(name)),
               fmt::join(file.shape(name), ", "));
  for (const auto& [key, value] : file.metadata()) fmt::print("  {} = {}\n", key, value);
}

/// Computes known numbers on the device and throws if it gets others.
void check_device(const Machine& machine) {
  Context context = make_context(machine);
  const std::string device = to_string(context.device());
  for (const SelfCheck& check : self_check(context)) {
    if (!check.passed())
      throw Error(fmt::format("{}: {}: expected {:.6g}, found {:.6g}", device, check.name, check.expected,
                              check.found));
    if (!machine.quiet)
      fmt::print("{:8}  {:26}  expected {:8.5g}, found {:8.5g}\n", device, check.name, check.expected,
                 check.found);
  }
}

/// The device that was asked for; with "auto", the CPU and every usable CUDA device.
void check_devices(const Machine& machine) {
  std::vector<std::string> devices = {machine.device};
  if (machine.device == "auto") {
    devices = {"cpu"};
    for (const CudaDevice& device : cuda_support().devices)
      if (device.unusable.empty())
        devices.push_back(to_string(Device{DeviceKind::kCuda, device.index}));
      else if (!machine.quiet)
        fmt::print("cuda:{}  not checked: {}\n", device.index, device.unusable);
  }
  for (const std::string& device : devices) {
    Machine one = machine;
    one.device = device;
    check_device(one);
  }
}

int run(const InfoArguments& arguments) {
  if (arguments.check) {
    if (!arguments.file.empty()) throw InvalidArgument("--check: expected no file");
    check_devices(arguments.machine);
    return 0;
  }
  if (arguments.file.empty()) {
    describe_program(arguments.machine);
    return 0;
  }
  constexpr std::string_view kNpy = "\x93NUMPY";
  if (read_beginning(arguments.file, kNpy.size()) == kNpy) {
    describe_npy(arguments.file);
  } else {
    describe_safetensors(arguments.file);
  }
  return 0;
}

}  // namespace

Action add_info(CLI::App& app) {
  const auto arguments = std::make_shared<InfoArguments>();
  app.add_option("file", arguments->file, "A .npy or .safetensors file, for example a model")
      ->type_name("FILE");
  OptionTable table(app);
  table.check_file("file", &arguments->file, Role::kPath);
  table.add("check", &arguments->check,
            "Compute numbers that are known, a small solve and training steps, on the CPU and every CUDA "
            "device that can be used, or on --device",
            Role::kMachine);
  add_machine_options(table, arguments->machine);
  return [arguments] { return run(*arguments); };
}

}  // namespace sotalign::app
