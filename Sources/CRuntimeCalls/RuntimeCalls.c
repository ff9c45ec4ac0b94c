// An executable's own functions come before those of the libraries that it is linked with, for the libraries too. So these
// are what every call in a test's process reaches; each counts and goes on to the one behind it.
#define _GNU_SOURCE
#include "CRuntimeCalls.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>

static _Thread_local struct runtime_calls calls;

struct runtime_calls runtime_calls_so_far(void) { return calls; }

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define HAS_OTHER_ALLOCATOR 1
#endif
#endif

#if defined(__GLIBC__) && !defined(HAS_OTHER_ALLOCATOR)

// The GNU C library's own names of its allocator, by which one that stands in front of it goes on.
extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

// Weak, so that a program that brings an allocator of its own keeps it.
#define IN_FRONT __attribute__((weak, visibility("default")))

IN_FRONT void *malloc(size_t size) {
  calls.allocations++;
  return __libc_malloc(size);
}

IN_FRONT void *calloc(size_t count, size_t size) {
  calls.allocations++;
  return __libc_calloc(count, size);
}

IN_FRONT void *realloc(void *old, size_t size) {
  calls.allocations++;
  return __libc_realloc(old, size);
}

IN_FRONT void *memalign(size_t alignment, size_t size) {
  calls.allocations++;
  return __libc_memalign(alignment, size);
}

IN_FRONT void *aligned_alloc(size_t alignment, size_t size) {
  calls.allocations++;
  return __libc_memalign(alignment, size);
}

IN_FRONT int posix_memalign(void **place, size_t alignment, size_t size) {
  calls.allocations++;
  if (alignment % sizeof(void *) != 0 || alignment == 0 || (alignment & (alignment - 1)) != 0) return EINVAL;
  void *storage = __libc_memalign(alignment, size);
  if (storage == NULL) return ENOMEM;
  *place = storage;
  return 0;
}

// Swift's runtime: metadata of an associated type, and how complete it is. The calling convention is C's for these types.
struct metadata_response {
  const void *metadata;
  uintptr_t state;
};
typedef struct metadata_response (*lookup)(uintptr_t, void *, const void *, const void *, const void *);

IN_FRONT struct metadata_response swift_getAssociatedTypeWitness(
    uintptr_t request, void *witnesses, const void *type, const void *base, const void *associated) {
  static lookup behind;
  // Whoever comes first finds what all find.
  lookup next = __atomic_load_n(&behind, __ATOMIC_RELAXED);
  if (next == NULL) {
    next = (lookup)dlsym(RTLD_NEXT, "swift_getAssociatedTypeWitness");
    __atomic_store_n(&behind, next, __ATOMIC_RELAXED);
  }
  calls.lookups++;
  return next(request, witnesses, type, base, associated);
}

#endif
