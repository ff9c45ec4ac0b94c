internal import AllyHW
internal import Glibc

/// A guest's memory as a vhost-user front end shares it.
struct VhostUserMemory {
  private var map: DMAMap
  private var regions: [VhostUserRegion] = []

  /// The most regions that can come one by one.
  static let slots: UInt64 = 512

  init(below end: UInt64) { map = DMAMap(below: end) }

  /// Whether some of the memory was taken away without a word.
  var isLost: Bool { map.isLost }

  /// Takes the place of what there was; when it fails there is nothing.
  mutating func replace(
    _ new: [VhostUserRegion], _ files: [Int32], in memory: inout PhysicalMemory
  ) throws(VhostUserRefusal) {
    removeAll(from: &memory)
    guard files.count == new.count else {
      throw VhostUserRefusal("a memory table of \(new.count) regions with \(files.count) descriptors")
    }
    for (region, file) in zip(new, files) { try add(region, file, to: &memory) }
  }

  mutating func add(
    _ region: VhostUserRegion, _ file: Int32, to memory: inout PhysicalMemory
  ) throws(VhostUserRefusal) {
    guard !region.userAddress.addingReportingOverflow(region.length).overflow else {
      throw VhostUserRefusal("a memory region around the end of addresses")
    }
    do throws(VFIOUserRefusal) {
      try map.add(
        address: region.address, length: region.length, rights: .readWrite, file: (file, region.fileOffset),
        to: &memory)
    } catch {
      throw VhostUserRefusal(
        error.reason ?? "guest memory at 0x\(String(region.address, radix: 16)): regions are whole pages, apart")
    }
    regions.append(region)
  }

  mutating func remove(_ region: VhostUserRegion, from memory: inout PhysicalMemory) throws(VhostUserRefusal) {
    // The file's offset says nothing here; the front end may leave it out.
    let place = regions.firstIndex {
      $0.address == region.address && $0.length == region.length && $0.userAddress == region.userAddress
    }
    guard let place else { throw VhostUserRefusal("a memory region goes that never came") }
    regions.remove(at: place)
    try? map.remove(address: region.address, length: region.length, from: &memory)
  }

  mutating func removeAll(from memory: inout PhysicalMemory) {
    map.removeAll(from: &memory)
    regions = []
  }

  /// The guest's own address of what the front end has at one of its addresses; nil when that is not guest memory.
  func guestAddress(of userAddress: UInt64) -> UInt64? {
    guard
      let region = regions.first(where: { userAddress >= $0.userAddress && userAddress - $0.userAddress < $0.length })
    else { return nil }
    return region.address + (userAddress - region.userAddress)
  }
}
