/// One row of the ``RemappingTable``: a run of an intercepted device's registers.
@frozen
public struct RemappingRow: Sendable, BitwiseCopyable, Equatable {
  /// The physical address of the first byte, in the device's register BAR.
  public var base: PhysicalAddress
  /// The run's offset from the start of the BAR: also its place in the shadow.
  public var offset: UInt32
  /// The length in bytes.
  public var length: UInt32
  /// What becomes of accesses; never ``RegisterDisposition/passThrough``.
  public var disposition: RegisterDisposition
  /// See ``RegisterRange/clearsOnRead``.
  public var clearsOnRead: Bool
  /// See ``RegisterRange/onesClear``.
  public var onesClear: Bool
  /// Which ``InterceptedDevice`` the row belongs to.
  @usableFromInline var device: UInt8

  @usableFromInline
  init(base: PhysicalAddress, range: RegisterRange, device: UInt8) {
    self.base = base
    self.offset = range.offset
    self.length = range.length
    self.disposition = range.disposition
    self.clearsOnRead = range.clearsOnRead
    self.onesClear = range.onesClear
    self.device = device
  }
}

/// A device whose registers are intercepted: where its shadow is, and whom to tell.
@frozen
public struct InterceptedDevice: Sendable, BitwiseCopyable {
  public var requester: RequesterID
  /// Where the OS sees the device's register BAR.
  public var registerBase: PhysicalAddress
  public var registers: RegisterFile
  public var log: AccessLog
  /// The DPI core that is told of redirected accesses, and the vector of the IPI.
  public var core: LocalAPICID
  public var vector: UInt8

  @inlinable
  public init(
    requester: RequesterID, registerBase: PhysicalAddress, registers: RegisterFile, log: AccessLog, core: LocalAPICID,
    vector: UInt8
  ) {
    self.requester = requester
    self.registerBase = registerBase
    self.registers = registers
    self.log = log
    self.core = core
    self.vector = vector
  }
}

/// Why a device cannot be intercepted.
public enum RemappingError: Error, Equatable, Sendable {
  /// The device is in the table already.
  case alreadyIntercepted
  /// The table has no room for another device, or for this one's rows.
  case full
  /// A run of registers is empty, or leaves its device's shadow registers: the index of the run.
  case badRange(Int)
  /// Two rows claim a byte: the index of the run that comes second.
  case overlaps(Int)
}

/// What a redirected access did.
@frozen
public enum Redirection: Sendable, BitwiseCopyable, Equatable {
  /// The access is done. `value` is what a load gives, or what was to be stored; `notify` says whether the DPI core is to be told by IPI.
  case done(value: UInt64, notify: Bool)
  /// The device's log is full, and nothing was done: the OS core waits and tries again.
  case waits
}

/// What the Remapping Table's rows have done.
@frozen
public struct RemappingCounters: Sendable, BitwiseCopyable, Equatable {
  /// Loads and stores of redirected registers.
  public var loads: UInt64 = 0
  public var stores: UInt64 = 0
  /// Accesses to registers whose shadow is all there is.
  public var shadowOnly: UInt64 = 0
  /// Accesses to denied registers.
  public var denied: UInt64 = 0
  /// Accesses of which only a part was in a row, and which therefore did nothing.
  public var straddling: UInt64 = 0
  /// Accesses that found the log full.
  public var waits: UInt64 = 0

  @inlinable
  public init() {}
}

/// The Remapping Table of paper §4.3 (Figure 3): which device registers OS cores do not reach, and where their accesses
/// go instead. Fewer than ten rows a device, derived from its driver's list of ``RegisterRange``.
///
/// The rows lie in DPI memory. Every OS core's MMU reads them; only DPI cores change them, while no OS core runs an
/// access. Each change starts a new ``generation``, on which MMUs forget their redirection bits.
///
/// An access of which any byte is in a row belongs to that row (to the one with the lower address, when there are two)
/// and never reaches the device. When not all its bytes are in the row, it does nothing: a load gives 0. No driver does
/// that, and half a shadow register would be worse.
@frozen
@safe
public struct RemappingTable: ~Copyable {
  /// How many devices fit.
  public static var maximumDevices: Int { 16 }
  /// More rows than these no table has: nine of each device, and some.
  public static var maximumRows: Int { 256 }

  /// Sorted by address. Invariant: `rowCount <= rowCapacity`, and the rows below `rowCount` are initialized.
  @usableFromInline var rows: UnsafeMutablePointer<RemappingRow>
  /// How many rows fit where the table lies.
  public private(set) var rowCapacity: Int
  /// Where in DPI memory the rows lie.
  public private(set) var base: PhysicalAddress
  /// The lines of the Last Level Cache that the rows occupy (paper §4.3).
  public let cache: LastLevelCache
  @usableFromInline let devices: UnsafeMutablePointer<InterceptedDevice?>
  public private(set) var rowCount: Int
  /// Grows with every change, and is never 0.
  public private(set) var generation: UInt64
  public private(set) var counters: RemappingCounters

  /// The bytes of DPI memory that a table of so many rows needs.
  public static func byteCount(rows: Int) -> Int { MemoryLayout<RemappingRow>.stride * rows }

