# How all sources are compiled.

add_library(bubblescope_options INTERFACE)
target_include_directories(bubblescope_options INTERFACE "${CMAKE_SOURCE_DIR}")
set(warnings -Wall -Wextra -Wconversion -Wsign-conversion)
string(JOIN "," host_warnings ${warnings} -Wshadow=local)
target_compile_options(bubblescope_options INTERFACE
  "$<$<COMPILE_LANGUAGE:CXX>:${warnings};-Wpedantic>"
  # clang has no -Wshadow=local, and g++ 12 invents overlaps: GCC bug 105651
  "$<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wshadow=local;-Wno-restrict>"
  "$<$<COMPILE_LANGUAGE:CUDA>:SHELL:-Xcompiler ${host_warnings}>")  # its stubs are not pedantic
if(BUBBLESCOPE_WERROR)
  target_compile_options(bubblescope_options INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Werror>
    "$<$<COMPILE_LANGUAGE:CUDA>:SHELL:-Werror all-warnings -Xcompiler -Werror>")
endif()

# Rates are doubles: no compiler may round them otherwise by fusing operations.
target_compile_options(bubblescope_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-ffp-contract=off>)

# Sources that run once an op or an event compile at -O3; all others run once a command, at -O1, which
# takes two thirds of the time.
string(REPLACE "-O3" "-O1" CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")
set(BUBBLESCOPE_HOT $<$<CONFIG:Release>:-O3>)

# bubblescope_library(<name> HOT <source>... COLD <source>... LINK <argument of target_link_libraries>...)
function(bubblescope_library name)
  cmake_parse_arguments(arg "" "" "HOT;COLD;LINK" ${ARGN})
  add_library(${name}_hot OBJECT ${arg_HOT})
  target_link_libraries(${name}_hot ${arg_LINK})
  target_compile_options(${name}_hot PRIVATE ${BUBBLESCOPE_HOT})
  add_library(${name} STATIC ${arg_COLD} $<TARGET_OBJECTS:${name}_hot>)
  target_link_libraries(${name} ${arg_LINK})
endfunction()
