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
target_compile_options(sotalign_options INTERFACE -Wall -Wextra -Wshadow -Wpedantic -Wnon-virtual-dtor -Woverloaded-virtual)
if(SOTALIGN_WARNINGS_AS_ERRORS)
  target_compile_options(sotalign_options INTERFACE -Werror)
endif()
# Our code uses no floating-point traps; allowing for them would block vectorization.
target_compile_options(sotalign_options INTERFACE -fno-math-errno -fno-trapping-math)
if(SOTALIGN_SANITIZE)
  target_compile_options(sotalign_options INTERFACE -fsanitize=${SOTALIGN_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(sotalign_options INTERFACE -fsanitize=${SOTALIGN_SANITIZE})
  if(SOTALIGN_SANITIZE MATCHES undefined)
    # Leaves out three checks that take a third of the compile time; AddressSanitizer finds the same errors.
    target_compile_options(sotalign_options INTERFACE -fno-sanitize=null,vptr,object-size)
  endif()
endif()
