# Finds LibTorch 2.11 and defines
#   LibTorch::c10  libc10.so
#   LibTorch::cpu  libtorch_cpu.so with its headers; what a host on CPU links, and all it links
#   LibTorch_DIRECTORY, LibTorch_VERSION, LibTorch_SOURCE (where it came from, for messages)
#   LibTorch_CUDA_VERSION, "13.0"; empty for a build without CUDA
# Searched in this order, the same that tools/setup follows:
#   1. LIBTORCH, a CMake or environment variable: the folder that holds include/ and lib/. A wrong one is an error.
#   2. a torch 2.11 of the python3 on PATH
#   3. ${XDG_CACHE_HOME:-~/.cache}/graft/libtorch/2.11.0/torch, where tools/setup unpacks PyPI's wheel
# Torch's own find_package(Torch) is not used: with a CUDA wheel it demands the CUDA toolkit, which a host on CPU does without.

set(_wanted 2.11)
set(LibTorch_DIRECTORY "")
set(LibTorch_VERSION "")

# "2.11.0" if the folder holds headers and libraries, else "" and the reason in `why`.
function(_libtorch_version folder version why)
  set(${version} "" PARENT_SCOPE)
  foreach(file include/torch/csrc/api/include/torch/torch.h include/torch/headeronly/version.h lib/libtorch_cpu.so lib/libc10.so)
    if(NOT EXISTS ${folder}/${file})
      set(${why} "${folder} has no ${file}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  file(STRINGS ${folder}/include/torch/headeronly/version.h lines REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH) [0-9]+")
  string(REGEX REPLACE "[^0-9;]" "" numbers "${lines}")
  list(JOIN numbers . found)
  if(NOT found MATCHES "^2\\.11\\.")
    set(${why} "${folder} is version ${found}" PARENT_SCOPE)
    return()
  endif()
  set(${version} ${found} PARENT_SCOPE)
endfunction()

# The environment wins over what an earlier configure remembered; remembering lets a later shell do without it.
if(DEFINED ENV{LIBTORCH})
  set(LIBTORCH $ENV{LIBTORCH} CACHE PATH "LibTorch ${_wanted}: the folder that holds include/ and lib/" FORCE)
else()
  set(LIBTORCH "" CACHE PATH "LibTorch ${_wanted}: the folder that holds include/ and lib/")
endif()

set(_tried "")
if(LIBTORCH)
  _libtorch_version(${LIBTORCH} LibTorch_VERSION _why)
  if(LibTorch_VERSION)
    set(LibTorch_DIRECTORY ${LIBTORCH})
    set(LibTorch_SOURCE "LIBTORCH")
  else()
    string(APPEND _tried "\n  LIBTORCH is set, but ${_why}. Point it at a LibTorch ${_wanted}, or unset it (cmake -DLIBTORCH=)")
  endif()
