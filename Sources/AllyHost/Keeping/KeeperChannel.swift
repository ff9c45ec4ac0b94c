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

  /// A worker's end as it begins: waits for what its keeper has for it.
  static func receive(at socket: consuming OwnedDescriptor) throws(HostError) -> KeeperChannel {
    var inherited: [UInt64: Int32] = [:]
    while true {
      var descriptor: Int32 = -1
      switch KeeperNote.receive(from: socket.number, flags: 0, &descriptor) {
      case .note(let note) where note.kind == .keep && descriptor >= 0: inherited[note.key] = descriptor
      case .note(let note) where note.kind == .begin:
        return KeeperChannel(consume socket, inherited: inherited, predecessors: Int(clamping: note.key))
      case .note: continue
      case .none, .end: throw HostError("the keeper is gone")
      }
    }
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

  /// Readable when the keeper says something, or is gone.
  var descriptor: Int32 { socket.number }

  /// Whether the keeper wants this worker to end because another takes its place.
  func isToRetire() -> Bool {
    var descriptor: Int32 = -1
    if case .note(let note) = KeeperNote.receive(from: socket.number, flags: Int32(MSG_DONTWAIT), &descriptor) {
      return note.kind == .retire
    }
    return false
  }

  private func send(_ kind: KeeperNote.Kind, _ key: UInt64, _ descriptor: Int32?) -> Bool {
    KeeperNote(kind: kind, key: key).send(to: socket.number, flags: 0, descriptor)
  }
}

/// What a worker tells its keeper, and what it is told as it begins and ends; with ``Kind/keep`` comes a descriptor.
struct KeeperNote: Equatable {
  enum Kind: UInt64 {
    case keep = 1
    case forget = 2
    /// The keeper's: all that was kept has been told; the key is how many workers there were before.
    case begin = 3
    /// The keeper's: another takes the worker's place.
    case retire = 4
  }

  static let byteCount = 16
  /// The exit status of a worker that was asked to make room, which no command has.
  static let retired: Int32 = 3

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

  /// - Returns: whether it was sent; if not, `errno` says why.
  func send(to socket: Int32, flags: Int32, _ descriptor: Int32?) -> Bool {
    let bytes = bytes
    let descriptors = descriptor.map { [$0] } ?? []
    while true {
      // The bytes and descriptors are as many as is said.
      let sent = unsafe ally_send(socket, bytes, bytes.count, flags, descriptors, descriptors.count)
      if sent == bytes.count { return true }
      if sent >= 0 || errno != EINTR { return false }
    }
  }

  enum Received {
    case note(KeeperNote)
    case none
    case end
  }

  /// Takes a note; with one that is none, and has a descriptor, that is closed.
  static func receive(from socket: Int32, flags: Int32, _ descriptor: inout Int32) -> Received {
    while true {
      var bytes = [UInt8](repeating: 0, count: byteCount + 1)
      var number: Int32 = -1
      var count = 0
      // As many bytes and descriptors as is said; others are closed.
      let received = unsafe ally_receive(socket, &bytes, bytes.count, flags, &number, 1, &count)
      if received < 0, errno == EINTR { continue }
      if received < 0, errno == EAGAIN { return .none }
      guard received > 0 else { return .end }
      guard let note = KeeperNote(bytes[..<received]) else {
        if count > 0 { close(number) }
        continue
      }
      descriptor = count > 0 ? number : -1
      return .note(note)
    }
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
      var descriptor: Int32 = -1
      switch KeeperNote.receive(from: socket, flags: Int32(MSG_DONTWAIT), &descriptor) {
      case .note(let note): take(note, descriptor < 0 ? nil : descriptor)
      case .none: return true
      case .end: return false
      }
    }
  }

  private mutating func take(_ note: KeeperNote, _ descriptor: Int32?) {
    switch (note.kind, descriptor) {
    case (.keep, let descriptor?) where numbers.count < Self.capacity || numbers[note.key] != nil:
      if let before = numbers.updateValue(descriptor, forKey: note.key) { close(before) }
    case (.forget, let descriptor):
      if let descriptor { close(descriptor) }
      if let before = numbers.removeValue(forKey: note.key) { close(before) }
    case (_, let descriptor): if let descriptor { close(descriptor) }
    }
  }
}
