// The platform's own registers, in the physical address space of every core: APICs, and Ally's configuration.

extension Northbridge {
  /// Whether the byte at `address` is in a page of platform registers.
  @inlinable
  public static func holdsRegister(_ address: PhysicalAddress) -> Bool {
    InterruptUnit.holdsRegister(address) || holdsConfiguration(address)
  }

  @usableFromInline
  static func holdsConfiguration(_ address: PhysicalAddress) -> Bool {
    address.rawValue &- AllyConfiguration.base.rawValue < AllyConfiguration.length
  }

  /// A core's load of a platform register; nil when there is none for this core.
  ///
  /// Registers of the APICs answer to aligned 32-bit accesses, others of them give 0.
  public mutating func readRegister(
    _ address: PhysicalAddress, width: RegisterWidth, by core: LocalAPICID, role: CoreRole
  ) -> UInt64? {
    if Self.holdsConfiguration(address) {
      guard role == .dpi else {
        configuration.refused &+= 1
        return nil
      }
      return readConfiguration(address.rawValue &- AllyConfiguration.base.rawValue, width: width)
    }
    guard InterruptUnit.holdsRegister(address) else { return nil }
    guard width == .doubleWord, address.rawValue & 3 == 0 else { return 0 }
    return UInt64(interrupts.readRegister(address, by: core))
  }

  /// A core's store to a platform register; false when there is none for this core.
  public mutating func writeRegister(
    _ address: PhysicalAddress, value: UInt64, width: RegisterWidth, by core: LocalAPICID, role: CoreRole
  ) -> Bool {
    if Self.holdsConfiguration(address) {
      guard role == .dpi else {
        configuration.refused &+= 1
        return false
      }
      let offset = address.rawValue &- AllyConfiguration.base.rawValue
      let error = width == .quadWord ? writeConfiguration(value, at: offset) : .badAccess
      if error != .none { configuration.error = error }
      return true
    }
    guard InterruptUnit.holdsRegister(address) else { return false }
    if width == .doubleWord, address.rawValue & 3 == 0 {
      interrupts.writeRegister(address, UInt32(truncatingIfNeeded: value), by: core)
    }
    return true
  }

  /// Sets where DPI memory is, as the firmware does before the OS boots.
  public mutating func setPartition(_ partition: Partition) {
    configuration.partition = partition
    configuration.generation &+= 1
    iommu.partition = partition
  }

  private borrowing func readConfiguration(_ offset: UInt64, width: RegisterWidth) -> UInt64 {
    typealias Register = AllyConfiguration.Register
    guard width == .quadWord, offset & 7 == 0 else { return 0 }
    switch offset {
    case Register.identification: return AllyConfiguration.identification
    case Register.locks: return configuration.locks.rawValue
    case Register.boundary: return configuration.partition.boundary.rawValue
    case Register.end: return configuration.partition.end.rawValue
    case Register.remappingBase: return remapping.base.rawValue
    case Register.remappingSize: return UInt64(RemappingTable.byteCount(rows: remapping.rowCapacity))
    case Register.error: return UInt64(configuration.error.rawValue)
    case Register.refused: return configuration.refused
    default: break
    }
    if let index = Self.index(offset, from: Register.interruptRedirections, count: 32) {
      return configuration.redirections[index]
    }
    if let index = Self.index(offset, from: Register.requesters, count: 64) { return configuration.requesters[index] }
    if let index = Self.index(offset, from: Register.interruptSources, count: 128) {
      return configuration.sources[index]
    }
    return 0
  }

  private static func index(_ offset: UInt64, from first: UInt64, count: UInt64) -> Int? {
    let index = (offset &- first) >> 3
    return offset >= first && index < count ? Int(truncatingIfNeeded: index) : nil
  }

  private mutating func writeConfiguration(_ value: UInt64, at offset: UInt64) -> ConfigurationError {
    typealias Register = AllyConfiguration.Register
    guard offset & 7 == 0 else { return .badAccess }
    switch offset {
    case Register.locks:
      guard ConfigurationLocks.all.rawValue & value == value else { return .badValue }
      configuration.locks.formUnion(ConfigurationLocks(rawValue: value))
      return .none
    case Register.error:
      configuration.error = .none
      return .none
    case Register.boundary: return movePartition(PhysicalAddress(value), configuration.partition.end)
    case Register.end: return movePartition(configuration.partition.boundary, PhysicalAddress(value))
    case Register.remappingBase: return moveTable(PhysicalAddress(value), rows: remapping.rowCapacity)
    case Register.remappingSize:
      let rows = min(value, 1 << 20) / UInt64(RemappingTable.byteCount(rows: 1))
      return moveTable(remapping.base, rows: Int(truncatingIfNeeded: rows))
    default: break
    }
    if let index = Self.index(offset, from: Register.interruptRedirections, count: 32) {
      return redirectInterrupts(InterruptRedirectionRegister(rawValue: value), at: index)
    }
    if let index = Self.index(offset, from: Register.requesters, count: 64) {
      return authorize(AuthorizedRequesterRegister(rawValue: value), at: index)
    }
    if let index = Self.index(offset, from: Register.interruptSources, count: 128) {
      return authorizeSource(value, at: index)
    }
    return .badAccess
  }

