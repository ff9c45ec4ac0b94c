public import AllyHW

/// The structures in the register BAR (virtio 1.2, §4.1.4).
extension VirtioNetModel {
  public mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64 {
    switch offset {
    case VirtioNetRegister.common..<(VirtioNetRegister.common + VirtioCommon.end):
      return readCommon(offset - VirtioNetRegister.common, width)
    case VirtioNetRegister.interruptStatus:
      // Reading acknowledges, and takes the pin down (§4.1.4.5).
      defer { interruptStatus = 0 }
      return UInt64(interruptStatus)
    case VirtioNetRegister.device..<VirtioNetRegister.notification:
      return readDevice(offset - VirtioNetRegister.device, width)
    default: return 0
    }
  }

  public mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    let value = value & width.mask
    switch offset {
    case VirtioNetRegister.common..<(VirtioNetRegister.common + VirtioCommon.end):
      writeCommon(offset - VirtioNetRegister.common, value, width)
    case VirtioNetRegister.notification..<VirtioNetRegister.end:
      // Where it is written says which queue; the value repeats that (§4.1.5.2).
      let queue = Int((offset - VirtioNetRegister.notification) / VirtioNetRegister.notificationStride)
      if queue < queues.count { queues[queue].isNotified = true }
    default:
      // The configuration of a version 1 device is read-only: the address is set by the control queue (§5.1.4.2).
      return
    }
  }

  private var selected: Int? { Int(queueSelect) < queues.count ? Int(queueSelect) : nil }

  private func readCommon(_ offset: UInt32, _ width: RegisterWidth) -> UInt64 {
    // A wide read spans fields; each field is put at its place.
    var result: UInt64 = 0
    for byte in 0..<UInt32(width.rawValue) { result |= UInt64(commonByte(offset + byte)) << UInt64(8 * byte) }
    return result
  }

  private func commonByte(_ offset: UInt32) -> UInt8 {
    let queue = selected.map { queues[$0] }
    let field: (start: UInt32, value: UInt64)
    switch offset {
    case 0x00..<0x04: field = (0x00, UInt64(deviceFeatureSelect))
    case 0x04..<0x08: field = (0x04, Self.half(offered.rawValue, deviceFeatureSelect))
    case 0x08..<0x0C: field = (0x08, UInt64(driverFeatureSelect))
    case 0x0C..<0x10: field = (0x0C, Self.half(accepted.rawValue, driverFeatureSelect))
    case 0x10..<0x12: field = (0x10, UInt64(configurationVector))
    case 0x12..<0x14: field = (0x12, UInt64(queues.count))
    case 0x14: field = (0x14, UInt64(status.rawValue))
    case 0x15: field = (0x15, UInt64(generation))
    case 0x16..<0x18: field = (0x16, UInt64(queueSelect))
    case 0x18..<0x1A: field = (0x18, UInt64(queue?.size ?? 0))
    case 0x1A..<0x1C: field = (0x1A, UInt64(queue?.vector ?? 0xFFFF))
    case 0x1C..<0x1E: field = (0x1C, queue?.isEnabled == true ? 1 : 0)
    case 0x1E..<0x20: field = (0x1E, UInt64(selected ?? 0))
    case 0x20..<0x28: field = (0x20, queue?.descriptors ?? 0)
    case 0x28..<0x30: field = (0x28, queue?.driverArea ?? 0)
    case 0x30..<0x38: field = (0x30, queue?.deviceArea ?? 0)
    default: return 0
    }
    return UInt8(truncatingIfNeeded: field.value >> UInt64(8 * (offset - field.start)))
  }

  private static func half(_ value: UInt64, _ select: UInt32) -> UInt64 {
    select < 2 ? value >> UInt64(32 * select) & 0xFFFF_FFFF : 0
  }

  private mutating func writeCommon(_ offset: UInt32, _ value: UInt64, _ width: RegisterWidth) {
    // Drivers write each field with its own width, 64-bit fields in two halves (§4.1.3.1).
    switch (offset, width) {
    case (VirtioCommon.deviceFeatureSelect, .doubleWord): deviceFeatureSelect = UInt32(value)
    case (VirtioCommon.driverFeatureSelect, .doubleWord): driverFeatureSelect = UInt32(value)
    case (VirtioCommon.driverFeature, .doubleWord): acceptFeatures(value)
    case (VirtioCommon.configurationVector, .word): configurationVector = knownVector(value)
    case (VirtioCommon.status, .byte): writeStatus(VirtioStatus(rawValue: UInt8(value)))
    case (VirtioCommon.queueSelect, .word): queueSelect = UInt16(value)
    default:
      if let queue = selected { writeQueue(queue, offset, value, width) }
    }
  }

  /// A vector that cannot be had reads back as none (§4.1.5.1.2).
  private func knownVector(_ value: UInt64) -> UInt16 { value < UInt64(vectorCount) ? UInt16(value) : 0xFFFF }

  private mutating func acceptFeatures(_ value: UInt64) {
    // They are fixed once FEATURES_OK is set (§2.2.1).
    guard driverFeatureSelect < 2, !status.contains(.featuresOK) else { return }
    let shift = UInt64(32 * driverFeatureSelect)
    accepted.rawValue = accepted.rawValue & ~(0xFFFF_FFFF << shift) | value << shift
  }

  private mutating func writeStatus(_ value: VirtioStatus) {
    guard !value.isEmpty else { return resetByStatus() }
    var value = value.union(status.intersection(.needsReset))
    // §2.2.2: what was not offered, or lacks what it requires, is not accepted.
    if value.contains(.featuresOK), !status.contains(.featuresOK),
      !accepted.isSubset(of: offered) || !accepted.isConsistent
    {
      value.remove(.featuresOK)
    }
    if !value.contains(.featuresOK) { value.remove(.driverOK) }
    status = value
  }

  private mutating func writeQueue(_ queue: Int, _ offset: UInt32, _ value: UInt64, _ width: RegisterWidth) {
    switch (offset, width) {
    case (VirtioCommon.queueVector, .word): queues[queue].vector = knownVector(value)
    case (VirtioCommon.queueEnable, .word):
      // Only a reset disables a queue.
      if value == 1 { queues[queue].isEnabled = true }
    case (VirtioCommon.queueReset, .word):
      guard value == 1, accepted.contains(.ringReset) else { return }
      queues[queue] = VirtioQueue(maximumSize: queues[queue].maximumSize)
    default:
      guard !queues[queue].isEnabled else { return }
      writeDisabledQueue(queue, offset, value, width)
    }
  }

  private mutating func writeDisabledQueue(_ queue: Int, _ offset: UInt32, _ value: UInt64, _ width: RegisterWidth) {
    switch (offset, width) {
    case (VirtioCommon.queueSize, .word):
      let size = Int(value)
      let isAllowed = accepted.contains(.packedRing) || size & (size - 1) == 0
      if size > 0, size <= queues[queue].maximumSize, isAllowed { queues[queue].size = size }
    case (VirtioCommon.queueDescriptors, _): Self.set(&queues[queue].descriptors, 0, value, width)
    case (VirtioCommon.queueDescriptors + 4, _): Self.set(&queues[queue].descriptors, 1, value, width)
    case (VirtioCommon.queueDriver, _): Self.set(&queues[queue].driverArea, 0, value, width)
    case (VirtioCommon.queueDriver + 4, _): Self.set(&queues[queue].driverArea, 1, value, width)
    case (VirtioCommon.queueDevice, _): Self.set(&queues[queue].deviceArea, 0, value, width)
    case (VirtioCommon.queueDevice + 4, _): Self.set(&queues[queue].deviceArea, 1, value, width)
    default: return
    }
  }

  /// Writes a 64-bit field whole, or one of its halves.
  private static func set(_ field: inout UInt64, _ half: UInt64, _ value: UInt64, _ width: RegisterWidth) {
    switch (half, width) {
    case (0, .quadWord): field = value
    case (0, .doubleWord): field = field & 0xFFFF_FFFF_0000_0000 | value
    case (1, .doubleWord): field = field & 0xFFFF_FFFF | value << 32
    default: return
    }
  }

  /// The network device's own configuration (§5.1.4): address, link status, and the most queue pairs.
  private func readDevice(_ offset: UInt32, _ width: RegisterWidth) -> UInt64 {
    var result: UInt64 = 0
    for byte in 0..<UInt32(width.rawValue) {
      let value: UInt8 =
        switch offset + byte {
        case 0..<6: filter.stationAddress[Int(offset + byte)]
        case 6: isWireUp ? 1 : 0
        case 8: UInt8(queuePairs)
        default: 0
        }
      result |= UInt64(value) << UInt64(8 * byte)
    }
    return result
  }
}
