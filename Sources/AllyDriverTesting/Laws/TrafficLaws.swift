internal import AllyAppliance
internal import AllyDeviceModels
internal import AllyHW
internal import AllyPacket
internal import AllyRings
internal import AllySimulator

/// What came out of a machine.
struct Arrivals: Equatable {
  /// Numbers of the frames that the OS's network stack got; -1 for one that is none of ours.
  var delivered: [Int] = []
  /// Likewise of those on the wire.
  var sent: [Int] = []
}

extension LawChecks where Virtualizer: ~Copyable, Model: ~Copyable, OSDriver: ~Copyable {
  /// Puts frames on the wire and into the OS's driver, as many as there is room for.
  func feed(_ machine: inout Machine, from first: Int, count: Int, secret: (Int) -> Bool = { _ in false }) {
    for number in first..<(first + count) {
      let frame = TestFrame.make(number, isSecret: secret(number))
      _ = machine.offer(frame.span, stamp: FrameStamp(ordinal: UInt64(number) + 1, lengthOnWire: UInt32(frame.count)))
      // Bytes of initialized integers: any of them may be read raw.
      _ = unsafe machine.send(frame.span.bytes)
    }
  }

  func takeSent(_ wire: inout Wire<FrameStamp>, into arrivals: inout Arrivals) {
    while let number = wire.fromNIC.withFirst({ frame, _ in TestFrame.number(frame.array) ?? -1 }) {
      arrivals.sent.append(number)
      wire.fromNIC.removeFirst()
    }
  }

  func drain(_ machine: inout Machine, _ inspector: inout SecretKeeper, _ arrivals: inout Arrivals) {
    var delivered: [Int] = []
    machine.run(inspecting: &inspector, batch: 8) { delivered.append(TestFrame.number($0.array) ?? -1) }
    arrivals.delivered += delivered
    takeSent(&machine.hardware.wire, into: &arrivals)
  }

  // MARK: Order

  mutating func orderAcrossWrap() throws {
    for protection in [PacketProtection.inPlace, .copyToDPIMemory] {
      var random = SeededGenerator(seed: seed)
      var machine = try bench.machine(protection)
      machine.bootOS()
      var inspector = SecretKeeper()
      var arrivals = Arrivals()
      var next = 0
      // Eight turns of the queues.
      while next < 8 * bench.queueLength {
        let count = Int.random(in: 1...(bench.queueLength / 3), using: &random)
        feed(&machine, from: next, count: count)
        next += count
        drain(&machine, &inspector, &arrivals)
        let expected = Array(0..<next)
        for (found, side) in [(arrivals.delivered, "the OS got"), (arrivals.sent, "the wire got")]
        where found != expected {
          return fail(
            .orderAcrossWrap,
            "\(protection): of \(next) frames \(side) \(found.count), expected all in order; the first that differs is "
              + "\(zip(found, expected).first { $0 != $1 }?.1 ?? found.count)",
            diagram: draw(machine))
        }
      }
    }
  }

  // MARK: Transparency

  mutating func transparency(_ protection: PacketProtection, steps: Int, includesRestarts: Bool) throws {
    let layout = bench.layout(protection)
    var run = TransparencyRun(
      machine: try bench.machine(protection),
      bare: try BareMachine(layout: layout, model: bench.makeModel(), osDriver: bench.makeOSDriver()),
      registers: bench.comparedRegisters, longestFrame: bench.longestFrame, seed: seed)
    run.comparesMemory = bench.comparesMemory
    run.ordersFlowsAlone = bench.ordersFlowsAlone
    run.includesRestarts = includesRestarts
    if let difference = run.run(steps: steps) {
      fail(.transparency, "\(protection): \(difference)", diagram: draw(run.machine))
    } else if run.frames < steps / 2 {
      fail(
        .transparency, "\(protection): only \(run.frames) frames moved in \(steps) steps", diagram: draw(run.machine))
    }
  }
}
