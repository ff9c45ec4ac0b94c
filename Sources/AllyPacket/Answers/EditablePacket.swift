/// A frame that an inspector puts in the place of another: bytes of DPI memory that it may change, lengthen and shorten.
///
/// Valid during the call of ``FrameAnswers/replace(_:offloads:_:)`` that lends it.
@frozen
@safe
public struct EditablePacket: ~Copyable {
  /// Invariant: `capacity` bytes, valid as long as this value exists.
  @usableFromInline let storage: UnsafeMutableRawPointer
  /// The most bytes that the frame can have.
  public let capacity: Int
  /// The bytes of the frame now.
  public private(set) var count: Int
  /// How the frame begins.
  public let linkType: LinkType
  /// The bytes that it had before it was edited.
  private let originalCount: Int

  @unsafe
  init(storage: UnsafeMutableRawPointer, capacity: Int, count: Int, linkType: LinkType) {
    unsafe self.storage = storage
    self.capacity = capacity
    self.count = count
    self.linkType = linkType
    originalCount = count
  }

  /// The frame's bytes, to read.
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    get {
      let span = unsafe UnsafeRawBufferPointer(start: storage, count: count).bytes
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// The byte at an offset within the frame.
  public subscript(_ offset: Int) -> UInt8 {
    get {
      precondition(offset >= 0 && offset < count, "the offset is outside the frame")
      return unsafe storage.load(fromByteOffset: offset, as: UInt8.self)
    }
    set {
      precondition(offset >= 0 && offset < count, "the offset is outside the frame")
      unsafe storage.storeBytes(of: newValue, toByteOffset: offset, as: UInt8.self)
    }
  }

  /// Stores 16 bits in network byte order; false when they do not lie within the frame.
  @discardableResult
  public mutating func store(_ value: UInt16, at offset: Int) -> Bool {
    guard offset >= 0, offset &+ 2 <= count else { return false }
    self[offset] = UInt8(truncatingIfNeeded: value &>> 8)
    self[offset &+ 1] = UInt8(truncatingIfNeeded: value)
    return true
  }

  /// Puts `replacement` in the place of the bytes of `range`, however many these are. False when the range is not within the
  /// frame or the frame would become empty or too long; nothing has changed then.
  @discardableResult
  public mutating func replaceSubrange(_ range: Range<Int>, with replacement: RawSpan) -> Bool {
    let length = count &- range.count &+ replacement.byteCount
    guard range.lowerBound >= 0, range.upperBound <= count, length > 0, length <= capacity else { return false }
    unsafe (storage + (range.lowerBound &+ replacement.byteCount)).copyMemory(
      from: storage + range.upperBound, byteCount: count &- range.upperBound)
    unsafe replacement.withUnsafeBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      unsafe (storage + range.lowerBound).copyMemory(from: base, byteCount: bytes.count)
    }
    count = length
    return true
  }

  /// Makes the lengths in the IP and UDP headers fit how much longer or shorter the frame has become, and all checksums
  /// right: IPv4 header, TCP, UDP, ICMP and ICMPv6. Of a fragment, the IP header's alone.
  public mutating func updateHeaders() {
    let network: Int
    let networkKind: PacketLayers.Network
    do {
      // With the old lengths the packet may seem longer than the frame: that is no defect here.
      let layers = PacketLayers(of: bytes, linkType: linkType, lengthOnWire: max(count, originalCount))
      network = Int(layers.networkOffset)
      networkKind = layers.network
    }
    guard networkKind != .other else { return }
    let growth = count &- originalCount
    let lengthField = network &+ (networkKind == .ipv4 ? 2 : 4)
    if growth != 0, let length = load(at: lengthField), length != 0 {
      store(UInt16(clamping: Int(length) &+ growth), at: lengthField)
    }
    if networkKind == .ipv4 { updateIPv4Checksum(at: network) }
    let layers = PacketLayers(of: bytes, linkType: linkType)
    guard layers.hasTransport, layers.defect == nil, !layers.fragment.isFragment else { return }
    updateTransport(layers, growth: growth)
  }

  /// 16 bits in network byte order; nil when they do not lie within the frame.
  private func load(at offset: Int) -> UInt16? { Window<2>(bytes, at: offset)?.u16(0) }

  private func sum(from start: Int, to end: Int) -> InternetChecksum {
    var sum = InternetChecksum()
    sum.add(bytes, from: start, to: end)
    return sum
  }

  private mutating func updateIPv4Checksum(at network: Int) {
    guard let first = load(at: network), store(0, at: network &+ 10) else { return }
    let sum = sum(from: network, to: network &+ Int(first &>> 8 & 15) &* 4)
    store(sum.checksum, at: network &+ 10)
  }

  private mutating func updateTransport(_ layers: PacketLayers, growth: Int) {
    let start = Int(layers.transportOffset)
    let end = Int(layers.endOffset)
    let field: Int
    var hasPseudoHeader = true
    switch layers.ipProtocol {
    case .tcp: field = start &+ 16
    case .udp:
      field = start &+ 6
      if growth != 0, let length = load(at: start &+ 4), length != 0 {
        store(UInt16(clamping: Int(length) &+ growth), at: start &+ 4)
      }
      // Without a checksum it stays (RFC 768); IPv6 demands one.
      if layers.network == .ipv4, load(at: field) == 0 { return }
    case .icmp:
      field = start &+ 2
      hasPseudoHeader = false
    case .icmpv6: field = start &+ 2
    default: return
    }
    guard store(0, at: field) else { return }
    var sum = sum(from: start, to: end)
    if hasPseudoHeader {
      sum.add(layers.source)
      sum.add(layers.destination)
      sum.add(UInt16(layers.ipProtocol.rawValue))
      sum.add(UInt16(truncatingIfNeeded: end &- start))
    }
    let value = sum.checksum
    store(value == 0 && layers.ipProtocol == .udp ? 0xFFFF : value, at: field)
  }
}
