# Makes the library bubblescope_build, which holds the text of `bubblescope --version`.
# tools/CMakeLists.txt includes this file; each build runs it as a script, which asks git for the
# commit and writes the library's one source file anew where that has changed.
if(CMAKE_SCRIPT_MODE_FILE)
  set(commit unknown)
  if(EXISTS "${SOURCE}/.git")  # else a repository around the sources would answer
    execute_process(
      COMMAND git --no-optional-locks -C "${SOURCE}" describe --always --exclude=* --abbrev=12 --dirty
      OUTPUT_VARIABLE described OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(described)
      set(commit "${described}")
    endif()
  endif()
  set(build "commit ${commit}, ${COMPILER}")
  if(CONFIG)
    string(APPEND build ", ${CONFIG}")
  endif()
  configure_file("${SOURCE}/tools/build.cpp.in" "${OUTPUT}" @ONLY)
  return()
endif()

configure_file("${CMAKE_SOURCE_DIR}/tools/version.h.in" "${CMAKE_BINARY_DIR}/tools/version.h" @ONLY)

set(build_file "${CMAKE_BINARY_DIR}/tools/build.cpp")
string(REPLACE GNU g++ compiler "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")
add_custom_target(bubblescope_commit VERBATIM
  COMMAND "${CMAKE_COMMAND}" -D "SOURCE=${CMAKE_SOURCE_DIR}" -D "OUTPUT=${build_file}"
          -D "COMPILER=${compiler}" -D "CONFIG=$<CONFIG>" -P "${CMAKE_CURRENT_LIST_FILE}"
  BYPRODUCTS "${build_file}")
add_library(bubblescope_build STATIC "${build_file}")
add_dependencies(bubblescope_build bubblescope_commit)
target_include_directories(bubblescope_build PUBLIC "${CMAKE_BINARY_DIR}")
target_link_libraries(bubblescope_build PUBLIC bubblescope_options)
