import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings

/// A NIC family's formats, and what driver and NIC write into them.
protocol Family {
  associatedtype Driver: NICDriver
  /// What the NIC makes of the first word of a descriptor that it completes; nil when it leaves the buffer's address.
  static var completedFirstWord: UInt64? { get }
  /// The second word of a completed receive descriptor: length, DD and EOP.
  static var completedSecondWord: UInt64 { get }
  /// The second word of a transmit descriptor: length, EOP, IFCS, RS.
  static var postedSecondWord: UInt64 { get }
}

/// The 82540EM: legacy descriptors.
enum E1000Family: Family {
  typealias Driver = E1000Driver
  static var completedFirstWord: UInt64? { nil }
  static var completedSecondWord: UInt64 { frameLength &+ 4 | 3 << 32 }
  static var postedSecondWord: UInt64 { frameLength | 0x0B << 24 }
}

/// The 82574L: extended receive descriptors with a hash, legacy transmit descriptors.
enum E1000EFamily: Family {
  typealias Driver = E1000EDriver
  static var completedFirstWord: UInt64? { 0x1234_5678_0000_0001 }
  static var completedSecondWord: UInt64 { (frameLength &+ 4) << 32 | 3 }
  static var postedSecondWord: UInt64 { frameLength | 0x0B << 24 }
}

/// The 82576: advanced descriptors.
enum IGBFamily: Family {
  typealias Driver = IGBDriver
  static var completedFirstWord: UInt64? { 0x1234_5678_0000_0111 }
  static var completedSecondWord: UInt64 { (frameLength &+ 4) << 32 | 3 }
  static var postedSecondWord: UInt64 { frameLength | 0x2B << 24 | 3 << 20 | frameLength << 46 }
}

/// A driver's and a NIC's part of receiving one batch. Not inlined, so that both kinds of run execute the same code.
struct ReceiveHarness<NIC: Family> {
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
      if let word = NIC.completedFirstWord { unsafe queue[nicIndex].0 = word }
      unsafe queue[nicIndex].1 = NIC.completedSecondWord
      nicIndex = nicIndex &+ 1 == Int(descriptors) ? 0 : nicIndex &+ 1
    }
  }

  /// The driver takes the batch.
  @inline(never)
  mutating func take(from queue: UnsafeMutablePointer<(UInt64, UInt64)>) -> UInt64 {
    var taken: UInt64 = 0
    for _ in 0..<batch {
      if unsafe queue[driverIndex].1 == NIC.completedSecondWord { taken &+= 1 }
      driverIndex = driverIndex &+ 1 == Int(descriptors) ? 0 : driverIndex &+ 1
    }
    return taken
  }
}

func receive<NIC: Family>(_ family: NIC.Type, frames: UInt64, isVirtual: Bool) -> UInt64 {
  let machine = Machine()
  var harness = ReceiveHarness<NIC>()
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
    var virtualizer = try ReceiveVirtualizer<NIC.Driver.OSReceive, NIC.Driver.NICReceive>(
      region: machine.region, memory: machine.memory, partition: machine.partition)
    guard
      virtualizer.start(
        machine.programmed, rules: NIC.Driver.queueRules, protection: .inPlace, memory: machine.memory) == nil
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
struct TransmitHarness<NIC: Family> {
  var driverIndex = 0
  var nicIndex = 0
  var tail: UInt32 = 0

  /// The driver posts a batch of frames of one descriptor each.
  @inline(never)
  mutating func post(on queue: UnsafeMutablePointer<(UInt64, UInt64)>, buffers: UInt64) {
    var index = Int(tail)
    for _ in 0..<batch {
      unsafe queue[index].0 = buffers &+ UInt64(index) &* 2048
      unsafe queue[index].1 = NIC.postedSecondWord
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

func transmit<NIC: Family>(_ family: NIC.Type, frames: UInt64, isVirtual: Bool) -> UInt64 {
  let machine = Machine()
  var harness = TransmitHarness<NIC>()
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
    var virtualizer = try TransmitVirtualizer<NIC.Driver.OSTransmit, NIC.Driver.NICTransmit>(
      region: machine.region, memory: machine.memory, partition: machine.partition)
    guard
      virtualizer.start(
        machine.programmed, rules: NIC.Driver.queueRules, protection: .inPlace, memory: machine.memory) == nil
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
