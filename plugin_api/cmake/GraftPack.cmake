# graft_pack_repo(NAME TARGETS plugin… HUB folder)
#
# Target NAME, part of ALL: packs the repo that the plugins (made by graft_add_plugin, all of one REPO and VERSION) make up into
# the file:// hub at `folder`, at tag v<VERSION>. Uses the target `graft`, or a program of that name on PATH.
function(graft_pack_repo name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "HUB" "TARGETS")
  if(NOT arg_TARGETS OR NOT arg_HUB)
    message(FATAL_ERROR "graft_pack_repo(${name}): TARGETS or HUB is missing")
  endif()
  if(TARGET graft)
    set(program $<TARGET_FILE:graft>)
    set(depends graft)
  else()
    find_program(GRAFT_PROGRAM graft REQUIRED)
    set(program ${GRAFT_PROGRAM})
  endif()
  list(GET arg_TARGETS 0 first)
  get_target_property(repo ${first} GRAFT_REPO)
  get_target_property(version ${first} GRAFT_VERSION)
  get_target_property(license ${first} GRAFT_LICENSE)
  # From <repos>/<org>/<name>/build/<variant> to the repo's folder.
  get_target_property(variant_folder ${first} LIBRARY_OUTPUT_DIRECTORY)
  get_filename_component(folder ${variant_folder}/../.. ABSOLUTE)
  string(REPLACE "/" "-" stamp ${repo})
  set(stamp ${CMAKE_CURRENT_BINARY_DIR}/${stamp}.packed)
  # --move-tag: while a plugin is worked on, each build is the same version anew.
  add_custom_command(OUTPUT ${stamp}
    COMMAND ${program} pack ${folder} --hub ${arg_HUB} --repo ${repo} --tag v${version} --license ${license} --move-tag
    COMMAND ${CMAKE_COMMAND} -E touch ${stamp}
    DEPENDS ${arg_TARGETS} ${depends}
    COMMENT "Packing ${repo} v${version}"
    VERBATIM)
  add_custom_target(${name} ALL DEPENDS ${stamp})
endfunction()
