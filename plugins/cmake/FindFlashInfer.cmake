# Finds FlashInfer's headers and defines
#   FlashInfer::headers    with the CCCL that they need, both as system headers
#   FlashInfer_DIRECTORY   the folder that holds flashinfer/
#   FlashInfer_REASON      why it was not found, in one line; it is not an error
# Searched in this order, the same that tools/setup follows:
#   1. FLASHINFER_INCLUDE, a CMake or environment variable: the folder that holds flashinfer/. A wrong one is an error.
#   2. ${XDG_CACHE_HOME:-~/.cache}/graft/flashinfer/<version>, where tools/setup unpacks PyPI's wheel
set(_version 0.7.2.post1)
set(_header flashinfer/attention/prefill.cuh)

# The environment wins over what an earlier configure remembered; remembering lets a later shell do without it.
if(DEFINED ENV{FLASHINFER_INCLUDE})
  set(FLASHINFER_INCLUDE $ENV{FLASHINFER_INCLUDE} CACHE PATH "FlashInfer ${_version}: the folder that holds flashinfer/" FORCE)
else()
  set(FLASHINFER_INCLUDE "" CACHE PATH "FlashInfer ${_version}: the folder that holds flashinfer/")
endif()

set(FlashInfer_DIRECTORY "")
set(FlashInfer_REASON "")
if(FLASHINFER_INCLUDE)
  if(NOT EXISTS ${FLASHINFER_INCLUDE}/${_header})
    message(FATAL_ERROR "FLASHINFER_INCLUDE is set, but ${FLASHINFER_INCLUDE} has no ${_header}. Point it at the include folder of a FlashInfer ${_version}, or unset it (cmake -DFLASHINFER_INCLUDE=)")
  endif()
  set(FlashInfer_DIRECTORY ${FLASHINFER_INCLUDE})
else()
  if(DEFINED ENV{XDG_CACHE_HOME} AND NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
    set(_folder $ENV{XDG_CACHE_HOME}/graft/flashinfer/${_version}/flashinfer/data/include)
  else()
    set(_folder $ENV{HOME}/.cache/graft/flashinfer/${_version}/flashinfer/data/include)
  endif()
  if(EXISTS ${_folder}/${_header})
    set(FlashInfer_DIRECTORY ${_folder})
  else()
    set(FlashInfer_REASON "FlashInfer's headers are missing (python3 tools/setup gets them, or set FLASHINFER_INCLUDE)")
  endif()
endif()

# Beside it in the wheel and in FlashInfer's repository. Where it is in neither place the toolkit's has to do, if it is new enough.
set(_cccl "")
if(FlashInfer_DIRECTORY)
  foreach(_folder ${FlashInfer_DIRECTORY}/../cccl ${FlashInfer_DIRECTORY}/../3rdparty/cccl)
    if(EXISTS ${_folder}/libcudacxx/include AND NOT _cccl)
      get_filename_component(_folder ${_folder} ABSOLUTE)
      set(_cccl ${_folder}/libcudacxx/include ${_folder}/cub ${_folder}/thrust)
    endif()
  endforeach()
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(FlashInfer REQUIRED_VARS FlashInfer_DIRECTORY REASON_FAILURE_MESSAGE "${FlashInfer_REASON}")

if(FlashInfer_FOUND AND NOT TARGET FlashInfer::headers)
  add_library(FlashInfer::headers INTERFACE IMPORTED)
  target_include_directories(FlashInfer::headers SYSTEM INTERFACE ${FlashInfer_DIRECTORY} ${_cccl})
endif()