else()
  find_program(LIBTORCH_PYTHON python3 NO_CACHE)
  if(LIBTORCH_PYTHON)
    # find_spec locates torch without importing it, which would take seconds.
    execute_process(
      COMMAND ${LIBTORCH_PYTHON} -c "import importlib.util as u; s = u.find_spec('torch'); print(list(s.submodule_search_locations)[0] if s and s.submodule_search_locations else '')"
      OUTPUT_VARIABLE _folder OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(_folder)
      _libtorch_version(${_folder} LibTorch_VERSION _why)
    else()
      set(_why "${LIBTORCH_PYTHON} has no torch")
    endif()
    if(LibTorch_VERSION)
      set(LibTorch_DIRECTORY ${_folder})
      set(LibTorch_SOURCE "the torch of ${LIBTORCH_PYTHON}")
    else()
      string(APPEND _tried "\n  ${_why}")
    endif()
  endif()
  if(NOT LibTorch_VERSION)
    if(DEFINED ENV{XDG_CACHE_HOME} AND NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
      set(_folder $ENV{XDG_CACHE_HOME}/graft/libtorch/2.11.0/torch)
    else()
      set(_folder $ENV{HOME}/.cache/graft/libtorch/2.11.0/torch)
    endif()
    _libtorch_version(${_folder} LibTorch_VERSION _why)
    if(LibTorch_VERSION)
      set(LibTorch_DIRECTORY ${_folder})
      set(LibTorch_SOURCE "the user's cache")
    else()
      string(APPEND _tried "\n  ${_why}")
    endif()
  endif()
endif()

# PyPI's CUDA wheel needs libcudart.so.13 and libcupti.so.13 even on CPU and finds them beside itself, in
# ../nvidia/cu13/lib. A torch without that neighbour gets the folder of an installed toolkit on its users' rpath.
set(_cuda_folder "")
if(LibTorch_VERSION)
  execute_process(COMMAND readelf -d ${LibTorch_DIRECTORY}/lib/libtorch_cpu.so OUTPUT_VARIABLE _dynamic ERROR_QUIET)
  if(_dynamic MATCHES "libcudart\\.so\\.([0-9]+)")
    set(_cudart libcudart.so.${CMAKE_MATCH_1})
    unset(_cuda_folder)
    find_path(_cuda_folder ${_cudart} NO_CACHE
      HINTS ${LibTorch_DIRECTORY}/../nvidia/cu${CMAKE_MATCH_1}/lib ${LibTorch_DIRECTORY}/../nvidia/cuda_runtime/lib ${LibTorch_DIRECTORY}/lib
      PATHS /usr/local/cuda/lib64 /usr/local/cuda-${CMAKE_MATCH_1}/lib64 /usr/lib/x86_64-linux-gnu ENV LD_LIBRARY_PATH)
    if(NOT _cuda_folder)
      string(APPEND _tried "\n  ${LibTorch_DIRECTORY} needs ${_cudart}, which is neither beside it (../nvidia) nor in an installed toolkit")
      set(LibTorch_DIRECTORY "")
    endif()
  endif()
endif()

# Torch's own version.py says it; where tools/setup left that out, the wheel of the CUDA runtime beside it does.
set(LibTorch_CUDA_VERSION "")
if(LibTorch_DIRECTORY AND EXISTS ${LibTorch_DIRECTORY}/version.py)
  file(STRINGS ${LibTorch_DIRECTORY}/version.py _line REGEX "^cuda[ :].*= *'[0-9.]+'")
  string(REGEX MATCH "[0-9]+\\.[0-9]+" LibTorch_CUDA_VERSION "${_line}")
elseif(LibTorch_DIRECTORY)
  file(GLOB _wheel ${LibTorch_DIRECTORY}/../nvidia_cuda_runtime-*.dist-info)
  string(REGEX REPLACE ".*nvidia_cuda_runtime-([0-9]+\\.[0-9]+).*" "\\1" LibTorch_CUDA_VERSION "${_wheel}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch REQUIRED_VARS LibTorch_DIRECTORY VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "LibTorch ${_wanted} is missing:${_tried}\nRun python3 tools/setup, which gets it, or set LIBTORCH to the folder that holds its include/ and lib/.\n")

if(LibTorch_FOUND AND NOT TARGET LibTorch::cpu)
  message(STATUS "LibTorch ${LibTorch_VERSION} from ${LibTorch_SOURCE}: ${LibTorch_DIRECTORY}")
  add_library(LibTorch::c10 SHARED IMPORTED GLOBAL)
  set_target_properties(LibTorch::c10 PROPERTIES
    IMPORTED_LOCATION ${LibTorch_DIRECTORY}/lib/libc10.so
    INTERFACE_INCLUDE_DIRECTORIES ${LibTorch_DIRECTORY}/include)
  add_library(LibTorch::cpu SHARED IMPORTED GLOBAL)
  set_target_properties(LibTorch::cpu PROPERTIES
    IMPORTED_LOCATION ${LibTorch_DIRECTORY}/lib/libtorch_cpu.so
    INTERFACE_INCLUDE_DIRECTORIES "${LibTorch_DIRECTORY}/include;${LibTorch_DIRECTORY}/include/torch/csrc/api/include"
    INTERFACE_LINK_LIBRARIES LibTorch::c10)
  if(_cuda_folder)
    target_link_options(LibTorch::cpu INTERFACE -Wl,-rpath-link,${_cuda_folder})
    get_filename_component(_neighbourhood ${LibTorch_DIRECTORY} DIRECTORY)
    string(FIND "${_cuda_folder}" "${_neighbourhood}/" _position)
    if(NOT _position EQUAL 0)
      # rpath, not runpath: only the former is also searched for what libtorch_cpu.so itself needs.
      target_link_options(LibTorch::cpu INTERFACE -Wl,--disable-new-dtags -Wl,-rpath,${_cuda_folder})
    endif()
  endif()
endif()
