# ROCm variants of the first-party kernels: graft_add_rocm_kernels. The CUDA sources, compiled by hipcc where it is
# found.
# CMake's own HIP wants a newer ROCm than Debian's 5.2, so the objects are made by custom commands.
set(GRAFT_ROCM_ARCHITECTURES "gfx908;gfx90a" CACHE STRING
  "What the ROCm variants are compiled for; wavefronts of 64 lanes alone, as common/cuda/portability.h has it")

set(without_rocm "")
set(rocm_device "")
if(NOT GRAFT_WITH_ROCM)
  set(without_rocm "GRAFT_WITH_ROCM is OFF")
else()
  find_program(GRAFT_HIPCC hipcc HINTS ENV ROCM_PATH PATHS /opt/rocm PATH_SUFFIXES bin)
  find_library(GRAFT_AMDHIP amdhip64 HINTS ENV ROCM_PATH PATHS /opt/rocm PATH_SUFFIXES lib)
  mark_as_advanced(GRAFT_HIPCC GRAFT_AMDHIP)
  if(GRAFT_HIPCC AND GRAFT_AMDHIP)
    execute_process(COMMAND ${GRAFT_HIPCC} --version OUTPUT_VARIABLE rocm_version ERROR_QUIET)
    if(rocm_version MATCHES "HIP version: ([0-9]+)\\.([0-9]+)")
      set(rocm_device rocm${CMAKE_MATCH_1}${CMAKE_MATCH_2})
    else()
      set(without_rocm "${GRAFT_HIPCC} --version names no HIP version")
    endif()
  else()
    set(without_rocm "hipcc or libamdhip64 is missing")
  endif()
endif()
if(without_rocm)
  message(STATUS "Kernels without ROCm variants: ${without_rocm}")
else()
  message(STATUS "Kernels with ROCm variants: ${rocm_device} for ${GRAFT_ROCM_ARCHITECTURES}")
endif()

# graft_add_rocm_kernels(name file …): a variant of the repo graft-kernels/<name> from <name>/cuda/<file> …
function(graft_add_rocm_kernels name)
  if(without_rocm)
    return()
  endif()
  set(target graft_kernels_${name}_rocm)
  list(TRANSFORM GRAFT_ROCM_ARCHITECTURES PREPEND --offload-arch= OUTPUT_VARIABLE architectures)
  set(objects "")
  foreach(file ${ARGN})
    set(object ${CMAKE_CURRENT_BINARY_DIR}/${target}/${file}.o)
    add_custom_command(OUTPUT ${object}
      COMMAND ${GRAFT_HIPCC} -x hip -std=c++20 -O3 -DNDEBUG -fPIC -fvisibility=hidden -fvisibility-inlines-hidden ${architectures}
              -I ${PROJECT_SOURCE_DIR}/plugin_api/include -MD -MF ${object}.d -MT ${object}
              -c ${CMAKE_CURRENT_SOURCE_DIR}/${name}/cuda/${file} -o ${object}
      DEPENDS ${name}/cuda/${file} DEPFILE ${object}.d
      COMMENT "Building HIP object ${target}/${file}.o" VERBATIM)
    list(APPEND objects ${object})
  endforeach()
  file(MAKE_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/${target})
  graft_add_plugin(${target} REPO graft-kernels/${name} VERSION 1.0.0
    VARIANT graft1-${rocm_device}-${CMAKE_SYSTEM_PROCESSOR}-linux SOURCES ${objects})
  set_target_properties(${target} PROPERTIES LINKER_LANGUAGE CXX)
  target_link_libraries(${target} PRIVATE ${GRAFT_AMDHIP})
  graft_add_variants(${name} ${target})
endfunction()
