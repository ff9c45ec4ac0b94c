import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings

/// A driver's and a NIC's part of receiving one batch. Not inlined, so that both kinds of run execute the same code.
struct ReceiveHarness {
  var driverIndex = 0
  var nicIndex = 0
  var tail: UInt32 = 0

  /// The driver offers `count` buffers.
  @inline(never)
  mutating func post(_ count: UInt32, on queue: UnsafeMutablePointer<(UInt64, UInt64)>, buffers: UInt64) {
    var index = Int(tail)
    for _ in 0..<count {
      unsafe queue[index].0 = buffers &+ UInt64(index) &* 2048
      unsafe queue[index].1 = 0
      index = index &+ 1 == Int(descriptors) ? 0 : index &+ 1
    }
    tail = UInt32(index)
  }

  /// The NIC completes a batch.
  @inline(never)
  mutating func complete(on queue: UnsafeMutablePointer<(UInt64, UInt64)>) {
    for _ in 0..<batch {
      // Length, and status DD and EOP.
      unsafe queue[nicIndex].1 = (frameLength &+ 4) | 3 << 32
      nicIndex = nicIndex &+ 1 == Int(descriptors) ? 0 : nicIndex &+ 1
    }
  }

  /// The driver takes the batch.
  @inline(never)
  mutating func take(from queue: UnsafeMutablePointer<(UInt64, UInt64)>) -> UInt64 {
    var taken: UInt64 = 0
    for _ in 0..<batch {
      if unsafe queue[driverIndex].1 & (3 << 32 | 0xFFFF) == (frameLength &+ 4) | 3 << 32 { taken &+= 1 }
      driverIndex = driverIndex &+ 1 == Int(descriptors) ? 0 : driverIndex &+ 1
    }
    return taken
  }
}

func receive(frames: UInt64, isVirtual: Bool) -> UInt64 {
  let machine = Machine()
  var harness = ReceiveHarness()
  var received: UInt64 = 0
  guard isVirtual else {
    unsafe harness.post(descriptors - 1, on: machine.osQueue, buffers: machine.buffers)
    for _ in 0..<(frames / UInt64(batch)) {
      unsafe harness.complete(on: machine.osQueue)
      received &+= unsafe harness.take(from: machine.osQueue)
      unsafe harness.post(batch, on: machine.osQueue, buffers: machine.buffers)
    }
    return received
  }
  var inspector = AcceptAll()
  var clock = CountingClock()
  do {
    var virtualizer = try ReceiveVirtualizer<E1000ReceiveDescriptor, E1000ReceiveDescriptor>(
      region: machine.region, memory: machine.memory, partition: machine.partition)
    guard
      virtualizer.start(
        machine.programmed, rules: E1000Driver.queueRules, protection: .inPlace, memory: machine.memory) == nil
    else { return 0 }
    let dpi = unsafe machine.place(of: virtualizer.state.dpiQueue)
    unsafe harness.post(descriptors - 1, on: machine.osQueue, buffers: machine.buffers)
    _ = virtualizer.moveTail(to: harness.tail)
    _ = virtualizer.copyPosted(memory: machine.memory)
    for _ in 0..<(frames / UInt64(batch)) {
      unsafe harness.complete(on: dpi)
      _ = virtualizer.publishCompleted(inspecting: &inspector, clock: &clock, memory: machine.memory)
      received &+= unsafe harness.take(from: machine.osQueue)
      unsafe harness.post(batch, on: machine.osQueue, buffers: machine.buffers)
      _ = virtualizer.moveTail(to: harness.tail)
      _ = virtualizer.copyPosted(memory: machine.memory)
    }
    return clock.count == frames ? received : 0
  } catch {
    print("cannot set up: \(error)")
    return 0
  }
}

/// A driver's and a NIC's part of sending one batch.
struct TransmitHarness {
  var driverIndex = 0
  var nicIndex = 0
  var tail: UInt32 = 0

  /// The driver posts a batch of frames of one descriptor each: EOP, IFCS, RS.
  @inline(never)
  mutating func post(on queue: UnsafeMutablePointer<(UInt64, UInt64)>, buffers: UInt64) {
    var index = Int(tail)
    for _ in 0..<batch {
      unsafe queue[index].0 = buffers &+ UInt64(index) &* 2048
      unsafe queue[index].1 = frameLength | 0x0B << 24
      index = index &+ 1 == Int(descriptors) ? 0 : index &+ 1
    }
    tail = UInt32(index)
  }

  /// The NIC sends the batch and reports it.
  @inline(never)
  mutating func complete(on queue: UnsafeMutablePointer<(UInt64, UInt64)>) {
    for _ in 0..<batch {
      unsafe queue[nicIndex].1 |= 1 << 32
      nicIndex = nicIndex &+ 1 == Int(descriptors) ? 0 : nicIndex &+ 1
    }
  }

  /// The driver takes the batch back.
  @inline(never)
  mutating func take(from queue: UnsafeMutablePointer<(UInt64, UInt64)>) -> UInt64 {
    var taken: UInt64 = 0
    for _ in 0..<batch {
      if unsafe queue[driverIndex].1 & 1 << 32 != 0 { taken &+= 1 }
      driverIndex = driverIndex &+ 1 == Int(descriptors) ? 0 : driverIndex &+ 1
    }
    return taken
  }
}

func transmit(frames: UInt64, isVirtual: Bool) -> UInt64 {
  let machine = Machine()
  var harness = TransmitHarness()
  var sent: UInt64 = 0
  guard isVirtual else {
    for _ in 0..<(frames / UInt64(batch)) {
      unsafe harness.post(on: machine.osQueue, buffers: machine.buffers)
      unsafe harness.complete(on: machine.osQueue)
      sent &+= unsafe harness.take(from: machine.osQueue)
    }
    return sent
  }
  var inspector = AcceptAll()
  var clock = CountingClock()
  do {
    var virtualizer = try TransmitVirtualizer<E1000TransmitDescriptor, E1000TransmitDescriptor>(
      region: machine.region, memory: machine.memory, partition: machine.partition)
    guard
      virtualizer.start(
        machine.programmed, rules: E1000Driver.queueRules, protection: .inPlace, memory: machine.memory) == nil
    else { return 0 }
    let dpi = unsafe machine.place(of: virtualizer.state.dpiQueue)
    for _ in 0..<(frames / UInt64(batch)) {
      unsafe harness.post(on: machine.osQueue, buffers: machine.buffers)
      _ = virtualizer.moveTail(to: harness.tail)
      _ = virtualizer.copyPosted(inspecting: &inspector, clock: &clock, memory: machine.memory)
      unsafe harness.complete(on: dpi)
      _ = virtualizer.completeTransmitted(memory: machine.memory)
      sent &+= unsafe harness.take(from: machine.osQueue)
    }
    return clock.count == frames ? sent : 0
  } catch {
    print("cannot set up: \(error)")
    return 0
  }
}
