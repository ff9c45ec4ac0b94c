// Accesses wider than a register: those of vector instructions, and stores of a whole cache line.

extension Core {
  /// The widest access that a core makes at once, in bytes: a cache line (MOVDIR64B, or a vector of 512 bits).
  public static var widestAccess: Int { 64 }

  /// A load of as many bytes as `destination` has, 1 to ``widestAccess``, within one page. One of a register's width is that
  /// of ``load(_:width:privilege:on:devices:)``.
  ///
  /// Of registers that are not intercepted it reads one after the other, at most eight bytes each. When any byte of it is in
  /// a row of the Remapping Table, it reads zeros and nothing happens, as with an access that straddles a row's edge.
  ///
  /// - Returns: the outcome; `.done` with the number of bytes. When it is another, `destination` is as it was.
  public mutating func load<Bus: MMIOBus & ~Copyable>(
    into destination: inout MutableSpan<UInt8>, from address: VirtualAddress, privilege: Privilege = .supervisor,
    on northbridge: inout Northbridge, devices: inout Bus
  ) -> AccessOutcome {
    let count = destination.count
    if let width = Self.registerWidth(count) {
      let outcome = load(address, width: width, privilege: privilege, on: &northbridge, devices: &devices)
      guard let value = outcome.value else { return outcome }
      for index in 0..<count { destination[index] = UInt8(truncatingIfNeeded: value >> UInt64(8 &* index)) }
      return .done(UInt64(count))
    }
    switch place(address, count, .read, privilege, &northbridge) {
    case .fault(let fault): return .fault(fault)
    case .redirected:
      for index in 0..<count { destination[index] = 0 }
    case .physical(let physical):
      if let source = unsafe northbridge.memory.pointer(at: physical, length: UInt64(count), for: .read) {
        noteMemoryAccess()
        // `count` bytes are behind the pointer, and in the destination.
        for index in 0..<count { destination[index] = unsafe source.load(fromByteOffset: index, as: UInt8.self) }
        break
      }
      var done = 0
      while done < count {
        let width = Self.width(at: address.rawValue &+ UInt64(done), left: count &- done)
        let next = VirtualAddress(address.rawValue &+ UInt64(done))
        let outcome = load(next, width: width, privilege: privilege, on: &northbridge, devices: &devices)
        guard let value = outcome.value else { return outcome }
        for index in 0..<Int(width.rawValue) {
          destination[done &+ index] = UInt8(truncatingIfNeeded: value >> UInt64(8 &* index))
        }
        done &+= Int(width.rawValue)
      }
    }
    return .done(UInt64(count))
  }

  /// A store of the bytes of `source`, 1 to ``widestAccess``, within one page. See
  /// ``load(into:from:privilege:on:devices:)``.
  public mutating func store<Bus: MMIOBus & ~Copyable>(
    _ source: Span<UInt8>, at address: VirtualAddress, privilege: Privilege = .supervisor,
    on northbridge: inout Northbridge, devices: inout Bus
  ) -> AccessOutcome {
    let count = source.count
    if let width = Self.registerWidth(count) {
      var value: UInt64 = 0
      for index in 0..<count { value |= UInt64(source[index]) << UInt64(8 &* index) }
      let outcome = store(value, at: address, width: width, privilege: privilege, on: &northbridge, devices: &devices)
      return outcome.value == nil ? outcome : .done(UInt64(count))
    }
    switch place(address, count, .write, privilege, &northbridge) {
    case .fault(let fault): return .fault(fault)
    case .redirected: break
    case .physical(let physical):
      if let target = unsafe northbridge.memory.pointer(at: physical, length: UInt64(count), for: .write) {
        noteMemoryAccess()
        // `count` bytes are behind the pointer, and in the source.
        for index in 0..<count { unsafe target.storeBytes(of: source[index], toByteOffset: index, as: UInt8.self) }
        break
      }
      var done = 0
      while done < count {
        let width = Self.width(at: address.rawValue &+ UInt64(done), left: count &- done)
        var value: UInt64 = 0
        for index in 0..<Int(width.rawValue) { value |= UInt64(source[done &+ index]) << UInt64(8 &* index) }
        let next = VirtualAddress(address.rawValue &+ UInt64(done))
        let outcome = store(
          value, at: next, width: width, privilege: privilege, on: &northbridge, devices: &devices)
        guard outcome.value != nil else { return outcome }
        done &+= Int(width.rawValue)
      }
    }
    return .done(UInt64(count))
  }

  private static func registerWidth(_ count: Int) -> RegisterWidth? {
    UInt8(exactly: count).flatMap { RegisterWidth(rawValue: $0) }
  }

  /// Where a wide access goes as a whole; one that has a byte in a row is counted.
  private mutating func place(
    _ address: VirtualAddress, _ count: Int, _ rights: AccessRights, _ privilege: Privilege,
    _ northbridge: inout Northbridge
  ) -> Translation {
    guard count > 0, count <= Self.widestAccess else { return .fault(.crossesPage) }
    mmu.adopt(northbridge.configuration)
    let translation = mmu.translate(
      address, length: UInt64(count), rights: rights, privilege: privilege, memory: northbridge.memory,
      remapping: northbridge.remapping)
    if case .redirected = translation { northbridge.remapping.refuseWide() }
    return translation
  }

  /// The widest aligned access at an address that takes no more than `left` bytes.
  private static func width(at address: UInt64, left: Int) -> RegisterWidth {
    for width in [RegisterWidth.quadWord, .doubleWord, .word]
    where Int(width.rawValue) <= left && address & (width.byteCount &- 1) == 0 {
      return width
    }
    return .byte
  }
}
