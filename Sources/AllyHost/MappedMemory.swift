internal import AllyHW
internal import CAllyLinux
internal import Glibc

/// A file's bytes, or new ones, in this process's address space; gone when nobody refers to this object any more.
///
/// Whoever has the file too can cut it short, after which there is nothing behind the mapping: it then becomes zeros, and
/// ``isLost`` (Docs/ADR/0017).
@safe
final class MappedMemory {
  /// The first byte; good for ``length`` bytes as long as this object exists.
  let storage: UnsafeMutableRawPointer
  let length: Int
  /// What was really mapped: whole pages.
  private let mapped: UnsafeMutableRawPointer
  private let mappedLength: Int
  /// Its number among the mappings that may be lost; -1 of what nobody else has.
  private let guardNumber: Int32
  private var ownFile: OwnedFile?

  /// From now on a mapping that is lost does not end the process.
  static func beginGuarding() throws(HostError) {
    guard ally_guard_begin() == 0 else { throw HostError("cannot watch over guests' memory", code: errno) }
  }

  /// Whether the file was cut short under the mapping.
  var isLost: Bool { ally_guard_is_lost(guardNumber) != 0 }

  /// Maps a part of a file, shared with whoever else has it.
  ///
  /// - Parameters:
  ///   - file: an open file.
  ///   - offset: where in it the first byte is.
  ///   - length: how many bytes; not 0. The file must have them: a mapping beyond its end would be a trap.
  ///   - rights: what may be done.
  init(_ file: Int32, offset: UInt64, length: UInt64, rights: AccessRights) throws(HostError) {
    let pageSize = UInt64(sysconf(Int32(_SC_PAGESIZE)))
    let first = offset & ~(pageSize - 1)
    let (end, overflow) = offset.addingReportingOverflow(length)
    var information = stat()
    guard unsafe fstat(file, &information) == 0 else {
      throw HostError("cannot look at the memory's file", code: errno)
    }
    guard length > 0, !overflow, end <= UInt64(clamping: information.st_size), let size = Int(exactly: end - first)
    else {
      throw HostError("\(length) bytes at \(offset) of a file that has \(information.st_size)")
    }
    let protection = (rights.contains(.read) ? PROT_READ : 0) | (rights.contains(.write) ? PROT_WRITE : 0)
    guard let place = unsafe mmap(nil, size, protection, MAP_SHARED, file, off_t(first)), unsafe place != MAP_FAILED
    else { throw HostError("cannot map the memory's file", code: errno) }
    unsafe mapped = place
    mappedLength = size
    unsafe storage = place + Int(offset - first)
    self.length = Int(length)
    ownFile = nil
    guardNumber = unsafe ally_guard_add(place, size)
    // Not to be used unguarded; `deinit` gives the mapping back.
    guard guardNumber >= 0 else { throw HostError("more mappings of guests' memory than can be watched over") }
  }

  /// Maps zeros.
  ///
  /// - Parameter length: a multiple of 4,096, not 0.
  init(zeros length: UInt64) throws(HostError) {
    guard length > 0, length % 4096 == 0, let size = Int(exactly: length) else {
      throw HostError("\(length) bytes of memory; expected pages")
    }
    let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
    guard let place = unsafe mmap(nil, size, PROT_READ | PROT_WRITE, flags, -1, 0), unsafe place != MAP_FAILED else {
      throw HostError("cannot get \(length) bytes of memory", code: errno)
    }
    unsafe mapped = place
    mappedLength = size
    unsafe storage = place
    self.length = size
    guardNumber = -1
    ownFile = nil
  }

  /// Maps zeros, in a file of their own, that processes share which this one forks. Nobody who has the file can cut it short.
  ///
  /// - Parameter length: a multiple of 4,096, not 0.
  init(shared length: UInt64) throws(HostError) {
    guard length > 0, length % 4096 == 0, let size = Int(exactly: length) else {
      throw HostError("\(length) bytes of memory; expected pages")
    }
    let file = try OwnedFile.inMemory("ally-kept", length: size)
    guard let place = unsafe ally_map_shared(file.number, size, nil) else {
      throw HostError("cannot map \(length) bytes of memory to share", code: errno)
    }
    unsafe mapped = place
    mappedLength = size
    unsafe storage = place
    self.length = size
    guardNumber = -1
    ownFile = file
  }

  /// The file of memory that processes share; nil of any other.
  var fileNumber: Int32? { ownFile?.number }

  /// Puts another file's bytes in the place of its own, which are gone: every pointer into it now leads to those.
  ///
  /// - Parameter file: has as many bytes, for good; this object's from now on.
  func become(_ other: OwnedFile) throws(HostError) {
    guard unsafe ally_map_shared(other.number, mappedLength, mapped) != nil else {
      throw HostError("cannot map what another process has kept", code: errno)
    }
    ownFile = other
  }

  deinit {
    ally_guard_remove(guardNumber)
    unsafe munmap(mapped, mappedLength)
  }
}
