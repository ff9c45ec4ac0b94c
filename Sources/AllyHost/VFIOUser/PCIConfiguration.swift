internal import AllyDeviceModels
internal import AllyHW

/// The configuration space of a guest's NIC (PCI Local Bus Specification 3.0, chapter 6): what its function says, and what
/// the guest has written.
struct PCIConfiguration {
  /// 256 bytes, or 4,096 of a PCI Express function.
  private(set) var bytes: [UInt8]
  /// The bits of each byte that a write changes.
  private let writable: [UInt8]
  private let initial: [UInt8]
  private let messages: Int?
  private let messageTable: Int?

  private static let command = 0x04
  private static let statusHasCapabilities = 0x06
  private static let firstCapability = 0x34

  init(_ function: PCIFunction) {
    let isExpress = function.capabilities.contains { $0.kind == .pciExpress }
    var image = PCIConfigurationImage(byteCount: isExpress ? 4096 : 256)
    image.put(function.vendorID, at: 0x00)
    image.put(function.deviceID, at: 0x02)
    // I/O, memory, bus master, parity, SERR, interrupt disable.
    image.allow(0x0547 as UInt16, at: Self.command)
    image.put(function.classCode << 8 | UInt32(function.revision), at: 0x08)
    image.allow(0xFF as UInt8, at: 0x0C)
    image.put(function.subsystemVendorID, at: 0x2C)
    image.put(function.subsystemID, at: 0x2E)
    image.allow(0xFF as UInt8, at: 0x3C)
    image.put(function.interruptPin, at: 0x3D)
    for (index, bar) in function.baseAddressRegisters.prefix(6).enumerated() where bar.length > 0 {
      let offset = 0x10 + 4 * index
      let kind: UInt32 =
        switch bar.kind {
        case .memory32: 0
        case .memory64: 4
        case .io: 1
        }
      image.put(kind | (bar.isPrefetchable ? 8 : 0), at: offset)
      image.allow(UInt32(truncatingIfNeeded: ~(bar.length - 1)), at: offset)
      if bar.kind == .memory64, index < 5 {
        image.allow(UInt32(truncatingIfNeeded: ~(bar.length - 1) >> 32), at: offset + 4)
      }
    }
    var link = Self.firstCapability
    for capability in function.capabilities where Int(capability.offset) + 64 <= 256 || capability.kind != .pciExpress {
      guard image.put(capability, function.msix) else { continue }
      image.put(capability.offset, at: link)
      image.put(0x10 as UInt8, at: Self.statusHasCapabilities)
      link = Int(capability.offset) + 1
    }
    bytes = image.bytes
    initial = image.bytes
    writable = image.writable
    messages = function.capabilities.first { $0.kind == .messageSignaledInterrupts }.map { Int($0.offset) }
    messageTable = function.capabilities.first { $0.kind == .messageSignaledInterruptsExtended }.map { Int($0.offset) }
  }

  /// What a guest can have changed is among the first 256 bytes.
  mutating func exchange(with record: inout StateRecord) {
    var written = Array(bytes[..<256])
    record.exchange(&written)
    bytes.replaceSubrange(..<256, with: written)
  }

  /// As after power-on.
  mutating func reset() { bytes = initial }

  /// What a read of `count` bytes gives; zeros beyond the end.
  func read(_ offset: UInt64, count: Int) -> [UInt8] {
    (0..<count).map { index in
      let place = offset &+ UInt64(index)
      return place < UInt64(bytes.count) ? bytes[Int(place)] : 0
    }
  }

  mutating func write(_ offset: UInt64, count: Int, value: UInt64) {
    for index in 0..<count {
      let place = offset &+ UInt64(index)
      guard place < UInt64(bytes.count) else { return }
      let mask = writable[Int(place)]
      bytes[Int(place)] = bytes[Int(place)] & ~mask | UInt8(truncatingIfNeeded: value >> UInt64(8 * index)) & mask
    }
  }

  /// Whether the function may do DMA.
  var isBusMaster: Bool { bytes[Self.command] & 4 != 0 }

  /// Whether the function must not use its pin.
  private var disablesPin: Bool { bytes[Self.command + 1] & 4 != 0 }

  /// How the guest wants its interrupts; nil when it wants none.
  var delivery: InterruptDelivery? {
    if let messageTable, bytes[messageTable + 3] & 0x80 != 0 { return .messageTable }
    if let messages, bytes[messages + 2] & 1 != 0 { return .messages }
    return disablesPin ? nil : .pin
  }
}

/// Configuration space in the making.
private struct PCIConfigurationImage {
  var bytes: [UInt8]
  var writable: [UInt8]

  init(byteCount: Int) {
    bytes = Array(repeating: 0, count: byteCount)
    writable = bytes
  }

  mutating func put<T: FixedWidthInteger>(_ value: T, at offset: Int) {
    for index in 0..<(T.bitWidth / 8) { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> T(8 * index)) }
  }

  mutating func allow<T: FixedWidthInteger>(_ mask: T, at offset: Int) {
    for index in 0..<(T.bitWidth / 8) { writable[offset + index] = UInt8(truncatingIfNeeded: mask >> T(8 * index)) }
  }

  /// Puts a capability at its place, but for the link to the next one.
  ///
  /// - Returns: false of a capability that is unknown here.
  mutating func put(_ capability: PCICapability, _ msix: MSIXLayout?) -> Bool {
    let offset = Int(capability.offset)
    put(capability.kind.rawValue, at: offset)
    switch capability.kind {
    case .powerManagement:
      // Version 2, device specific initialization; no power management events. State in bits 0 and 1, kept over a change
      // (PCI Bus Power Management Interface Specification 1.2, §3.2).
      put(0x0022 as UInt16, at: offset + 2)
      put(0x0008 as UInt16, at: offset + 4)
      allow(0x0003 as UInt16, at: offset + 4)
    case .messageSignaledInterrupts:
      // 64-bit addresses, one message (§6.8.1).
      put(0x0080 as UInt16, at: offset + 2)
      allow(0x0001 as UInt16, at: offset + 2)
      allow(0xFFFF_FFFC as UInt32, at: offset + 4)
      allow(0xFFFF_FFFF as UInt32, at: offset + 8)
      allow(0xFFFF as UInt16, at: offset + 12)
    case .messageSignaledInterruptsExtended:
      guard let msix else { return false }
      put(UInt16(msix.vectors - 1), at: offset + 2)
      allow(0xC000 as UInt16, at: offset + 2)
      put(msix.tableOffset | UInt32(msix.register), at: offset + 4)
      put(msix.pendingOffset | UInt32(msix.register), at: offset + 8)
    case .pciExpress:
      // Version 2 of an endpoint; a link of 2.5 GT/s and one lane, which is up (PCI Express Base 2.0, §7.8).
      put(0x0002 as UInt16, at: offset + 2)
      put(0x0000_8CC1 as UInt32, at: offset + 4)
      put(0x2810 as UInt16, at: offset + 8)
      allow(0x7FFF as UInt16, at: offset + 8)
      put(0x0003_1C11 as UInt32, at: offset + 12)
      put(0x1011 as UInt16, at: offset + 18)
      allow(0x01FB as UInt16, at: offset + 16)
    default:
      return false
    }
    return true
  }
}
