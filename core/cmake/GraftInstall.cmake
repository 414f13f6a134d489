# What `cmake --install` puts where find_package(graft) finds it: a file of targets for each component, and graftConfig.cmake,
# which knows what each of them needs.
include(CMakePackageConfigHelpers)
set(graft_package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/graft)

# graft_install(component target …): the targets, as graft::<name without graft_>, among those of the component.
function(graft_install component)
  foreach(target ${ARGN})
    string(REGEX REPLACE "^graft_" "" name ${target})
    if(target STREQUAL graft_library)
      set(name graft)
    endif()
    set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  endforeach()
  install(TARGETS ${ARGN} EXPORT graft_${component}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
endfunction()

# Once all targets are there.
function(graft_install_package)
  set(components plugin_api runtime)
  if(GRAFT_WITH_TORCH)
    list(APPEND components graft)
    install(FILES ${PROJECT_SOURCE_DIR}/core/cmake/FindLibTorch.cmake DESTINATION ${graft_package_folder})
  endif()
  foreach(component ${components})
    install(EXPORT graft_${component} FILE graft_${component}.cmake NAMESPACE graft:: DESTINATION ${graft_package_folder})
  endforeach()
  configure_package_config_file(${PROJECT_SOURCE_DIR}/core/cmake/graftConfig.cmake.in ${PROJECT_BINARY_DIR}/graftConfig.cmake
    INSTALL_DESTINATION ${graft_package_folder})
  write_basic_package_version_file(${PROJECT_BINARY_DIR}/graftConfigVersion.cmake COMPATIBILITY SameMinorVersion)
  install(FILES ${PROJECT_BINARY_DIR}/graftConfig.cmake ${PROJECT_BINARY_DIR}/graftConfigVersion.cmake
    DESTINATION ${graft_package_folder})
endfunction()
