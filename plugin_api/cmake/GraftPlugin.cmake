# graft_add_plugin(TARGET REPO org/name VERSION x.y.z SOURCES a.cpp …
#                  [VARIANT graft1-cpu-x86_64-linux] [OPTIONS -mavx2 …] [CUDA_OPTIONS --use_fast_math …] [LICENSE Apache-2.0])
#
# Builds one variant of a kernel repo: ${GRAFT_REPOS_DIR}/<org>/<name>/build/<variant>/<name>.so, ready for `graft pack`.
# Several calls with one REPO and different VARIANTs make up the repo. Version and license of a repo end up in its
# metadata.json.
# OPTIONS are for sources in C and C++, CUDA_OPTIONS for those in CUDA (*.cu), which want enable_language(CUDA) before and are
# compiled for CMAKE_CUDA_ARCHITECTURES. VARIANT says what the library is for: by default this processor, or
# graft1-cu130-x86_64-linux with CUDA's own version where a source is in CUDA; ROCm's are named graft1-rocm64-x86_64-linux.
set(GRAFT_REPOS_DIR ${CMAKE_BINARY_DIR}/repos CACHE PATH "Where graft_add_plugin lays out kernel repos")

function(graft_add_plugin target)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "REPO;VERSION;VARIANT;LICENSE" "SOURCES;OPTIONS;CUDA_OPTIONS")
  foreach(required REPO VERSION SOURCES)
    if(NOT arg_${required})
      message(FATAL_ERROR "graft_add_plugin(${target}): ${required} is missing")
    endif()
  endforeach()
  if(arg_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "graft_add_plugin(${target}): unknown words: ${arg_UNPARSED_ARGUMENTS}")
  endif()
  set(device cpu)
  if(arg_SOURCES MATCHES "\\.cu(;|$)")
    if(NOT CMAKE_CUDA_COMPILER_LOADED)
      message(FATAL_ERROR "graft_add_plugin(${target}): a source is in CUDA; call enable_language(CUDA) before")
    endif()
    string(REGEX REPLACE "^([0-9]+)\\.([0-9]+).*" "cu\\1\\2" device ${CMAKE_CUDA_COMPILER_VERSION})
  endif()
  if(NOT arg_VARIANT)
    set(arg_VARIANT graft1-${device}-${CMAKE_SYSTEM_PROCESSOR}-linux)
  endif()
  if(NOT arg_LICENSE)
    set(arg_LICENSE Apache-2.0)
  endif()
  get_filename_component(name ${arg_REPO} NAME)

  add_library(${target} MODULE ${arg_SOURCES})
  target_link_libraries(${target} PRIVATE graft::plugin_api)
  target_compile_options(${target} PRIVATE
    "$<$<COMPILE_LANGUAGE:C,CXX>:${arg_OPTIONS}>" "$<$<COMPILE_LANGUAGE:CUDA>:${arg_CUDA_OPTIONS}>")
  # Two versions of one plugin must be able to live side by side: nothing but graft_plugin_entry is visible, and no symbol
  # is GNU-unique (glibc would merge those across libraries, RTLD_LOCAL or not).
  set_target_properties(${target} PROPERTIES
    PREFIX "" OUTPUT_NAME ${name} SUFFIX .so
    LIBRARY_OUTPUT_DIRECTORY ${GRAFT_REPOS_DIR}/${arg_REPO}/build/${arg_VARIANT}
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden CUDA_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    CUDA_RUNTIME_LIBRARY Static
    GRAFT_REPO ${arg_REPO} GRAFT_VERSION ${arg_VERSION} GRAFT_VARIANT ${arg_VARIANT} GRAFT_LICENSE ${arg_LICENSE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:-fno-gnu-unique>)
  endif()
  if(NOT CMAKE_CUDA_HOST_COMPILER MATCHES "clang")  # empty: nvcc takes g++
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANG_AND_ID:CUDA,NVIDIA>:-Xcompiler=-fno-gnu-unique>)
  endif()
  # By its build id a profiler finds the symbols of a library that is loaded from memory. Line tables are two thirds of a kernel's
  # bytes, and every byte is fetched, copied and hashed before it is loaded: compressed they are half of that.
  set(exports ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin.map)
  target_link_options(${target} PRIVATE -Wl,-z,defs -Wl,-z,noexecstack -Wl,--build-id=sha1 -Wl,--compress-debug-sections=zlib
    -Wl,--version-script=${exports})
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${exports})
endfunction()
