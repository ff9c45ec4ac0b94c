/// What the driver of the physical function does for virtual function 0, by registers alone (82576 datasheet §7.10.2.9): it
/// sets up pools and answers the mailbox.
struct IGBPhysicalFunction {
  let macAddress: [UInt8]

  /// Messages of a virtual function, the low 16 bits of the first word.
  private enum Message {
    static let reset: UInt32 = 1
    static let setAddress: UInt32 = 2
    static let setMulticast: UInt32 = 3
    static let setVLAN: UInt32 = 4
    static let setLongPackets: UInt32 = 5
    static let setPromiscuous: UInt32 = 6
    static let accepted: UInt32 = 1 << 31
    static let refused: UInt32 = 1 << 30
    static let clearToSend: UInt32 = 1 << 29
  }

  private static var pool: UInt32 { IGBRegister.poolOffload }
  /// The first receive address is the physical function's own.
  private static var address: UInt32 { IntelRegister.receiveAddress + 8 }
  private static var function: UInt32 { 1 }

  /// Pools by address, the physical function's being the second, and all enabled.
  func start(on model: inout IGBModel) {
    model.write(IGBRegister.multipleQueues, 3)
    model.write(IGBRegister.virtualization, 1 << 7)
    model.write(IntelRegister.receiveAddress + 4, model.controller[IntelRegister.receiveAddress + 4] | 1 << 19)
    // Vectors for the functions; the mailbox interrupts for requests.
    model.write(IGBRegister.generalInterrupts, 1 << 30 | 1 << 4)
    model.write(IGBRegister.mailboxMask, 0xFF)
    model.write(IGBRegister.receiveLongMaximum, 0x3FFF)
    // Broadcasts, long packets, stripped frame check sequences (RCTL); padded short frames (TCTL).
    model.write(IntelRegister.receiveControl, 1 << 1 | 1 << 5 | 1 << 15 | 1 << 26)
    model.write(IntelRegister.transmitControl, 1 << 1 | 1 << 3)
    model.write(IntelRegister.extendedControl, IGBRegister.physicalFunctionResetDone)
    takeReset(on: &model)
  }

  /// Answers what the mailbox brought.
  func takeInterrupt(on model: inout IGBModel) {
    if model.read(IGBRegister.functionReset) & 1 != 0 {
      model.write(IGBRegister.functionReset, 1)
      takeReset(on: &model)
    }
    let news = model.read(IGBRegister.mailboxCause)
    guard news != 0 else { return }
    model.write(IGBRegister.mailboxCause, news)
    if news & 1 != 0 { answer(on: &model) }
  }

  /// A virtual function begins without an address of its own, and may neither send nor receive until it asks for a reset.
  private func takeReset(on model: inout IGBModel) {
    let enabled = ~Self.function
    model.write(IGBRegister.functionReceiveEnable, model.read(IGBRegister.functionReceiveEnable) & enabled)
    model.write(IGBRegister.functionTransmitEnable, model.read(IGBRegister.functionTransmitEnable) & enabled)
    // Untagged frames, broadcasts and the multicast table; VLAN tags are stripped.
    model.write(Self.pool, 1 << 24 | 1 << 25 | 1 << 27 | 1 << 30)
    setAddress(macAddress, on: &model)
  }

  private func setAddress(_ bytes: [UInt8], on model: inout IGBModel) {
    let words = bytes.map { UInt32($0) }
    model.write(Self.address, words[0] | words[1] << 8 | words[2] << 16 | words[3] << 24)
    model.write(Self.address + 4, words[4] | words[5] << 8 | Self.function << 18 | 1 << 31)
  }

  private func answer(on model: inout IGBModel) {
    let memory = IGBRegister.mailboxMemory
    let request = model.read(memory)
    var reply = request & ~(Message.accepted | Message.refused) | Message.clearToSend
    var isAccepted = true
    switch request & 0xFFFF {
    case Message.reset:
      model.write(IGBRegister.functionReceiveEnable, model.read(IGBRegister.functionReceiveEnable) | Self.function)
      model.write(IGBRegister.functionTransmitEnable, model.read(IGBRegister.functionTransmitEnable) | Self.function)
      reply = Message.reset
      model.write(memory + 4, model.read(Self.address))
      model.write(memory + 8, model.read(Self.address + 4) & 0xFFFF)
    case Message.setAddress:
      let low = model.read(memory + 4)
      let high = model.read(memory + 8)
      var bytes = [UInt8](repeating: 0, count: 6)
      for index in 0..<6 {
        let word = index < 4 ? low : high
        bytes[index] = UInt8(truncatingIfNeeded: word >> UInt32(8 * (index & 3)))
      }
      isAccepted = bytes[0] & 1 == 0 && bytes.contains { $0 != 0 }
      // A second set of the information bits asks for further addresses, of which there are none.
      if request >> 16 & 0xFF != 0 { isAccepted = false }
      if isAccepted { setAddress(bytes, on: &model) }
    case Message.setMulticast: setMulticast(count: request >> 16 & 0x1F, on: &model)
    case Message.setVLAN: isAccepted = setVLAN(model.read(memory + 4) & 0xFFF, isOn: request >> 16 & 1 == 1, on: &model)
    case Message.setLongPackets: model.write(Self.pool, model.read(Self.pool) | 1 << 16)
    case Message.setPromiscuous:
      let all: UInt32 = 1 << 28
      let wantsAll = request >> 17 & 1 == 1
      model.write(Self.pool, wantsAll ? model.read(Self.pool) | all : model.read(Self.pool) & ~all)
    default: isAccepted = false
    }
    model.write(memory, reply | (isAccepted ? Message.accepted : Message.refused))
    // The message was read, and here is another.
    model.write(IGBRegister.mailboxToFunction, 3)
  }

  /// The hashes of a multicast list, two in a word from the second one on: bits of the multicast table.
  private func setMulticast(count: UInt32, on model: inout IGBModel) {
    for index in 0..<min(count, 30) {
      let word = model.read(IGBRegister.mailboxMemory + 4 + index / 2 * 4)
      let hash = word >> (16 * (index & 1)) & 0xFFF
      let register = IntelRegister.multicastTable + hash >> 5 * 4
      model.write(register, model.read(register) | 1 << (hash & 31))
    }
  }

  /// A VLAN's entry among the pools' filters; false when all are taken.
  private func setVLAN(_ identifier: UInt32, isOn: Bool, on model: inout IGBModel) -> Bool {
    var free: UInt32?
    for index in UInt32(0)..<32 {
      let register = IGBRegister.poolVLANFilter + 4 * index
      let entry = model.read(register)
      if entry >> 31 == 1, entry & 0xFFF == identifier {
        if !isOn { model.write(register, 0) }
        return true
      }
      if entry >> 31 == 0, free == nil { free = register }
    }
    guard isOn else { return true }
    guard let free else { return false }
    model.write(free, 1 << 31 | Self.function << 12 | identifier)
    return true
  }
}
