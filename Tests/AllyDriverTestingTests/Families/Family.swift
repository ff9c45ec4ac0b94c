import AllyDeviceModels
import AllyDriverTesting
import AllyDrivers
import AllyRings
import AllySimulator
import Testing

#if canImport(Glibc)
  import Glibc
#endif

/// What the families have in common. Each has a file here: its model and OS driver as a bench, and its tests.
enum Family {
  static let macAddress: [UInt8] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56]
  static let protections: [PacketProtection] = [.inPlace, .copyToDPIMemory]

  /// Short rings, which wrap around often.
  static var intelLayout: IntelOSQueuePair.Layout {
    IntelOSQueuePair.Layout(base: MachineLayout.driverMemory, receiveDescriptors: 32, transmitDescriptors: 32)
  }

  /// Good and total frames and octets each way, broadcast, multicast, missed; they clear when they are read.
  static var intelStatistics: [ComparedRegister] {
    [
      0x4010, 0x4074, 0x4078, 0x407C, 0x4080, 0x4088, 0x408C, 0x4090, 0x4094, 0x40C0, 0x40C8, 0x40D0, 0x40D4,
    ].map { ComparedRegister($0) }
  }

  /// `ALLY_STEPS` says how many steps a comparison with the machine without Ally has; `make soak` takes 1,000,000.
  static var steps: Int { unsafe getenv("ALLY_STEPS").flatMap { unsafe Int(String(cString: $0)) } ?? 800 }
}

func expectConformance(_ failures: [LawFailure], sourceLocation: SourceLocation = #_sourceLocation) {
  #expect(failures.isEmpty, "\(failures.map(\.description).joined(separator: "\n"))", sourceLocation: sourceLocation)
}

func expectTransparency<
  Virtualizer: NICVirtualizer & ~Copyable, Model: DeviceModel & ~Copyable, OSDriver: OSDriverModel & ~Copyable
>(
  _ bench: NICBench<Virtualizer, Model, OSDriver>, _ protection: PacketProtection,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  let failure = checkTransparency(bench, protection: protection, steps: Family.steps, seed: 0xA11E)
  #expect(failure == nil, "\(failure?.description ?? "")", sourceLocation: sourceLocation)
}

extension DatasheetVectors {
  /// The vectors of the Intel families.
  init(e1000 receive: [E1000Vectors.Receive], _ transmit: [E1000Vectors.Transmit]) {
    self.init(
      receive: receive.map {
        Receive(name: $0.name, bytes: $0.bytes, isCompleted: $0.isCompleted, completion: $0.completion)
      },
      transmit: transmit.map {
        Transmit(name: $0.name, bytes: $0.bytes, isCompleted: $0.isCompleted, request: $0.request)
      })
  }
}