  /// An empty table whose rows will lie in `byteCount(rows:)` bytes of DPI memory at `address`; nil when no single
  /// segment has them there, or they are not 8-byte aligned.
  ///
  /// The segment must stay mapped as long as the table is used.
  @unsafe
  public init?(at address: PhysicalAddress, rows rowCapacity: Int = 32, in memory: borrowing PhysicalMemory) {
    let length = Self.byteCount(rows: rowCapacity)
    guard rowCapacity > 0, rowCapacity <= Self.maximumRows,
      let place = unsafe memory.pointer(at: address, length: UInt64(length), for: .readWrite),
      UInt(bitPattern: place) & 7 == 0
    else { return nil }
    unsafe self.rows = place.bindMemory(to: RemappingRow.self, capacity: rowCapacity)
    self.rowCapacity = rowCapacity
    self.base = address
    self.cache = LastLevelCache()
    unsafe self.devices = .allocate(capacity: Self.maximumDevices)
    unsafe devices.initialize(repeating: nil, count: Self.maximumDevices)
    self.rowCount = 0
    self.generation = 1
    self.counters = RemappingCounters()
  }

  deinit {
    unsafe devices.deinitialize(count: Self.maximumDevices)
    unsafe devices.deallocate()
  }

  /// Intercepts a device: from now on, what `ranges` say becomes of OS cores' accesses to its registers. Runs that pass
  /// through make no row.
  ///
  /// - Throws: ``RemappingError``; the table is then unchanged.
  public mutating func intercept(_ device: InterceptedDevice, ranges: [RegisterRange]) throws(RemappingError) {
    guard self.device(device.requester) == nil else { throw .alreadyIntercepted }
    var free: Int?
    for index in 0..<Self.maximumDevices where unsafe devices[index] == nil {
      free = index
      break
    }
    guard let index = free else { throw .full }
    let before = rowCount
    for (position, range) in ranges.enumerated() where range.disposition != .passThrough {
      let (end, overflow) = range.offset.addingReportingOverflow(range.length)
      let row = RemappingRow(
        base: device.registerBase.advanced(by: UInt64(range.offset)), range: range, device: UInt8(index))
      let fits =
        range.length > 0 && !overflow && (range.disposition == .deny || end <= device.registers.length)
        && device.registerBase.rawValue <= UInt64.max - UInt64(end)
      guard fits else {
        removeRows(of: UInt8(index))
        throw .badRange(position)
      }
      guard self.row(at: row.base, length: UInt64(range.length)) == nil else {
        removeRows(of: UInt8(index))
        throw .overlaps(position)
      }
      guard rowCount < rowCapacity else {
        removeRows(of: UInt8(index))
        throw .full
      }
      insert(row)
    }
    if rowCount == before { return }
    unsafe devices[index] = device
    generation &+= 1
  }

  /// Stops intercepting a device, as when its BAR is about to move. Does nothing when it is not intercepted.
  public mutating func release(_ requester: RequesterID) {
    for index in 0..<Self.maximumDevices where unsafe devices[index]?.requester == requester {
      removeRows(of: UInt8(index))
      unsafe devices[index] = nil
      generation &+= 1
    }
  }

  /// Moves the rows to another place in DPI memory, as a write to the configuration registers does.
  ///
  /// The segment there must stay mapped as long as the table is used.
  ///
  /// - Returns: false, and nothing changes, when no single segment has room for `rows` rows there, when the place is not
  ///   8-byte aligned, or when there are more rows than would fit.
  @unsafe
  public mutating func move(to address: PhysicalAddress, rows capacity: Int, in memory: borrowing PhysicalMemory)
    -> Bool
  {
    guard capacity > 0, capacity >= rowCount, capacity <= Self.maximumRows,
      let place = unsafe memory.pointer(at: address, length: UInt64(Self.byteCount(rows: capacity)), for: .readWrite),
      UInt(bitPattern: place) & 7 == 0
    else { return false }
    let target = unsafe place.bindMemory(to: RemappingRow.self, capacity: capacity)
    // The two places may overlap.
    unsafe target.update(from: rows, count: rowCount)
    unsafe rows = target
    rowCapacity = capacity
    base = address
    cache.invalidate()
    generation &+= 1
    return true
  }

  /// The record of an intercepted device.
  public borrowing func device(_ requester: RequesterID) -> InterceptedDevice? {
    for index in 0..<Self.maximumDevices {
      if let device = unsafe devices[index], device.requester == requester { return device }
    }
    return nil
  }

  /// The rows of an intercepted device.
  public borrowing func rows(of requester: RequesterID) -> [RemappingRow] {
    var found: [RemappingRow] = []
    for index in 0..<rowCount {
      let row = unsafe rows[index]
      if unsafe devices[Int(row.device)]?.requester == requester { found.append(row) }
    }
    return found
  }

  /// The row with this index.
  ///
  /// - Precondition: it came from a translation in this generation.
  @inlinable
  public borrowing func row(_ index: Int) -> RemappingRow {
    precondition(index >= 0 && index < rowCount, "no such row in the Remapping Table")
    return unsafe rows[index]
  }

