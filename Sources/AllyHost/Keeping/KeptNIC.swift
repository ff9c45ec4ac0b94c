public import AllyDeviceModels
public import AllyHW

/// A NIC that can be restored from a record, which it keeps.
protocol PersistentNIC: HostedNIC, ~Copyable {
  /// What it is, for ``KeptLayout``.
  static var kind: String { get }
  /// Bytes of its record.
  var recordLength: Int { get }
  /// Writes the record, which somebody else makes count.
  mutating func write()
  /// Becomes what the record says, takes back what it did since, and takes up a frame that was on its way.
  ///
  /// - Parameter bus: where its DMA goes, as it was then.
  mutating func restore(on bus: inout HostBus)
}

/// A NIC whose state outlives the worker that has it: what a `PersistentModel` with an uplink is, and a record of it that
/// counts after each step that somebody else can see the effect of.
///
/// The steps are: the DPI core's, or the guest's, write to a register; a frame each way; the link. A read changes nothing that
/// matters until one of these, or the answer to the guest, makes it count: until then it was not done. So a DPI core that
/// takes over finds the NIC that the one before it saw, at the latest a frame behind, which the NIC then moves again.
public struct KeptNIC<Model: PersistentModel & ~Copyable>: HostedNIC, PersistentNIC, ~Copyable {
  private var nic: ModelNIC<Model, UplinkWire>
  private let records: KeptRecords
  private let journal: DMAJournal
  private let memory: KeptMemory
  private(set) var recordLength = 0

  static var kind: String { "\(Model.self)" }

  /// - Parameters:
  ///   - model: as after power-on.
  ///   - uplink: what stands for its cable.
  ///   - memory: what its state is to be found in.
  public init(model: consuming Model, uplink: consuming Uplink, keeping memory: KeptMemory) {
    nic = ModelNIC(model: model, line: UplinkWire(uplink, keeping: memory))
    records = memory.records
    journal = memory.journal
    self.memory = memory
    var size = StateRecord()
    exchange(with: &size)
    recordLength = size.length
    precondition(recordLength <= KeptRecords.nicCapacity, "the NIC has more state than there is room for")
    commit()
  }

  public var function: PCIFunction { nic.function }
  public var nextTimer: UInt64? { nic.nextTimer }
  public var clock: WireClock { nic.clock }
  public var inputDescriptor: Int32? { nic.inputDescriptor }
  public var traffic: WireTraffic { nic.traffic }

  public mutating func readRegister(_ offset: UInt32, width: RegisterWidth) -> UInt64 {
    nic.readRegister(offset, width: width)
  }

  public mutating func writeRegister(_ offset: UInt32, value: UInt64, width: RegisterWidth) {
    nic.writeRegister(offset, value: value, width: width)
    commit()
  }

  public mutating func work(on bus: inout HostBus, frames: Int, at now: UInt64) -> Bool {
    var hasMoved = false
    for _ in 0..<frames {
      nic.model.advance(to: now)
      let records = records
      let journal = journal
      let moved = unsafe withUnsafeMutablePointer(to: &bus) { place in
        var journaled = unsafe JournaledBus(place, journal, since: records.nicCount)
        return nic.model.run(on: &journaled, wire: &nic.line, frames: 1)
      }
      guard moved > 0 else { break }
      commit()
      hasMoved = true
    }
    return hasMoved
  }

  public mutating func assertsInterrupt() -> Bool { nic.assertsInterrupt() }

  public mutating func followCarrier() {
    let isUp = nic.model.isLinkUp
    nic.followCarrier()
    if nic.model.isLinkUp != isUp { commit() }
  }

  public mutating func reset() {
    nic.reset()
    commit()
  }

  // MARK: - The record

  private mutating func exchange(with record: inout StateRecord) {
    nic.model.exchange(with: &record)
    nic.line.exchange(with: &record)
  }

  mutating func write() {
    let records = records
    records.writeNIC { exchange(with: &$0) }
  }

  private mutating func commit() {
    write()
    records.commitNIC()
  }

  mutating func restore(on bus: inout HostBus) {
    let records = records
    records.restoreNIC { exchange(with: &$0) }
    journal.undo(since: records.nicCount, on: &bus)
    nic.line.takeUp()
  }
}
