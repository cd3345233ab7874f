# The module that the program loads when GPUs are asked for, which nvcc compiles. The driver is not
# linked: its functions are looked up at run time.
# "native" fails where there is no GPU.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES AND NOT DEFINED ENV{CUDAARCHS})
  set(CMAKE_CUDA_ARCHITECTURES "80-real;90-real;90-virtual" CACHE STRING "GPU architectures")
endif()
enable_language(CUDA)

find_path(CUBLASLT_INCLUDE_DIR cublasLt.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
find_path(CUPTI_INCLUDE_DIR cupti.h
          HINTS ${CUDAToolkit_INCLUDE_DIRS} "${CUDAToolkit_LIBRARY_ROOT}/extras/CUPTI/include")
if(NOT CUBLASLT_INCLUDE_DIR)
  message(FATAL_ERROR "cublasLt.h is missing: install libcublas-dev of CUDA "
                      "${CUDAToolkit_VERSION}, or set BUBBLESCOPE_CUDA to OFF.")
endif()
set(cupti_source cuda/cupti.cpp)
if(NOT CUPTI_INCLUDE_DIR OR CUDAToolkit_VERSION VERSION_LESS 13.0)
  message(STATUS "Without --cross-check: there is no cupti.h of CUDA 13 or later")
  set(cupti_source cuda/cupti_absent.cpp)
endif()
add_library(bubblescope_cuda MODULE
  cuda/clock_kernels.cu
  cuda/cublas_lt.cpp
  ${cupti_source}
  cuda/module.cpp
  cuda/spin_kernels.cu
  cuda/tensor_kernels.cu)
target_include_directories(bubblescope_cuda SYSTEM PRIVATE "${CUBLASLT_INCLUDE_DIR}")
if(CUPTI_INCLUDE_DIR)
  target_include_directories(bubblescope_cuda SYSTEM PRIVATE "${CUPTI_INCLUDE_DIR}")
endif()
if(NCCL_INCLUDE_DIR)
  target_sources(bubblescope_cuda PRIVATE nccl/module.cpp)
  target_link_libraries(bubblescope_cuda PRIVATE bubblescope_nccl_host)
else()
  message(STATUS "Without --backend nccl: there is no nccl.h (libnccl-dev)")
endif()
target_link_libraries(bubblescope_cuda PRIVATE bubblescope_cuda_host CUDA::cudart_static)
target_link_options(bubblescope_cuda PRIVATE -Wl,--no-undefined)
set_target_properties(bubblescope_cuda PROPERTIES
  PREFIX "" LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib/bubblescope")
install(TARGETS bubblescope_cuda LIBRARY
        DESTINATION "${CMAKE_INSTALL_LIBDIR}/bubblescope" OPTIONAL)  # the program may be built alone
