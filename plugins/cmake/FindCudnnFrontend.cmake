# Finds the headers of cuDNN's frontend and of cuDNN itself and defines
#   CudnnFrontend::headers   both, and CUDA's, as system headers
#   CudnnFrontend_REASON     why one of them was not found, in one line; it is not an error
# cuDNN's are looked for in CUDNN_INCLUDE_DIR, beside CUDA's, and beside a LibTorch that was installed with its CUDA libraries.
include(${CMAKE_CURRENT_LIST_DIR}/find_headers.cmake)
set(_version 1.32.0)
graft_find_headers(CudnnFrontend CUDNN_FRONTEND_INCLUDE cudnn_frontend.h
  cudnn_frontend/${_version}/include "cuDNN frontend ${_version}")

find_path(CUDNN_INCLUDE_DIR cudnn_graph.h HINTS ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES} ${LibTorch_DIRECTORY}/../nvidia/cudnn/include)
mark_as_advanced(CUDNN_INCLUDE_DIR)
if(CudnnFrontend_DIRECTORY AND NOT CUDNN_INCLUDE_DIR)
  set(CudnnFrontend_REASON "cuDNN 9's headers are missing (install cuDNN for CUDA 13, or set CUDNN_INCLUDE_DIR)")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(CudnnFrontend REQUIRED_VARS CudnnFrontend_DIRECTORY CUDNN_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "${CudnnFrontend_REASON}")

if(CudnnFrontend_FOUND AND NOT TARGET CudnnFrontend::headers)
  add_library(CudnnFrontend::headers INTERFACE IMPORTED)
  target_include_directories(CudnnFrontend::headers SYSTEM INTERFACE
    ${CudnnFrontend_DIRECTORY} ${CUDNN_INCLUDE_DIR} ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
endif()
