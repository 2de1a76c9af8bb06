# Compiler settings of our own code; they do not reach users of the library.
if(PROJECT_IS_TOP_LEVEL AND NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Release, RelWithDebInfo or Debug" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
# A shared library exports only what sotalign/core/export.h marks.
foreach(language CXX CUDA)
  set(CMAKE_${language}_VISIBILITY_PRESET hidden)
endforeach()
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)  # for clang-tidy

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

add_library(sotalign_options INTERFACE)
target_compile_options(sotalign_options INTERFACE
  -Wall -Wextra -Wshadow -Wpedantic $<$<NOT:$<COMPILE_LANGUAGE:C>>:-Wnon-virtual-dtor -Woverloaded-virtual>)
if(SOTALIGN_WARNINGS_AS_ERRORS)
  target_compile_options(sotalign_options INTERFACE -Werror)
endif()
# Our code uses no floating-point traps; allowing for them would block vectorization.
target_compile_options(sotalign_options INTERFACE -fno-math-errno -fno-trapping-math)

# Adds sanitizers to an interface library.
function(sotalign_sanitize target sanitizers)
  target_compile_options(${target} INTERFACE -fsanitize=${sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(${target} INTERFACE -fsanitize=${sanitizers})
  if(sanitizers MATCHES undefined)
    # Leaves out three checks that take a third of the compile time; AddressSanitizer finds the same errors.
    target_compile_options(${target} INTERFACE -fno-sanitize=null,vptr,object-size)
  endif()
endfunction()
if(SOTALIGN_SANITIZE)
  sotalign_sanitize(sotalign_options ${SOTALIGN_SANITIZE})
endif()

# The options of the sanitized twins: targets with the suffix _asan, which CI builds in the folder of the release build.
# The tests themselves are compiled once, without sanitizers, and linked with the sanitized library.
# -O0 cuts a quarter off the compile time of a target that computes little; it sets the property SOTALIGN_COMPUTES_LITTLE.
add_library(sotalign_asan_options INTERFACE)
sotalign_sanitize(sotalign_asan_options address,undefined)
target_compile_options(sotalign_asan_options INTERFACE
  $<IF:$<BOOL:$<TARGET_PROPERTY:SOTALIGN_COMPUTES_LITTLE>>,-O0,-O1> -g1 -UNDEBUG)

# With SOTALIGN_UNITY_BUILD the files of TARGET in each folder are compiled as one unit, for headers such as
# nlohmann/json.hpp cost more than our code. A file with the property SKIP_UNITY_BUILD_INCLUSION is compiled alone.
option(SOTALIGN_UNITY_BUILD "Compile most folders as one unit: a full build is faster, one after a small change slower" OFF)
function(sotalign_unit_per_folder target)
  get_target_property(sources ${target} SOURCES)
  foreach(source ${sources})
    cmake_path(GET source PARENT_PATH folder)
    cmake_path(RELATIVE_PATH folder BASE_DIRECTORY ${PROJECT_SOURCE_DIR})
    string(MAKE_C_IDENTIFIER "${folder}" group)
    set_source_files_properties(${source} PROPERTIES UNITY_GROUP ${group})
  endforeach()
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${SOTALIGN_UNITY_BUILD} UNITY_BUILD_MODE GROUP)
endfunction()

# TWIN is an object library of the sources and properties of TARGET, with the further options of the library OPTIONS.
# It is built on request.
function(sotalign_twin twin target options)
  get_target_property(sources ${target} SOURCES)
  add_library(${twin} OBJECT EXCLUDE_FROM_ALL ${sources})
  foreach(property INCLUDE_DIRECTORIES COMPILE_DEFINITIONS COMPILE_OPTIONS LINK_LIBRARIES UNITY_BUILD UNITY_BUILD_MODE)
    get_target_property(value ${target} ${property})
    if(value)
      set_target_properties(${twin} PROPERTIES ${property} "${value}")
    endif()
  endforeach()
  target_link_libraries(${twin} PRIVATE ${options})
  # clang-tidy would check each source once for each of its commands.
  set_target_properties(${twin} PROPERTIES EXPORT_COMPILE_COMMANDS OFF)
endfunction()
