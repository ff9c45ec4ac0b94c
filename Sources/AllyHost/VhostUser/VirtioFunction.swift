internal import AllyHW
internal import AllyRings

/// A virtio function of a guest, programmed as a driver would do it through its PCI transport (virtio 1.2, §3.1.1 and §4.1):
/// what a vhost-user front end says becomes register accesses, so that behind them everything is as with any other guest.
struct VirtioFunction {
  let device: any VirtioGuestDevice
  private let window: VirtioPCIWindow

  /// What one queue is to be.
  struct Queue {
    var index: Int
    var size: UInt32
    var descriptors: UInt64
    var driverArea: UInt64
    var deviceArea: UInt64
    var position: VirtqueuePosition
  }

  /// Offsets in the common configuration (§4.1.4.3).
  private enum Register {
    static let deviceFeatureSelect: UInt32 = 0x00
    static let deviceFeature: UInt32 = 0x04
    static let driverFeatureSelect: UInt32 = 0x08
    static let driverFeature: UInt32 = 0x0C
    static let configurationVector: UInt32 = 0x10
    static let status: UInt32 = 0x14
    static let queueSelect: UInt32 = 0x16
    static let queueSize: UInt32 = 0x18
    static let queueVector: UInt32 = 0x1A
    static let queueEnable: UInt32 = 0x1C
    static let queueDescriptors: UInt32 = 0x20
    static let queueDriver: UInt32 = 0x28
    static let queueDevice: UInt32 = 0x30
  }

  /// Bits of the device status (§2.1).
  private enum Status {
    static let found: UInt64 = 1 | 2
    static let driverOK: UInt64 = 4
    static let featuresOK: UInt64 = 8
    static let needsReset: UInt64 = 64
  }

  init(_ device: any VirtioGuestDevice) throws(HostError) {
    guard let window = VirtioPCIWindow(device.function.virtioStructures) else {
      throw HostError("vhost-user serves virtio network devices; expected --nic virtio-net")
    }
    self.device = device
    self.window = window
  }

  private func read(_ offset: UInt32, _ width: RegisterWidth) -> UInt64 {
    guard let place = window.place(of: offset, length: width.byteCount) else { return 0 }
    return device.read(bar: place.register, offset: place.offset, width: width)
  }

  private func write(_ offset: UInt32, _ value: UInt64, _ width: RegisterWidth) {
    guard let place = window.place(of: offset, length: width.byteCount) else { return }
    device.write(bar: place.register, offset: place.offset, value: value, width: width)
  }

  /// What the device offers.
  var features: UInt64 {
    var features: UInt64 = 0
    for half: UInt64 in [0, 1] {
      write(Register.deviceFeatureSelect, half, .doubleWord)
      features |= read(Register.deviceFeature, .doubleWord) << (32 * half)
    }
    return features
  }

  /// How many queue pairs the device has (§5.1.4).
  var queuePairs: Int {
    features & VhostUserFeatures.multipleQueues == 0
      ? 1 : max(1, Int(read(VirtioPCIWindow.device + 8, .word)))
  }

  /// A byte of the network device's configuration.
  func configuration(_ offset: UInt32) -> UInt8 {
    UInt8(truncatingIfNeeded: read(VirtioPCIWindow.device + offset, .byte))
  }

  /// Whether the device asks for a reset: the guest has broken the rules of virtqueues.
  var needsReset: Bool { read(Register.status, .byte) & Status.needsReset != 0 }

  /// Sets the device up from the beginning, each queue with the message of its number, and with one for what concerns the whole
  /// device.
  ///
  /// - Returns: false when the device does not take the features.
  func start(_ queues: [Queue], features: UInt64, message: Int) -> Bool {
    stop()
    write(Register.status, Status.found, .byte)
    for half: UInt64 in [0, 1] {
      write(Register.driverFeatureSelect, half, .doubleWord)
      write(Register.driverFeature, features >> (32 * half) & 0xFFFF_FFFF, .doubleWord)
    }
    write(Register.status, Status.found | Status.featuresOK, .byte)
    guard read(Register.status, .byte) & Status.featuresOK != 0 else {
      stop()
      return false
    }
    write(Register.configurationVector, UInt64(message), .word)
    for queue in queues {
      device.setBeginning(queue.position, ofQueue: queue.index)
      write(Register.queueSelect, UInt64(queue.index), .word)
      write(Register.queueSize, UInt64(queue.size), .word)
      for (register, address) in [
        (Register.queueDescriptors, queue.descriptors), (Register.queueDriver, queue.driverArea),
        (Register.queueDevice, queue.deviceArea),
      ] {
        write(register, address & 0xFFFF_FFFF, .doubleWord)
        write(register + 4, address >> 32, .doubleWord)
      }
      write(Register.queueVector, UInt64(queue.index), .word)
      write(Register.queueEnable, 1, .word)
    }
    let pairs = queues.count { $0.index % 2 == 0 }
    device.spreadReceived(over: max(1, pairs))
    write(Register.status, Status.found | Status.featuresOK | Status.driverOK, .byte)
    return true
  }

  /// Resets the device.
  func stop() {
    write(Register.status, 0, .byte)
    device.forgetReceived()
  }
}
