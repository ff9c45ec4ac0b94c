internal import AllyAppliance
internal import AllyDeviceModels
internal import AllyHW
public import AllyRings
internal import AllySimulator

/// Queues as lines of text.
public enum RingDiagram {
  /// A descriptor that its consumer is done with.
  public enum Completion: Sendable {
    case good
    /// With an error, as a frame that was dropped in place.
    case damaged
  }

  /// Slots from 0 on: `.` empty, `P` posted, `C` completed, `X` completed as damaged. Head and tail follow.
  ///
  /// - Parameters:
  ///   - queue: the queue.
  ///   - name: what stands in front of the slots.
  ///   - completion: what the descriptor in a slot says; nil when it is not completed.
  public static func slots(
    of queue: DescriptorQueue, name: String, completion: (UInt32) -> Completion? = { _ in nil }
  ) -> String {
    var text = name
    for slot in 0..<queue.count {
      switch completion(slot) {
      case .good: text += " C"
      case .damaged: text += " X"
      case nil: text += queue.distance(from: queue.head, to: slot) < queue.outstanding ? " P" : " ."
      }
    }
    return text + "  h\(queue.head) t\(queue.tail)"
  }

  /// Both rings of each direction of every queue pair that runs, from what is in memory, and what was counted.
  static func rings<Driver: NICDriver, Model: DeviceModel & ~Copyable, OSDriver: OSDriverModel & ~Copyable>(
    _ machine: borrowing SimulatedMachine<RingVirtualizer<Driver>, Model, OSDriver>
  ) -> String {
    var lines: [String] = []
    for queue in 0..<Driver.queuePairs {
      let receive = machine.hardware.dpi.virtualizer[queue].receive.state
      let transmit = machine.hardware.dpi.virtualizer[queue].transmit.state
      for (state, isTransmit) in [(receive, false), (transmit, true)] where state.isRunning {
        var dpiQueue = state.dpiQueue
        if isTransmit { dpiQueue.tail = state.transmit.tail }
        lines.append("  \(isTransmit ? "transmit" : "receive") \(queue): \(words(state.counters))")
        lines.append(
          slots(of: state.osQueue, name: "    OS ") {
            isTransmit
              ? transmitted(Driver.OSTransmit.self, state.osQueue, $0, machine.hardware.northbridge.memory)
              : received(Driver.OSReceive.self, state.osQueue, $0, machine.hardware.northbridge.memory)
          })
        lines.append(
          slots(of: dpiQueue, name: "    DPI") {
            isTransmit
              ? transmitted(Driver.NICTransmit.self, dpiQueue, $0, machine.hardware.northbridge.memory)
              : received(Driver.NICReceive.self, dpiQueue, $0, machine.hardware.northbridge.memory)
          })
      }
    }
    return lines.isEmpty ? "  no queue runs" : lines.joined(separator: "\n")
  }

  private static func received<Format: ReceiveDescriptor>(
    _ format: Format.Type, _ queue: DescriptorQueue, _ slot: UInt32, _ memory: borrowing PhysicalMemory
  ) -> Completion? {
    guard let descriptor = load(format, queue, slot, memory), descriptor.isCompleted else { return nil }
    return descriptor.completion.isDamaged ? .damaged : .good
  }

  private static func transmitted<Format: TransmitDescriptor>(
    _ format: Format.Type, _ queue: DescriptorQueue, _ slot: UInt32, _ memory: borrowing PhysicalMemory
  ) -> Completion? {
    guard let descriptor = load(format, queue, slot, memory), descriptor.isCompleted else { return nil }
    return .good
  }

  private static func load<Format: Descriptor>(
    _ format: Format.Type, _ queue: DescriptorQueue, _ slot: UInt32, _ memory: borrowing PhysicalMemory
  ) -> Format? {
    let stride = UInt64(MemoryLayout<Format>.stride)
    guard
      let place = unsafe memory.pointer(
        at: queue.base.advanced(by: UInt64(slot) * stride), length: stride, for: .read)
    else { return nil }
    // As many bytes as the format has are mapped there, and it is BitwiseCopyable.
    return unsafe place.loadUnaligned(as: Format.self)
  }

  /// What all queue pairs counted: all that a virtualizer without descriptor rings has.
  static func words<
    Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OSDriver: OSDriverModel & ~Copyable
  >(_ machine: borrowing SimulatedMachine<Virtualizer, Model, OSDriver>) -> String {
    var lines: [String] = []
    for queue in 0..<machine.hardware.dpi.virtualizer.queuePairs {
      let counters = machine.hardware.dpi.virtualizer.counters(queue: queue)
      for (name, counters) in [("receive", counters.receive), ("transmit", counters.transmit)]
      where queue == 0 || counters.inspected > 0 {
        lines.append("  \(name) \(queue): \(words(counters))")
      }
    }
    return lines.joined(separator: "\n")
  }

  private static func words(_ counters: QueueCounters) -> String {
    "\(counters.accepted) accepted, \(counters.dropped) dropped, \(counters.faulted) faulted, "
      + "\(counters.faults.total) faults"
  }
}
