internal import AllyHW
internal import AllyRings
internal import CAllyLinux
internal import Glibc

/// What a front end and a back end say of the memory for buffers in flight (vhost-user specification, "Inflight description").
struct VhostUserInflightShape: Equatable {
  var length: UInt64
  /// Where in the file it begins.
  var offset: UInt64
  var queues: UInt16
  /// Elements of each queue.
  var size: UInt16

  /// One region for each queue.
  init(queues: UInt16, size: UInt16) {
    length = UInt64(queues) * Self.regionLength(size)
    offset = 0
    self.queues = queues
    self.size = size
  }

  init(length: UInt64, offset: UInt64, queues: UInt16, size: UInt16) {
    self.length = length
    self.offset = offset
    self.queues = queues
    self.size = size
  }

  /// The header and an entry for each descriptor, up to the next cache line.
  static func regionLength(_ size: UInt16) -> UInt64 { (16 + 16 * UInt64(size) + 63) & ~63 }

  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: length)
    bytes.append(littleEndian: offset)
    bytes.append(littleEndian: queues)
    bytes.append(littleEndian: size)
    return bytes
  }
}

/// Memory in which a back end notes the buffers of split rings that it has taken and not given back, for whoever takes its place;
/// the front end keeps its file (vhost-user specification, "Inflight I/O tracking").
///
/// This back end gives buffers back in the order in which the guest made them available, so that the ring itself says what is in
/// flight: everything from the used index on. What another has noted is taken up if it says the same, and refused otherwise. It is
/// noted after each pass; what a pass took or gave back whose process died is found in the ring.
struct VhostUserInflight {
  private let memory: MappedMemory
  private let shape: VhostUserInflightShape
  /// Up to where each ring is noted; nil of one that is not worked on.
  private var noted: [VirtqueuePosition?]
  private var counter: UInt64 = 1

  /// A ring's parts in the guest's memory.
  struct Ring {
    var index: Int
    var size: UInt32
    var driverArea: UInt64
    var deviceArea: UInt64
  }

  /// Offsets in a region, and in the entry of a descriptor.
  private enum Place {
    static let version = 8
    static let size = 10
    static let lastHead = 12
    static let used = 14
    static let entries = 16
    static let entryLength = 16
    static let isInFlight = 0
    static let counter = 8
  }
  private static let version: UInt16 = 1

  /// Makes the memory that a front end asks for.
  static func makeFile(_ shape: VhostUserInflightShape) throws(VhostUserRefusal) -> OwnedFile {
    do throws(HostError) {
      return try .inMemory("ally-inflight", length: Int(shape.length))
    } catch {
      throw VhostUserRefusal("buffers in flight: \(error.message)")
    }
  }

  /// Maps what the front end has kept.
  init(_ shape: VhostUserInflightShape, file: Int32) throws(VhostUserRefusal) {
    guard shape.offset % 64 == 0, shape.length >= VhostUserInflightShape(queues: shape.queues, size: shape.size).length
    else { throw VhostUserRefusal("\(shape.length) bytes at \(shape.offset) for buffers in flight") }
    do throws(HostError) {
      memory = try MappedMemory(file, offset: shape.offset, length: shape.length, rights: .readWrite)
    } catch {
      throw VhostUserRefusal("memory for buffers in flight: \(error.message)")
    }
    self.shape = shape
    noted = Array(repeating: nil, count: Int(shape.queues))
  }

  /// Whether the memory was taken away.
  var isLost: Bool { memory.isLost }

  private func region(_ ring: Int) -> UnsafeMutableRawPointer {
    // In the mapping, because rings are looked up in `noted` before, which has as many elements as there are regions.
    unsafe memory.storage + ring * Int(VhostUserInflightShape.regionLength(shape.size))
  }

  private func entry(_ ring: Int, _ head: UInt16) -> UnsafeMutableRawPointer {
    unsafe region(ring) + Place.entries + Int(head) * Place.entryLength
  }

  private func word(_ ring: Int, _ place: Int) -> UInt16 {
    unsafe region(ring).load(fromByteOffset: place, as: UInt16.self)
  }

  private func set(_ ring: Int, _ place: Int, _ value: UInt16) {
    unsafe region(ring).storeBytes(of: value, toByteOffset: place, as: UInt16.self)
  }

  private func isInFlight(_ ring: Int, _ head: UInt16) -> Bool {
    unsafe entry(ring, head).load(fromByteOffset: Place.isInFlight, as: UInt8.self) == 1
  }

  private func set(_ ring: Int, _ head: UInt16, isInFlight: Bool) {
    unsafe entry(ring, head).storeBytes(of: isInFlight ? 1 : 0, toByteOffset: Place.isInFlight, as: UInt8.self)
  }

