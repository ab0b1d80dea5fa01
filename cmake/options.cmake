# Warnings are errors in every build; what else is switched on is the preset's choice.

set(GATEHOUSE_SANITIZE "" CACHE STRING "address, thread, or nothing")
option(GATEHOUSE_HARDEN "release flags of security.md" OFF)
option(GATEHOUSE_FUZZ "build the libFuzzer targets (clang)" OFF)

add_library(gh_flags INTERFACE)
target_compile_options(gh_flags INTERFACE
    -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wconversion
    -Wno-sign-conversion -Wno-format-zero-length -Wvla -Werror -g)
target_compile_definitions(gh_flags INTERFACE _GNU_SOURCE)
target_include_directories(gh_flags INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})

# A sanitizer walks the stack by its frame pointers; a profiler or debugger of a release reads the
# unwind tables, which cost nothing where frame pointers cost every function a register.
if(GATEHOUSE_SANITIZE)
    target_compile_options(gh_flags INTERFACE -fno-omit-frame-pointer)
endif()
if(GATEHOUSE_SANITIZE STREQUAL "address")
    target_compile_options(gh_flags INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all)
    target_link_options(gh_flags INTERFACE -fsanitize=address,undefined)
elseif(GATEHOUSE_SANITIZE STREQUAL "thread")
    target_compile_options(gh_flags INTERFACE -fsanitize=thread)
    target_link_options(gh_flags INTERFACE -fsanitize=thread)
endif()

if(GATEHOUSE_HARDEN)
    target_compile_options(gh_flags INTERFACE -O2 -D_FORTIFY_SOURCE=3 -fstack-protector-strong
        -fstack-clash-protection -fcf-protection -ftrivial-auto-var-init=zero -fPIE -fno-plt)
    target_link_options(gh_flags INTERFACE -pie -Wl,-z,relro,-z,now,-z,noexecstack)
endif()
