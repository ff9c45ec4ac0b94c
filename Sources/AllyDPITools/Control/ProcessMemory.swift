internal import Glibc

/// The memory of this process.
enum ProcessMemory {
  /// Gives what was freed back to the system, as far as it is whole pages (malloc_trim(3)).
  static func trim() {
    // Swift's Glibc module leaves this function out; other C libraries do not have it.
    guard let symbol = unsafe dlsym(nil, "malloc_trim") else { return }
    // int malloc_trim(size_t pad).
    let trim = unsafe unsafeBitCast(symbol, to: (@convention(c) (Int) -> Int32).self)
    _ = trim(0)
  }
}
