# How all sources are compiled.

add_library(bubblescope_options INTERFACE)
target_include_directories(bubblescope_options INTERFACE "${CMAKE_SOURCE_DIR}")
set(warnings -Wall -Wextra -Wshadow=local -Wconversion -Wsign-conversion)
string(JOIN "," host_warnings ${warnings})
target_compile_options(bubblescope_options INTERFACE
  "$<$<COMPILE_LANGUAGE:CXX>:${warnings};-Wpedantic>"
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-restrict>  # g++ 12 invents overlaps: GCC bug 105651
  "$<$<COMPILE_LANGUAGE:CUDA>:SHELL:-Xcompiler ${host_warnings}>")  # its stubs are not pedantic
if(BUBBLESCOPE_WERROR)
  target_compile_options(bubblescope_options INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Werror>
    "$<$<COMPILE_LANGUAGE:CUDA>:SHELL:-Werror all-warnings -Xcompiler -Werror>")
endif()

# Rates are doubles: no compiler may round them otherwise by fusing operations.
target_compile_options(bubblescope_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>)

# bubblescope_library(<name> HOT <source>... COLD <source>... LINK <argument of target_link_libraries>...)
# HOT is what runs once an op or an event, at -O3; COLD what runs once a command, at -O1 as all else,
# which compiles in two thirds of the time.
string(REPLACE "-O3" "-O1" CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")
function(bubblescope_library name)
  cmake_parse_arguments(arg "" "" "HOT;COLD;LINK" ${ARGN})
  add_library(${name}_hot OBJECT ${arg_HOT})
  target_link_libraries(${name}_hot ${arg_LINK})
  target_compile_options(${name}_hot PRIVATE $<$<CONFIG:Release>:-O3>)
  add_library(${name} STATIC ${arg_COLD} $<TARGET_OBJECTS:${name}_hot>)
  target_link_libraries(${name} ${arg_LINK})
endfunction()
