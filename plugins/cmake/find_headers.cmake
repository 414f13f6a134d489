# graft_find_headers(package variable header folder what): where the headers of a library stand that tools/setup unpacks from a
# wheel. Sets <package>_DIRECTORY, the folder that holds <header>, or <package>_REASON, why there is none, in one line: that is not
# an error. Searched in this order, the same that tools/setup follows:
#   1. <variable>, of CMake or of the environment. A wrong one is an error.
#   2. ${XDG_CACHE_HOME:-~/.cache}/graft/<folder>
function(graft_find_headers package variable header folder what)
  # The environment wins over what an earlier configure remembered; remembering lets a later shell do without it.
  if(DEFINED ENV{${variable}})
    set(${variable} $ENV{${variable}} CACHE PATH "${what}: the folder that holds ${header}" FORCE)
  else()
    set(${variable} "" CACHE PATH "${what}: the folder that holds ${header}")
  endif()

  set(directory "")
  set(reason "")
  if(${variable})
    if(NOT EXISTS ${${variable}}/${header})
      message(FATAL_ERROR "${variable} is set, but ${${variable}} has no ${header}. Point it at the include folder of ${what}, or unset it (cmake -D${variable}=)")
    endif()
    set(directory ${${variable}})
  else()
    if(DEFINED ENV{XDG_CACHE_HOME} AND NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
      set(cache $ENV{XDG_CACHE_HOME}/graft)
    else()
      set(cache $ENV{HOME}/.cache/graft)
    endif()
    if(EXISTS ${cache}/${folder}/${header})
      set(directory ${cache}/${folder})
    else()
      set(reason "${what}'s headers are missing (python3 tools/setup gets them, or set ${variable})")
    endif()
  endif()
  set(${package}_DIRECTORY "${directory}" PARENT_SCOPE)
  set(${package}_REASON "${reason}" PARENT_SCOPE)
endfunction()
