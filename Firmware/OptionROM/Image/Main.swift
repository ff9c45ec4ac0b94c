import AllyDrivers
import AllyHW
import AllyPacket
import AllyRings

/// What the sequestered core runs: the project's rings and driver module on a NIC that loops frames back, for as long as
/// the machine is on, with its findings in the report.
///
/// Called once by entry.S, with interrupts disabled; never returns unless the rings cannot be set up.
///
/// - Parameters:
///   - reportAddress: the report's page.
///   - base: memory for the self-test, of which the lower half plays the OS's and the upper half is DPI memory.
///   - length: its length in bytes.
@c(allyImageMain)
func imageMain(reportAddress: UInt, base: UInt, length: UInt) {
  // The page tables map all hidden memory at its physical addresses, and nothing at 0.
  guard let reportPlace = unsafe UnsafeMutableRawPointer(bitPattern: reportAddress),
    let place = unsafe UnsafeMutableRawPointer(bitPattern: base)
  else { return }
  let report = unsafe Report(RegisterFile(storage: reportPlace, length: Report.byteCount))

  var memory = PhysicalMemory(capacity: 1)
  let boundary = PhysicalAddress(UInt64(base + length / 2))
  let partition = Partition(boundary: boundary, end: PhysicalAddress(UInt64(base + length)))
  do {
    try unsafe memory.map(
      base: PhysicalAddress(UInt64(base)), length: UInt64(length), storage: place, rights: .readWrite)
  } catch { return }

  // The shadow registers come first in DPI memory, then the queue pair.
  let registerBytes: UInt32 = 0x4000
  guard let registers = unsafe RegisterFile(at: boundary, length: registerBytes, in: memory) else { return }
  let region = DPIRegion(
    base: boundary.advanced(by: UInt64(registerBytes)), length: UInt64(length / 2) - UInt64(registerBytes))
  let limits = RingLimits(
    maximumDescriptors: 128, maximumFrameLength: 4096, maximumBufferLength: 4096, copyMemory: 256 * 1024)
  guard
    var rings = try? RingVirtualizer<E1000Driver>(
      region: region, memory: memory, partition: partition, limits: limits, protection: .inPlace)
  else { return }

  var nic = LoopbackNIC()
  var inspector = SelfTestInspector()
  var receiveClock = CountingClock()
  var transmitClock = CountingClock()
  var driver = SelfTestDriver(base: UInt64(base))
  rings.attach(registers: registers, nic: &nic)

  // As the Remapping Table does: the value lands in the shadow copy, then the DPI core is told.
  func write(_ access: SelfTestDriver.RegisterWrite) {
    registers.store(UInt64(access.value), at: access.offset)
    rings.handle(
      RedirectedAccess(offset: access.offset, width: .doubleWord, isWrite: true, value: UInt64(access.value)),
      memory: memory, registers: registers, nic: &nic)
  }

  report.set(.magic, to: Report.magic)
  while true {
    let setup = driver.start(memory: memory)
    for index in setup.indices { write(setup[index]) }

    for turn in 0..<1024 {
      // The last turns only drain.
      if turn < 1000, let tail = driver.post(UInt32(turn % 17), memory: memory) { write(tail) }
      rings.serviceTransmit(
        inspecting: &inspector, clock: &transmitClock, memory: memory, registers: registers, nic: &nic)
      nic.run(memory: memory)
      rings.serviceReceive(
        inspecting: &inspector, clock: &receiveClock, memory: memory, registers: registers, nic: &nic)
      if let tail = driver.collect(memory: memory) { write(tail) }

      report.add(1, to: .heartbeat)
      report.set(.sent, to: driver.nextToSend)
      report.set(.received, to: driver.received)
      report.set(.dropped, to: inspector.dropped)
      report.set(.wrong, to: driver.wrong)
    }
    if !driver.isIdle { report.add(1, to: .wrong) }
    report.set(
      .ringFaults,
      to: rings[0].receive.state.counters.faulted &+ rings[0].transmit.state.counters.faulted)

    // The OS tears its queues down, and the next ones are protected in the other way.
    let end = driver.stop
    for index in end.indices { write(end[index]) }
    rings.protection = rings.protection == .inPlace ? .copyToDPIMemory : .inPlace
    report.add(1, to: .passes)
  }
}
