internal import CAllyLinux
internal import Glibc

/// A worker's way to its keeper: what has to outlive the worker and cannot lie in memory, a descriptor, goes there before
/// anything depends on it. One thread calls.
public final class KeeperChannel {
  private let socket: OwnedDescriptor
  /// What the workers before this one had kept, and this one has not asked for.
  private var inherited: [UInt64: Int32]
  /// What the keeper has.
  private var kept: Set<UInt64>
  /// How many workers there were before.
  public let predecessors: Int

  init(_ socket: consuming OwnedDescriptor, inherited: [UInt64: Int32], predecessors: Int) {
    self.socket = socket
    self.inherited = inherited
    kept = Set(inherited.keys)
    self.predecessors = predecessors
  }

  deinit { for number in inherited.values { close(number) } }

  /// Has a copy of a descriptor kept, in the place of what has the key already.
  ///
  /// When this returns true the keeper has it, or finds it when it looks after the worker's death.
  func keep(_ descriptor: Int32, as key: UInt64) -> Bool {
    guard send(.keep, key, descriptor) else { return false }
    kept.insert(key)
    return true
  }

  /// Has all descriptors forgotten whose keys are not among those wanted, but are among those that `belong` is true of.
  func forget(but wanted: Set<UInt64>, where belong: (UInt64) -> Bool) {
    for key in kept where belong(key) && !wanted.contains(key) {
      _ = send(.forget, key, nil)
      kept.remove(key)
      if let number = inherited.removeValue(forKey: key) { close(number) }
    }
  }

  /// A descriptor that an earlier worker had kept, once; it is the caller's now.
  func take(_ key: UInt64) -> Int32? { inherited.removeValue(forKey: key) }

  /// Readable when the keeper is gone.
  var descriptor: Int32 { socket.number }

  private func send(_ kind: KeeperNote.Kind, _ key: UInt64, _ descriptor: Int32?) -> Bool {
    let bytes = KeeperNote(kind: kind, key: key).bytes
    let descriptors = descriptor.map { [$0] } ?? []
    while true {
      // The bytes and descriptors are as many as is said.
      let sent = unsafe ally_send(socket.number, bytes, bytes.count, 0, descriptors, descriptors.count)
      if sent == bytes.count { return true }
      if sent >= 0 || errno != EINTR { return false }
    }
  }
}

/// What a worker tells its keeper; with ``Kind/keep`` comes a descriptor.
struct KeeperNote: Equatable {
  enum Kind: UInt64 {
    case keep = 1
    case forget = 2
  }

  static let byteCount = 16

  var kind: Kind
  var key: UInt64

  init(kind: Kind, key: UInt64) {
    self.kind = kind
    self.key = key
  }

  /// Reads a note; nil of what is none.
  init?(_ bytes: ArraySlice<UInt8>) {
    var reader = LittleEndianReader(bytes)
    guard bytes.count == Self.byteCount, let kind = reader.take(UInt64.self).flatMap(Kind.init),
      let key = reader.take(UInt64.self)
    else { return nil }
    self.init(kind: kind, key: key)
  }

  var bytes: [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(littleEndian: kind.rawValue)
    bytes.append(littleEndian: key)
    return bytes
  }
}

/// What a keeper keeps for its workers: descriptors by key. Nothing that a worker sends, who may have been taken over by its
/// guest, makes it fail, grow beyond a bound, or wait.
struct KeptDescriptors {
  /// More than guests' memory and interrupts take.
  static let capacity = 8192

  private(set) var numbers: [UInt64: Int32] = [:]

  /// Takes the notes that wait in a socket.
  ///
  /// - Returns: false when the worker's end is gone and nothing is left.
  mutating func receive(from socket: Int32) -> Bool {
    while true {
      var bytes = [UInt8](repeating: 0, count: KeeperNote.byteCount + 1)
      var descriptor: Int32 = -1
      var count = 0
      // As many bytes and descriptors as is said; others are closed.
      let received = unsafe ally_receive(
        socket, &bytes, bytes.count, Int32(MSG_DONTWAIT), &descriptor, 1, &count)
      if received == 0 { return false }
      if received < 0 {
        if errno == EINTR { continue }
        return errno == EAGAIN
      }
      take(KeeperNote(bytes[..<received]), count > 0 ? descriptor : nil)
    }
  }

  private mutating func take(_ note: KeeperNote?, _ descriptor: Int32?) {
    guard let note else { return descriptor.map { _ = close($0) } ?? () }
    switch (note.kind, descriptor) {
    case (.keep, let descriptor?) where numbers.count < Self.capacity || numbers[note.key] != nil:
      if let before = numbers.updateValue(descriptor, forKey: note.key) { close(before) }
    case (.forget, let descriptor):
      if let descriptor { close(descriptor) }
      if let before = numbers.removeValue(forKey: note.key) { close(before) }
    case (.keep, let descriptor): if let descriptor { close(descriptor) }
    }
  }
}