  /// The device that a row belongs to.
  @inlinable
  public borrowing func device(ofRow index: Int) -> InterceptedDevice? {
    let place = Int(row(index).device)
    return unsafe place < Self.maximumDevices ? devices[place] : nil
  }

  /// The lowest row that any of `length` bytes from `address` is in.
  @inlinable
  public borrowing func row(at address: PhysicalAddress, length: UInt64) -> Int? {
    for index in 0..<rowCount {
      let row = unsafe rows[index]
      // Neither sum wraps: rows end below 2^64, and the last byte of an access is compared, not the one after.
      if address.rawValue < row.base.rawValue &+ UInt64(row.length), length > 0,
        address.rawValue &+ (length &- 1) >= row.base.rawValue
      {
        return index
      }
    }
    return nil
  }

  /// What an MMU asks: like ``row(at:length:)``, and the lines of the table that have to be read for the answer come from
  /// the Last Level Cache, or into it.
  public borrowing func lookUp(_ address: PhysicalAddress, length: UInt64) -> Int? {
    let found = row(at: address, length: length)
    let read = found.map { $0 &+ 1 } ?? rowCount
    cache.read(base, length: UInt64(read &* MemoryLayout<RemappingRow>.stride))
    return found
  }

  /// Does an OS core's load of a register in a row.
  @inlinable
  public mutating func load(_ address: PhysicalAddress, width: RegisterWidth, row index: Int) -> Redirection {
    access(address, width: width, row: index, storing: nil)
  }

  /// Does an OS core's store to a register in a row.
  @inlinable
  public mutating func store(
    _ value: UInt64, at address: PhysicalAddress, width: RegisterWidth, row index: Int
  ) -> Redirection {
    access(address, width: width, row: index, storing: value)
  }

  /// Counts an access that is wider than any register and has a byte in a row: it does nothing.
  mutating func refuseWide() { counters.straddling &+= 1 }

  @usableFromInline
  mutating func access(
    _ address: PhysicalAddress, width: RegisterWidth, row index: Int, storing value: UInt64?
  ) -> Redirection {
    let row = row(index)
    guard let device = device(ofRow: index), row.disposition != .deny else {
      counters.denied &+= 1
      return .done(value: (value ?? 0) & width.mask, notify: false)
    }
    // Full before anything is done: a cause that was read away but not reported would be lost.
    if row.disposition == .redirect, device.log.isFull {
      counters.waits &+= 1
      return .waits
    }
    let offset = UInt32(truncatingIfNeeded: address.rawValue &- device.registerBase.rawValue)
    guard offset >= row.offset, UInt64(offset) &+ width.byteCount <= UInt64(row.offset) &+ UInt64(row.length) else {
      counters.straddling &+= 1
      return .done(value: (value ?? 0) & width.mask, notify: false)
    }
    let result = touch(device.registers, offset, width, row, value)
    guard row.disposition == .redirect else {
      counters.shadowOnly &+= 1
      return .done(value: result, notify: false)
    }
    let isLogged = device.log.append(
      RedirectedAccess(offset: offset, width: width, isWrite: value != nil, value: value ?? result))
    if !isLogged {
      counters.waits &+= 1
      return .waits
    }
    if value == nil { counters.loads &+= 1 } else { counters.stores &+= 1 }
    return .done(value: result, notify: true)
  }

  /// Loads or stores the shadow; gives what a load gives, or what was stored.
  private func touch(
    _ registers: RegisterFile, _ offset: UInt32, _ width: RegisterWidth, _ row: RemappingRow, _ value: UInt64?
  ) -> UInt64 {
    guard row.clearsOnRead || row.onesClear && value != nil else {
      guard let value else { return registers.load(offset, width: width) }
      registers.store(value & width.mask, at: offset, width: width)
      return value & width.mask
    }
    // One step for all bits of a register, so that a cause that a DPI core raises meanwhile stays.
    var before: UInt64 = 0
    var place = offset
    let end = offset &+ UInt32(width.rawValue)
    while place < end {
      let count = min(end, (place & ~3) &+ 4) &- place
      let done = UInt64(place &- offset) &* 8
      let shift = place & 3 &* 8
      let ones = UInt32.max >> (32 &- 8 &* count)
      let bits = UInt32(truncatingIfNeeded: (value ?? .max) >> done) & ones
      before |= UInt64(registers.clear(bits << shift, at: place & ~3) >> shift & ones) << done
      place &+= count
    }
    return value.map { $0 & width.mask } ?? before
  }

  private mutating func insert(_ row: RemappingRow) {
    var place = rowCount
    while place > 0, unsafe rows[place &- 1].base > row.base {
      unsafe (rows + place).initialize(to: rows[place &- 1])
      place &-= 1
    }
    unsafe (rows + place).initialize(to: row)
    rowCount &+= 1
  }

  private mutating func removeRows(of device: UInt8) {
    var kept = 0
    for index in 0..<rowCount {
      let row = unsafe rows[index]
      if row.device == device { continue }
      unsafe rows[kept] = row
      kept &+= 1
    }
    rowCount = kept
  }
}
