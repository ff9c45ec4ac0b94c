// libFuzzer as a library (https://llvm.org/docs/LibFuzzer.html#using-libfuzzer-as-a-library). The toolchain ships the
// code without a header.
#ifndef ALLY_LIBFUZZER_H
#define ALLY_LIBFUZZER_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerRunDriver(int *argument_count, char ***arguments, int (*run_one)(const uint8_t *data, size_t size));

#endif