  /// The descriptors that a ring's area names at its places `from` up to `to`: what the guest wrote there, if it is one at all.
  private static func forEach(
    _ area: (UnsafeRawPointer, stride: Int), _ size: UInt32, from: UInt16, to: UInt16, _ body: (UInt16) -> Void
  ) {
    var place = from
    // At most once around, whatever the places are.
    for _ in 0..<min(UInt32(to &- from), size) {
      let offset = unsafe 4 + Int(UInt32(place) & (size - 1)) * area.stride
      let head = unsafe area.0.load(fromByteOffset: offset, as: UInt16.self)
      if UInt32(head) < size { body(head) }
      place &+= 1
    }
  }

  /// The available and the used part of a ring, if they are there: a head has 2 bytes in one, and begins 8 in the other.
  private static func areas(
    _ ring: Ring, _ guest: borrowing PhysicalMemory
  ) -> (available: (UnsafeRawPointer, stride: Int), used: (UnsafeRawPointer, stride: Int))? {
    let size = UInt64(ring.size)
    guard size > 0, size & (size - 1) == 0, ring.driverArea % 2 == 0, ring.deviceArea % 4 == 0,
      let available = unsafe guest.pointer(at: PhysicalAddress(ring.driverArea), length: 6 + 2 * size, for: .read),
      let used = unsafe guest.pointer(at: PhysicalAddress(ring.deviceArea), length: 6 + 8 * size, for: .read)
    else { return nil }
    return ((UnsafeRawPointer(available), 2), (UnsafeRawPointer(used), 8))
  }

  /// Takes a ring up: where it begins is where the guest has seen it used, whatever the front end took for its base.
  mutating func takeUp(
    _ ring: Ring, in guest: borrowing PhysicalMemory
  ) throws(VhostUserRefusal) -> VirtqueuePosition {
    let index = ring.index
    guard noted.indices.contains(index), ring.size <= UInt32(shape.size) else {
      throw VhostUserRefusal("ring \(index) has no room for its buffers in flight")
    }
    guard let (available, used) = unsafe Self.areas(ring, guest) else {
      throw VhostUserRefusal("ring \(index) is not in the guest's memory")
    }
    let size = ring.size
    let place = unsafe used.0.load(fromByteOffset: 2, as: UInt16.self)
    // A used index that cannot have come of the one that was noted is that of a driver that has begun anew.
    let isFresh = word(index, Place.version) == 0 || UInt32(place &- word(index, Place.used)) > size
    if isFresh {
      clear(index, size)
      set(index, Place.size, UInt16(truncatingIfNeeded: size))
      set(index, Place.used, place)
      set(index, Place.version, Self.version)
    }
    guard word(index, Place.version) == Self.version, UInt32(word(index, Place.size)) == size else {
      throw VhostUserRefusal("ring \(index): buffers in flight as nobody can have noted them")
    }
    // What was given back and not noted so any more.
    unsafe Self.forEach(used, size, from: word(index, Place.used), to: place) { set(index, $0, isInFlight: false) }
    set(index, Place.used, place)
    let count = (0..<size).count { isInFlight(index, UInt16($0)) }
    var found = 0
    unsafe Self.forEach(available, size, from: place, to: place &+ UInt16(count)) {
      if isInFlight(index, $0) { found += 1 }
    }
    guard found == count else {
      throw VhostUserRefusal("ring \(index): buffers in flight that are out of their order")
    }
    // They are taken anew.
    clear(index, size)
    let position = VirtqueuePosition(available: place, used: place)
    noted[index] = position
    return position
  }

  /// Notes where a ring that was taken up is now. Buffers that were taken and given back since the last time are not seen.
  mutating func note(_ position: VirtqueuePosition, _ ring: Ring, in guest: borrowing PhysicalMemory) {
    let index = ring.index
    guard noted.indices.contains(index), let before = noted[index], before != position,
      let (available, used) = unsafe Self.areas(ring, guest)
    else { return }
    let taken = position.available &- before.available
    let left = position.available &- position.used
    // What went back may have come again, and been taken.
    var last = word(index, Place.lastHead)
    unsafe Self.forEach(used, ring.size, from: before.used, to: position.used) { head in
      last = head
      set(index, head, isInFlight: false)
    }
    unsafe Self.forEach(
      available, ring.size, from: position.available &- min(taken, left), to: position.available
    ) { head in
      unsafe entry(index, head).storeBytes(of: counter, toByteOffset: Place.counter, as: UInt64.self)
      counter &+= 1
      set(index, head, isInFlight: true)
    }
    set(index, Place.lastHead, last)
    set(index, Place.used, position.used)
    noted[index] = position
  }

  /// A ring is stopped by the front end's will: what was taken counts as not taken, and the next that is there is another.
  mutating func forget(_ ring: Int, size: UInt32) {
    guard noted.indices.contains(ring), noted[ring] != nil else { return }
    clear(ring, min(size, UInt32(shape.size)))
    set(ring, Place.version, 0)
    noted[ring] = nil
  }

  private func clear(_ ring: Int, _ size: UInt32) {
    for head in 0..<size { set(ring, UInt16(head), isInFlight: false) }
  }
}
