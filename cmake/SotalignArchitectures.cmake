# Turns CMAKE_CUDA_ARCHITECTURES into the list that is compiled, and that the library compares with a machine's devices.

# Kernels copy with cp.async.
set(SOTALIGN_OLDEST_ARCHITECTURE 80)

# sotalign_cuda_architectures(LIST ERROR REQUESTED ... NATIVE ... SUPPORTED ...) sets two variables of the caller:
#   LIST       entries such as 90 (machine code and PTX), 90-real (machine code), 120-virtual (PTX), 100a-real, 120f
#   ERROR      why there is no such list; empty if there is one
# from
#   REQUESTED  CMAKE_CUDA_ARCHITECTURES: such a list, or native, all, all-major
#   NATIVE     CMAKE_CUDA_ARCHITECTURES_NATIVE, the devices of this machine. CMake sets it when it enables the language,
#              and leaves it empty if the machine has none.
#   SUPPORTED  what nvcc can compile for, as numbers. CMAKE_CUDA_ARCHITECTURES_ALL does not tell: in CMake 3.25 it is 35 to 90
#              also where nvcc supports 75 to 121.
function(sotalign_cuda_architectures list error)
  cmake_parse_arguments(PARSE_ARGV 2 arg "" "" "REQUESTED;NATIVE;SUPPORTED")
  set(${list} "" PARENT_SCOPE)
  set(${error} "" PARENT_SCOPE)
  set(name CMAKE_CUDA_ARCHITECTURES)
  set(expected "expected entries such as 90, 90-real or 120-virtual, or native, all or all-major")

  set(found ${arg_REQUESTED})
  if("${found}" STREQUAL "native")
    set(found ${arg_NATIVE})
    if("${found}" STREQUAL "")
      set(${error} "${name}: native is the architecture of this machine's devices, and CMake found no CUDA device; ${expected}"
          PARENT_SCOPE)
      return()
    endif()
  elseif("${found}" MATCHES "^(all|all-major)$")
    set(supported ${arg_SUPPORTED})
    list(REMOVE_DUPLICATES supported)
    list(SORT supported COMPARE NATURAL)
    set(found "")
    foreach(number ${supported})
      if(number GREATER_EQUAL SOTALIGN_OLDEST_ARCHITECTURE AND (arg_REQUESTED STREQUAL "all" OR number MATCHES "0$"))
        list(APPEND found ${number}-real)
      endif()
    endforeach()
    if(found)
      list(TRANSFORM found REPLACE "-real$" "" AT -1)  # PTX for devices to come
    endif()
  endif()

  list(REMOVE_ITEM found "")
  if("${found}" STREQUAL "")
    set(${error} "${name}: ${expected}, found none" PARENT_SCOPE)
    return()
  endif()
  foreach(entry ${found})
    if(NOT entry MATCHES "^([0-9]+)[af]?(-real|-virtual)?$")
      set(${error} "${name}: ${expected}, found ${entry}" PARENT_SCOPE)
      return()
    elseif(CMAKE_MATCH_1 LESS SOTALIGN_OLDEST_ARCHITECTURE)
      set(${error} "${name}: expected ${SOTALIGN_OLDEST_ARCHITECTURE} or newer, found ${entry}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  set(${list} "${found}" PARENT_SCOPE)
endfunction()
