internal import AllyPacket

/// What of a frame a NIC was still to do, as the kernel says it (struct virtio_net_hdr of linux/virtio_net.h, in the machine's
/// byte order).
struct PendingOffloads: Equatable {
  enum Segmentation: UInt8 {
    case none = 0
    case tcp4 = 1
    case tcp6 = 4
    case udp = 5
  }

  static let byteCount = 10

  /// From here on the checksum is missing that belongs ``checksumOffset`` bytes further; nil when none is.
  var checksumStart: Int?
  var checksumOffset = 0
  var segmentation = Segmentation.none
  /// Payload bytes of each segment.
  var segmentSize = 0

  init() {}

  /// Reads a header; what is unknown is nothing to do.
  init(_ bytes: ArraySlice<UInt8>) {
    var reader = LittleEndianReader(bytes)
    guard let flags = reader.take(UInt8.self), let kind = reader.take(UInt8.self), reader.take(UInt16.self) != nil,
      let size = reader.take(UInt16.self), let start = reader.take(UInt16.self), let offset = reader.take(UInt16.self)
    else { return }
    if flags & 1 != 0 {
      checksumStart = Int(start)
      checksumOffset = Int(offset)
    }
    // Bit 7 says that congestion is being told of, which changes nothing here.
    segmentation = Segmentation(rawValue: kind & 0x7F) ?? .none
    segmentSize = Int(size)
  }
}

/// A frame on its way to a cable: with the checksum that a NIC would have inserted, or in the segments that it would have
/// made.
struct FramePieces {
  private let offloads: PendingOffloads
  /// Where its headers are; meaningful when it is to be cut.
  private let layers: PacketLayers
  private var done = 0
  private var number: UInt16 = 0
  private var isOver = false

  init(_ frame: Span<UInt8>, _ offloads: PendingOffloads) {
    var offloads = offloads
    // Bytes of initialized integers.
    layers = unsafe PacketLayers(of: frame.bytes, linkType: .ethernet, isToBeSegmented: offloads.segmentation != .none)
    let carried: IPProtocol = offloads.segmentation == .udp ? .udp : .tcp
    if offloads.segmentSize == 0 || !layers.hasTransport || layers.ipProtocol != carried {
      offloads.segmentation = .none
    }
    self.offloads = offloads
  }

  /// The next piece.
  ///
  /// - Parameters:
  ///   - frame: the frame, as when this was made.
  ///   - bytes: where the piece goes.
  /// - Returns: the bytes of the piece; nil when all were given, or there is no room.
  mutating func next(of frame: Span<UInt8>, into bytes: inout MutableSpan<UInt8>) -> Int? {
    if isOver { return nil }
    guard offloads.segmentation != .none else {
      isOver = true
      return whole(frame, into: &bytes)
    }
    let header = Int(layers.payloadOffset)
    let payload = Int(layers.endOffset) - header
    let part = min(offloads.segmentSize, payload - done)
    isOver = done + part >= payload
    guard part >= 0, header + part <= bytes.count else {
      isOver = true
      return nil
    }
    for index in 0..<header { bytes[index] = frame[index] }
    for index in 0..<part { bytes[header + index] = frame[header + done + index] }
    fillHeaders(&bytes, length: header + part)
    done += part
    number &+= 1
    return header + part
  }

  private func whole(_ frame: Span<UInt8>, into bytes: inout MutableSpan<UInt8>) -> Int? {
    // What is longer than there is room is cut, as every uplink does.
    let count = min(frame.count, bytes.count)
    for index in 0..<count { bytes[index] = frame[index] }
    guard let start = offloads.checksumStart, start < count, start + offloads.checksumOffset + 2 <= count else {
      return count
    }
    // The field holds the sum of the pseudo header.
    var sum = InternetChecksum()
    Self.add(bytes, start, count, &sum)
    Self.store(sum.checksum == 0 ? 0xFFFF : sum.checksum, at: start + offloads.checksumOffset, &bytes)
    return count
  }

  /// Lengths, numbers and checksums of a segment (8254x SDM §3.5.9 has the same list).
  private func fillHeaders(_ bytes: inout MutableSpan<UInt8>, length: Int) {
    let network = Int(layers.networkOffset)
    let transport = Int(layers.transportOffset)
    if layers.network == .ipv4 {
      Self.store(UInt16(truncatingIfNeeded: length - network), at: network + 2, &bytes)
      Self.store(Self.load(network + 4, bytes) &+ number, at: network + 4, &bytes)
      Self.store(0, at: network + 10, &bytes)
      var sum = InternetChecksum()
      Self.add(bytes, network, network + Int(bytes[network] & 15) * 4, &sum)
      Self.store(sum.checksum, at: network + 10, &bytes)
    } else {
      Self.store(UInt16(truncatingIfNeeded: length - network - 40), at: network + 4, &bytes)
    }
    let field: Int
    if offloads.segmentation == .udp {
      field = transport + 6
      Self.store(UInt16(truncatingIfNeeded: length - transport), at: transport + 4, &bytes)
    } else {
      field = transport + 16
      let first = UInt32(Self.load(transport + 4, bytes)) << 16 | UInt32(Self.load(transport + 6, bytes))
      let sequence = first &+ UInt32(truncatingIfNeeded: done)
      Self.store(UInt16(truncatingIfNeeded: sequence >> 16), at: transport + 4, &bytes)
      Self.store(UInt16(truncatingIfNeeded: sequence), at: transport + 6, &bytes)
      // FIN and PSH in the last segment alone, CWR in the first.
      if !isOver { bytes[transport + 13] &= ~0x09 }
      if number > 0 { bytes[transport + 13] &= ~0x80 }
    }
    Self.store(0, at: field, &bytes)
    var sum = InternetChecksum()
    Self.add(bytes, transport, length, &sum)
    sum.add(layers.source)
    sum.add(layers.destination)
    sum.add(UInt16(layers.ipProtocol.rawValue))
    sum.add(UInt16(truncatingIfNeeded: length - transport))
    Self.store(sum.checksum == 0 ? 0xFFFF : sum.checksum, at: field, &bytes)
  }

  private static func add(
    _ bytes: borrowing MutableSpan<UInt8>, _ start: Int, _ end: Int, _ sum: inout InternetChecksum
  ) {
    var index = start
    while index + 1 < end {
      sum.add(UInt16(bytes[index]) << 8 | UInt16(bytes[index + 1]))
      index += 2
    }
    if index < end { sum.add(UInt16(bytes[index]) << 8) }
  }

  private static func load(_ offset: Int, _ bytes: borrowing MutableSpan<UInt8>) -> UInt16 {
    UInt16(bytes[offset]) << 8 | UInt16(bytes[offset + 1])
  }

  private static func store(_ value: UInt16, at offset: Int, _ bytes: inout MutableSpan<UInt8>) {
    bytes[offset] = UInt8(truncatingIfNeeded: value >> 8)
    bytes[offset + 1] = UInt8(truncatingIfNeeded: value)
  }
}
