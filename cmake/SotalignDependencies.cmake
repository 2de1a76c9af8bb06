# What the library depends on. sotalignConfig.cmake includes this file, too, so that users link the same libraries.
include(CMakeFindDependencyMacro)
find_dependency(OpenMP COMPONENTS CXX)
find_dependency(fmt)
find_dependency(hwy)
if(NOT CMAKE_FIND_PACKAGE_NAME STREQUAL sotalign)  # the installed library does not need these two
  find_package(nlohmann_json REQUIRED)
  find_path(SOTALIGN_XXHASH_INCLUDE_DIR xxhash.h)
  if(NOT SOTALIGN_XXHASH_INCLUDE_DIR)
    message(FATAL_ERROR "sotalign: xxhash.h not found; on Debian: apt-get install libxxhash-dev")
  endif()
endif()

# OpenBLAS built for OpenMP shares its threads with our own loops. The pthread build works, too, but its threads compete
# with ours for the cores, which costs up to half the speed.
if(NOT TARGET SotalignLapack::SotalignLapack)
  find_library(SOTALIGN_OPENBLAS_LIBRARY openblas PATH_SUFFIXES openblas-openmp)
  find_path(SOTALIGN_CBLAS_INCLUDE_DIR cblas.h
            PATH_SUFFIXES openblas-openmp x86_64-linux-gnu/openblas-openmp aarch64-linux-gnu/openblas-openmp openblas)
  find_library(SOTALIGN_LAPACKE_LIBRARY lapacke)
  find_path(SOTALIGN_LAPACKE_INCLUDE_DIR lapacke.h)
  foreach(variable SOTALIGN_OPENBLAS_LIBRARY SOTALIGN_CBLAS_INCLUDE_DIR SOTALIGN_LAPACKE_LIBRARY SOTALIGN_LAPACKE_INCLUDE_DIR)
    if(NOT ${variable})
      message(FATAL_ERROR "sotalign: ${variable} not found; on Debian: apt-get install libopenblas-openmp-dev liblapacke-dev")
    endif()
  endforeach()
  add_library(SotalignLapack::SotalignLapack INTERFACE IMPORTED)
  target_include_directories(SotalignLapack::SotalignLapack INTERFACE ${SOTALIGN_CBLAS_INCLUDE_DIR} ${SOTALIGN_LAPACKE_INCLUDE_DIR})
  target_link_libraries(SotalignLapack::SotalignLapack INTERFACE ${SOTALIGN_LAPACKE_LIBRARY} ${SOTALIGN_OPENBLAS_LIBRARY})
endif()
