internal import AllyDeviceModels
internal import AllyHW
internal import Glibc

/// The interrupts that a guest's NIC raises: event descriptors that the client gave, and which of them are masked.
///
/// The pin is level-triggered and masks itself when it has interrupted; the client takes the mask away when the guest has
/// looked, and a level that is still high interrupts again. A message that finds no descriptor waits for one: clients
/// take all of them away and bring them again whenever the guest changes its table.
struct InterruptLines {
  /// The kinds that a client can ask about: pin, messages, messages of a table, errors, requests to let go.
  static let kinds: UInt32 = 5

  private var descriptors: [[EventDescriptor?]]
  private var isLevelHigh = false
  private var isPinMasked = false
  /// Messages that wait for a descriptor, a bit each.
  private var waiting: UInt32 = 0
  /// Interrupts raised so far.
  private(set) var raised: UInt64 = 0

  init(_ function: PCIFunction) {
    let hasMessages = function.capabilities.contains { $0.kind == .messageSignaledInterrupts }
    descriptors = [
      Array(repeating: nil, count: function.interruptPin == 0 ? 0 : 1),
      Array(repeating: nil, count: hasMessages ? 1 : 0),
      Array(repeating: nil, count: min(function.msix?.vectors ?? 0, 32)), [], [],
    ]
  }

  /// How many interrupts of a kind there are.
  func count(_ index: UInt32) -> Int { index < Self.kinds ? descriptors[Int(index)].count : 0 }

  /// Flags of a kind: event descriptors, and for the pin that it can be masked and masks itself.
  func flags(_ index: UInt32) -> UInt32 { index == 0 ? 7 : index < 3 ? 1 | 8 : 0 }

  /// What a keeper knows the descriptors by.
  var keys: [UInt64] { descriptors.joined().compactMap { $0?.key }.filter { $0 != 0 } }

  /// Exchanges all with a record.
  ///
  /// - Parameter channel: has the descriptors.
  mutating func exchange(with record: inout StateRecord, taking channel: KeeperChannel?) {
    record.exchange(&isLevelHigh)
    record.exchange(&isPinMasked)
    record.exchange(&waiting)
    record.exchange(&raised)
    for kind in descriptors.indices {
      for number in descriptors[kind].indices {
        var key = descriptors[kind][number]?.key ?? 0
        record.exchange(&key)
        guard record.isRestoring else { continue }
        descriptors[kind][number] = key == 0 ? nil : channel?.take(key).map { EventDescriptor($0, key: key) }
      }
    }
  }

  /// As when nobody has asked for anything.
  mutating func reset() {
    for index in descriptors.indices { descriptors[index] = Array(repeating: nil, count: descriptors[index].count) }
    isLevelHigh = false
    isPinMasked = false
    waiting = 0
  }

  mutating func apply(
    _ setting: VFIOUserInterruptSetting, _ received: [EventDescriptor]
  ) throws(VFIOUserRefusal) {
    let kind = Int(setting.index)
    let range = Int(setting.start)..<(Int(setting.start) + setting.selected.count)
    guard setting.index < Self.kinds, range.upperBound <= descriptors[kind].count || setting.action == .disable else {
      throw VFIOUserRefusal(EINVAL)
    }
    switch setting.action {
    case .disable:
      descriptors[kind] = Array(repeating: nil, count: descriptors[kind].count)
      if kind == 0 { isPinMasked = false }
    case .assign:
      for (place, number) in range.enumerated() {
        descriptors[kind][number] = place < received.count ? received[place] : nil
      }
      if kind == 0 {
        isPinMasked = false
      } else {
        raiseWaiting(kind)
      }
    case .mask: if kind == 0 { isPinMasked = true }
    case .unmask: if kind == 0 { isPinMasked = false }
    case .trigger:
      for (place, number) in range.enumerated() where setting.selected[place] { descriptors[kind][number]?.raise() }
    }
    drivePin()
  }

  /// Lets the guest hear what its NIC says.
  mutating func raise(_ interrupts: NICInterrupts, by delivery: InterruptDelivery?) {
    isLevelHigh = interrupts.isPinAsserted && delivery == .pin
    drivePin()
    switch delivery {
    case .messages: waiting |= interrupts.messages & 1
    case .messageTable: waiting |= interrupts.messages
    case .pin, nil: return
    }
    if waiting != 0 { raiseWaiting(delivery == .messages ? 1 : 2) }
  }

  private mutating func drivePin() {
    guard isLevelHigh, !isPinMasked, let descriptor = descriptors[0].first ?? nil else { return }
    descriptor.raise()
    raised &+= 1
    isPinMasked = true
  }

  private mutating func raiseWaiting(_ kind: Int) {
    var left = waiting
    while left != 0 {
      let number = left.trailingZeroBitCount
      left &= left &- 1
      guard number < descriptors[kind].count, let descriptor = descriptors[kind][number] else { continue }
      descriptor.raise()
      raised &+= 1
      waiting &= ~(1 << UInt32(number))
    }
  }
}

/// An eventfd of the client, closed when nobody refers to this object any more.
final class EventDescriptor {
  private let number: Int32
  /// What a keeper knows it by; 0 of one that is not kept.
  let key: UInt64

  init(_ number: Int32, key: UInt64 = 0) {
    self.number = number
    self.key = key
    // Whatever the client gave: it must not make us wait.
    _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK)
  }

  deinit { close(number) }

  /// Adds one. A counter that is full tells as much as one more would.
  func raise() {
    var one: UInt64 = 1
    _ = unsafe write(number, &one, 8)
  }
}
