# Lets a program run on older systems than the one it is built on. packaging/wheel passes this file
# as CMAKE_PROJECT_TOP_LEVEL_INCLUDES, beside a compiler with a C library and a C++ library to build
# for. Packages then come from headers and static libraries alone: the rest of /usr/include would
# bring in the C library that is installed here. BUBBLESCOPE_SIMDJSON names a folder with simdjson.h
# and simdjson.cpp, since Debian's libsimdjson needs the C++ library that is installed here.
set(portable_folder "${CMAKE_BINARY_DIR}/portable")
set(portable_triple "${CMAKE_HOST_SYSTEM_PROCESSOR}-linux-gnu")

# Makes an imported target that sees the given files and folders of /usr/include.
function(portable_headers target)
  add_library(${target} INTERFACE IMPORTED GLOBAL)
  target_include_directories(${target} INTERFACE "${portable_folder}")
  file(MAKE_DIRECTORY "${portable_folder}")
  foreach(path IN LISTS ARGN)
    file(GLOB found "/usr/include/${path}" "/usr/include/${portable_triple}/${path}")
    if(NOT found)
      message(FATAL_ERROR "/usr/include has no ${path}: run ./bootstrap install")
    endif()
    get_filename_component(name "${path}" NAME)
    file(CREATE_LINK "${found}" "${portable_folder}/${name}" SYMBOLIC)
  endforeach()
endfunction()

# The program holds code of these packages, so their licences are installed beside it.
function(portable_licence debian)
  install(FILES "/usr/share/doc/${debian}/copyright" DESTINATION share/doc/bubblescope
          RENAME "${debian}.copyright")
endfunction()
install(FILES /usr/share/common-licenses/Apache-2.0 /usr/share/common-licenses/MPL-2.0
        DESTINATION share/doc/bubblescope)

function(portable_target package)
  if(package STREQUAL "Boost")
    portable_licence(libboost1.74-dev)
    portable_headers(Boost::headers boost)
    # Boost 1.74 derives from std::unary_function, which C++17 has removed.
    target_compile_definitions(Boost::headers
      INTERFACE _LIBCPP_ENABLE_CXX17_REMOVED_UNARY_BINARY_FUNCTION)
  elseif(package STREQUAL "nlohmann_json")
    portable_licence(nlohmann-json3-dev)
    portable_headers(nlohmann_json::nlohmann_json nlohmann)
  elseif(package STREQUAL "fmt")
    portable_licence(libfmt-dev)
    portable_headers(fmt::fmt fmt)
    target_compile_definitions(fmt::fmt INTERFACE FMT_HEADER_ONLY)
  elseif(package STREQUAL "CLI11")
    portable_licence(libcli11-dev)
    portable_headers(CLI11::CLI11 CLI)
  elseif(package STREQUAL "Eigen3")
    portable_licence(libeigen3-dev)
    portable_headers(Eigen3::Eigen eigen3/Eigen)
  elseif(package STREQUAL "ZLIB")
    portable_licence(zlib1g-dev)
    portable_headers(ZLIB::ZLIB zlib.h zconf.h)
    target_link_libraries(ZLIB::ZLIB INTERFACE "/usr/lib/${portable_triple}/libz.a")
  elseif(package STREQUAL "simdjson")
    portable_licence(libsimdjson-dev)
    add_library(simdjson STATIC "${BUBBLESCOPE_SIMDJSON}/simdjson.cpp")
    target_include_directories(simdjson SYSTEM PUBLIC "${BUBBLESCOPE_SIMDJSON}")
    # Clang 20 compiles for 512-bit registers only where the whole file may use them.
    target_compile_definitions(simdjson PUBLIC SIMDJSON_IMPLEMENTATION_ICELAKE=0)
    target_compile_features(simdjson PUBLIC cxx_std_17)
    add_library(simdjson::simdjson ALIAS simdjson)
  endif()
endfunction()

macro(portable_provide method package)
  if("${package}" MATCHES "^(Boost|nlohmann_json|fmt|CLI11|Eigen3|ZLIB|simdjson)$")
    portable_target(${package})
    set(${package}_FOUND TRUE)
  endif()
endmacro()
cmake_language(SET_DEPENDENCY_PROVIDER portable_provide SUPPORTED_METHODS FIND_PACKAGE)
