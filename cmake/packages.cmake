# Dependencies that name the Debian package when they are missing, and files built into the program.

# bubblescope_require(<package> <debian package> [HEADER <header>])
function(bubblescope_require package debian)
  cmake_parse_arguments(arg "" "HEADER" "" ${ARGN})
  find_package(${package} QUIET)
  set(found ${${package}_FOUND})
  if(found AND arg_HEADER)
    find_path(${package}_HEADER_DIR ${arg_HEADER})
    set(found ${${package}_HEADER_DIR})
  endif()
  if(NOT found)
    message(FATAL_ERROR "${package} is missing: install ${debian} (apt install ${debian}), "
                        "or run ./bootstrap, which installs all that is needed.")
  endif()
endfunction()

# Sets <variable> to C++ initializers {"name", R"json(text)json"} of the files, and configures again
# when one of them changes.
function(bubblescope_embed files variable)
  set(entries "")
  foreach(file IN LISTS files)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
    get_filename_component(name "${file}" NAME_WLE)
    file(READ "${file}" text)
    string(APPEND entries "      {\"${name}\", R\"json(${text})json\"sv},\n")
  endforeach()
  set(${variable} "${entries}" PARENT_SCOPE)
endfunction()

# Sets <variable> to the text of the files, one after another between `before` and `after`, and
# <variable>_SHA256 to its hash; configures again when one of them changes.
function(bubblescope_embed_text variable before after)
  set(text "${before}")
  foreach(file IN LISTS ARGN)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${file}")
    file(READ "${file}" part)
    string(APPEND text "${part}")
  endforeach()
  string(APPEND text "${after}")
  string(SHA256 hash "${text}")
  set(${variable} "${text}" PARENT_SCOPE)
  set(${variable}_SHA256 "${hash}" PARENT_SCOPE)
endfunction()
