# Decides whether and how to build the CUDA backend. Sets SOTALIGN_WITH_CUDA and SOTALIGN_EMULATOR, and defines
# sotalign_cuda_headers (for host code that calls the CUDA runtime) and sotalign_cuda_options (for our own .cu files).
include(SotalignArchitectures)
set(SOTALIGN_WITH_CUDA OFF)
set(SOTALIGN_EMULATOR OFF)
add_library(sotalign_cuda_headers INTERFACE)
add_library(sotalign_cuda_options INTERFACE)

if(NOT SOTALIGN_CUDA MATCHES "^(AUTO|ON|OFF|EMULATED)$")
  message(FATAL_ERROR "sotalign: SOTALIGN_CUDA, expected AUTO, ON, OFF or EMULATED, found ${SOTALIGN_CUDA}")
endif()

# CMake 3.25 knows no C++20 flag for nvcc and would silently omit it.
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")

if(SOTALIGN_CUDA MATCHES "^(AUTO|ON)$")
  # Toolkits are often installed in /usr/local/cuda but not on the PATH.
  if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
    find_program(SOTALIGN_NVCC nvcc PATHS /usr/local/cuda/bin)
    if(SOTALIGN_NVCC)
      set(CMAKE_CUDA_COMPILER ${SOTALIGN_NVCC})
    endif()
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --list-gpu-arch OUTPUT_VARIABLE supported)
    string(REGEX MATCHALL "[0-9]+" supported "${supported}")
    # Every architecture in use that this nvcc supports: machine code for each, and PTX for later ones.
    if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES AND "$ENV{CUDAARCHS}" STREQUAL "")
      foreach(architecture 80 86 89 90 100 120)
        if(architecture IN_LIST supported)
          list(APPEND CMAKE_CUDA_ARCHITECTURES ${architecture}-real)
        endif()
      endforeach()
      list(TRANSFORM CMAKE_CUDA_ARCHITECTURES REPLACE "-real$" "" AT -1)
      set(CMAKE_CUDA_ARCHITECTURES ${CMAKE_CUDA_ARCHITECTURES} CACHE STRING "CUDA architectures")
    endif()
    if(CCACHE_PROGRAM AND NOT CMAKE_CUDA_COMPILER_LAUNCHER)
      set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
    endif()
    enable_language(CUDA)
    sotalign_cuda_architectures(architectures error REQUESTED ${CMAKE_CUDA_ARCHITECTURES}
                                NATIVE ${CMAKE_CUDA_ARCHITECTURES_NATIVE} SUPPORTED ${supported})
    if(error)
      message(FATAL_ERROR "sotalign: ${error}")
    endif()
    set(CMAKE_CUDA_ARCHITECTURES ${architectures})
    list(APPEND CMAKE_CUDA_COMPILE_FEATURES cuda_std_20)
    set(CMAKE_CUDA_STANDARD 20)
    set(CMAKE_CUDA_STANDARD_REQUIRED ON)
    set(SOTALIGN_WITH_CUDA ON)
  elseif(SOTALIGN_CUDA STREQUAL ON)
    message(FATAL_ERROR "sotalign: SOTALIGN_CUDA is ON, but nvcc was not found; set CMAKE_CUDA_COMPILER or PATH")
  endif()
elseif(SOTALIGN_CUDA STREQUAL EMULATED)
  set(SOTALIGN_WITH_CUDA ON)
  set(CMAKE_CUDA_ARCHITECTURES 90)  # the architecture that the emulated device reports
endif()

if(NOT SOTALIGN_WITH_CUDA)
  message(STATUS "sotalign: CPU backend alone (SOTALIGN_CUDA=${SOTALIGN_CUDA}, no nvcc in use)")
  return()
endif()

find_package(CUDAToolkit REQUIRED)
target_include_directories(sotalign_cuda_headers SYSTEM INTERFACE ${CUDAToolkit_INCLUDE_DIRS})
list(JOIN CMAKE_CUDA_ARCHITECTURES " " SOTALIGN_CUDA_ARCHITECTURES)
target_compile_definitions(sotalign_cuda_headers INTERFACE
  SOTALIGN_WITH_CUDA SOTALIGN_CUDA_ARCHITECTURES="${SOTALIGN_CUDA_ARCHITECTURES}"
  SOTALIGN_CUDA_LIBRARY_DIR="${CUDAToolkit_LIBRARY_DIR}")
message(STATUS "sotalign: CPU and CUDA ${CUDAToolkit_VERSION} backends, architectures ${SOTALIGN_CUDA_ARCHITECTURES}"
               " (SOTALIGN_CUDA=${SOTALIGN_CUDA})")

# Warns of register spills and of thread-local arrays in local memory: either makes a kernel several times slower.
# SOTALIGN_WARNINGS_AS_ERRORS makes both errors.
target_compile_definitions(sotalign_cuda_options INTERFACE SOTALIGN_WITH_CUDA)
target_compile_options(sotalign_cuda_options INTERFACE
  $<$<COMPILE_LANGUAGE:CUDA>:-lineinfo --expt-relaxed-constexpr -Xcompiler=-Wall,-Wextra
  -Xptxas=--warn-on-spills,--warn-on-local-memory-usage>)
if(SOTALIGN_WARNINGS_AS_ERRORS)
  target_compile_options(sotalign_cuda_options INTERFACE
    "$<$<COMPILE_LANGUAGE:CUDA>:SHELL:-Werror=all-warnings -Xptxas=--warning-as-error -Xcompiler=-Werror>")
endif()

find_path(SOTALIGN_BOOST_CONTEXT_INCLUDE_DIR boost/context/detail/fcontext.hpp)
find_library(SOTALIGN_BOOST_CONTEXT_LIBRARY boost_context)
if(SOTALIGN_BOOST_CONTEXT_INCLUDE_DIR AND SOTALIGN_BOOST_CONTEXT_LIBRARY)
  set(SOTALIGN_EMULATOR ON)
elseif(SOTALIGN_CUDA STREQUAL EMULATED)
  message(FATAL_ERROR "sotalign: the emulator needs Boost.Context; on Debian: apt-get install libboost-context-dev")
else()
  message(STATUS "sotalign: no emulated tests of the CUDA kernels (Boost.Context not found)")
endif()
