// What this thread called of the C library and of Swift's runtime: for the conformance kit, which is linked into tests alone.
#ifndef CRUNTIMECALLS_H
#define CRUNTIMECALLS_H

#include <stdint.h>

struct runtime_calls {
  /// Calls of malloc and its siblings.
  uint64_t allocations;
  /// Associated types that code for types of any kind looked up.
  uint64_t lookups;
};

/// The calls of this thread since it began. All zeros where another allocator or a runtime without dynamic linking stands in
/// front of these.
struct runtime_calls runtime_calls_so_far(void);

#endif