  private mutating func movePartition(_ boundary: PhysicalAddress, _ end: PhysicalAddress) -> ConfigurationError {
    if configuration.locks.contains(.boundary) { return .locked }
    guard boundary.rawValue & 0xFFF == 0, end.rawValue & 0xFFF == 0 else { return .badValue }
    guard boundary <= end else { return .badRange }
    let partition = Partition(boundary: boundary, end: end)
    // The table decides about accesses of OS cores, so they must not reach it.
    guard holdsTable(partition, at: remapping.base, rows: remapping.rowCapacity) else { return .badRange }
    setPartition(partition)
    return .none
  }

  private mutating func moveTable(_ base: PhysicalAddress, rows: Int) -> ConfigurationError {
    if configuration.locks.contains(.remapping) { return .locked }
    guard base.rawValue & 7 == 0 else { return .badValue }
    guard rows > 0, holdsTable(configuration.partition, at: base, rows: rows) else { return .badRange }
    // The platform maps its memory once and keeps it as long as the northbridge.
    return unsafe remapping.move(to: base, rows: rows, in: memory) ? .none : .badTable
  }

  private func holdsTable(_ partition: Partition, at base: PhysicalAddress, rows: Int) -> Bool {
    let (end, overflow) = base.rawValue.addingReportingOverflow(UInt64(RemappingTable.byteCount(rows: rows)))
    return !overflow && base >= partition.boundary && end <= partition.end.rawValue
  }

  private mutating func redirectInterrupts(_ register: InterruptRedirectionRegister, at index: Int)
    -> ConfigurationError
  {
    if configuration.locks.contains(.interruptRedirection) { return .locked }
    let before = InterruptRedirectionRegister(rawValue: configuration.redirections[index])
    if register.isValid {
      guard register.vector >= 16,
        interrupts.redirectInterrupts(of: register.requester, to: register.core, vector: register.vector)
      else { return .badValue }
    }
    if before.isValid, !register.isValid || before.requester != register.requester {
      interrupts.stopRedirecting(before.requester)
    }
    configuration.redirections[index] = register.rawValue
    return .none
  }

  private mutating func authorize(_ register: AuthorizedRequesterRegister, at index: Int) -> ConfigurationError {
    if configuration.locks.contains(.requesters) { return .locked }
    let before = AuthorizedRequesterRegister(rawValue: configuration.requesters[index])
    if before.isValid, before.requester != register.requester || !register.isValid {
      iommu.authorize(before.requester, false)
      configuration.requesters[index] = 0
    }
    if register.isValid, !iommu.authorize(register.requester, true) { return .full }
    configuration.requesters[index] = register.rawValue
    return .none
  }

  /// Writes one of a pair: its first register while the second is not valid, or the second, which then counts.
  private mutating func authorizeSource(_ value: UInt64, at index: Int) -> ConfigurationError {
    if configuration.locks.contains(.interruptSources) { return .locked }
    let before = InterruptPermitRegister(rawValue: configuration.sources[index | 1])
    let source = InterruptSourceRegister(rawValue: configuration.sources[index & ~1]).source
    if index & 1 == 0 {
      guard !before.isValid, InterruptSourceRegister(rawValue: value).source != nil else { return .badValue }
      configuration.sources[index] = value
      return .none
    }
    let permit = InterruptPermitRegister(rawValue: value)
    guard let source, !permit.isValid || permit.mode != nil else { return .badValue }
    if before.isValid, let mode = before.mode {
      interrupts.revoke(source, vector: before.vector, mode: mode, at: before.core)
      configuration.sources[index] = 0
    }
    if permit.isValid, let mode = permit.mode,
      !interrupts.authorize(source, vector: permit.vector, mode: mode, at: permit.core)
    {
      return .full
    }
    configuration.sources[index] = value
    return .none
  }
}
