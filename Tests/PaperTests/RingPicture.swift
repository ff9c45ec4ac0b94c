import AllyAppliance
import AllyDeviceModels
import AllyDrivers
import AllyHW
import AllyRings
import AllySimulator

typealias E1000Hardware = SimulatedHardware<RingVirtualizer<E1000Driver>, E1000Model>

/// The registers of the 82540EM that the figures are about (8254x SDM §13.4).
enum QueueRegister {
  static let interruptCause: UInt32 = 0x00C0
  static let interruptMaskSet: UInt32 = 0x00D0
  static let receiveControl: UInt32 = 0x0100
  static let receiveBaseLow: UInt32 = 0x2800
  static let receiveBaseHigh: UInt32 = 0x2804
  static let receiveLength: UInt32 = 0x2808
  static let receiveHead: UInt32 = 0x2810
  static let receiveTail: UInt32 = 0x2818
  static let transmitControl: UInt32 = 0x0400
  static let transmitBaseLow: UInt32 = 0x3800
  static let transmitBaseHigh: UInt32 = 0x3804
  static let transmitLength: UInt32 = 0x3808
  static let transmitHead: UInt32 = 0x3810
  static let transmitTail: UInt32 = 0x3818
}

/// An OS that programs the receive queue step by step, by hand.
enum HandDrivenOS {
  static let ring = MachineLayout.driverMemory
  static let buffers = MachineLayout.driverMemory.advanced(by: 0x1_0000)
  static let bufferLength: UInt64 = 2048

  static func buffer(_ slot: Int) -> PhysicalAddress { buffers.advanced(by: UInt64(slot) * bufferLength) }
  static func descriptor(_ slot: Int) -> PhysicalAddress { ring.advanced(by: UInt64(slot) * 16) }

  /// Sets up an empty receive queue of `count` descriptors and enables it with interrupts.
  static func start(_ hardware: inout E1000Hardware, count: Int) {
    for slot in 0..<count {
      hardware.store(0, at: descriptor(slot))
      hardware.store(0, at: descriptor(slot).advanced(by: 8))
    }
    hardware.writeRegister(QueueRegister.receiveBaseLow, UInt32(truncatingIfNeeded: ring.rawValue))
    hardware.writeRegister(QueueRegister.receiveBaseHigh, 0)
    hardware.writeRegister(QueueRegister.receiveLength, UInt32(count * 16))
    hardware.writeRegister(QueueRegister.receiveHead, 0)
    hardware.writeRegister(QueueRegister.receiveTail, 0)
    // EN, UPE, MPE, BAM, SECRC.
    hardware.writeRegister(QueueRegister.receiveControl, 1 << 1 | 1 << 3 | 1 << 4 | 1 << 15 | 1 << 26)
    hardware.writeRegister(QueueRegister.interruptMaskSet, 0x80)
  }

  /// Posts buffers in `slots` and moves the tail behind them.
  static func post(_ hardware: inout E1000Hardware, slots: Range<Int>) {
    for slot in slots {
      hardware.store(buffer(slot).rawValue, at: descriptor(slot))
      hardware.store(0, at: descriptor(slot).advanced(by: 8))
    }
    hardware.writeRegister(QueueRegister.receiveTail, UInt32(slots.upperBound))
  }
}

extension E1000Hardware {
  /// Both receive queues as a drawing, from what is in memory and in the registers.
  ///
  /// `.` empty, `P` posted, `C` completed, `X` completed with an error; `h` and `t` are head and tail: of the OS queue
  /// the shadow registers, of the DPI queue the NIC's.
  mutating func receivePicture() -> String {
    let state = dpi.virtualizer[0].receive.state
    let osHead = Int(dpi.registers.load(QueueRegister.receiveHead))
    let osTail = Int(dpi.registers.load(QueueRegister.receiveTail))
    let nicHead = Int(nic.device.readRegister(QueueRegister.receiveHead, width: .doubleWord))
    let nicTail = Int(nic.device.readRegister(QueueRegister.receiveTail, width: .doubleWord))
    let os = slots(at: state.osQueue.base, count: Int(state.osQueue.count), head: osHead, tail: osTail)
    let twin = slots(at: state.dpiQueue.base, count: Int(state.dpiQueue.count), head: nicHead, tail: nicTail)
    return "OS \(os) h\(osHead) t\(osTail) | DPI \(twin) h\(nicHead) t\(nicTail)"
  }

  private func slots(at base: PhysicalAddress, count: Int, head: Int, tail: Int) -> String {
    (0..<count).map { slot in
      let word = northbridge.memory.load(UInt64.self, at: base.advanced(by: UInt64(slot) * 16 + 8)) ?? 0
      if word >> 32 & 1 == 1 { return word >> 40 & 0xFF == 0 ? "C" : "X" }
      let isPosted = head <= tail ? (head..<tail).contains(slot) : slot >= head || slot < tail
      return isPosted ? "P" : "."
    }.joined(separator: " ")
  }
}
