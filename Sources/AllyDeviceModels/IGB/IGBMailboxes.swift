/// The mailboxes between the physical function and its virtual functions (82576 datasheet §7.10.2.9, §8.14): for each a word
/// of bits on both sides. The messages themselves are in plain memory that both sides see.
struct IGBMailboxes {
  /// Bits of V2PMAILBOX, the virtual function's side.
  private enum Function {
    static let request: UInt32 = 1 << 0
    static let acknowledge: UInt32 = 1 << 1
    static let inUse: UInt32 = 1 << 2
    static let inUseByPhysical: UInt32 = 1 << 3
    static let message: UInt32 = 1 << 4
    static let acknowledged: UInt32 = 1 << 5
    static let inReset: UInt32 = 1 << 6
    static let resetDone: UInt32 = 1 << 7
    static let clearedByRead = message | acknowledged | resetDone
  }

  /// Bits of P2VMAILBOX, the physical function's side.
  private enum Physical {
    static let message: UInt32 = 1 << 0
    static let acknowledge: UInt32 = 1 << 1
    static let inUseByFunction: UInt32 = 1 << 2
    static let inUse: UInt32 = 1 << 3
    static let releaseFunction: UInt32 = 1 << 4
  }

  /// What a virtual function reads, apart from who has the buffer.
  private var functionBits = InlineArray<8, UInt32>(repeating: Function.inReset)
  /// Who has the buffer: a bit for each virtual function.
  private var functionOwns: UInt32 = 0
  private var physicalOwns: UInt32 = 0
  private var isReady = false
  /// MBVFICR: requests in bits 7–0, acknowledgements in 23–16.
  private var cause: UInt32 = 0
  /// MBVFIMR.
  var mask: UInt32 = 0
  /// VFLRE: virtual functions that were reset.
  private var resets: UInt32 = 0

  mutating func reset() { self = IGBMailboxes() }

  /// CTRL_EXT.PFRSTD: the virtual functions may go on.
  mutating func physicalFunctionIsReady() {
    isReady = true
    for index in 0..<8 { functionBits[index] = functionBits[index] & ~Function.inReset | Function.resetDone }
  }

  // MARK: The physical function's side

  func read(_ offset: UInt32) -> UInt32 {
    switch offset {
    case IGBRegister.mailboxToFunction..<(IGBRegister.mailboxToFunction + 32):
      let bit: UInt32 = 1 << (offset >> 2 & 7)
      return (functionOwns & bit == 0 ? 0 : Physical.inUseByFunction) | (physicalOwns & bit == 0 ? 0 : Physical.inUse)
    case IGBRegister.mailboxToPhysical..<(IGBRegister.mailboxToPhysical + 32):
      return bits(of: Int(offset >> 2 & 7))
    case IGBRegister.mailboxCause: return cause
    case IGBRegister.mailboxMask: return mask
    case IGBRegister.functionReset: return resets
    default: return 0
    }
  }

  /// - Returns: the virtual function that is to be interrupted, if any.
  mutating func writePhysical(_ offset: UInt32, _ value: UInt32) -> Int? {
    switch offset {
    case IGBRegister.mailboxToFunction..<(IGBRegister.mailboxToFunction + 32):
      let function = Int(offset >> 2 & 7)
      let bit: UInt32 = 1 << UInt32(function)
      if value & Physical.releaseFunction != 0 { functionOwns &= ~bit }
      if value & Physical.inUse == 0 {
        physicalOwns &= ~bit
      } else if functionOwns & bit == 0 {
        physicalOwns |= bit
      }
      if value & Physical.message != 0 { functionBits[function] |= Function.message }
      if value & Physical.acknowledge != 0 { functionBits[function] |= Function.acknowledged }
      return value & (Physical.message | Physical.acknowledge) == 0 ? nil : function
    case IGBRegister.mailboxCause: cause &= ~value
    case IGBRegister.functionReset: resets &= ~value
    default: break
    }
    return nil
  }

  // MARK: A virtual function's side

  private func bits(of function: Int) -> UInt32 {
    let bit: UInt32 = 1 << UInt32(function)
    return functionBits[function] | (functionOwns & bit == 0 ? 0 : Function.inUse)
      | (physicalOwns & bit == 0 ? 0 : Function.inUseByPhysical)
  }

  /// A read of V2PMAILBOX: news are told once.
  mutating func readFunction(_ function: Int) -> UInt32 {
    let value = bits(of: function)
    functionBits[function] &= ~Function.clearedByRead
    return value
  }

  /// A write of V2PMAILBOX; true when the physical function is to be interrupted.
  mutating func writeFunction(_ function: Int, _ value: UInt32) -> Bool {
    let bit: UInt32 = 1 << UInt32(function)
    if value & Function.inUse == 0 {
      functionOwns &= ~bit
    } else if physicalOwns & bit == 0 {
      functionOwns |= bit
    }
    var news: UInt32 = 0
    if value & Function.request != 0 { news |= bit }
    if value & Function.acknowledge != 0 { news |= bit << 16 }
    cause |= news
    return news & mask != 0
  }

  /// A virtual function was reset: the physical function hears of it, the virtual one that it may go on.
  mutating func resetFunction(_ function: Int) {
    let bit: UInt32 = 1 << UInt32(function)
    functionOwns &= ~bit
    resets |= bit
    functionBits[function] = isReady ? Function.resetDone : Function.inReset
  }
}
