# CUDA variants of the first-party kernels: graft_add_cuda_kernels. Where there is no toolkit they are left out.
set(GRAFT_CUDA_ARCHITECTURES "80-real;90-real;100-real;120" CACHE STRING
  "What the CUDA variants are compiled for, as CUDA_ARCHITECTURES; one without -real serves newer devices too, through PTX")

set(without_cuda "")
if(NOT GRAFT_WITH_CUDA)
  set(without_cuda "GRAFT_WITH_CUDA is OFF")
else()
  find_program(GRAFT_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATHS /usr/local/cuda PATH_SUFFIXES bin)
  mark_as_advanced(GRAFT_NVCC)
  if(GRAFT_NVCC AND NOT DEFINED ENV{CUDACXX})
    set(ENV{CUDACXX} ${GRAFT_NVCC})
  endif()
  if(NOT CMAKE_CUDA_COMPILER)
    unset(CMAKE_CUDA_COMPILER CACHE)  # what was not there last time may be by now
  endif()
  include(CheckLanguage)
  check_language(CUDA)
  if(NOT CMAKE_CUDA_COMPILER)
    set(without_cuda "no CUDA compiler works here (nvcc on PATH, or in CUDACXX, CUDA_HOME or /usr/local/cuda)")
  else()
    enable_language(CUDA)
    # Not in CUDA_OPTIONS: nvcc warns of a second -O. It is for host code; kernels are compiled with -O3 anyhow.
    string(REPLACE -O2 -O3 CMAKE_CUDA_FLAGS_RELWITHDEBINFO "${CMAKE_CUDA_FLAGS_RELWITHDEBINFO}")
    if(NOT DEFINED CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake up to 3.25 does not know that nvcc has C++20
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
      set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
    endif()
    if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 13)
      set(without_cuda "CUDA ${CMAKE_CUDA_COMPILER_VERSION} is older than 13 (${CMAKE_CUDA_COMPILER})")
    endif()
  endif()
endif()
if(without_cuda)
  message(STATUS "Kernels without CUDA variants: ${without_cuda}")
else()
  message(STATUS "Kernels with CUDA variants: CUDA ${CMAKE_CUDA_COMPILER_VERSION} for ${GRAFT_CUDA_ARCHITECTURES}")
endif()

# graft_add_cuda_kernels(name file …): a variant of the repo graft-kernels/<name> from <name>/cuda/<file> …
function(graft_add_cuda_kernels name)
  if(without_cuda)
    return()
  endif()
  list(TRANSFORM ARGN PREPEND ${name}/cuda/ OUTPUT_VARIABLE sources)
  set(target graft_kernels_${name}_cuda)
  graft_add_plugin(${target} REPO graft-kernels/${name} VERSION 1.0.0
    SOURCES ${sources} CUDA_OPTIONS --expt-relaxed-constexpr --compress-mode=size -Xcompiler=-Wall)
  set_target_properties(${target} PROPERTIES
    CUDA_STANDARD 20 CUDA_STANDARD_REQUIRED ON CUDA_EXTENSIONS OFF CUDA_ARCHITECTURES "${GRAFT_CUDA_ARCHITECTURES}")
  graft_add_variants(${name} ${target})
endfunction()
