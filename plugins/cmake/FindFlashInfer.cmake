# Finds FlashInfer's headers and defines
#   FlashInfer::headers    with the CCCL that they need, both as system headers
#   FlashInfer_DIRECTORY   the folder that holds flashinfer/
#   FlashInfer_REASON      why it was not found, in one line; it is not an error
include(${CMAKE_CURRENT_LIST_DIR}/find_headers.cmake)
set(_version 0.7.2.post1)
graft_find_headers(FlashInfer FLASHINFER_INCLUDE flashinfer/attention/prefill.cuh
  flashinfer/${_version}/flashinfer/data/include "FlashInfer ${_version}")

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
